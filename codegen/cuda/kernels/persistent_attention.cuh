//===- persistent_attention.cuh - Attention inside a step -------*- C++ -*-===//
//
// What rope_append and attention.cuh do, for one token of each sequence,
// without a barrier in between: the block that works on the last positions of a
// head appends its key and value. An item is 16 query rows (heads over one kv
// head) and a part of the positions; the consumer warps of a block take turns
// with blocks of 32 of them. The last block to finish a row adds up, in the
// order of the parts.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH

#include "codegen/cuda/kernels/elementwise.cuh"
#include "codegen/cuda/kernels/persistent.cuh"

namespace qcc::cuda {

/// Positions that a warp works on at a time (attention.cuh).
constexpr int kPositions = 32;

template <class K>
struct PersistentAttention {
  static constexpr int group = K::heads / K::kvHeads;
  static constexpr int headBlocks = (group + 15) / 16;
  static constexpr int chunks = (K::headDim + 31) / 32;
  static constexpr int tiles = K::headDim / 8;
  static constexpr int liveRows = smaller(group, 16);
  /// Of the rows g and g + 8 of a lane: those that there are.
  static constexpr int halves = liveRows > 8 ? 2 : 1;
  static constexpr float log2e = 1.44269504F;
  static constexpr int width = K::headDim + 2;
  /// Halves between the rows of the query in shared memory.
  static constexpr int queryStride = K::headDim + 8;
  static constexpr int perLane = (K::headDim + 31) / 32;
  static constexpr int warps = K::warps;
  static constexpr int sharedBytes =
      (16 * queryStride * 2 + 15) / 16 * 16 + warps * liveRows * width * 4;
  static_assert(sharedBytes <= K::roomBytes);

  /// What a warp found out about its rows.
  struct State {
    float out[tiles][2 * halves];
    float largest[halves], sum[halves];
  };

  struct Input {
    const float *value;
    int rest; ///< elements from there to the second part
    uint32_t tag;
    __device__ __forceinline__ float operator()(int i) const {
      if constexpr (K::isTagged) {
        float first = loadNow(value + i),
              second = K::hasRest ? loadNow(value + i + rest) : 0.0F;
        while (!hasTag(first, tag))
          first = loadNow(value + i);
        while (K::hasRest && !hasTag(second, tag))
          second = loadNow(value + i + rest);
        return first + second;
      }
      return K::hasRest ? loadFar(value + i) + loadFar(value + i + rest)
                        : loadFar(value + i);
    }
  };

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *shared, uint64_t arena,
                                             uint64_t qNorm, uint64_t kNorm,
                                             uint64_t slopes, int64_t kvOffset,
                                             uint32_t tag, uint32_t outputTag) {
    const int thread = opaque(int(threadIdx.x));
    const int warp = thread / 32, lane = thread % 32;
    const int blocks = opaque(int(gridDim.x));
    const int tokens = step->tokens;
    const int rowBlocks = tokens * K::kvHeads * headBlocks;
    const int most = larger(1, blocks / rowBlocks);
    uint16_t *query = reinterpret_cast<uint16_t *>(shared);
    float *parts = reinterpret_cast<float *>(
        shared + (16 * queryStride * 2 + 15) / 16 * 16);

    for (int item = blockIdx.x; item < rowBlocks * most; item += blocks) {
      const int rowBlock = item % rowBlocks, split = item / rowBlocks;
      const int headBlock = rowBlock % headBlocks;
      const int kvHead = rowBlock / headBlocks % K::kvHeads;
      const int token = rowBlock / (headBlocks * K::kvHeads);
      const Sequence here =
          pointer<const Sequence>(step->sequences)[pointer<const uint32_t>(
              step->token_sequence)[token]];
      const int position = int(here.past) + token - int(here.first_token);
      int from = 0;
      if (K::window > 0)
        from = larger(0, position - K::window + 1) / kPositions;
      int to = position / kPositions + 1;
      const int perSplit = larger(warps, (to - from + most - 1) / most);
      const int splits = (to - from + perSplit - 1) / perSplit;
      if (split >= splits)
        continue;
      const bool isLast = split == splits - 1;
      from += split * perSplit;
      to = smaller(to, from + perSplit);

      char *layer = pointer<char>(here.kv) + int64_t(here.capacity) * kvOffset;
      uint16_t *keys = reinterpret_cast<uint16_t *>(layer) +
                       int64_t(kvHead) * here.capacity * K::headDim;
      uint16_t *values =
          reinterpret_cast<uint16_t *>(layer) +
          int64_t(K::kvHeads + kvHead) * here.capacity * K::headDim;
      const float *angles =
          pointer<const float>(arena + K::tableAt) + int64_t(token) * K::rotary;
      const int firstHead = kvHead * group + headBlock * 16;
      const int rows = smaller(16, group - headBlock * 16);
      // A head of a token of q, k or v, which begin so far into the arena.
      const auto input = [&](int64_t value, int64_t rest, int stride,
                             int head) {
        const int64_t at = int64_t(token) * stride + head * K::headDim;
        return Input{pointer<const float>(arena + value) + at,
                     int(rest - value) / 4, tag};
      };

      // Queries into shared memory, key and value into the cache.
      const float factor = K::softCap > 0 ? K::scale : K::scale * log2e;
#pragma unroll 1
      for (int row = warp; row < rows; row += kConsumerWarps)
        rotate(input(K::qAt, K::qRestAt, K::qStride, firstHead + row), angles,
               pointer<const float>(qNorm), lane, [&](int d, float x) {
                 query[row * queryStride + d] = convert(x * factor);
               });
      if (isLast && warp == kConsumerWarps - 1)
        rotate(input(K::kAt, K::kRestAt, K::kStride, kvHead), angles,
               pointer<const float>(kNorm), lane, [&](int d, float x) {
                 keys[int64_t(position) * K::headDim + d] = convert(x);
               });
      if (isLast && warp == kConsumerWarps - 2) {
        const Input value = input(K::vAt, K::vRestAt, K::vStride, kvHead);
        for (int d = lane; d < K::headDim; d += 32)
          values[int64_t(d) * here.capacity + position] = convert(value(d));
      }
      syncConsumers();

      if (warp < warps) {
        const int g = lane / 4, t = lane % 4;
        float slope[halves] = {};
        int limit[halves];
#pragma unroll
        for (int i = 0; i < halves; ++i) {
          const int row = g + 8 * i;
          limit[i] = row < rows ? position : -1;
          if (K::alibi && row < rows)
            slope[i] = pointer<const float>(slopes)[firstHead + row];
        }
        State state = {};
        for (int i = 0; i < halves; ++i)
          state.largest[i] = -1e30F;
        const uint32_t fragments =
            sharedAddress(query) + (g * queryStride + t * 8) * 2;
#pragma unroll 1
        for (int block = from + warp; block < to; block += warps)
          addBlock(keys, values, here.capacity, block * kPositions, limit,
                   slope, fragments, g, t, state);
        leave(state, parts + warp * liveRows * width, rows, g, t);
      }
      syncConsumers();
      float *room =
          pointer<float>(a.v[4]) + int64_t(rowBlock) * most * liveRows * width;
      float *out = pointer<float>(arena + K::outputAt) +
                   int64_t(token) * K::outputStride + firstHead * K::headDim;
#pragma unroll 1
      for (int row = warp; row < rows; row += kConsumerWarps)
        join<false>(parts + row * width, smaller(warps, to - from),
                    splits == 1 ? nullptr
                                : room + (split * liveRows + row) * width,
                    out + row * K::headDim, outputTag, lane);
      if (splits > 1)
        joinSplits(a, rowBlock, splits, rows, room, out, outputTag, parts, warp,
                   lane);
      syncConsumers();
    }
  }

private:
  static __device__ __forceinline__ void multiply(float (&c)[4], uint4 a,
                                                  uint32_t b0, uint32_t b1) {
    if (K::kvIsBfloat)
      mmaBF16(c, a.x, a.y, a.z, a.w, b0, b1);
    else
      mmaF16(c, a.x, a.y, a.z, a.w, b0, b1);
  }
  /// No load moves up past this: enough of them are on their way, and more
  /// would not fit into registers.
  static __device__ __forceinline__ void keepOrder() { __syncwarp(); }
  static __device__ __forceinline__ uint4 loadShared16(uint32_t address) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address));
    return v;
  }

  /// A block of positions from `first` on. Column n of tile j of the scores is
  /// position 8 (n / 2) + 2 j + n % 2 (attention.cuh). `query`: the lane's
  /// first dimensions of row g in shared memory. Rows that do not exist there
  /// hold what was there before, and are not used.
  static __device__ __forceinline__ void
  addBlock(const uint16_t *keys, const uint16_t *values, int64_t capacity,
           int first, const int (&limit)[halves], const float (&slope)[halves],
           uint32_t query, int g, int t, State &state) {
    float scores[4][4] = {};
    const uint16_t *key =
        keys + int64_t(first + 8 * (g / 2) + g % 2) * K::headDim + t * 8;
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
      if (c % 2 == 0)
        keepOrder();
      const bool inside = K::headDim % 32 == 0 || c * 32 + t * 8 < K::headDim;
      uint4 q[2] = {};
      if (inside)
        for (int i = 0; i < halves; ++i)
          q[i] = loadShared16(query + (8 * i * queryStride + c * 32) * 2);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint4 k = {0, 0, 0, 0};
        if (inside)
          k = *reinterpret_cast<const uint4 *>(key + 2 * j * K::headDim +
                                               c * 32);
        multiply(scores[j], {q[0].x, q[1].x, q[0].y, q[1].y}, k.x, k.y);
        multiply(scores[j], {q[0].z, q[1].z, q[0].w, q[1].w}, k.z, k.w);
      }
    }
    float rescale[halves];
#pragma unroll
    for (int i = 0; i < halves; ++i) {
      float largest = state.largest[i];
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int position = first + 8 * t + 2 * j + e;
          float s = scores[j][2 * i + e];
          if (K::softCap > 0)
            s = tanhf(s * (1.0F / (K::softCap > 0 ? K::softCap : 1.0F))) *
                (K::softCap * log2e);
          if (K::alibi)
            s += slope[i] * log2e * float(position - limit[i]);
          const bool seen = position <= limit[i] &&
                            (K::window == 0 || position > limit[i] - K::window);
          s = seen ? s : -1e30F;
          scores[j][2 * i + e] = s;
          largest = fmaxf(largest, s);
        }
      largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 2));
      rescale[i] = exp2f(state.largest[i] - largest);
      state.largest[i] = largest;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float &s = scores[j][2 * i + e];
          s = s > -1e29F ? exp2f(s - largest) : 0.0F;
          sum += s;
        }
      state.sum[i] = state.sum[i] * rescale[i] + sum;
    }
    uint32_t weights[4][2] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < halves; ++i)
        weights[j][i] =
            packPair<K::kvIsBfloat>(scores[j][2 * i], scores[j][2 * i + 1]);
    // Offsets are computed here, not kept in registers.
    const uint32_t apart = uint32_t(opaque(int(capacity) * 16));
    const char *from = reinterpret_cast<const char *>(
        values + int64_t(g) * capacity + first + 8 * t);
#pragma unroll
    for (int d = 0; d < tiles; ++d) {
      if (d % 4 == 0)
        keepOrder();
      const uint4 v =
          *reinterpret_cast<const uint4 *>(from + uint64_t(apart) * d);
      float out[4] = {};
#pragma unroll
      for (int i = 0; i < 2 * halves; ++i)
        out[i] = state.out[d][i] * rescale[i / 2];
      multiply(out,
               {weights[0][0], weights[0][1], weights[1][0], weights[1][1]},
               v.x, v.y);
      multiply(out,
               {weights[2][0], weights[2][1], weights[3][0], weights[3][1]},
               v.z, v.w);
#pragma unroll
      for (int i = 0; i < 2 * halves; ++i)
        state.out[d][i] = out[i];
    }
  }

  static __device__ __forceinline__ uint16_t convert(float x) {
    return K::kvIsBfloat ? toBfloat(x) : toHalf(x);
  }

  /// Norms and rotates a head and calls use(d, value).
  template <class Use>
  static __device__ __forceinline__ void rotate(Input from, const float *angles,
                                                const float *norm, int lane,
                                                Use use) {
    float inverse = 1;
    if (K::normQk) {
      float squares = 0;
      for (int d = lane; d < K::headDim; d += 32)
        squares += from(d) * from(d);
      inverse = rsqrtf(warpSum(squares) * (1.0F / K::headDim) + K::epsilon);
    }
    auto load = [&](int d) {
      return K::normQk ? from(d) * inverse * (norm[d] + K::normOffset)
                       : from(d);
    };
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      if (int d = i * 32 + lane; d < K::headDim)
        use(d, rotated<K>(angles, d, load));
  }

  /// A row of a partial result is [headDim] values, the largest score, the sum.
  static __device__ __forceinline__ void leave(const State &state, float *to,
                                               int rows, int g, int t) {
#pragma unroll
    for (int i = 0; i < halves; ++i) {
      float sum = state.sum[i];
      sum += __shfl_xor_sync(~0U, sum, 1);
      sum += __shfl_xor_sync(~0U, sum, 2);
      if (g + 8 * i >= rows)
        continue;
      float *row = to + (g + 8 * i) * width;
#pragma unroll
      for (int d = 0; d < tiles; ++d)
        *reinterpret_cast<float2 *>(row + 8 * d + 2 * t) = {
            state.out[d][2 * i], state.out[d][2 * i + 1]};
      if (t == 0) {
        row[K::headDim] = state.largest[i];
        row[K::headDim + 1] = sum;
      }
    }
  }

  /// Joins `count` partial results, liveRows rows apart, into one at `partial`,
  /// or where that is null into the output.
  template <bool IsFar>
  static __device__ __forceinline__ void join(const float *parts, int count,
                                              float *partial, float *out,
                                              uint32_t tag, int lane) {
    constexpr int stride = liveRows * width;
    auto read = [&](int part, int i) {
      const float *at = parts + int64_t(part) * stride + i;
      return IsFar ? __ldcg(at) : *at;
    };
    float largest = -1e30F, sum = 0;
#pragma unroll 4
    for (int p = 0; p < count; ++p)
      largest = fmaxf(largest, read(p, K::headDim));
    float v[perLane] = {};
#pragma unroll 2
    for (int p = 0; p < count; ++p) {
      const float factor = exp2f(read(p, K::headDim) - largest);
      sum += read(p, K::headDim + 1) * factor;
#pragma unroll
      for (int i = 0; i < perLane; ++i)
        if (int d = i * 32 + lane; d < K::headDim)
          v[i] += read(p, d) * factor;
    }
    const float factor = partial ? 1.0F : 1.0F / sum;
    float *to = partial ? partial : out;
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      if (int d = i * 32 + lane; d < K::headDim) {
        if (K::isTagged && !partial)
          storeTagged(to + d, v[i] * factor, tag);
        else
          to[d] = v[i] * factor;
      }
    if (partial && lane == 0) {
      partial[K::headDim] = largest;
      partial[K::headDim + 1] = sum;
    }
  }

  static __device__ __forceinline__ void
  joinSplits(const Args &a, int rowBlock, int splits, int rows,
             const float *room, float *out, uint32_t tag, float *shared,
             int warp, int lane) {
    __threadfence();
    syncConsumers();
    uint32_t *counter = pointer<uint32_t>(a.v[3]) + rowBlock;
    uint32_t *before = reinterpret_cast<uint32_t *>(shared);
    if (warp == 0 && lane == 0)
      *before = atomicAdd(counter, 1U);
    syncConsumers();
    if (*before + 1 != uint32_t(splits))
      return;
    __threadfence();
#pragma unroll 1
    for (int row = warp; row < rows; row += kConsumerWarps)
      join<true>(room + row * width, splits, nullptr, out + row * K::headDim,
                 tag, lane);
    if (warp == 0 && lane == 0)
      *counter = 0;
  }
};

//===----------------------------------------------------------------------===//
// Phases that are bound by latency: K::run of Consumer::phase
//===----------------------------------------------------------------------===//

template <class K>
struct PersistentEmbed {
  static __device__ __forceinline__ void
  run(const Step *step, int block, int blocks, int thread, float *, uint32_t &,
      uint64_t table, uint64_t output, uint64_t rest, uint32_t tag) {
    for (int m = 0; m < int(step->tokens); ++m) {
      const int id = pointer<const int>(step->token_ids)[m];
      for (int k = block * kConsumers + thread; k < K::hidden;
           k += blocks * kConsumers) {
        int64_t at = int64_t(id) * K::hidden + k;
        if (K::isTiled)
          at = int64_t(id / 16) * 16 * K::paddedHidden +
               k / K::perLine * K::perLine * 16 + id % 16 * K::perLine +
               k % K::perLine;
        const int64_t to = int64_t(m) * K::hidden + k;
        const float v = K::multiplier *
                        loadElement<K::element>(pointer<const void>(table), at);
        pointer<float>(output)[to] = K::isTagged ? withTag(v, tag) : v;
        if (K::hasRest)
          pointer<float>(rest)[to] = K::isTagged ? withTag(0, tag) : 0.0F;
      }
    }
  }
};

template <class K>
struct PersistentRopeTable {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t frequencies,
                                             uint64_t output) {
    for (int i = block * kConsumers + thread; i < int(step->tokens) * K::half;
         i += blocks * kConsumers)
      ropeAngle<K>(float(pointer<const int>(step->positions)[i / K::half]),
                   pointer<const float>(frequencies)[i % K::half],
                   pointer<float>(output) + 2 * int64_t(i));
  }
};

template <class K>
struct PersistentNorm {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread,
                                             float *rooms, uint32_t &turn,
                                             uint64_t input, uint64_t weight,
                                             uint64_t bias, uint64_t output) {
    for (int item = block; item < int(step->tokens) * K::heads;
         item += blocks) {
      const int m = item / K::heads, slice = item % K::heads;
      const float *x = pointer<const float>(input) +
                       int64_t(m) * K::inputStride + slice * K::columns;
      float *out = pointer<float>(output) + int64_t(m) * K::outputStride +
                   slice * K::columns;
      float mean = 0;
      if (K::norm == NormLayer) {
        float sum = 0;
        for (int k = thread; k < K::columns; k += kConsumers)
          sum += loadFar(x + k);
        mean = consumerReduce<false>(sum, rooms, turn) * (1.0F / K::columns);
      }
      float squares = 0;
      for (int k = thread; k < K::columns; k += kConsumers) {
        const float v = loadFar(x + k) - mean;
        squares += v * v;
      }
      const float inverse = rsqrtf(consumerReduce<false>(squares, rooms, turn) *
                                       (1.0F / K::columns) +
                                   K::epsilon);
      for (int k = thread; k < K::columns; k += kConsumers) {
        const float v = (loadFar(x + k) - mean) * inverse *
                        (pointer<const float>(weight)[k] + K::normOffset);
        out[k] = K::hasBias ? v + pointer<const float>(bias)[k] : v;
      }
    }
  }
};

template <class K>
struct PersistentRope {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t input,
                                             uint64_t table, uint64_t output) {
    const int lane = thread % 32;
    for (int item = block * kConsumerWarps + thread / 32;
         item < int(step->tokens) * K::heads; item += blocks * kConsumerWarps) {
      const int m = item / K::heads, head = item % K::heads;
      const int64_t at = int64_t(m) * K::qStride + head * K::headDim;
      const float *from = pointer<const float>(input) + at;
      const float *angles =
          pointer<const float>(table) + int64_t(m) * K::rotary;
      for (int d = lane; d < K::headDim; d += 32)
        pointer<float>(output)[at + d] =
            rotated<K>(angles, d, [&](int i) { return loadFar(from + i); });
    }
  }
};

template <class K>
struct PersistentElementwise {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t a, uint64_t b,
                                             uint64_t output) {
    for (int m = 0; m < int(step->tokens); ++m) {
      const float *x = pointer<const float>(a) + int64_t(m) * K::aStride;
      const float *y = pointer<const float>(b) + int64_t(m) * K::bStride;
      float *out = pointer<float>(output) + int64_t(m) * K::outputStride;
      for (int k = block * kConsumers + thread; k < K::columns;
           k += blocks * kConsumers) {
        const float v = loadFar(x + k);
        out[k] = K::kind == ElementwiseMul   ? v * loadFar(y + k)
                 : K::kind == ElementwiseAdd ? v + loadFar(y + k)
                                             : activate<K::activation>(v);
      }
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH
