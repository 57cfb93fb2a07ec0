//===- stage.cuh - Activations as the GEMMs read them -----------*- C++ -*-===//
//
// One block of threads a row: an optional norm, then the row as blocks of 16
// bytes: 8 bytes of upper halves, 8 of lower ones. Next to weights of 16-bit
// floats a block is four elements, x = upper + lower; else it is eight, x =
// scale (256 upper + lower) / 32512, the scale being the row's largest
// magnitude. Elements lie where the weight's padded groups have them. The sums
// of the elements of each unit follow, for zero points, and each row's factor.
//
// LLM.int8 (K::isSplit) rounds values to f16 first. Columns with a magnitude of
// K::threshold or more in some row are outliers: their codes are 0 and their
// values go to a list (Layout.h). All others become an 8-bit code, as the lower
// half. ClearOutliers and a Stage that K::findsOnly fill the mask of columns
// beforehand, except for one row, which finds them by itself.
//
// Wide staging, for wgmma: rows of bf16, or of f16 times 256 / the row's
// largest magnitude. A slice is 64 elements (128 bytes) of every row: atoms of
// 8 rows, the 16-byte piece p of row r of an atom at p ^ r. For a library
// (K::isRowMajor) the same numbers, in the order of the weight, are plain rows.
// For codes that are multiplied as they are (K::isRaw, up to kMostRawTokens
// rows) what meets upper nibbles is 16 times smaller, and the sums of chunks
// follow, times the smallest f16, which is a code's 1.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH

#include "codegen/cuda/kernels/codes.cuh"
#include "codegen/cuda/kernels/sums.cuh"

namespace qcc::cuda {

/// Clears the mask of outlier columns. Operands: staged.
template <class K>
struct ClearOutliers {
  static __device__ __forceinline__ void run(const Step *, const Args &a) {
    startNext();
    waitForEarlier();
    uint32_t *mask = pointer<uint32_t>(a.v[0] + K::maskAt);
    for (int i = threadIdx.x; i < (K::columns + 31) / 32; i += blockDim.x)
      mask[i] = 0;
  }
};

/// Operands: input f32, norm weight, norm bias, staged, order (K::hasOrder: the
/// features that the staged elements are, as f32); with K::isRowMajor also
/// where the rows' factors go, and with K::isFinishing, whose input are sums,
/// the factors and the bias of these.
template <class K>
struct Stage {
  static __host__ __device__ constexpr int inputStride() {
    if constexpr (K::isFinishing)
      return K::sumStride;
    else
      return K::stride;
  }
  /// Elements of a block, and blocks of a thread, which keeps them all.
  static constexpr int width = K::isFloat && !K::isWide ? 4 : 8;
  static constexpr int threads = K::threads;
  static constexpr int count = (K::rowBlocks + threads - 1) / threads;
  /// Blocks are elements in a row, or all padding; and there is no padding.
  static constexpr bool isVector =
      (!K::isFloat || K::isWide) && (K::code != Int8 || K::isRowMajor) &&
      inputStride() % 4 == 0 && !K::hasOrder &&
      (!K::isPadded || (K::group % width == 0 && K::paddedGroup % width == 0 &&
                        K::columns % width == 0));
  static constexpr bool isPlain = isVector && !K::isPadded;
  /// A row on its way into slices.
  static constexpr int sharedBytes =
      K::isWide && !K::isRowMajor ? K::slices * 128 : 0;

  /// The element at place `i` of a block, or -1 for padding.
  static __device__ __forceinline__ int elementOf(int block, int i) {
    if (isPlain)
      return block * width + i;
    const int unit = block / K::unitBlocks;
    const int place = block % K::unitBlocks * width + i;
    const int inUnit = K::isRowMajor || (K::isWide && K::isFloat)
                           ? place
                           : stagedElement(K::code, place);
    const int at = unit * K::unitElements + inUnit;
    const int k = at / K::paddedGroup * K::group + at % K::paddedGroup;
    const bool exists = inUnit < K::unitElements &&
                        at % K::paddedGroup < K::group && k < K::columns &&
                        block < K::rowBlocks;
    return exists ? k : -1;
  }

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *shared = nullptr) {
    __shared__ float room[32];
    __shared__ int unitSums[K::isFloat ? 1 : K::units];
    startNext();
    if (!K::isFloat)
      for (int u = threadIdx.x; u < K::units; u += threads)
        unitSums[u] = 0;
    // Numbers of the step, and weights, were there before the first kernel ran.
    const int m = blockIdx.x;
    const int rows = K::gather ? step->logit_count : step->tokens;
    constexpr bool isEarly = isVector && count == 1 && K::norm != NormNone;
    float early[2][width] = {};
    if (const int k = elementOf(threadIdx.x, 0);
        isEarly && int(threadIdx.x) < K::rowBlocks && k >= 0) {
      loadBlock(early[0], pointer<const float>(a.v[1]) + k);
      if (K::hasNormBias)
        loadBlock(early[1], pointer<const float>(a.v[2]) + k);
    }
    waitForEarlier();
    if (m >= rows)
      return;
    const int row = K::gather ? pointer<const int>(step->logit_rows)[m] : m;
    const float *x = pointer<const float>(a.v[0]) + int64_t(row) * K::stride;
    const float *weight = pointer<const float>(a.v[1]);
    const float *bias = pointer<const float>(a.v[2]);
    char *staged = pointer<char>(a.v[3]);
    const float *order = pointer<const float>(a.v[4]);
    const auto feature = [&](int k) { return K::hasOrder ? int(order[k]) : k; };

    float values[count][width];
    auto each = [&](auto use) {
#pragma unroll
      for (int n = 0; n < count; ++n) {
        const int block = n * threads + threadIdx.x;
        if (block >= K::rowBlocks || (isVector && elementOf(block, 0) < 0))
          continue;
#pragma unroll
        for (int i = 0; i < width; ++i)
          if (int k = isVector ? elementOf(block, 0) + i : elementOf(block, i);
              k >= 0)
            use(k, values[n][i]);
      }
    };
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
#pragma unroll
      for (int i = 0; i < width; ++i)
        values[n][i] = 0;
      if (K::isFinishing || !isVector || block >= K::rowBlocks)
        continue;
      if (const int k = elementOf(block, 0); k >= 0)
        loadBlock(values[n], x + k);
    }
    if constexpr (K::isFinishing) {
      const SumRow<K> sums(a.v[0], a.v[6], a.v[7], m);
      if constexpr (isVector) {
#pragma unroll
        for (int n = 0; n < count; ++n) {
          const int block = n * threads + threadIdx.x;
          if (const int k = block < K::rowBlocks ? elementOf(block, 0) : -1;
              k >= 0)
            takeBlock(values[n], sums, k);
        }
      } else {
        each([&](int k, float &v) { v = sums[feature(k)]; });
      }
    } else if (!isVector) {
      each([&](int k, float &v) { v = x[feature(k)]; });
    }

    float mean = 0, inverse = 1;
    if (K::norm != NormNone) {
      // The squares of a warp's elements are about its own mean, so that one
      // reduction of the block is enough, and nothing cancels.
      float own = 0, squares = 0;
      int had = 0;
      if (K::norm == NormLayer) {
        each([&](int, float &v) {
          own += v;
          ++had;
        });
        own = warpSum(own);
        had = __reduce_add_sync(~0U, had);
      }
      const float ownMean = had ? own / float(had) : 0.0F;
      each([&](int, float &v) { squares += (v - ownMean) * (v - ownMean); });
      squares = warpSum(squares);
      __shared__ float warps[3][32];
      if (threadIdx.x % 32 == 0) {
        warps[0][threadIdx.x / 32] = squares;
        warps[1][threadIdx.x / 32] = ownMean;
        warps[2][threadIdx.x / 32] = float(had);
      }
      __syncthreads();
      const int lane = threadIdx.x % 32;
      const bool exists = lane < threads / 32;
      squares = exists ? warps[0][lane] : 0.0F;
      if (K::norm == NormLayer) {
        const float ofWarp = exists ? warps[1][lane] : 0.0F,
                    weight = exists ? warps[2][lane] : 0.0F;
        mean = warpSum(ofWarp * weight) * (1.0F / K::columns);
        squares += weight * (ofWarp - mean) * (ofWarp - mean);
      }
      inverse = rsqrtf(warpSum(squares) * (1.0F / K::columns) + K::epsilon);
      if constexpr (isVector) {
#pragma unroll
        for (int n = 0; n < count; ++n) {
          const int block = n * threads + threadIdx.x;
          const int k = block < K::rowBlocks ? elementOf(block, 0) : -1;
          if (k < 0)
            continue;
          float (&w)[width] = early[0], (&b)[width] = early[1];
          if (!isEarly) {
            loadBlock(w, weight + k);
            if (K::hasNormBias)
              loadBlock(b, bias + k);
          }
#pragma unroll
          for (int i = 0; i < width; ++i)
            values[n][i] =
                (values[n][i] - mean) * inverse * (w[i] + K::normOffset) + b[i];
        }
      } else {
        each([&](int k, float &v) {
          const int at = feature(k);
          v = (v - mean) * inverse * (weight[at] + K::normOffset);
          if (K::hasNormBias)
            v += bias[at];
        });
      }
    }
    if constexpr (K::isSplit) {
      split(step, staged, m, values, room);
      return;
    }
    const float factor = factorOf(
        values,
        (K::isRowMajor ? pointer<float>(a.v[5])
                       : reinterpret_cast<float *>(staged + K::scalesAt)) +
            m,
        room);
    if constexpr (K::isRowMajor) {
      storeRow(staged, m, values, factor);
      return;
    }
    if constexpr (K::isWide) {
      storeWide(staged, m, values, factor, shared,
                K::isRaw && rows <= kMostRawTokens);
      return;
    }
    uint4 *blocks =
        reinterpret_cast<uint4 *>(staged + int64_t(m) * K::rowBlocks * 16);
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
      if (block >= K::rowBlocks)
        break;
      uint32_t words[4] = {};
      if constexpr (K::isFloat) {
#pragma unroll
        for (int i = 0; i < width; ++i) {
          const float v = values[n][i] * factor;
          const uint16_t upper = K::code == BF16 ? toBfloat(v) : toHalf(v);
          const float rest =
              v - (K::code == BF16 ? fromBfloat(upper) : fromHalf(upper));
          const uint16_t lower =
              K::code == BF16 ? toBfloat(rest) : toHalf(rest);
          words[i / 2] |= uint32_t(upper) << (i % 2 * 16);
          words[2 + i / 2] |= uint32_t(lower) << (i % 2 * 16);
        }
      } else {
        int sum = 0;
#pragma unroll
        for (int i = 0; i < width; ++i) {
          const int fixed = __float2int_rn(values[n][i] * factor);
          const int upper = (fixed + 128) >> 8;
          sum += fixed;
          words[i / 4] |= uint32_t(upper & 255) << (i % 4 * 8);
          words[2 + i / 4] |= uint32_t((fixed - (upper << 8)) & 255)
                              << (i % 4 * 8);
        }
        if (K::needsSums)
          atomicAdd(&unitSums[block / K::unitBlocks], sum);
      }
      blocks[block] = {words[0], words[1], words[2], words[3]};
    }
    if (!K::isFloat && K::needsSums) {
      __syncthreads();
      int *sums =
          reinterpret_cast<int *>(staged + K::sumsAt) + int64_t(m) * K::units;
      for (int u = threadIdx.x; u < K::units; u += threads)
        sums[u] = unitSums[u];
    }
  }

  /// Wide, row `m` of `rows`, which other blocks have just written, without a
  /// norm.
  static __device__ __forceinline__ void
  stageWritten(char *staged, int m, int rows, const float *x, char *shared) {
    static_assert(K::isWide && !K::isRowMajor && isVector && !K::norm);
    __shared__ float room[32];
    float values[count][width] = {};
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
      if (const int k = block < K::rowBlocks ? elementOf(block, 0) : -1; k >= 0)
        loadBlock</*IsFar=*/true>(values[n], x + k);
    }
    const float factor = factorOf(
        values, reinterpret_cast<float *>(staged + K::scalesAt) + m, room);
    storeWide(staged, m, values, factor, shared,
              K::isRaw && rows <= kMostRawTokens);
  }

private:
  /// What a row is multiplied with: its largest value has 127 as its upper half
  /// then (32512 = 127 * 256). The inverse goes to `inverse`. Rows that have no
  /// finite factor are zeros.
  static __device__ __forceinline__ float
  factorOf(const float (&values)[count][width], float *inverse, float *room) {
    constexpr float top = K::code == F16 || K::isWide ? 256.0F : 32512.0F;
    float factor = 1, largest = top;
    if (K::code != BF16) {
      largest = 0;
#pragma unroll
      for (int n = 0; n < count; ++n)
#pragma unroll
        for (int i = 0; i < width; ++i) // padding is zeros
          largest = fmaxf(largest, fabsf(values[n][i]));
      largest = blockReduce<true>(largest, room);
      factor = largest > 1e-30F ? top / largest : 0.0F;
    }
    if (threadIdx.x == 0)
      *inverse = largest * (1.0F / top);
    return factor;
  }

  /// A block of elements in a row, 16 bytes at a time; far ones are others'.
  template <bool IsFar = false>
  static __device__ __forceinline__ void loadBlock(float (&to)[width],
                                                   const float *from) {
#pragma unroll
    for (int i = 0; i < width; i += 4) {
      const float4 *at = reinterpret_cast<const float4 *>(from + i);
      const float4 v = IsFar ? __ldcg(at) : *at;
      to[i] = v.x;
      to[i + 1] = v.y;
      to[i + 2] = v.z;
      to[i + 3] = v.w;
    }
  }

  /// The same of what becomes of sums.
  template <class Sums>
  static __device__ __forceinline__ void takeBlock(float (&to)[width],
                                                   const Sums &sums, int k) {
#pragma unroll
    for (int i = 0; i < width; i += 4) {
      float v[4];
      sums.template take<true>(v, k + i, 4);
      to[i] = v[0];
      to[i + 1] = v[1];
      to[i + 2] = v[2];
      to[i + 3] = v[3];
    }
  }

  static constexpr int maskWords = (K::columns + 31) / 32;

  static __device__ __forceinline__ float roundToHalf(float v) {
    return fromHalf(toHalf(fminf(fmaxf(v, -65504.0F), 65504.0F)));
  }

  /// Row `m` of LLM.int8, whose normalized elements are `values`.
  static __device__ __forceinline__ void split(const Step *step, char *staged,
                                               int m,
                                               float (&values)[count][width],
                                               float *room) {
    // The mask of columns, and how many of them stand before a word.
    __shared__ uint32_t mask[K::isSplit ? maskWords : 1];
    __shared__ int before[K::isSplit ? maskWords + 1 : 1];
    uint32_t *found = reinterpret_cast<uint32_t *>(staged + K::maskAt);
    auto each = [&](auto use) {
#pragma unroll
      for (int n = 0; n < count; ++n) {
        const int block = n * threads + threadIdx.x;
        if (block < K::rowBlocks)
#pragma unroll
          for (int i = 0; i < width; ++i)
            if (int k = elementOf(block, i); k >= 0)
              use(k, values[n][i]);
      }
    };
    each([&](int, float &v) { v = roundToHalf(v); });
    if constexpr (K::findsOnly) {
      each([&](int k, float &v) {
        if (fabsf(v) >= K::threshold)
          atomicOr(found + k / 32, 1U << (k % 32));
      });
      return;
    }
    constexpr bool isSplitting = K::threshold > 0;
    if (isSplitting) {
      for (int i = threadIdx.x; i < maskWords; i += threads)
        mask[i] = K::findsOutliers ? 0 : found[i];
      __syncthreads();
      if (K::findsOutliers) {
        each([&](int k, float &v) {
          if (fabsf(v) >= K::threshold)
            atomicOr(mask + k / 32, 1U << (k % 32));
        });
        __syncthreads();
      }
      if (threadIdx.x < 32) {
        int sum = 0;
        for (int base = 0; base < maskWords; base += 32) {
          const int i = base + int(threadIdx.x);
          const int own = i < maskWords ? __popc(mask[i]) : 0;
          int upTo = own;
          for (int distance = 1; distance < 32; distance *= 2) {
            const int other = __shfl_up_sync(~0U, upTo, distance);
            if (int(threadIdx.x) >= distance)
              upTo += other;
          }
          if (i < maskWords)
            before[i] = sum + upTo - own;
          sum += __shfl_sync(~0U, upTo, 31);
        }
        if (threadIdx.x == 0)
          before[maskWords] = sum;
      }
      __syncthreads();
    } else if (threadIdx.x == 0) {
      before[maskWords] = 0;
    }

    float largest = 0;
    each([&](int, float &v) {
      if (!isSplitting || fabsf(v) < K::threshold)
        largest = fmaxf(largest, fabsf(v));
    });
    largest = blockReduce<true>(largest, room);
    const float factor = largest > 0 ? 1.0F / largest * 127.0F : 0.0F;
    if (threadIdx.x == 0) {
      reinterpret_cast<float *>(staged + K::scalesAt)[m] = largest / 127.0F;
      if (m == 0) {
        const int outliers = before[maskWords];
        *reinterpret_cast<int *>(staged + K::listAt) = outliers;
        uint64_t *statistics = pointer<uint64_t>(step->outlier_statistics);
        statistics[0] += K::linears;
        statistics[1] += uint64_t(K::linears) * outliers;
      }
    }
    int *list = reinterpret_cast<int *>(staged + K::listAt) + 1;
    float *kept = reinterpret_cast<float *>(staged + K::valuesAt) +
                  int64_t(m) * K::columns;
    uint4 *blocks =
        reinterpret_cast<uint4 *>(staged + int64_t(m) * K::rowBlocks * 16);
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
      if (block >= K::rowBlocks)
        break;
      uint32_t words[2] = {};
#pragma unroll
      for (int i = 0; i < width; ++i) {
        const int k = elementOf(block, i);
        if (k < 0)
          continue;
        const float v = values[n][i];
        if (isSplitting && (mask[k / 32] >> (k % 32) & 1)) {
          const int place =
              before[k / 32] + __popc(mask[k / 32] & ((1U << (k % 32)) - 1));
          kept[place] = v;
          if (m == 0)
            list[place] = k;
          continue;
        }
        words[i / 4] |= uint32_t(__float2int_rn(v * factor) & 255)
                        << (i % 4 * 8);
      }
      blocks[block] = {0, 0, words[0], words[1]};
    }
  }

  /// Writes a plain row.
  static __device__ __forceinline__ void
  storeRow(char *staged, int m, const float (&values)[count][width],
           float factor) {
    uint4 *row =
        reinterpret_cast<uint4 *>(staged + int64_t(m) * K::slices * 128);
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
      if (block >= K::rowBlocks)
        break;
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        words[i] = packPair<K::code == BF16>(values[n][2 * i] * factor,
                                             values[n][2 * i + 1] * factor);
      row[block] = {words[0], words[1], words[2], words[3]};
    }
  }

  /// Writes a block of a row's slices, what meets upper nibbles times
  /// `upperFactor`; the sum of what it wrote.
  static __device__ __forceinline__ float
  storeBlock(char *shared, int block, const float (&values)[width],
             float factor, float upperFactor) {
    // Lane t of the GEMM has every laneBlocks-th block of a step, and of its
    // own blocks two runs of 16 elements (wideOrder in wgmma.cuh).
    constexpr int laneCount = K::isFloat ? 1 : K::stepBlocks / 4;
    const int inStep = block % K::stepBlocks, t = inStep / laneCount,
              j = inStep % laneCount;
    char *to = shared + (block - inStep) * 16 + j * 64 + t * 4;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      constexpr int apart = K::isTable ? 4 : 2;
      const int first = K::isFloat   ? 2 * i
                        : K::isTable ? i / 2 * 2 + i % 2
                                     : i / 2 * 4 + i % 2;
      const float f = i < 2 ? factor : factor * upperFactor;
      const float v = values[first] * f,
                  w = values[first + (K::isFloat ? 1 : apart)] * f;
      const uint32_t pair = packPair<K::code == BF16>(v, w);
      if (K::isFloat)
        *reinterpret_cast<uint32_t *>(shared + block * 16 + i * 4) = pair;
      else
        *reinterpret_cast<uint32_t *>(to + i * 16) = pair;
      if (K::isRaw)
        sum += (fromHalf(uint16_t(pair)) + fromHalf(uint16_t(pair >> 16))) *
               (i < 2 ? 1.0F : 1.0F / upperFactor);
    }
    return sum;
  }

  /// Writes a row's slices, what no block fills as zeros.
  static __device__ __forceinline__ void
  storeWide(char *staged, int m, const float (&values)[count][width],
            float factor, char *shared, bool isRaw) {
    const float upperFactor = K::hasUpperNibbles && isRaw ? 1.0F / 16 : 1.0F;
    for (int i = K::rowBlocks * 16 + threadIdx.x * 4; i < K::slices * 128;
         i += threads * 4)
      *reinterpret_cast<uint32_t *>(shared + i) = 0;
#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = n * threads + threadIdx.x;
      if (block - int(threadIdx.x % 32) >= K::rowBlocks)
        break;
      float sum = 0;
      if (block < K::rowBlocks)
        sum = storeBlock(shared, block, values[n], factor, upperFactor);
      if constexpr (K::isRaw) {
        // Those of a chunk's blocks, which are for lanes next to each other.
#pragma unroll
        for (int o = K::chunkBlocks / 2; o; o /= 2)
          sum += __shfl_xor_sync(~0U, sum, o);
        if (block % K::chunkBlocks == 0 && block < K::rowBlocks)
          *reinterpret_cast<float *>(
              staged + K::tokenSumsAt +
              int64_t(block / K::chunkBlocks) * K::tokenSumsStride + m * 4) =
              sum * (1.0F / (1 << 24));
      }
    }
    __syncthreads();
    char *row = staged + int64_t(m / 8) * 1024 + m % 8 * 128;
    for (int i = threadIdx.x; i < K::slices * 8; i += threads)
      *reinterpret_cast<uint4 *>(row + int64_t(i / 8) * K::sliceBytes +
                                 ((i ^ m) % 8) * 16) =
          *reinterpret_cast<const uint4 *>(shared + i * 16);
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH
