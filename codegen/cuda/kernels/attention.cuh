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
// split over blocks as well (StepParts), and the last block adds up, in the
// order of the parts. Two neighbours may be fused with it, whose launches would
// take longer than what they do. K::appends: rope_append; queries are rotated
// as they are read, and whoever works on a new position writes its keys and
// values first, several blocks the same ones. K::stages: the staging of the
// output for wgmma; the last block of a token does it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_ATTENTION_CUH
#define QCC_CODEGEN_CUDA_KERNELS_ATTENTION_CUH

#include "codegen/cuda/kernels/elementwise.cuh"
#include "codegen/cuda/kernels/stage.cuh"
#include "codegen/cuda/kernels/step_parts.cuh"

namespace qcc::cuda {

constexpr int kAttentionWarps = 4;

/// Operands: q, slopes, output, bytes a token of the layers before this one,
/// counters, partial results of parts; with K::appends k, v, rope table, norm
/// of q, norm of k; with K::stages (whose constants are K::Staged) where the
/// output is staged.
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
  /// The upper rows, 8 and on, are none where heads are few.
  static constexpr int rowHalves = isSplit && group <= 8 ? 1 : 2;
  /// Blocks (blockIdx.x) of a token.
  static constexpr int tokenBlocks = K::kvHeads * headBlocks;
  static constexpr int width = K::headDim + 2; ///< of a partial result
  static __host__ __device__ constexpr int bytes() {
    if constexpr (!isSplit)
      return 0;
    constexpr int joining = kAttentionWarps * 16 * width * 4;
    if constexpr (K::stages)
      return larger(joining, int(Stage<typename K::Staged>::sharedBytes));
    return joining;
  }
  static constexpr int sharedBytes = bytes();

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
    startNext();
    if constexpr (isSplit)
      runPart(step, a, room);
    else
      runTokens(step, a);
  }

private:
  /// A block's part of a token's positions.
  static __device__ __forceinline__ void runPart(const Step *step,
                                                 const Args &a, char *room) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int inToken = blockIdx.x % tokenBlocks;
    const int kvHead = inToken / headBlocks;
    const StepPart part = findPart<K::window>(
        step, int(blockIdx.y * gridDim.x + blockIdx.x) / tokenBlocks,
        int(gridDim.x * gridDim.y) / tokenBlocks);
    if (part.token < 0)
      return;
    Rows rows;
    int limit[2];
    for (int i = 0; i < 2; ++i) {
      const int inGroup = inToken % headBlocks * 16 + lane / 4 + 8 * i;
      const bool exists = inGroup < group;
      rows.token[i] = exists ? part.token : -1;
      rows.head[i] = kvHead * group + (exists ? inGroup : 0);
      limit[i] = exists ? part.position : -1;
    }
    const Sequence &here =
        pointer<const Sequence>(step->sequences)[pointer<const uint32_t>(
            step->token_sequence)[part.token]];
    char *layer =
        pointer<char>(here.kv) + int64_t(here.capacity) * int64_t(a.v[3]);
    uint16_t *keys = reinterpret_cast<uint16_t *>(layer) +
                     int64_t(kvHead) * here.capacity * K::headDim;
    uint16_t *values =
        reinterpret_cast<uint16_t *>(layer) +
        int64_t(K::kvHeads + kvHead) * here.capacity * K::headDim;
    const int past = int(here.past), firstToken = int(here.first_token);

    waitForEarlier();
    // All that is read now, but for the cache, is asked for at once.
    uint32_t query[chunks][2][4];
    float slope[2] = {};
    if constexpr (K::appends) {
      const float *key = pointer<const float>(a.v[6]) + kvHead * K::headDim,
                  *value = pointer<const float>(a.v[7]) + kvHead * K::headDim,
                  *tables = pointer<const float>(a.v[8]);
      const int begin = larger(past, part.from * kBlockPositions),
                end = smaller(part.position + 1, part.to * kBlockPositions);
      NewPosition<K> added;
      auto ask = [&](int p) {
        const int64_t token = firstToken + p - past;
        added.load(key + token * K::kStride, value + token * K::vStride,
                   tables + token * K::rotary, lane);
      };
      int p = begin + kAttentionWarps - 1 - warp;
      if (p < end)
        ask(p);
      loadQuery(a, rows, tables + int64_t(part.token) * K::rotary, lane, query,
                slope);
      while (p < end) {
        added.store(pointer<const float>(a.v[10]), p, keys, values, lane);
        p += kAttentionWarps;
        if (p < end)
          ask(p);
      }
      if (begin < end)
        __syncthreads();
    } else {
      loadQuery(a, rows, nullptr, lane, query, slope);
    }
    State state = {};
    state.largest[0] = state.largest[1] = -1e30F;
#pragma unroll 1
    for (int block = part.from + warp; block < part.to;
         block += kAttentionWarps)
      addBlock(keys, values, block * kBlockPositions, limit, slope, query, lane,
               state);
    joinWarps(a, part, step->tokens, state, room, warp, lane, inToken);
  }

  /// Rows of several tokens, a warp for itself.
  static __device__ __forceinline__ void runTokens(const Step *step,
                                                   const Args &a) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int g = lane / 4;
    waitForEarlier();
    const int rowBlock = blockIdx.x * kAttentionWarps + warp;
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
    loadQuery(a, rows, nullptr, lane, query, slope);

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
      const int to = most / kBlockPositions + 1;
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
      for (int block = from; block < to; ++block)
        addBlock(keys, values, block * kBlockPositions, limit, slope, query,
                 lane, state);
    }
    store(a, rows, state, lane);
  }

  /// Rows that do not exist are those of some head. `table`: the token's.
  static __device__ __forceinline__ void
  loadQuery(const Args &a, const Rows &rows, const float *table, int lane,
            uint32_t (&query)[chunks][2][4], float (&slope)[2]) {
    const float factor = K::softCap > 0 ? K::scale : K::scale * log2e;
    const float *heads[rowHalves];
    float x[rowHalves][chunks][8];
#pragma unroll
    for (int i = 0; i < rowHalves; ++i) {
      heads[i] = pointer<const float>(a.v[0]) +
                 int64_t(larger(rows.token[i], 0)) * K::qStride +
                 rows.head[i] * K::headDim;
      if (K::alibi)
        slope[i] = pointer<const float>(a.v[1])[rows.head[i]];
#pragma unroll
      for (int c = 0; c < chunks; ++c)
        loadEight(x[i][c], heads[i], c * 32 + lane % 4 * 8);
    }
    if constexpr (K::appends)
      rotateQueries(heads, pointer<const float>(a.v[9]), table, lane % 4, x);
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int c = 0; c < chunks; ++c)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          query[c][i][j] = i < rowHalves
                               ? packPair<K::kvIsBfloat>(
                                     x[i % rowHalves][c][2 * j] * factor,
                                     x[i % rowHalves][c][2 * j + 1] * factor)
                               : 0;
  }

  /// Dimensions d .. d + 7 of a head; zeros outside of it.
  static __device__ __forceinline__ void loadEight(float (&to)[8],
                                                   const float *head, int d) {
    const bool isInside = K::headDim % 32 == 0 || d < K::headDim;
    head += isInside ? d : 0;
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      const float2 v = *reinterpret_cast<const float2 *>(head + j);
      to[j] = isInside ? v.x : 0.0F;
      to[j + 1] = isInside ? v.y : 0.0F;
    }
  }

  /// Norms and rotates queries of a token; `x`: dimensions 32 c + 8 t .. of
  /// `heads`. Eight of them are rotated all or not at all, and with eight
  /// others, which are the same lane's where they are 32 n away.
  static __device__ __forceinline__ void
  rotateQueries(const float *const (&heads)[rowHalves], const float *norm,
                const float *table, int t, float (&x)[rowHalves][chunks][8]) {
    static_assert(K::rotary % (K::isInterleaved ? 8 : 16) == 0);
    constexpr int half = K::rotary / 2;
    float inverse[2] = {1, 1};
    auto scale = [&](float (&v)[8], int i, int d) {
      if (K::normQk && d < K::headDim)
#pragma unroll
        for (int j = 0; j < 8; ++j)
          v[j] = v[j] * inverse[i] * (norm[d + j] + K::normOffset);
    };
    if (K::normQk)
#pragma unroll
      for (int i = 0; i < rowHalves; ++i) {
        float squares = 0;
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
          for (int j = 0; j < 8; ++j)
            squares += x[i][c][j] * x[i][c][j];
        squares += __shfl_xor_sync(~0U, squares, 1);
        squares += __shfl_xor_sync(~0U, squares, 2);
        inverse[i] = rsqrtf(squares * (1.0F / K::headDim) + K::epsilon);
#pragma unroll
        for (int c = 0; c < chunks; ++c)
          scale(x[i][c], i, c * 32 + t * 8);
      }
    if constexpr (K::rotary == 0) {
    } else if constexpr (!K::isInterleaved && half % 32 == 0) {
      constexpr int apart = half / 32;
#pragma unroll
      for (int c = 0; c < apart; ++c) {
        float turns[16];
        loadTurns(turns, table + 2 * (c * 32 + t * 8));
#pragma unroll
        for (int i = 0; i < rowHalves; ++i)
#pragma unroll
          for (int j = 0; j < 8; ++j)
            turn(x[i][c][j], x[i][c + apart][j], turns + 2 * j);
      }
    } else {
#pragma unroll
      for (int c = 0; c < chunks; ++c) {
        const int d = c * 32 + t * 8;
        if (d >= K::rotary)
          continue;
        const bool isFirst = d < half;
        const int far = isFirst ? d + half : d - half;
        float turns[16];
        loadTurns(turns, table + (K::isInterleaved ? d
                                  : isFirst        ? 2 * d
                                                   : 2 * far));
#pragma unroll
        for (int i = 0; i < rowHalves; ++i) {
          float other[8];
          if (!K::isInterleaved) {
            loadEight(other, heads[i], far);
            scale(other, i, far);
          }
#pragma unroll
          for (int j = 0; j < 8; ++j)
            if (!K::isInterleaved)
              isFirst ? turn(x[i][c][j], other[j], turns + 2 * j)
                      : turn(other[j], x[i][c][j], turns + 2 * j);
            else if (j % 2 == 0)
              turn(x[i][c][j], x[i][c][j + 1], turns + j);
        }
      }
    }
  }
  /// cos and sin of four turns, or of eight.
  static __device__ __forceinline__ void loadTurns(float (&to)[16],
                                                   const float *from) {
#pragma unroll
    for (int j = 0; j < (K::isInterleaved ? 8 : 16); j += 4) {
      const float4 v = *reinterpret_cast<const float4 *>(from + j);
      to[j] = v.x;
      to[j + 1] = v.y;
      to[j + 2] = v.z;
      to[j + 3] = v.w;
    }
  }
  static __device__ __forceinline__ void turn(float &first, float &second,
                                              const float *turn) {
    const float u = first, v = second;
    first = u * turn[0] - v * turn[1];
    second = v * turn[0] + u * turn[1];
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
  joinWarps(const Args &a, const StepPart &part, int tokens, State &state,
            char *room, int warp, int lane, int inToken) {
    float *shared = reinterpret_cast<float *>(room);
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
    constexpr int partStride = tokenBlocks * 16 * width;
    float *parts = pointer<float>(a.v[5]) +
                   int64_t(part.firstSlot) * partStride + inToken * 16 * width;
    const bool isWhole = part.parts == 1;
    // A warp joins rows warp, warp + 4, ...
    for (int row = warp; row < 16; row += kAttentionWarps)
      joinRow<false>(shared + row * width, 16 * width, kAttentionWarps, a,
                     part.token, inToken, row,
                     isWhole ? nullptr
                             : parts + part.part * partStride + row * width,
                     lane);
    uint32_t *counters = pointer<uint32_t>(a.v[4]);
    if (!isWhole) {
      if (!isLast(counters + part.token * tokenBlocks + inToken, part.parts))
        return;
      for (int row = warp; row < 16; row += kAttentionWarps)
        joinRow<true>(parts + row * width, partStride, part.parts, a,
                      part.token, inToken, row, nullptr, lane);
    }
    if constexpr (K::stages)
      if (isLast(counters + gridDim.x + part.token, tokenBlocks))
        Stage<typename K::Staged>::stageWritten(
            pointer<char>(a.v[11]), part.token, tokens,
            outputRow(a, part.token, 0), room);
  }

  /// True for the last of `count` blocks; what the others wrote before is
  /// there. The counter is zero again.
  static __device__ __forceinline__ bool isLast(uint32_t *counter, int count) {
    __shared__ uint32_t before;
    __syncthreads();
    if (threadIdx.x == 0) {
      before = addAcquireRelease(counter, 1);
      if (before + 1 == uint32_t(count))
        *counter = 0;
    }
    __syncthreads();
    return before + 1 == uint32_t(count);
  }

  /// Joins `count` partial results of a row, `stride` floats apart, into one at
  /// `partial`, or into the output where that is null. Far ones are others'.
  template <bool IsFar>
  static __device__ __forceinline__ void
  joinRow(const float *parts, int stride, int count, const Args &a, int token,
          int inToken, int row, float *partial, int lane) {
    auto read = [&](int part, int i) {
      const float *at = parts + int64_t(part) * stride + i;
      return IsFar ? __ldcg(at) : *at;
    };
    const int inGroup = inToken % headBlocks * 16 + row;
    if (inGroup >= group)
      return;
    float largest = -1e30F, sum = 0;
    for (int p = 0; p < count; ++p)
      largest = fmaxf(largest, read(p, K::headDim));
    for (int p = 0; p < count; ++p)
      sum += read(p, K::headDim + 1) * exp2f(read(p, K::headDim) - largest);
    float *out =
        partial ? partial
                : outputRow(a, token, inToken / headBlocks * group + inGroup);
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
