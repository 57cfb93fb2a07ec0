//===- prompt_attention.cuh - Causal attention of many tokens ---*- C++ -*-===//
//
// A block works on up to 128 tokens of a step and one head, a warp on 16.
// Blocks of 64 positions of keys and (transposed) values come through two
// buffers in shared memory; scores, an online softmax and the weighted sum of
// values stay in registers, both products on the tensor cores. Tokens of
// several sequences may share a block, which then goes through the sequences'
// caches one after the other.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PROMPT_ATTENTION_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PROMPT_ATTENTION_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

constexpr int kPromptPositions = 64;

QCC_DEVICE float exp2Fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Operands: q, slopes, output, bytes a token of the layers before this one.
template <class K>
struct PromptAttention {
  static constexpr int group = K::heads / K::kvHeads;
  static constexpr int threads = K::warps * 32, blockTokens = K::warps * 16;
  /// Dimensions, in whole pieces of 32; the rest are zeros.
  static constexpr int pieces = (K::headDim + 31) / 32;
  static constexpr int tiles = K::headDim / 8;
  /// An odd number of 16 bytes: eight rows are in different banks.
  static constexpr int keyStride = (pieces * 4 + 1) * 16;
  static constexpr int valueStride = 9 * 16;
  static constexpr int keyBytes = kPromptPositions * keyStride;
  static constexpr int bufferBytes = keyBytes + K::headDim * valueStride;
  static constexpr int sharedBytes = 2 * bufferBytes;
  static constexpr float log2e = 1.44269504F;
  /// Positions whose scores a warp holds at once: what registers are there for.
  static constexpr int runPositions = K::headDim > 128  ? 16
                                      : K::headDim > 64 ? 64
                                                        : 32;
  static constexpr int scoreTiles = runPositions / 8;

  struct State {
    float out[tiles][4];
    float largest[2], sum[2];
  };

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *room) {
    startNext();
    waitForEarlier();
    const int tokens = step->tokens;
    const int blocks = (tokens + blockTokens - 1) / blockTokens;
    // The last tokens have the most to do: they begin first.
    const int firstToken =
        (blocks - 1 - int(blockIdx.x) / K::heads) * blockTokens;
    if (firstToken < 0)
      return;
    const int head = blockIdx.x % K::heads, kvHead = head / group;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4;
    const uint32_t *owner = pointer<const uint32_t>(step->token_sequence);
    const Sequence *sequences = pointer<const Sequence>(step->sequences);

    const int warpFirst = firstToken + warp * 16;
    uint32_t query[pieces * 2][4];
    loadQuery(a, warpFirst + g, tokens, head, lane, query);
    const float slope = K::alibi ? pointer<const float>(a.v[1])[head] : 0.0F;

    State state = {};
    state.largest[0] = state.largest[1] = -1e30F;
    const int lastToken = smaller(firstToken + blockTokens, tokens) - 1;
    const uint32_t shared = sharedAddress(room);
    for (uint32_t s = owner[firstToken]; s <= owner[lastToken]; ++s) {
      const Sequence &here = sequences[s];
      const int offset = int(here.past) - int(here.first_token);
      const int least = offset + larger(firstToken, int(here.first_token)),
                most =
                    offset +
                    smaller(lastToken, int(here.first_token + here.tokens) - 1);
      // Of this warp's rows.
      const int warpLeast = offset + larger(warpFirst, int(here.first_token));
      const bool isWhole = warpFirst >= int(here.first_token) &&
                           warpFirst + 15 < int(here.first_token + here.tokens);
      const int warpMost = offset + warpFirst + 15;
      int limit[2];
      for (int i = 0; i < 2; ++i) {
        const int token = warpFirst + g + 8 * i;
        limit[i] = token >= int(here.first_token) &&
                           token < int(here.first_token + here.tokens)
                       ? offset + token
                       : -1;
      }
      int from = 0;
      if (K::window > 0)
        from = larger(0, least - K::window + 1) / kPromptPositions;
      const int to = most / kPromptPositions + 1;
      const char *layer = pointer<const char>(here.kv) +
                          int64_t(here.capacity) * int64_t(a.v[3]);
      const uint16_t *keys = reinterpret_cast<const uint16_t *>(layer) +
                             int64_t(kvHead) * here.capacity * K::headDim;
      const uint16_t *values =
          reinterpret_cast<const uint16_t *>(layer) +
          int64_t(K::kvHeads + kvHead) * here.capacity * K::headDim;
      __syncthreads();
      fill(shared, keys, values, from);
      for (int block = from; block < to; ++block) {
        waitAsync<0>();
        __syncthreads();
        if (block + 1 < to)
          fill(shared + ((block - from + 1) & 1) * bufferBytes, keys, values,
               block + 1);
        const int first = block * kPromptPositions;
        const uint32_t at = shared + ((block - from) & 1) * bufferBytes;
        const bool isSeen = isWhole &&
                            first + kPromptPositions - 1 <= warpLeast &&
                            (K::window == 0 || first > warpMost - K::window);
#pragma unroll 1
        for (int i = 0; i < kPromptPositions; i += runPositions) {
          if (isSeen)
            addRun<false>(at, i, first + i, limit, slope, query, lane, state);
          else if (first + i <= warpMost)
            addRun<true>(at, i, first + i, limit, slope, query, lane, state);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = state.sum[i];
      sum += __shfl_xor_sync(~0U, sum, 1);
      sum += __shfl_xor_sync(~0U, sum, 2);
      const int token = warpFirst + g + 8 * i;
      if (token >= tokens)
        continue;
      const float inverse = 1.0F / sum;
      float *out = pointer<float>(a.v[2]) + int64_t(token) * K::outputStride +
                   head * K::headDim + lane % 4 * 2;
#pragma unroll
      for (int d = 0; d < tiles; ++d)
        *reinterpret_cast<float2 *>(out + 8 * d) = {
            state.out[d][2 * i] * inverse, state.out[d][2 * i + 1] * inverse};
    }
  }

private:
  /// Asks for a block of positions.
  static __device__ __forceinline__ void
  fill(uint32_t to, const uint16_t *keys, const uint16_t *values, int block) {
    const int first = block * kPromptPositions;
    const uint16_t *from = keys + int64_t(first) * K::headDim;
    values += valueOffset<K::headDim>(first);
#pragma unroll 1
    for (int i = threadIdx.x; i < kPromptPositions * pieces * 4; i += threads) {
      const int row = i / (pieces * 4), piece = i % (pieces * 4);
      const bool inside = piece * 8 < K::headDim;
      copyAsync16(to + row * keyStride + piece * 16,
                  inside ? from + row * K::headDim + piece * 8 : from, inside);
    }
#pragma unroll 1
    for (int i = threadIdx.x; i < K::headDim * 8; i += threads)
      copyAsync16(to + keyBytes + i / 8 * valueStride + i % 8 * 16,
                  values + valueOffset<K::headDim>(i % 8 * 8) +
                      i / 8 * QRT_CUDA_KV_TILE,
                  true);
    commitAsync();
  }

  static __device__ __forceinline__ void
  loadQuery(const Args &a, int first, int tokens, int head, int lane,
            uint32_t (&query)[pieces * 2][4]) {
    const float factor = K::softCap > 0 ? K::scale : K::scale * log2e;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float *q =
          pointer<const float>(a.v[0]) +
          int64_t(smaller(first + 8 * i, tokens - 1)) * K::qStride +
          head * K::headDim;
#pragma unroll
      for (int c = 0; c < pieces * 2; ++c)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const int d = c * 16 + j * 8 + lane % 4 * 2;
          float2 v = {0, 0};
          if (K::headDim % 32 == 0 || d < K::headDim)
            v = *reinterpret_cast<const float2 *>(q + d);
          query[c][2 * j + i] =
              packPair<K::kvIsBfloat>(v.x * factor, v.y * factor);
        }
    }
  }

  static __device__ __forceinline__ void
  multiply(float (&c)[4], const uint32_t (&w)[4], uint32_t b0, uint32_t b1) {
    if (K::kvIsBfloat)
      mmaBF16(c, w[0], w[1], w[2], w[3], b0, b1);
    else
      mmaF16(c, w[0], w[1], w[2], w[3], b0, b1);
  }

  /// Positions `first` .. of the block at `at`, whose `begin`-th is the first.
  template <bool IsMasked>
  static __device__ __forceinline__ void
  addRun(uint32_t at, int begin, int first, const int (&limit)[2], float slope,
         const uint32_t (&query)[pieces * 2][4], int lane, State &state) {
    const int t = lane % 4;
    float scores[scoreTiles][4];
#pragma unroll
    for (int j = 0; j < scoreTiles; ++j) {
      scores[j][0] = scores[j][1] = scores[j][2] = scores[j][3] = 0;
      const uint32_t row =
          at + (begin + j * 8 + lane % 8) * keyStride + lane / 8 * 16;
#pragma unroll
      for (int c = 0; c < pieces; ++c) {
        const uint4 k = loadMatrices(row + c * 64);
        multiply(scores[j], query[2 * c], k.x, k.y);
        multiply(scores[j], query[2 * c + 1], k.z, k.w);
      }
    }
    float rescale[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = state.largest[i];
#pragma unroll
      for (int j = 0; j < scoreTiles; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float &s = scores[j][2 * i + e];
          const int position = first + 8 * j + 2 * t + e;
          if (K::softCap > 0)
            s = tanhf(s * (1.0F / (K::softCap > 0 ? K::softCap : 1.0F))) *
                (K::softCap * log2e);
          if (K::alibi == 1)
            s += slope * log2e * float(position - limit[i]);
          // Falcon's: a product in bf16, then scaled.
          if (K::alibi == 2)
            s += roundToBfloat(slope * roundToBfloat(float(position))) *
                 (K::scale * log2e);
          if (IsMasked) {
            const bool seen =
                position <= limit[i] &&
                (K::window == 0 || position > limit[i] - K::window);
            s = seen ? s : -1e30F;
          }
          largest = fmaxf(largest, s);
        }
      largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, 2));
      rescale[i] = exp2Fast(state.largest[i] - largest);
      state.largest[i] = largest;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < scoreTiles; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float &s = scores[j][2 * i + e];
          const float p = exp2Fast(s - largest);
          s = !IsMasked || s > -1e29F ? p : 0.0F;
          sum += s;
        }
      state.sum[i] = state.sum[i] * rescale[i] + sum;
    }
    uint32_t weights[scoreTiles / 2][4];
#pragma unroll
    for (int c = 0; c < scoreTiles / 2; ++c)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        weights[c][j] =
            packPair<K::kvIsBfloat>(scores[2 * c + j / 2][j % 2 * 2],
                                    scores[2 * c + j / 2][j % 2 * 2 + 1]);
    const uint32_t value = at + keyBytes + lane % 8 * valueStride + begin * 2 +
                           lane / 8 % (scoreTiles < 4 ? 2 : 4) * 16;
#pragma unroll
    for (int d = 0; d < tiles; ++d) {
      float (&out)[4] = state.out[d];
      out[0] *= rescale[0];
      out[1] *= rescale[0];
      out[2] *= rescale[1];
      out[3] *= rescale[1];
#pragma unroll
      for (int c = 0; c < (scoreTiles + 3) / 4; ++c) {
        const uint4 v = loadMatrices(value + d * 8 * valueStride + c * 64);
        multiply(out, weights[2 * c], v.x, v.y);
        if constexpr (scoreTiles > 2)
          multiply(out, weights[2 * c + 1], v.z, v.w);
      }
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PROMPT_ATTENTION_CUH
