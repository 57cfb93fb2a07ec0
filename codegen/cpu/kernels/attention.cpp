//===- attention.cpp - Causal attention over the cache --------------------===//
//
// Flash-style: positions come in chunks, each with an online softmax; no score
// outlives its chunk. A work item is a block of query rows that share a kv
// head: consecutive (token, head of the group) pairs of one sequence. Keys lie
// in tiles of 16 positions, so that 16 scores are one multiply-add a
// dimension; values lie by position.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

constexpr int kRows = 8;       ///< query rows of a block
constexpr int64_t kChunk = 64; ///< positions of a chunk
constexpr int64_t kMaxDim = 1024;
constexpr float kMinusInfinity = -3.0e38f;
static_assert((2 * kRows * kMaxDim + kRows * kChunk) * 4 <=
              attentionScratchBytes());

/// The scratch of a thread.
struct Block {
  float *query;  ///< [kRows][dim], scaled
  float *output; ///< [kRows][dim rounded up to 16]
  float *scores; ///< [kRows][kChunk]
  int64_t dimStride;
};

struct Row {
  int64_t token;    ///< in the step
  int64_t position; ///< in the cache
  int64_t head;
};

/// scores[r][0..15] = q[r] . k for the 16 positions of a tile of keys.
template <int R>
KRN_INLINE void scoreTile(const AttentionConfig *config, const char *keys,
                          const float *query, float *scores) {
  F32x16 s[R] = {};
  for (int64_t d = 0; d < config->headDim; ++d) {
    F32x16 k = loadElements(config->kvElement, keys, d * 16);
    for (int r = 0; r < R; ++r)
      s[r] += k * query[r * config->headDim + d];
  }
  for (int r = 0; r < R; ++r)
    store(scores + r * kChunk, s[r]);
}

/// output[r] += p[r] . v over `count` positions, four rows at a time.
template <int R>
KRN_INLINE void addValues(const AttentionConfig *config, const char *values,
                          int64_t count, const float *probabilities,
                          float *output, int64_t stride) {
  int64_t dim = config->headDim;
  int64_t rowBytes = dim * elementBytes(config->kvElement);
  int64_t d = 0;
  for (; d + 64 <= dim; d += 64) {
    F32x16 o[R][4];
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < 4; ++i)
        o[r][i] = load(output + r * stride + d + 16 * i);
    for (int64_t p = 0; p < count; ++p)
      for (int i = 0; i < 4; ++i) {
        F32x16 v =
            loadElements(config->kvElement, values + p * rowBytes, d + 16 * i);
        for (int r = 0; r < R; ++r)
          o[r][i] += v * probabilities[r * kChunk + p];
      }
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < 4; ++i)
        store(output + r * stride + d + 16 * i, o[r][i]);
  }
  for (; d + 16 <= dim; d += 16)
    for (int r = 0; r < R; ++r) {
      F32x16 o = load(output + r * stride + d);
      for (int64_t p = 0; p < count; ++p)
        o += loadElements(config->kvElement, values + p * rowBytes, d) *
             probabilities[r * kChunk + p];
      store(output + r * stride + d, o);
    }
  for (; d < dim; ++d)
    for (int r = 0; r < R; ++r)
      for (int64_t p = 0; p < count; ++p)
        output[r * stride + d] +=
            loadElement(config->kvElement, values + p * rowBytes, d) *
            probabilities[r * kChunk + p];
}

/// Soft cap, ALiBi and the mask on `count` scores of one row; the first of
/// them is that of position `first`.
KRN_INLINE void maskScores(const AttentionConfig *config, const Row &row,
                           const float *slopes, int64_t first, int64_t count,
                           float *scores) {
  if (config->softCap > 0)
    for (int64_t p = 0; p < count; p += 16)
      store(scores + p,
            config->softCap * tanh(load(scores + p) * (1 / config->softCap)));
  int64_t oldest = config->window ? row.position - config->window + 1 : 0;
  if (config->alibi)
    for (int64_t p = 0; p < count; ++p)
      scores[p] += slopes[row.head] * float(first + p - row.position);
  if (first + count - 1 > row.position || first < oldest)
    for (int64_t p = 0; p < count; ++p)
      if (first + p > row.position || first + p < oldest)
        scores[p] = kMinusInfinity;
}

/// All rows of a block over all positions that any of them sees.
KRN_INLINE void attend(const AttentionConfig *config,
                       const qrt_sequence &sequence, int64_t kvLayerOffset,
                       int64_t kvHead, const Row *rows, int count,
                       const float *q, const float *slopes, float *out,
                       const Block &block) {
  int64_t dim = config->headDim, capacity = sequence.capacity;
  int64_t bytes = elementBytes(config->kvElement);
  const char *layer = (const char *)sequence.kv + capacity * kvLayerOffset;
  const char *keys = layer + kvHead * capacity * dim * bytes;
  const char *values =
      layer + (config->kvHeads + kvHead) * capacity * dim * bytes;

  float largest[kRows], total[kRows];
  int64_t last = 0, oldest = rows[0].position;
  for (int r = 0; r < kRows; ++r) {
    // Missing rows repeat the first one: the block is always full.
    const Row &row = rows[r < count ? r : 0];
    const float *from = q + row.token * config->qStride + row.head * dim;
    for (int64_t d = 0; d < dim; ++d)
      block.query[r * dim + d] = from[d] * config->scale;
    for (int64_t d = 0; d < block.dimStride; ++d)
      block.output[r * block.dimStride + d] = 0;
    largest[r] = kMinusInfinity;
    total[r] = 0;
    last = row.position > last ? row.position : last;
    oldest = row.position < oldest ? row.position : oldest;
  }
  int64_t begin = config->window ? oldest - config->window + 1 : 0;
  begin = begin < 0 ? 0 : begin / 16 * 16;

  for (int64_t first = begin; first <= last; first += kChunk) {
    int64_t positions = last + 1 - first < kChunk ? last + 1 - first : kChunk;
    int64_t rounded = roundUp(positions, 16);
    for (int64_t p = 0; p < rounded; p += 16) {
      const char *tile = keys + (first + p) * dim * bytes;
      if (count == 1)
        scoreTile<1>(config, tile, block.query, block.scores + p);
      else if (count <= 4)
        scoreTile<4>(config, tile, block.query, block.scores + p);
      else
        scoreTile<kRows>(config, tile, block.query, block.scores + p);
    }
    for (int r = 0; r < count; ++r) {
      float *s = block.scores + r * kChunk;
      maskScores(config, rows[r], slopes, first, rounded, s);
      F32x16 m = splat(kMinusInfinity);
      for (int64_t p = 0; p < rounded; p += 16)
        m = max(m, load(s + p));
      float now = maximum(m);
      now = now > largest[r] ? now : largest[r];
      if (now <= kMinusInfinity) {
        // A row of the block may see nothing of this chunk.
        for (int64_t p = 0; p < rounded; ++p)
          s[p] = 0;
        continue;
      }
      float shrink = exp(splat(largest[r] - now))[0];
      if (largest[r] <= kMinusInfinity)
        shrink = 0;
      F32x16 sums = {};
      for (int64_t p = 0; p < rounded; p += 16) {
        F32x16 raw = load(s + p);
        F32x16 e = exp(raw - now);
        e = raw <= kMinusInfinity ? F32x16{} : e;
        store(s + p, e);
        sums += e;
      }
      total[r] = total[r] * shrink + sum(sums);
      largest[r] = now;
      if (shrink != 1.0f)
        for (int64_t d = 0; d < block.dimStride; d += 16) {
          float *o = block.output + r * block.dimStride + d;
          store(o, load(o) * shrink);
        }
    }
    const char *v = values + first * dim * bytes;
    int r = 0;
    for (; r + 4 <= count; r += 4)
      addValues<4>(config, v, positions, block.scores + r * kChunk,
                   block.output + r * block.dimStride, block.dimStride);
    for (; r < count; ++r)
      addValues<1>(config, v, positions, block.scores + r * kChunk,
                   block.output + r * block.dimStride, block.dimStride);
  }
  for (int r = 0; r < count; ++r) {
    float inverse = 1.0f / total[r];
    float *to = out + rows[r].token * config->outputStride + rows[r].head * dim;
    for (int64_t d = 0; d < dim; ++d)
      to[d] = block.output[r * block.dimStride + d] * inverse;
  }
}

} // namespace

extern "C" void krn_attention(const AttentionConfig *config,
                              const qrt_step *step, int64_t kvLayerOffset,
                              const float *q, const float *alibiSlopes,
                              float *output, void *scratch, uint32_t part,
                              uint32_t parts) {
  int64_t groupHeads = config->heads / config->kvHeads;
  Block block;
  block.dimStride = roundUp(config->headDim, 16);
  block.query = (float *)scratch;
  block.output = block.query + kRows * config->headDim;
  block.scores = block.output + kRows * block.dimStride;
  int64_t item = 0;
  for (uint32_t s = 0; s < step->sequence_count; ++s) {
    const qrt_sequence &sequence = step->sequences[s];
    int64_t queryRows = int64_t(sequence.tokens) * groupHeads;
    int64_t blocks = (queryRows + kRows - 1) / kRows;
    // Later tokens see more: dealing blocks out in turn balances the threads.
    for (int64_t i = 0; i < blocks; ++i)
      for (int64_t h = 0; h < config->kvHeads; ++h, ++item) {
        if (item % parts != part)
          continue;
        Row rows[kRows];
        int count = 0;
        for (int64_t r = i * kRows; r < queryRows && count < kRows; ++r) {
          int64_t token = r / groupHeads;
          rows[count++] = {sequence.first_token + token, sequence.past + token,
                           h * groupHeads + r % groupHeads};
        }
        attend(config, sequence, kvLayerOffset, h, rows, count, q, alibiSlopes,
               output, block);
      }
  }
}
