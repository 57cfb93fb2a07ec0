//===- elementwise.cpp - Embedding and element-wise phases ----------------===//

#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

/// f(16 elements) over rows; the last elements of a row one by one.
template <typename Load, typename F>
KRN_INLINE void forRows(const ElementwiseConfig *config, int64_t rows,
                        float *output, uint32_t part, uint32_t parts,
                        Load value, F f) {
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m)
    for (int64_t i = 0; i < config->columns; i += 16) {
      int64_t count = config->columns - i;
      F32x16 v = f(value(m, i, count));
      float *at = output + m * config->outputStride + i;
      if (count >= 16)
        store(at, v);
      else
        storePart(at, v, count);
    }
}

KRN_INLINE F32x16 loadUpTo(const float *at, int64_t count) {
  return count >= 16 ? load(at) : loadPart(at, count);
}

} // namespace

extern "C" {

void krn_embed(const EmbedConfig *config, const qrt_step *step,
               const void *table, float *output, uint32_t part,
               uint32_t parts) {
  int64_t hidden = config->hidden;
  // A line of a tile holds 1 (f32) or 2 elements of each of 16 rows.
  int64_t perLine = config->element ? 2 : 1;
  int64_t padded = (hidden + perLine - 1) / perLine * perLine;
  Share share = shareOf(step->tokens, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    int64_t id = step->token_ids[m];
    float *out = output + m * hidden;
    for (int64_t k = 0; k < hidden; ++k) {
      int64_t index = id * hidden + k;
      if (config->tiled)
        index = id / 16 * 16 * padded + k / perLine * 16 * perLine +
                id % 16 * perLine + k % perLine;
      out[k] = loadElement(config->element, table, index) * config->multiplier;
    }
  }
}

void krn_activation(const ElementwiseConfig *config, int64_t rows,
                    const float *a, float *output, uint32_t part,
                    uint32_t parts) {
  forRows(
      config, rows, output, part, parts,
      [&](int64_t m, int64_t i, int64_t count) {
        return loadUpTo(a + m * config->aStride + i, count);
      },
      [&](F32x16 v) { return activate(config->activation, v); });
}

void krn_mul(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts) {
  forRows(
      config, rows, output, part, parts,
      [&](int64_t m, int64_t i, int64_t count) {
        return loadUpTo(a + m * config->aStride + i, count) *
               loadUpTo(b + m * config->bStride + i, count);
      },
      [](F32x16 v) { return v; });
}

void krn_add(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts) {
  forRows(
      config, rows, output, part, parts,
      [&](int64_t m, int64_t i, int64_t count) {
        return loadUpTo(a + m * config->aStride + i, count) +
               loadUpTo(b + m * config->bStride + i, count);
      },
      [](F32x16 v) { return v; });
}

} // extern "C"
