//===- persistent_stage.cuh - Activations into shared memory ----*- C++ -*-===//
//
// What stage.cuh does, by every block for itself. A row may have been left in
// two parts, by two blocks that shared tiles of the weight (persistent.cuh);
// the parts are added up here.
//
// A thread has four elements at a time, a block or a half of one, so that a
// warp reads whole lines: what comes from other blocks is not cached.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_STAGE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_STAGE_CUH

#include "codegen/cuda/kernels/persistent.cuh"

namespace qcc::cuda {

template <class K>
struct PersistentStage {
  static constexpr int width = 4;
  static constexpr int halves = K::isFloat ? 1 : 2; ///< of a block
  static constexpr int count =
      (K::rowBlocks * halves + kConsumers - 1) / kConsumers;
  /// Elements of a block that are neighbours, and whether they can be read as
  /// one: padding begins and ends between such runs.
  static constexpr int run = K::isFloat ? 2 : 4;
  static constexpr bool isVector = K::group % run == 0 &&
                                   K::columns % run == 0 &&
                                   K::stride % run == 0 && !K::hasOrder;
  static constexpr int pieces = isVector ? width / run : width;
  static constexpr int pieceElements = width / pieces;
  /// Sums of units are wanted, each of so many threads; a warp's are of one
  /// unit, or it has all of some.
  static constexpr bool needsSums = !K::isFloat && K::needsSums;
  static constexpr int unitThreads = K::unitBlocks * halves;
  static constexpr bool isWarpInUnit = unitThreads % 32 == 0,
                        isUnitInWarp = unitThreads <= 32 &&
                                       (unitThreads & (unitThreads - 1)) == 0;

  /// The block of the `n`th four elements of a thread.
  static __device__ __forceinline__ int blockOf(int n, int thread) {
    return (n * kConsumers + thread) / halves;
  }
  /// The `i`th of them, or -1 for padding.
  static __device__ __forceinline__ int elementOf(int n, int thread, int i) {
    const int block = blockOf(n, thread), half = thread % halves;
    const int place = half * width + i;
    if (!K::isPadded && !K::isFloat && K::code != Int8)
      return block < K::rowBlocks ? block * 8 + place : -1;
    const int unit = block / K::unitBlocks;
    const int inUnit =
        stagedElement(K::code, block % K::unitBlocks * width * halves + place);
    const int at = unit * K::unitElements + inUnit;
    const int k = at / K::paddedGroup * K::group + at % K::paddedGroup;
    const bool exists = inUnit < K::unitElements &&
                        at % K::paddedGroup < K::group && k < K::columns &&
                        block < K::rowBlocks;
    return exists ? k : -1;
  }

  /// The feature that element `k` is. `order` comes with the model, not from
  /// other blocks.
  static __device__ __forceinline__ int feature(const float *order, int k) {
    return K::hasOrder ? int(__ldg(order + k)) : k;
  }

  /// Calls use(k, values) for every piece of this thread that exists.
  template <class Use>
  static __device__ __forceinline__ void
  each(int thread, float (&values)[count][width], Use use) {
#pragma unroll
    for (int n = 0; n < count; ++n)
#pragma unroll
      for (int p = 0; p < pieces; ++p) {
        const int k = elementOf(n, thread, p * pieceElements);
        if (k >= 0)
          use(k, &values[n][p * pieceElements]);
      }
  }

  /// The same for pieces of two rows: use(first, second).
  template <class Use>
  static __device__ __forceinline__ void
  zip(int thread, float (&first)[count][width], float (&second)[count][width],
      Use use) {
#pragma unroll
    for (int n = 0; n < count; ++n)
#pragma unroll
      for (int p = 0; p < pieces; ++p)
        if (elementOf(n, thread, p * pieceElements) >= 0)
          use(&first[n][p * pieceElements], &second[n][p * pieceElements]);
  }

  /// A tagged piece is loaded as it is now.
  template <bool IsTagged = false>
  static __device__ __forceinline__ void load(const float *from, float *to) {
    if constexpr (pieceElements == 4) {
      const float4 v = IsTagged
                           ? loadNow4(from)
                           : __ldcg(reinterpret_cast<const float4 *>(from));
      to[0] = v.x;
      to[1] = v.y;
      to[2] = v.z;
      to[3] = v.w;
    } else if constexpr (pieceElements == 2) {
      const float2 v = IsTagged
                           ? loadNow2(from)
                           : __ldcg(reinterpret_cast<const float2 *>(from));
      to[0] = v.x;
      to[1] = v.y;
    } else {
      to[0] = IsTagged ? loadNow(from) : __ldcg(from);
    }
  }
  /// Loads pieces of `row` that lack the tag again; whether there were any.
  static __device__ __forceinline__ bool
  loadMissing(int thread, const float *row, const float *order, uint32_t tag,
              float (&values)[count][width]) {
    bool isMissing = false;
    each(thread, values, [&](int k, float *v) {
      bool isHere = true;
#pragma unroll
      for (int i = 0; i < pieceElements; ++i)
        isHere &= hasTag(v[i], tag);
      if (!isHere) {
        load<true>(row + feature(order, k), v);
        isMissing = true;
      }
    });
    return isMissing;
  }

  /// Stages a row into `staged` (shared memory). All consumers call it.
  static __device__ __forceinline__ void
  stage(const float *x, const float *rest, const float *weight,
        const float *bias, const float *order, uint32_t tag, char *staged,
        float *rooms, uint32_t &turn) {
    const int thread = opaque(int(threadIdx.x));
    float values[count][width];
#pragma unroll
    for (int n = 0; n < count; ++n)
#pragma unroll
      for (int i = 0; i < width; ++i)
        values[n][i] = 0;
    each(thread, values,
         [&](int k, float *v) { load<K::isTagged>(x + feature(order, k), v); });
    constexpr bool isPair = K::isTagged && K::hasRest;
    float second[isPair ? count : 1][width] = {};
    if constexpr (isPair)
      each(thread, second,
           [&](int k, float *v) { load<true>(rest + feature(order, k), v); });
    // The norm's weights come as far as the row: they are asked for with it,
    // where registers have room for both.
    constexpr bool isEarly =
        K::norm != NormNone && count * width <= (K::hasNormBias ? 16 : 24);
    constexpr bool isBiasEarly = isEarly && K::hasNormBias;
    float weights[isEarly ? count : 1][width] = {},
                                    biases[isBiasEarly ? count : 1][width] = {};
    if constexpr (isEarly)
      each(thread, weights,
           [&](int k, float *w) { load(weight + feature(order, k), w); });
    if constexpr (isBiasEarly)
      each(thread, biases,
           [&](int k, float *b) { load(bias + feature(order, k), b); });
    // Both parts are asked for at once: a way through the L2 cache is long.
    for (bool isMissing = K::isTagged; isMissing;) {
      isMissing = loadMissing(thread, x, order, tag, values);
      if constexpr (isPair)
        isMissing |= loadMissing(thread, rest, order, tag, second);
    }
    if constexpr (K::isTagged)
      each(thread, values, [&](int, float *v) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] = withoutTag(v[i]);
      });
    if constexpr (isPair) {
      zip(thread, values, second, [&](float *v, float *w) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] += withoutTag(w[i]);
      });
    } else if constexpr (K::hasRest)
      each(thread, values, [&](int k, float *v) {
        float more[pieceElements];
        load(rest + feature(order, k), more);
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] += more[i];
      });
    // A row's sums, if the weight has zero points, are counted from zero.
    int *sums = reinterpret_cast<int *>(staged + K::sumsAt);
    if (needsSums && !isUnitInWarp)
      for (int u = thread; u < K::units; u += kConsumers)
        sums[u] = 0;

    constexpr float top = K::code == F16 || K::isTable ? 256.0F : 32512.0F;
    float mean = 0, inverse = 1, factor = 1, largest = top;
    bool isScaled = K::code == BF16;
    if (K::norm == NormLayer) {
      float sum = 0;
      each(thread, values, [&](int, float *v) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          sum += v[i];
      });
      mean = consumerReduce<false>(sum, rooms, turn) * (1.0F / K::columns);
    }
    if constexpr (K::norm == NormRms && isEarly && !K::hasNormBias) {
      // v w / rms: the largest of them is that of v w, divided.
      float squares = 0;
      largest = 0;
      zip(thread, values, weights, [&](float *v, float *w) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i) {
          squares += v[i] * v[i];
          v[i] *= w[i] + K::normOffset;
          largest = fmaxf(largest, fabsf(v[i]));
        }
      });
      consumerReduceBoth(squares, largest, rooms, turn);
      inverse = rsqrtf(squares * (1.0F / K::columns) + K::epsilon);
      largest *= inverse;
      if (K::code == BF16)
        largest = top;
      else
        isScaled = true;
      each(thread, values, [&](int, float *v) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] *= inverse;
      });
    } else if constexpr (K::norm != NormNone) {
      float squares = 0;
      each(thread, values, [&](int, float *v) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          squares += (v[i] - mean) * (v[i] - mean);
      });
      inverse = rsqrtf(consumerReduce<false>(squares, rooms, turn) *
                           (1.0F / K::columns) +
                       K::epsilon);
      const auto scale = [&](float *v, const float *w) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] = (v[i] - mean) * inverse * (w[i] + K::normOffset);
      };
      const auto shift = [&](float *v, const float *b) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          v[i] += b[i];
      };
      if constexpr (isEarly)
        zip(thread, values, weights, scale);
      else
        each(thread, values, [&](int k, float *v) {
          float w[pieceElements], b[pieceElements];
          load(weight + feature(order, k), w);
          if (K::hasNormBias)
            load(bias + feature(order, k), b);
          scale(v, w);
          if (K::hasNormBias)
            shift(v, b);
        });
      if constexpr (isBiasEarly)
        zip(thread, values, biases, shift);
    }
    if (!isScaled) {
      largest = 0;
      each(thread, values, [&](int, float *v) {
#pragma unroll
        for (int i = 0; i < pieceElements; ++i)
          largest = fmaxf(largest, fabsf(v[i]));
      });
      largest = consumerReduce<true>(largest, rooms, turn);
    }
    if (K::code != BF16)
      factor = largest > 1e-30F ? top / largest : 0.0F;
    if (thread == 0)
      *reinterpret_cast<float *>(staged + K::scalesAt) = largest * (1.0F / top);

#pragma unroll
    for (int n = 0; n < count; ++n) {
      const int block = blockOf(n, thread), half = thread % halves;
      const bool exists =
          (n + 1) * kConsumers <= K::rowBlocks * halves || block < K::rowBlocks;
      const float (&v)[width] = values[n];
      if constexpr (K::isTable) {
        // The upper halves of elements 0, 4, 1, 5, 2, 6, 3, 7, as bytes of
        // codes have them, then the lower halves. Two threads exchange what
        // they need for half of them each.
        uint32_t upper[2], lower[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float own = half ? v[2 + i] : v[i],
                      other = __shfl_xor_sync(~0U, half ? v[i] : v[2 + i], 1);
          const float first = (half ? other : own) * factor,
                      second = (half ? own : other) * factor;
          upper[i] = packPair<false>(first, second);
          lower[i] =
              packPair<false>(first - fromHalf(uint16_t(upper[i])),
                              second - fromHalf(uint16_t(upper[i] >> 16)));
        }
        if (exists)
          storeHalves<16>(staged + block * 32 + half * 8,
                          uint2{upper[0], upper[1]}, uint2{lower[0], lower[1]},
                          block / 4 % 2);
      } else if constexpr (K::isFloat) {
        uint32_t upper[2] = {}, lower[2] = {};
#pragma unroll
        for (int i = 0; i < width; ++i) {
          const float x = v[i] * factor;
          const uint16_t high = K::code == BF16 ? toBfloat(x) : toHalf(x);
          const float rest =
              x - (K::code == BF16 ? fromBfloat(high) : fromHalf(high));
          const uint16_t low = K::code == BF16 ? toBfloat(rest) : toHalf(rest);
          upper[i / 2] |= uint32_t(high) << (i % 2 * 16);
          lower[i / 2] |= uint32_t(low) << (i % 2 * 16);
        }
        if (exists)
          storeBlock(staged, block, half, uint2{upper[0], upper[1]},
                     uint2{lower[0], lower[1]});
      } else {
        // fixed + 128 is added to 1.5 * 2^23, which rounds it and leaves it in
        // the low bits: byte 1 is the upper half, byte 0 the lower half + 128.
        constexpr uint32_t zeroBits = 0x4b400080;
        uint32_t bits[width];
        uint32_t sum = 0;
#pragma unroll
        for (int i = 0; i < width; ++i) {
          bits[i] =
              __float_as_uint(fmaf(v[i], factor, __uint_as_float(zeroBits)));
          sum += bits[i] - zeroBits;
        }
        const uint32_t first = permute(bits[0], bits[1], 0x5140),
                       second = permute(bits[2], bits[3], 0x5140);
        if constexpr (needsSums && isWarpInUnit)
          sum = uint32_t(__reduce_add_sync(~0U, int(sum)));
        else if constexpr (needsSums && isUnitInWarp)
#pragma unroll
          for (int o = unitThreads / 2; o; o >>= 1)
            sum += __shfl_xor_sync(~0U, sum, o);
        if constexpr (needsSums) {
          int *to = &sums[block / K::unitBlocks];
          const int value = int(sum) * -K::codeFactor;
          if constexpr (isUnitInWarp) {
            if (exists && thread % unitThreads == 0)
              *to = value;
          } else if (exists && (!isWarpInUnit || thread % 32 == 0)) {
            atomicAdd(to, value);
          }
        }
        if (exists)
          storeBlock(staged, block, half, permute(first, second, 0x7632),
                     permute(first, second, 0x5410) ^ kSigns);
      }
    }
  }

private:
  /// Stores two values `apart` bytes from each other, the other one first if
  /// `isSwapped`, so that threads whose first ones are of one bank take turns.
  template <int apart, class T>
  static __device__ __forceinline__ void storeHalves(char *to, T upper, T lower,
                                                     bool isSwapped) {
    char *first = to + (isSwapped ? apart : 0),
         *second = to + (isSwapped ? 0 : apart);
    *reinterpret_cast<T *>(first) = isSwapped ? lower : upper;
    *reinterpret_cast<T *>(second) = isSwapped ? upper : lower;
  }
  /// Stores the upper and the lower halves of four elements.
  template <class T>
  static __device__ __forceinline__ void
  storeBlock(char *staged, int block, int half, T upper, T lower) {
    constexpr int bytes = sizeof(T);
    if constexpr (K::isPaired && K::laneBlocks > 1) {
      // A lane's blocks lie together two by two, the upper halves in front.
      const int at = block / 2 * 32 + block % 2 * 8 + half * bytes;
      storeHalves<16>(staged + at, upper, lower, block / 8 % 2);
    } else if constexpr (K::isPaired) {
      // So do blocks of two steps; of unsigned nibbles, elements of low ones of
      // both steps, then of high ones.
      const int inUnit = block % K::unitBlocks, pair = inUnit / 8,
                step = inUnit / 4 % 2;
      const int at =
          (block - inUnit) * 16 + pair * 128 + inUnit % 4 * 32 +
          (K::isUnsigned ? half * 8 + step * bytes : step * 8 + half * bytes);
      storeHalves<16>(staged + at, upper, lower, block / 8 % 2);
    } else {
      storeHalves<8>(staged + block * 16 + half * bytes, upper, lower,
                     block / 8 % 2);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_STAGE_CUH
