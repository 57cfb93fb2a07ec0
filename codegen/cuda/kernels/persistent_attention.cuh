//===- persistent_attention.cuh - Attention inside a step -------*- C++ -*-===//
//
// What rope_append and attention.cuh do, for one token of each sequence,
// without a barrier in between. An item is 16 query rows (heads over one kv
// head) and a part of the positions. Tiles of 32 positions come through the
// ring, some tiles of keys in a slot, those of values in the next (loads would
// be limited to what little L1 cache is left beside the ring); the consumer
// warps of a block take turns with them. The block that works on the last
// positions of a head appends its key and value: to the cache, and to what the
// ring holds of it. Where positions are split, a block leaves its partial
// results as words that say which attention of all steps they are of, and adds
// up a piece of the output, in the order of the parts, as soon as they are
// there.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH

#include "codegen/cuda/kernels/elementwise.cuh"
#include "codegen/cuda/kernels/persistent.cuh"
#include "codegen/cuda/kernels/persistent_join.cuh"

namespace qcc::cuda {

/// Positions that a warp works on at a time (attention.cuh).
constexpr int kPositions = QRT_CUDA_KV_TILE;

/// Tiles of a part of the positions, at least.
constexpr int kLeastTiles = 4;

template <class P, class K>
struct PersistentAttention {
  static constexpr int group = K::heads / K::kvHeads;
  static constexpr int headBlocks = (group + 15) / 16;
  static constexpr int chunks = (K::headDim + 31) / 32;
  static constexpr int tiles = K::headDim / 8;
  using Parts = AttentionParts<K>;
  static constexpr int liveRows = Parts::liveRows, width = Parts::width,
                       perLane = Parts::perLane, runs = Parts::runs;
  /// Of the rows g and g + 8 of a lane: those that there are.
  static constexpr int halves = liveRows > 8 ? 2 : 1;
  static constexpr float log2e = 1.44269504F;
  /// Halves between the rows of the query in shared memory.
  static constexpr int queryStride = K::headDim + 8;
  static constexpr int warps = K::warps;
  /// Heads of q, k and v that a warp fetches.
  static constexpr int fetches =
      (liveRows + 2 + kConsumerWarps - 1) / kConsumerWarps;
  static constexpr int queryBytes = (16 * queryStride * 2 + 15) / 16 * 16;
  /// The key and the value that are appended, as the cache holds them.
  static constexpr int appendedBytes = 2 * K::headDim * 2;
  static_assert(queryBytes + appendedBytes +
                    larger(warps * liveRows * width,
                           fetches * kConsumerWarps * K::headDim) *
                        4 <=
                K::roomBytes);
  /// Keys or values of a tile, and tiles of a slot, each for another warp.
  static constexpr int tileBytes = kPositions * K::headDim * 2;
  static constexpr int slotTiles = smaller(P::slotBytes / tileBytes, warps);
  static_assert(slotTiles >= 1 && appendedBytes % 16 == 0);
  /// Slots on their way: 64 KiB keep an H200's memory busy.
  static constexpr int flying =
      smaller(P::slots, larger(P::flying, 65536 / (slotTiles * tileBytes)));

  /// What a warp found out about its rows.
  struct State {
    float out[tiles][2 * halves];
    float largest[halves], sum[halves];
  };

  /// What a block does: 16 query rows and tiles `from` .. `to` of positions.
  struct Item {
    int rowBlock, split, splits, most;
    int headBlock, kvHead, token, position;
    int from, to;
    const Sequence *sequence;

    /// The block works on the last positions.
    __device__ __forceinline__ bool isLast() const {
      return split == splits - 1;
    }
    __device__ __forceinline__ uint16_t *keys(int64_t kvOffset) const {
      return reinterpret_cast<uint16_t *>(pointer<char>(sequence->kv) +
                                          int64_t(sequence->capacity) *
                                              kvOffset) +
             int64_t(kvHead) * sequence->capacity * K::headDim;
    }
    __device__ __forceinline__ uint16_t *values(int64_t kvOffset) const {
      return keys(kvOffset) +
             int64_t(K::kvHeads) * sequence->capacity * K::headDim;
    }
  };

  /// Calls use(item) for every item of this block.
  template <class Use>
  static __device__ __forceinline__ void each(const Step *step, Use use) {
    const int blocks = opaque(int(gridDim.x));
    const int rowBlocks = int(step->tokens) * K::kvHeads * headBlocks;
    const int most = larger(1, smaller(blocks, K::mostParts) / rowBlocks);
    for (int i = blockIdx.x; i < rowBlocks * most; i += blocks) {
      Item item;
      item.most = most;
      item.rowBlock = i % rowBlocks;
      item.split = i / rowBlocks;
      item.headBlock = item.rowBlock % headBlocks;
      item.kvHead = item.rowBlock / headBlocks % K::kvHeads;
      item.token = item.rowBlock / (headBlocks * K::kvHeads);
      item.sequence = pointer<const Sequence>(step->sequences) +
                      pointer<const uint32_t>(step->token_sequence)[item.token];
      item.position = int(item.sequence->past) + item.token -
                      int(item.sequence->first_token);
      int from = 0;
      if (K::window > 0)
        from = larger(0, item.position - K::window + 1) / kPositions;
      const int count = item.position / kPositions + 1 - from;
      // Few positions are not worth another way through the L2 cache. More are
      // split finely: what a ring holds is there when the queries are.
      item.splits =
          count <= warps
              ? 1
              : smaller(most, (count + kLeastTiles - 1) / kLeastTiles);
      if (item.split >= item.splits)
        continue;
      item.from = from + count * item.split / item.splits;
      item.to = from + count * (item.split + 1) / item.splits;
      use(item);
    }
  }

  /// What consumers do; begin() is called when the queries are there. `stamp`
  /// is not 0, and another one for every attention.
  template <class Begin>
  static __device__ __forceinline__ void
  run(Actor<P> &ring, Begin begin, const Step *step, uint32_t stamp,
      char *shared, uint64_t arena, uint64_t qNorm, uint64_t kNorm,
      uint64_t slopes, int64_t kvOffset, uint32_t tag, uint32_t outputTag) {
    const int thread = opaque(int(threadIdx.x));
    const int warp = thread / 32, lane = thread % 32;
    uint16_t *query = reinterpret_cast<uint16_t *>(shared);
    uint16_t *appended = reinterpret_cast<uint16_t *>(shared + queryBytes);
    float *parts =
        reinterpret_cast<float *>(shared + queryBytes + appendedBytes);

    each(step, [&](const Item &item) {
      const int position = item.position;
      uint16_t *key = item.keys(kvOffset) + int64_t(position) * K::headDim,
               *value =
                   item.values(kvOffset) + valueOffset<K::headDim>(position);
      const float *angles = pointer<const float>(arena + K::tableAt) +
                            int64_t(item.token) * K::rotary;
      const int firstHead = item.kvHead * group + item.headBlock * 16;
      const int rows = smaller(16, group - item.headBlock * 16);

      // Heads of q, and of k and v for the cache, are fetched into shared
      // memory, all that a warp has at once. The warps' results take their
      // place.
      Head heads[fetches];
#pragma unroll
      for (int i = 0; i < fetches; ++i)
        heads[i] = headOf(item, warp + i * kConsumerWarps, rows, firstHead);
      float *fetched = parts + warp * fetches * K::headDim;
      fetch(heads, arena, tag, fetched, lane);
      const float factor = K::softCap > 0 ? K::scale : K::scale * log2e;
#pragma unroll
      for (int i = 0; i < fetches; ++i) {
        const int task = warp + i * kConsumerWarps;
        const float *head = fetched + i * K::headDim;
        if (task < rows)
          rotate(head, angles, pointer<const float>(qNorm), lane,
                 [&](int d, float x) {
                   query[task * queryStride + d] = convert(x * factor);
                 });
        else if (task == rows && item.isLast())
          rotate(head, angles, pointer<const float>(kNorm), lane,
                 [&](int d, float x) { key[d] = appended[d] = convert(x); });
        else if (task == rows + 1 && item.isLast())
          for (int d = lane; d < K::headDim; d += 32)
            value[d * kPositions] = appended[K::headDim + d] = convert(head[d]);
      }
      syncConsumers();
      begin();

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
      for (int tile = item.from, turn = 0; tile < item.to; tile += slotTiles) {
        const int count = smaller(slotTiles, item.to - tile);
        // This warp's tile of the slot, if it has one.
        const int own = warp - turn + (warp < turn ? warps : 0);
        turn += slotTiles;
        turn -= turn >= warps ? warps : 0;
        const bool isMine = warp < warps && own < count;
        const int first = (tile + own) * kPositions;
        const bool appends = position / kPositions == tile + own;
        float scores[4][4] = {};
        float rescale[halves];
        uint32_t weights[4][2] = {};
        ring.waitForSlot();
        if (isMine) {
          const uint32_t keys = ring.slotAt() + own * tileBytes;
          if (appends)
            append(keys + position % kPositions * K::headDim * 2, 2, appended,
                   lane);
          multiplyKeys(scores, keys, fragments, g, t);
        }
        ring.releaseSlot(lane);
        if (isMine)
          weigh(scores, first, limit, slope, t, state, rescale, weights);
        ring.waitForSlot();
        if (isMine) {
          const uint32_t values = ring.slotAt() + own * tileBytes;
          if (appends)
            append(values + position % kPositions * 2, kPositions * 2,
                   appended + K::headDim, lane);
          addValues(values, rescale, weights, g, t, state);
        }
        ring.releaseSlot(lane);
      }
      if (warp < warps)
        leave(state, parts + warp * liveRows * width, rows, g, t);
      syncConsumers();
      // The parts of the row block, and the one of this block.
      uint64_t *all = pointer<uint64_t>(arena + K::partsAt) +
                      int64_t(item.rowBlock) * item.most * liveRows * width,
               *own = item.splits == 1 ? nullptr
                                       : all + item.split * liveRows * width;
      float *out = pointer<float>(arena + K::outputAt) +
                   int64_t(item.token) * K::outputStride +
                   firstHead * K::headDim;
#pragma unroll 1
      for (int i = warp; i < rows * runs; i += kConsumerWarps) {
        const int row = i / runs;
        Parts::join(parts + row * width, smaller(warps, item.to - item.from),
                    own ? own + row * width : nullptr, stamp,
                    out + row * K::headDim, i % runs, outputTag, lane);
      }
      if (item.splits > 1)
#pragma unroll 1
        for (int i = item.split + warp * item.splits; i < rows * perLane;
             i += kConsumerWarps * item.splits) {
          const int row = i / perLane;
          Parts::joinParts(all + row * width, item.splits, stamp,
                           out + row * K::headDim, i % perLane, outputTag,
                           lane);
        }
      syncConsumers();
    });
  }

private:
  /// A head of q, k or v in the arena: bytes to its first element, and to that
  /// of the second part.
  struct Head {
    int64_t value = -1, rest = 0;
  };
  /// The head of a warp's task: the rows of q, then k and v, where the block
  /// appends them.
  static __device__ __forceinline__ Head headOf(const Item &item, int task,
                                                int rows, int firstHead) {
    const auto head = [&](int64_t value, int64_t rest, int stride, int number) {
      const int64_t at =
          (int64_t(item.token) * stride + number * K::headDim) * 4;
      return Head{value + at, rest + at};
    };
    if (task < rows)
      return head(K::qAt, K::qRestAt, K::qStride, firstHead + task);
    if (task == rows && item.isLast())
      return head(K::kAt, K::kRestAt, K::kStride, item.kvHead);
    if (task == rows + 1 && item.isLast())
      return head(K::vAt, K::vRestAt, K::vStride, item.kvHead);
    return {};
  }

  /// Fetches heads, their parts added up, into `to` [fetches][headDim] (shared
  /// memory), as soon as they have the tag.
  static __device__ __forceinline__ void fetch(const Head (&heads)[fetches],
                                               uint64_t arena, uint32_t tag,
                                               float *to, int lane) {
    float first[fetches][perLane] = {}, second[fetches][perLane] = {};
    const auto eachElement = [&](auto use) {
#pragma unroll
      for (int i = 0; i < fetches; ++i)
#pragma unroll
        for (int j = 0; j < perLane; ++j)
          if (heads[i].value >= 0 && j * 32 + lane < K::headDim)
            use(i, j);
    };
    const auto load = [&](int64_t at, int j) {
      const float *from = pointer<const float>(arena + at) + j * 32 + lane;
      return K::isTagged ? loadNow(from) : loadFar(from);
    };
    eachElement([&](int i, int j) {
      first[i][j] = load(heads[i].value, j);
      second[i][j] = K::hasRest ? load(heads[i].rest, j) : 0.0F;
    });
    bool isMissing = K::isTagged;
    while (isMissing) {
      isMissing = false;
      eachElement([&](int i, int j) {
        if (!hasTag(first[i][j], tag)) {
          first[i][j] = load(heads[i].value, j);
          isMissing = true;
        }
        if (K::hasRest && !hasTag(second[i][j], tag)) {
          second[i][j] = load(heads[i].rest, j);
          isMissing = true;
        }
      });
    }
    eachElement([&](int i, int j) {
      to[i * K::headDim + j * 32 + lane] =
          K::isTagged ? withoutTag(first[i][j]) + withoutTag(second[i][j])
                      : first[i][j] + second[i][j];
    });
    __syncwarp();
  }

  static __device__ __forceinline__ void multiply(float (&c)[4], uint4 a,
                                                  uint32_t b0, uint32_t b1) {
    if (K::kvIsBfloat)
      mmaBF16(c, a.x, a.y, a.z, a.w, b0, b1);
    else
      mmaF16(c, a.x, a.y, a.z, a.w, b0, b1);
  }

  /// Puts a head's elements, `apart` bytes from each other, into a slot. Copies
  /// into the slot follow, of another kind: hence the fence.
  static __device__ __forceinline__ void
  append(uint32_t to, int apart, const uint16_t *head, int lane) {
    for (int d = lane; d < K::headDim; d += 32)
      asm volatile("st.shared.u16 [%0], %1;" ::"r"(to + d * apart), "h"(head[d])
                   : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
  }

  /// Scores of a tile. Column n of tile j of the scores is position 8 (n / 2) +
  /// 2 j + n % 2 (attention.cuh). `query`: the lane's first dimensions of row g
  /// in shared memory. Rows that do not exist there hold what was there before,
  /// and are not used.
  static __device__ __forceinline__ void multiplyKeys(float (&scores)[4][4],
                                                      uint32_t keys,
                                                      uint32_t query, int g,
                                                      int t) {
    const uint32_t key =
        keys + (8 * (g / 2) + g % 2) * (K::headDim * 2) + t * 16;
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
      const bool inside = K::headDim % 32 == 0 || c * 32 + t * 8 < K::headDim;
      uint4 q[2] = {};
      if (inside)
        for (int i = 0; i < halves; ++i)
          q[i] = loadShared16(query + (8 * i * queryStride + c * 32) * 2);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        uint4 k = {0, 0, 0, 0};
        if (inside)
          k = loadShared16(key + (2 * j * K::headDim + c * 32) * 2);
        multiply(scores[j], {q[0].x, q[1].x, q[0].y, q[1].y}, k.x, k.y);
        multiply(scores[j], {q[0].z, q[1].z, q[0].w, q[1].w}, k.z, k.w);
      }
    }
  }

  /// Turns the scores of a tile that begins with position `first` into weights;
  /// sums so far are to be rescaled.
  static __device__ __forceinline__ void
  weigh(float (&scores)[4][4], int first, const int (&limit)[halves],
        const float (&slope)[halves], int t, State &state,
        float (&rescale)[halves], uint32_t (&weights)[4][2]) {
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
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < halves; ++i)
        weights[j][i] =
            packPair<K::kvIsBfloat>(scores[j][2 * i], scores[j][2 * i + 1]);
  }

  /// Adds a tile's values, weighed, to the rescaled sums.
  static __device__ __forceinline__ void
  addValues(uint32_t values, const float (&rescale)[halves],
            const uint32_t (&weights)[4][2], int g, int t, State &state) {
    const uint32_t from = values + g * (kPositions * 2) + t * 16;
#pragma unroll
    for (int d = 0; d < tiles; ++d) {
      const uint4 v = loadShared16(from + d * 8 * kPositions * 2);
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

  /// Norms and rotates a head (in shared memory) and calls use(d, value).
  template <class Use>
  static __device__ __forceinline__ void
  rotate(const float *head, const float *angles, const float *norm, int lane,
         Use use) {
    float inverse = 1;
    if (K::normQk) {
      float squares = 0;
      for (int d = lane; d < K::headDim; d += 32)
        squares += head[d] * head[d];
      inverse = rsqrtf(warpSum(squares) * (1.0F / K::headDim) + K::epsilon);
    }
    auto load = [&](int d) {
      return K::normQk ? head[d] * inverse * (norm[d] + K::normOffset)
                       : head[d];
    };
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      if (int d = i * 32 + lane; d < K::headDim)
        use(d, rotated<K>(angles, d, load));
  }

  /// Leaves a warp's partial results (persistent_join.cuh) at `to`.
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
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_ATTENTION_CUH
