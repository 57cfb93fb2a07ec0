//===- rope.cpp - Rotary embedding and the KV cache -----------------------===//

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

/// Even and odd elements of 32 floats, and back.
KRN_INLINE void deinterleave(const float *at, int64_t count, F32x16 &even,
                             F32x16 &odd) {
  F32x16 a = loadUpTo(at, count);
  F32x16 b = count > 16 ? loadUpTo(at + 16, count - 16) : F32x16{};
  even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                 22, 24, 26, 28, 30);
  odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23,
                                25, 27, 29, 31);
}
KRN_INLINE void interleave(float *at, int64_t count, F32x16 even, F32x16 odd) {
  storeUpTo(at,
            __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4,
                                    20, 5, 21, 6, 22, 7, 23),
            count);
  if (count > 16)
    storeUpTo(at + 16,
              __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27,
                                      12, 28, 13, 29, 14, 30, 15, 31),
              count - 16);
}

/// Rotates one head of `from` into `to`, which may be the same. `table` holds
/// cos and sin of each pair.
KRN_INLINE void rotate(const RopeAppendConfig *config, const float *from,
                       const float *table, float *to) {
  int64_t half = config->rotary / 2;
  for (int64_t i = 0; i < half; i += 16) {
    int64_t count = half - i;
    F32x16 cosine, sine, x, y;
    deinterleave(table + 2 * i, 2 * count, cosine, sine);
    if (config->interleaved) {
      deinterleave(from + 2 * i, 2 * count, x, y);
    } else {
      x = loadUpTo(from + i, count);
      y = loadUpTo(from + half + i, count);
    }
    F32x16 a = x * cosine - y * sine;
    F32x16 b = y * cosine + x * sine;
    if (config->interleaved) {
      interleave(to + 2 * i, 2 * count, a, b);
    } else {
      storeUpTo(to + i, a, count);
      storeUpTo(to + half + i, b, count);
    }
  }
  if (from == to)
    return;
  for (int64_t d = config->rotary; d < config->headDim; d += 16)
    storeUpTo(to + d, loadUpTo(from + d, config->headDim - d),
              config->headDim - d);
}

/// RMS norm of one head (if the config says so), then its rotation.
KRN_INLINE void normAndRotate(const RopeAppendConfig *config, const float *from,
                              const float *norm, const float *table,
                              float *to) {
  int64_t dim = config->headDim;
  if (config->normQk) {
    F32x16 squares = {};
    for (int64_t d = 0; d < dim; d += 16) {
      F32x16 v = loadUpTo(from + d, dim - d);
      squares += v * v;
    }
    F32x16 inverse =
        splat(1.0f / sqrt(sum(squares) / float(dim) + config->epsilon));
    for (int64_t d = 0; d < dim; d += 16)
      storeUpTo(to + d,
                loadUpTo(from + d, dim - d) * inverse *
                    (loadUpTo(norm + d, dim - d) + splat(config->normOffset)),
                dim - d);
    from = to;
  }
  rotate(config, from, table, to);
}

/// Writes one head's key and value at `position` of a layer's cache
/// (AttentionConfig says where they lie).
KRN_INLINE void append(const RopeAppendConfig *config, char *layer,
                       int64_t capacity, int64_t kvHead, int64_t position,
                       const float *key, const float *value) {
  int64_t dim = config->headDim, element = config->kvElement;
  int64_t bytes = elementBytes(config->kvElement);
  char *tile = layer + (kvHead * capacity + position / 16 * 16) * dim * bytes;
  for (int64_t d = 0; d < dim; ++d)
    storeElement(int32_t(element), tile, d * 16 + position % 16, key[d]);
  char *row =
      layer + ((config->kvHeads + kvHead) * capacity + position) * dim * bytes;
  int64_t d = 0;
  for (; d + 16 <= dim; d += 16)
    storeElements(config->kvElement, row, d, load(value + d));
  for (; d < dim; ++d)
    storeElement(config->kvElement, row, d, value[d]);
}

} // namespace

extern "C" {

void krn_rope_table(const RopeTableConfig *config, const qrt_step *step,
                    const float *inverseFrequencies, float *output,
                    uint32_t part, uint32_t parts) {
  Share share = shareOf(step->tokens, part, parts);
  uint32_t s = 0;
  for (int64_t m = share.begin; m < share.end; ++m) {
    const float *frequencies = inverseFrequencies;
    double logBase = 0;
    if (config->original) {
      while (m >= int64_t(step->sequences[s].first_token) +
                      int64_t(step->sequences[s].tokens))
        ++s;
      int64_t length = step->sequences[s].length;
      bool isLong = length > config->original;
      if (isLong)
        frequencies += config->half;
      if (isLong && config->factor > 0 && config->half > 1)
        logBase = log(double(config->factor) * double(length) /
                          double(config->original) -
                      (double(config->factor) - 1)) /
                  double(config->half - 1);
    }
    for (int64_t i = 0; i < config->half; ++i) {
      float frequency = frequencies[i];
      if (logBase != 0)
        frequency = float(double(frequency) * exp(-logBase * double(i)));
      // The product is rounded to f32 first, as in transformers.
      float angle = float(step->positions[m]) * frequency;
      float sine, cosine;
      sincos(angle, &sine, &cosine);
      float *at = output + (m * config->half + i) * 2;
      at[0] = cosine * config->attentionFactor;
      at[1] = sine * config->attentionFactor;
    }
  }
}

void krn_rope_append(const RopeAppendConfig *config, const qrt_step *step,
                     int64_t kvLayerOffset, float *q, const float *k,
                     const float *v, const float *ropeTable, const float *qNorm,
                     const float *kNorm, uint32_t part, uint32_t parts) {
  int64_t dim = config->headDim;
  int64_t heads = config->heads + config->kvHeads;
  // Items are heads of tokens, those of q before the kv heads.
  Share share = shareOf(int64_t(step->tokens) * heads, part, parts);
  uint32_t s = 0;
  for (int64_t item = share.begin; item < share.end; ++item) {
    int64_t m = item / heads, head = item % heads;
    const float *table = ropeTable + m * config->rotary;
    if (head < config->heads) {
      float *at = q + m * config->qStride + head * dim;
      if (config->normQk || config->rotary)
        normAndRotate(config, at, qNorm, table, at);
      continue;
    }
    head -= config->heads;
    while (m >= int64_t(step->sequences[s].first_token) +
                    int64_t(step->sequences[s].tokens))
      ++s;
    const qrt_sequence &sequence = step->sequences[s];
    const float *key = k + m * config->kStride + head * dim;
    alignas(64) float rotated[kMaxHeadDim];
    if (config->normQk || config->rotary) {
      normAndRotate(config, key, kNorm, table, rotated);
      key = rotated;
    }
    append(config, (char *)sequence.kv + sequence.capacity * kvLayerOffset,
           sequence.capacity, head,
           int64_t(sequence.past) + m - sequence.first_token, key,
           v + m * config->vStride + head * dim);
  }
}

void krn_rope(const RopeAppendConfig *config, const qrt_step *step,
              const float *input, const float *ropeTable, float *output,
              uint32_t part, uint32_t parts) {
  Share share = shareOf(int64_t(step->tokens) * config->heads, part, parts);
  for (int64_t item = share.begin; item < share.end; ++item) {
    int64_t m = item / config->heads, head = item % config->heads;
    int64_t at = m * config->qStride + head * config->headDim;
    rotate(config, input + at, ropeTable + m * config->rotary, output + at);
  }
}

} // extern "C"
