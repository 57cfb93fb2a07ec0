//===- attention.cuh - Causal attention over a layer's cache ----*- C++ -*-===//
//
// A warp works on 16 query rows (a token's heads over one kv head, or several
// tokens') and blocks of 32 positions: scores, an online softmax and the
// weighted sum of values, both products on the tensor cores. Lane 4 g + t reads
// 16 bytes of keys (8 dimensions of one position) and of values, whose tiles of
// 32 positions are transposed (8 positions of one dimension), straight from
// memory: which position a column of the scores is, is chosen so that no
// element has to move between lanes.
//
// For few tokens (`K::splits` > 0) the warps of a block share their rows and
// take turns with the positions; contexts of several hundred positions are
// split over blocks as well, and the last block adds up, in the order of the
// splits.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_ATTENTION_CUH
#define QCC_CODEGEN_CUDA_KERNELS_ATTENTION_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

constexpr int kAttentionWarps = 4;
constexpr int kBlockPositions = QRT_CUDA_KV_TILE;
/// The fewest blocks of positions that are worth a split.
constexpr int kSplitBlocks = 8;

/// Operands: q, slopes, output, bytes a token of the layers before this one,
/// counters, partial results of splits.
template <class K>
struct Attention {
  static constexpr int group = K::heads / K::kvHeads;
  static constexpr bool isSplit = K::splits > 0;
  static constexpr int chunks = (K::headDim + 31) / 32;
  static constexpr int tiles = K::headDim / 8;
  /// Rows are (token, head of the group), the head running fastest.
  static constexpr int rowTokens = isSplit || group >= 16 ? 1 : 16 / group;
  static constexpr int headBlocks = group <= 16 ? 1 : (group + 15) / 16;
  static constexpr float log2e = 1.44269504F;
  static constexpr int sharedBytes =
      isSplit ? kAttentionWarps * 16 * (K::headDim + 2) * 4 : 0;

  /// What a warp found out about its rows g and g + 8.
  struct State {
    float out[tiles][4];
    float largest[2], sum[2];
  };
  struct Rows {
    int token[2], head[2];
  };

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *room = nullptr) {
    float *shared = reinterpret_cast<float *>(room);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int g = lane / 4;
    startNext();
    waitForEarlier();
    const int rowBlock =
        isSplit ? blockIdx.x : blockIdx.x * kAttentionWarps + warp;
    const int headBlock = rowBlock % headBlocks;
    const int kvHead = rowBlock / headBlocks % K::kvHeads;
    const int firstToken = rowBlock / (headBlocks * K::kvHeads) * rowTokens;
    const int tokens = step->tokens;
    if (firstToken >= tokens)
      return;
    const uint32_t *owner = pointer<const uint32_t>(step->token_sequence);
    const Sequence *sequences = pointer<const Sequence>(step->sequences);

    Rows rows;
    int position[2];
    uint32_t sequence[2];
    for (int i = 0; i < 2; ++i) {
      const int row = g + 8 * i;
      const int token = firstToken + (rowTokens == 1 ? 0 : row / group);
      const int inGroup = headBlock * 16 + (rowTokens == 1 ? row : row % group);
      const bool exists =
          token < tokens && inGroup < group && token < firstToken + rowTokens;
      rows.token[i] = exists ? token : -1;
      rows.head[i] = kvHead * group + (exists ? inGroup : 0);
      sequence[i] = exists ? owner[token] : ~0U;
      position[i] = exists ? int(sequences[sequence[i]].past) + token -
                                 int(sequences[sequence[i]].first_token)
                           : -1;
    }
    uint32_t query[chunks][2][4];
    float slope[2] = {};
    loadQuery(a, rows, lane, query, slope);

    State state = {};
    state.largest[0] = state.largest[1] = -1e30F;
    const uint32_t firstSequence = owner[firstToken],
                   lastSequence =
                       owner[smaller(firstToken + rowTokens, tokens) - 1];
    for (uint32_t s = firstSequence; s <= lastSequence; ++s) {
      const Sequence &here = sequences[s];
      const int lastToken = smaller(smaller(firstToken + rowTokens, tokens),
                                    int(here.first_token + here.tokens)) -
                            1;
      const int firstHere = larger(firstToken, int(here.first_token));
      const int most = int(here.past) + lastToken - int(here.first_token);
      const int least = int(here.past) + firstHere - int(here.first_token);
      int from = 0;
      if (K::window > 0)
        from = larger(0, least - K::window + 1) / kBlockPositions;
      int to = most / kBlockPositions + 1, stride = 1;
      if (isSplit) {
        const int blocks = to - from;
        const int perSplit = splitBlocks(blocks);
        from += int(blockIdx.y) * perSplit;
        if (from >= to)
          return;
        to = smaller(to, from + perSplit);
        from += warp;
        stride = kAttentionWarps;
      }
      const char *layer = pointer<const char>(here.kv) +
                          int64_t(here.capacity) * int64_t(a.v[3]);
      const uint16_t *keys = reinterpret_cast<const uint16_t *>(layer) +
                             int64_t(kvHead) * here.capacity * K::headDim;
      const uint16_t *values =
          reinterpret_cast<const uint16_t *>(layer) +
          int64_t(K::kvHeads + kvHead) * here.capacity * K::headDim;
      int limit[2];
      for (int i = 0; i < 2; ++i)
        limit[i] = sequence[i] == s ? position[i] : -1;
#pragma unroll 1
      for (int block = from; block < to; block += stride)
        addBlock(keys, values, block * kBlockPositions, limit, slope, query,
                 lane, state);
      if (isSplit) {
        const int all = K::window > 0 ? most / kBlockPositions + 1 -
                                            larger(0, least - K::window + 1) /
                                                kBlockPositions
                                      : most / kBlockPositions + 1;
        const int perSplit = splitBlocks(all);
        joinWarps(a, rows, state, shared, warp, lane,
                  (all + perSplit - 1) / perSplit, rowBlock);
        return;
      }
    }
    store(a, rows, state, lane);
  }

private:
  static __device__ __forceinline__ int splitBlocks(int blocks) {
    constexpr int splits = isSplit ? K::splits : 1;
    return larger(kSplitBlocks, (blocks + splits - 1) / splits);
  }

  static __device__ __forceinline__ void
  loadQuery(const Args &a, const Rows &rows, int lane,
            uint32_t (&query)[chunks][2][4], float (&slope)[2]) {
    const float factor = K::softCap > 0 ? K::scale : K::scale * log2e;
    for (int i = 0; i < 2; ++i) {
      const float *q = pointer<const float>(a.v[0]) +
                       int64_t(larger(rows.token[i], 0)) * K::qStride +
                       rows.head[i] * K::headDim;
      if (K::alibi)
        slope[i] = pointer<const float>(a.v[1])[rows.head[i]];
#pragma unroll
      for (int c = 0; c < chunks; ++c) {
        const int d = c * 32 + lane % 4 * 8;
        const bool inside = rows.token[i] >= 0 && d < K::headDim;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          float2 v = {0, 0};
          if (inside)
            v = *reinterpret_cast<const float2 *>(q + d + 2 * j);
          query[c][i][j] = packPair<K::kvIsBfloat>(v.x * factor, v.y * factor);
        }
      }
    }
  }

  static __device__ __forceinline__ void multiply(float (&c)[4], uint32_t a0,
                                                  uint32_t a1, uint32_t a2,
                                                  uint32_t a3, uint32_t b0,
                                                  uint32_t b1) {
    if (K::kvIsBfloat)
      mmaBF16(c, a0, a1, a2, a3, b0, b1);
    else
      mmaF16(c, a0, a1, a2, a3, b0, b1);
  }

  static __device__ __forceinline__ void
  addBlock(const uint16_t *keys, const uint16_t *values, int first,
           const int (&limit)[2], const float (&slope)[2],
           const uint32_t (&query)[chunks][2][4], int lane, State &state) {
    const int g = lane / 4, t = lane % 4;
    // Column n of tile j is position 8 (n / 2) + 2 j + n % 2.
    float scores[4][4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint16_t *key =
          keys + int64_t(first + 8 * (g / 2) + 2 * j + g % 2) * K::headDim;
      scores[j][0] = scores[j][1] = scores[j][2] = scores[j][3] = 0;
#pragma unroll
      for (int c = 0; c < chunks; ++c) {
        const int d = c * 32 + t * 8;
        uint4 k = {0, 0, 0, 0};
        if (K::headDim % 32 == 0 || d < K::headDim)
          k = *reinterpret_cast<const uint4 *>(key + d);
        const auto &q = query[c];
        multiply(scores[j], q[0][0], q[1][0], q[0][1], q[1][1], k.x, k.y);
        multiply(scores[j], q[0][2], q[1][2], q[0][3], q[1][3], k.z, k.w);
      }
    }
    float rescale[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
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
          if (K::alibi == 1)
            s += slope[i] * log2e * float(position - limit[i]);
          // Falcon's: a product in bf16, then scaled.
          if (K::alibi == 2)
            s += roundToBfloat(slope[i] * roundToBfloat(float(position))) *
                 (K::scale * log2e);
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
    const uint16_t *tile =
        values + valueOffset<K::headDim>(first) + g * kBlockPositions + 8 * t;
    uint32_t weights[4][2];
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        weights[j][i] =
            packPair<K::kvIsBfloat>(scores[j][2 * i], scores[j][2 * i + 1]);
#pragma unroll
    for (int d = 0; d < tiles; ++d) {
      const uint4 v =
          *reinterpret_cast<const uint4 *>(tile + 8 * d * kBlockPositions);
      float (&out)[4] = state.out[d];
      out[0] *= rescale[0];
      out[1] *= rescale[0];
      out[2] *= rescale[1];
      out[3] *= rescale[1];
      multiply(out, weights[0][0], weights[0][1], weights[1][0], weights[1][1],
               v.x, v.y);
      multiply(out, weights[2][0], weights[2][1], weights[3][0], weights[3][1],
               v.z, v.w);
    }
  }

  static __device__ __forceinline__ float *outputRow(const Args &a, int token,
                                                     int head) {
    return pointer<float>(a.v[2]) + int64_t(token) * K::outputStride +
           head * K::headDim;
  }

  static __device__ __forceinline__ void store(const Args &a, const Rows &rows,
                                               State &state, int lane) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = state.sum[i];
      sum += __shfl_xor_sync(~0U, sum, 1);
      sum += __shfl_xor_sync(~0U, sum, 2);
      if (rows.token[i] < 0)
        continue;
      const float inverse = 1.0F / sum;
      float *out = outputRow(a, rows.token[i], rows.head[i]) + lane % 4 * 2;
#pragma unroll
      for (int d = 0; d < tiles; ++d)
        *reinterpret_cast<float2 *>(out + 8 * d) = {
            state.out[d][2 * i] * inverse, state.out[d][2 * i + 1] * inverse};
    }
  }

  /// Adds up what the warps of a block, and then the blocks, found. A row of a
  /// partial result is [headDim] values, the largest score and the sum.
  static __device__ __forceinline__ void
  joinWarps(const Args &a, const Rows &rows, State &state, float *shared,
            int warp, int lane, int splits, int rowBlock) {
    constexpr int width = K::headDim + 2;
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = state.sum[i];
      sum += __shfl_xor_sync(~0U, sum, 1);
      sum += __shfl_xor_sync(~0U, sum, 2);
      float *row = shared + (warp * 16 + g + 8 * i) * width;
#pragma unroll
      for (int d = 0; d < tiles; ++d) {
        row[8 * d + 2 * t] = state.out[d][2 * i];
        row[8 * d + 2 * t + 1] = state.out[d][2 * i + 1];
      }
      if (t == 0) {
        row[K::headDim] = state.largest[i];
        row[K::headDim + 1] = sum;
      }
    }
    __syncthreads();
    float *room =
        pointer<float>(a.v[5]) + int64_t(rowBlock) * K::splits * 16 * width;
    // A warp joins rows warp, warp + 4, ...
    for (int row = warp; row < 16; row += kAttentionWarps)
      joinRow(
          shared + row * width, 16 * width, kAttentionWarps, a, rowBlock, row,
          splits > 1 ? room + (int(blockIdx.y) * 16 + row) * width : nullptr,
          lane, false);
    if (splits == 1)
      return;
    __threadfence();
    __syncthreads();
    __shared__ uint32_t before;
    uint32_t *counter = pointer<uint32_t>(a.v[4]) + rowBlock;
    if (threadIdx.x == 0)
      before = atomicAdd(counter, 1U);
    __syncthreads();
    if (before + 1 != uint32_t(splits))
      return;
    __threadfence();
    for (int row = warp; row < 16; row += kAttentionWarps)
      joinRow(room + row * width, 16 * width, splits, a, rowBlock, row, nullptr,
              lane, true);
    if (threadIdx.x == 0)
      *counter = 0;
  }

  /// Joins `count` partial results of a row, `stride` floats apart, into one at
  /// `partial`, or into the output where that is null.
  static __device__ __forceinline__ void
  joinRow(const float *parts, int stride, int count, const Args &a,
          int rowBlock, int row, float *partial, int lane, bool isFar) {
    auto read = [&](int part, int i) {
      const float *at = parts + int64_t(part) * stride + i;
      return isFar ? __ldcg(at) : *at;
    };
    const int inGroup = rowBlock % headBlocks * 16 + row;
    if (inGroup >= group)
      return;
    float largest = -1e30F, sum = 0;
    for (int p = 0; p < count; ++p)
      largest = fmaxf(largest, read(p, K::headDim));
    for (int p = 0; p < count; ++p)
      sum += read(p, K::headDim + 1) * exp2f(read(p, K::headDim) - largest);
    const int kvHead = rowBlock / headBlocks % K::kvHeads;
    const int token = rowBlock / (headBlocks * K::kvHeads);
    float *out =
        partial ? partial : outputRow(a, token, kvHead * group + inGroup);
    const float factor = partial ? 1.0F : 1.0F / sum;
    for (int d = lane; d < K::headDim; d += 32) {
      float v = 0;
      for (int p = 0; p < count; ++p)
        v += read(p, d) * exp2f(read(p, K::headDim) - largest);
      out[d] = v * factor;
    }
    if (partial && lane == 0) {
      partial[K::headDim] = largest;
      partial[K::headDim + 1] = sum;
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_ATTENTION_CUH
