//===- attention.cpp - Causal attention over the cache --------------------===//
//
// FlashAttention's online softmax (arXiv 2205.14135): positions come in chunks
// of 64, at multiples of 64, and no score outlives its chunk. Keys lie in tiles
// of 16 positions, so that 16 scores are one multiply-add a dimension; values
// lie by position.
//
// A query row is one head of one token. Rows that share a kv head are worked on
// in blocks, so that keys and values are read once for many of them. What is
// computed for a row does not depend on its block.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

constexpr int64_t kChunk = 64; ///< positions of a chunk
constexpr int kTiles = 4;      ///< tiles of 16 positions of a chunk
constexpr int64_t kBlockRows = 24;
#ifdef __AVX512F__
constexpr int kRows = 6; ///< rows of a register block: 6 x 4 sums
#else
constexpr int kRows = 2;
#endif
static_assert(kBlockRows * (2 * kMaxHeadDim + kChunk) * 4 <=
              attentionScratchBytes());
constexpr float kMasked = -3.0e38f;

/// Query rows of one sequence that share a kv head: row r is head
/// kvHead * groupHeads + r % groupHeads of token r / groupHeads.
struct Rows {
  const qrt_sequence *sequence;
  int64_t kvHead, groupHeads;

  KRN_METHOD int64_t token(int64_t r) const {
    return sequence->first_token + r / groupHeads;
  }
  KRN_METHOD int64_t head(int64_t r) const {
    return kvHead * groupHeads + r % groupHeads;
  }
  KRN_METHOD int64_t position(int64_t r) const {
    return sequence->past + r / groupHeads;
  }
};

/// The nearest bf16, ties to even, as f32.
KRN_INLINE F32x16 roundToBfloat(F32x16 v) {
  I32x16 bits = asBits(v);
  return asFloat((bits + (((bits >> 16) & 1) + 0x7fff)) & int32_t(0xffff0000));
}

/// The first position that a token at `position` attends to.
KRN_INLINE int64_t oldest(const AttentionConfig *config, int64_t position) {
  int64_t first = config->window ? position - config->window + 1 : 0;
  return first > 0 ? first : 0;
}

/// What is known of a block of rows between chunks, in the thread's scratch.
struct Block {
  const AttentionConfig *config;
  const char *keys, *values; ///< of the kv head
  int64_t dimStride;         ///< headDim in whole vectors
  float *query;              ///< [row][dimStride], scaled
  float *output;             ///< [row][dimStride]
  float *scores;             ///< [row][kChunk]
  float largest[kBlockRows], total[kBlockRows], shrink[kBlockRows];

  /// scores[r][16 t ..] = q[r] . k for T tiles of keys.
  template <int R, int T>
  KRN_METHOD void score(int64_t r, int64_t position) const {
    int64_t dim = config->headDim;
    const char *tile = keys + position * dim * elementBytes(config->kvElement);
    const float *q = query + r * dimStride;
    F32x16 s[R][T] = {};
    for (int64_t d = 0; d < dim; ++d) {
      F32x16 k[T];
      KRN_UNROLL
      for (int t = 0; t < T; ++t)
        k[t] = loadElements(config->kvElement, tile, (t * dim + d) * 16);
      KRN_UNROLL
      for (int i = 0; i < R; ++i) {
        F32x16 v = splat(q[i * dimStride + d]);
        KRN_UNROLL
        for (int t = 0; t < T; ++t)
          s[i][t] = fma(k[t], v, s[i][t]);
      }
    }
    KRN_UNROLL
    for (int i = 0; i < R; ++i) {
      KRN_UNROLL
      for (int t = 0; t < T; ++t)
        store(scores + (r + i) * kChunk + position % kChunk + t * 16, s[i][t]);
    }
  }

  /// The probabilities of row r in a chunk of `tiles` tiles, up to a factor
  /// that is found at the end; updates the row's maximum and sum.
  KRN_METHOD void soften(int64_t r, int64_t position, float slope,
                         int64_t first, int tiles) {
    float *s = scores + r * kChunk;
    I32x16 last = splat(int32_t(position - first));
    I32x16 begin = splat(int32_t(oldest(config, position) - first));
    F32x16 most = splat(kMasked);
    for (int t = 0; t < tiles; ++t) {
      F32x16 v = load(s + t * 16);
      if (config->softCap > 0)
        v = splat(config->softCap) * tanh(v * splat(1.0f / config->softCap));
      I32x16 offset = laneNumbers() + t * 16;
      if (config->alibi == AlibiExact)
        v = fma(toFloat(offset - last), slope, v);
      if (config->alibi == AlibiBf16) {
        I32x16 absolute = offset + splat(int32_t(first));
        F32x16 bias = roundToBfloat(toFloat(absolute)) * splat(slope);
        v = fma(roundToBfloat(bias), config->scale, v);
      }
      v = ((offset > last) | (offset < begin)) ? splat(kMasked) : v;
      store(s + t * 16, v);
      most = max(most, v);
    }
    float now = maximum(most);
    now = now > largest[r] ? now : largest[r];
    // All of a chunk may be masked for a row, and the first ones for the
    // window.
    shrink[r] = largest[r] > kMasked ? exp(splat(largest[r] - now))[0] : 1.0f;
    largest[r] = now;
    F32x16 sums = {};
    for (int t = 0; t < tiles; ++t) {
      F32x16 v = load(s + t * 16);
      v = v > splat(kMasked) ? exp(v - splat(now)) : F32x16{};
      store(s + t * 16, v);
      sums += v;
    }
    total[r] = total[r] * shrink[r] + sum(sums);
  }

  /// output[r] = output[r] * shrink[r] + p[r] . v over `count` positions, for
  /// vectors [d, d + 16 V) of the head. The last may be part of one.
  template <int R, int V>
  KRN_METHOD void addValues(int64_t r, int64_t d, int64_t first,
                            int64_t count) const {
    int64_t dim = config->headDim;
    int64_t bytes = elementBytes(config->kvElement);
    const char *row = values + (first * dim + d) * bytes;
    F32x16 o[R][V];
    KRN_UNROLL
    for (int i = 0; i < R; ++i) {
      KRN_UNROLL
      for (int j = 0; j < V; ++j)
        o[i][j] = load(output + (r + i) * dimStride + d + 16 * j) *
                  splat(shrink[r + i]);
    }
    const float *p = scores + r * kChunk;
    for (int64_t n = 0; n < count; ++n) {
      F32x16 v[V];
      KRN_UNROLL
      for (int j = 0; j < V; ++j)
        v[j] = loadElements(config->kvElement, row, 16 * j);
      KRN_UNROLL
      for (int i = 0; i < R; ++i) {
        F32x16 weight = splat(p[i * kChunk + n]);
        KRN_UNROLL
        for (int j = 0; j < V; ++j)
          o[i][j] = fma(v[j], weight, o[i][j]);
      }
      row += dim * bytes;
    }
    KRN_UNROLL
    for (int i = 0; i < R; ++i) {
      KRN_UNROLL
      for (int j = 0; j < V; ++j)
        store(output + (r + i) * dimStride + d + 16 * j, o[i][j]);
    }
  }

  /// The same for the dimensions from d on that do not fill a vector.
  KRN_METHOD void addValuesTail(int64_t r, int64_t d, int64_t first,
                                int64_t count) const {
    for (; d < config->headDim; ++d) {
      float o = output[r * dimStride + d] * shrink[r];
      for (int64_t n = 0; n < count; ++n)
        o = fma(loadElement(config->kvElement, values,
                            (first + n) * config->headDim + d),
                scores[r * kChunk + n], o);
      output[r * dimStride + d] = o;
    }
  }

  /// One chunk for rows [r, r + R).
  template <int R>
  KRN_METHOD void chunk(const Rows &rows, int64_t firstRow, int64_t r,
                        const float *slopes, int64_t first, int64_t count) {
    int tiles = int((count + 15) / 16), t = 0;
    if (tiles == kTiles)
      score<R, kTiles>(r, first);
    else
      for (; t < tiles; ++t)
        score<R, 1>(r, first + t * 16);
    KRN_UNROLL
    for (int i = 0; i < R; ++i) {
      int64_t row = firstRow + r + i;
      soften(r + i, rows.position(row),
             config->alibi ? slopes[rows.head(row)] : 0.0f, first, tiles);
    }
    int64_t d = 0;
    for (; d + 64 <= config->headDim; d += 64)
      addValues<R, 4>(r, d, first, count);
    if (d + 32 <= config->headDim) {
      addValues<R, 2>(r, d, first, count);
      d += 32;
    }
    if (d + 16 <= config->headDim) {
      addValues<R, 1>(r, d, first, count);
      d += 16;
    }
    KRN_UNROLL
    for (int i = 0; i < R; ++i)
      addValuesTail(r + i, d, first, count);
  }
};

/// Rows [firstRow, firstRow + count), count <= kBlockRows.
KRN_INLINE void attend(Block &block, const Rows &rows, int64_t kvLayerOffset,
                       int64_t firstRow, int64_t count, const float *q,
                       const float *slopes, float *out) {
  const AttentionConfig *config = block.config;
  int64_t dim = config->headDim, capacity = rows.sequence->capacity;
  int64_t headBytes = capacity * dim * elementBytes(config->kvElement);
  block.keys = (const char *)rows.sequence->kv + capacity * kvLayerOffset +
               rows.kvHead * headBytes;
  block.values = block.keys + config->kvHeads * headBytes;
  for (int64_t r = 0; r < count; ++r) {
    const float *from = q + rows.token(firstRow + r) * config->qStride +
                        rows.head(firstRow + r) * dim;
    float *to = block.query + r * block.dimStride;
    for (int64_t d = 0; d < dim; d += 16) {
      store(to + d, loadUpTo(from + d, dim - d) * splat(config->scale));
      store(block.output + r * block.dimStride + d, F32x16{});
    }
    block.largest[r] = kMasked;
    block.total[r] = 0;
  }

  // Positions grow with the rows.
  int64_t begin = oldest(config, rows.position(firstRow)) / kChunk * kChunk;
  int64_t end = rows.position(firstRow + count - 1) + 1;
  for (int64_t first = begin; first < end; first += kChunk) {
    int64_t r = 0;
    // Positions after the last row's may never have been written.
    auto visible = [&](int64_t rowsHere) KRN_LAMBDA {
      int64_t last = rows.position(firstRow + r + rowsHere - 1) + 1 - first;
      return smaller(last, kChunk);
    };
    for (; r + kRows <= count; r += kRows)
      if (int64_t n = visible(kRows); n > 0)
        block.chunk<kRows>(rows, firstRow, r, slopes, first, n);
    if constexpr (kRows > 4)
      if (r + 4 <= count) {
        if (int64_t n = visible(4); n > 0)
          block.chunk<4>(rows, firstRow, r, slopes, first, n);
        r += 4;
      }
    if constexpr (kRows > 2)
      if (r + 2 <= count) {
        if (int64_t n = visible(2); n > 0)
          block.chunk<2>(rows, firstRow, r, slopes, first, n);
        r += 2;
      }
    if (r < count)
      if (int64_t n = visible(1); n > 0)
        block.chunk<1>(rows, firstRow, r, slopes, first, n);
  }

  for (int64_t r = 0; r < count; ++r) {
    F32x16 inverse = splat(1.0f / block.total[r]);
    float *to = out + rows.token(firstRow + r) * config->outputStride +
                rows.head(firstRow + r) * dim;
    for (int64_t d = 0; d < dim; d += 16)
      storeUpTo(to + d, load(block.output + r * block.dimStride + d) * inverse,
                dim - d);
  }
}

/// What a row at `position` costs, in positions.
KRN_INLINE int64_t costOf(const AttentionConfig *config, int64_t position) {
  return position + 1 - oldest(config, position) + 16;
}

/// Of one kv head's rows, those that begin in [begin, end) of the line of all
/// rows, each as long as its cost. `at` is where the first one begins; it moves
/// on to the end of the last one looked at.
KRN_INLINE Share rowsWithin(const AttentionConfig *config, const Rows &rows,
                            int64_t begin, int64_t end, int64_t &at) {
  Share share = {0, 0};
  for (int64_t t = 0; t < rows.sequence->tokens; ++t) {
    int64_t cost = costOf(config, rows.sequence->past + t);
    for (int64_t i = 0; i < rows.groupHeads; ++i, at += cost) {
      if (at >= end)
        return share;
      ++share.end;
      if (at < begin)
        share.begin = share.end;
    }
  }
  return share;
}

} // namespace

extern "C" void krn_attention(const AttentionConfig *config,
                              const qrt_step *step, int64_t kvLayerOffset,
                              const float *q, const float *alibiSlopes,
                              float *output, void *scratch, uint32_t part,
                              uint32_t parts) {
  Block block;
  block.config = config;
  block.dimStride = roundUp(config->headDim, 16);
  block.query = (float *)scratch;
  block.output = block.query + kBlockRows * block.dimStride;
  block.scores = block.output + kBlockRows * block.dimStride;
  int64_t groupHeads = config->heads / config->kvHeads;

  // A part takes a stretch of the line of all rows.
  int64_t whole = 0;
  for (uint32_t s = 0; s < step->sequence_count; ++s)
    for (uint32_t t = 0; t < step->sequences[s].tokens; ++t)
      whole += costOf(config, int64_t(step->sequences[s].past) + t);
  whole *= config->heads;
  int64_t begin = whole * part / parts, end = whole * (part + 1) / parts;
  int64_t at = 0;
  for (uint32_t s = 0; s < step->sequence_count; ++s)
    for (int64_t h = 0; h < config->kvHeads; ++h) {
      Rows rows{step->sequences + s, h, groupHeads};
      Share share = rowsWithin(config, rows, begin, end, at);
      for (int64_t r = share.begin; r < share.end; r += kBlockRows)
        attend(block, rows, kvLayerOffset, r,
               smaller(share.end - r, kBlockRows), q, alibiSlopes, output);
    }
}
