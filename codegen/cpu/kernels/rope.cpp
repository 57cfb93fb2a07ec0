//===- rope.cpp - Rotary embedding and the KV cache -----------------------===//

#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

/// Rotates one head of `from` into `to`, which may be the same.
KRN_INLINE void rotate(const RopeAppendConfig *config, const float *from,
                       const float *table, float *to) {
  int64_t half = config->rotary / 2;
  for (int64_t i = 0; i < half; ++i) {
    int64_t a = config->interleaved ? 2 * i : i;
    int64_t b = config->interleaved ? 2 * i + 1 : i + half;
    float c = table[2 * i], s = table[2 * i + 1];
    float x = from[a], y = from[b];
    to[a] = x * c - y * s;
    to[b] = y * c + x * s;
  }
  for (int64_t d = config->rotary; d < config->headDim; ++d)
    to[d] = from[d];
}

/// RMS norm of one head, then its rotation.
KRN_INLINE void normAndRotate(const RopeAppendConfig *config, const float *from,
                              const float *norm, const float *table,
                              float *to) {
  if (config->normQk) {
    float squares = 0;
    for (int64_t d = 0; d < config->headDim; ++d)
      squares += from[d] * from[d];
    float mean = squares / float(config->headDim);
    float inverse = 1.0f / sqrt(splat(mean + config->epsilon))[0];
    for (int64_t d = 0; d < config->headDim; ++d)
      to[d] = from[d] * inverse * (norm[d] + config->normOffset);
    from = to;
  }
  rotate(config, from, table, to);
}

} // namespace

extern "C" {

void krn_rope_table(const RopeTableConfig *config, const qrt_step *step,
                    const float *inverseFrequencies, float *output,
                    uint32_t part, uint32_t parts) {
  Share share = shareOf(step->tokens, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m)
    for (int64_t i = 0; i < config->half; ++i) {
      // The product is rounded to f32 first, as in transformers.
      float angle = float(step->positions[m]) * inverseFrequencies[i];
      float sine, cosine;
      sincos(angle, &sine, &cosine);
      float *at = output + (m * config->half + i) * 2;
      at[0] = cosine * config->attentionFactor;
      at[1] = sine * config->attentionFactor;
    }
}

void krn_rope_append(const RopeAppendConfig *config, const qrt_step *step,
                     int64_t kvLayerOffset, float *q, const float *k,
                     const float *v, const float *ropeTable, const float *qNorm,
                     const float *kNorm, uint32_t part, uint32_t parts) {
  int64_t dim = config->headDim;
  int64_t bytes = elementBytes(config->kvElement);
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
    int64_t position = sequence.past + (m - sequence.first_token);
    int64_t capacity = sequence.capacity;
    char *layer = (char *)sequence.kv + capacity * kvLayerOffset;
    float rotated[1024];
    normAndRotate(config, k + m * config->kStride + head * dim, kNorm, table,
                  rotated);
    char *keys = layer + head * capacity * dim * bytes +
                 position / 16 * 16 * dim * bytes;
    for (int64_t d = 0; d < dim; ++d)
      storeElement(config->kvElement, keys, d * 16 + position % 16, rotated[d]);
    char *values =
        layer + ((config->kvHeads + head) * capacity + position) * dim * bytes;
    const float *from = v + m * config->vStride + head * dim;
    for (int64_t d = 0; d < dim; ++d)
      storeElement(config->kvElement, values, d, from[d]);
  }
}

void krn_rope(const RopeAppendConfig *config, const qrt_step *step,
              const float *input, const float *ropeTable, float *output,
              uint32_t part, uint32_t parts) {
  Share share = shareOf(int64_t(step->tokens) * config->heads, part, parts);
  for (int64_t item = share.begin; item < share.end; ++item) {
    int64_t m = item / config->heads, head = item % config->heads;
    // The output's rows are dense; the input may be a view.
    rotate(config, input + m * config->qStride + head * config->headDim,
           ropeTable + m * config->rotary,
           output + m * config->heads * config->headDim +
               head * config->headDim);
  }
}

} // extern "C"
