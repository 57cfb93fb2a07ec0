//===- embed.cpp - Rows of the embedding table ----------------------------===//

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

using namespace qcc::krn;

namespace {

/// Elements [k, k + 16) of a row, of which `left` exist.
KRN_INLINE F32x16 loadRow(const EmbedConfig *config, const void *table,
                          int64_t id, int64_t k, int64_t left) {
  if (!config->tiled && left >= 16)
    return loadElements(config->element, table, id * config->hidden + k);
  // A line of a tile holds 1 (f32) or 2 elements of each of 16 rows.
  int64_t perLine = lineElements(config->element ? 16 : 32);
  int64_t tile = roundUp(config->hidden, perLine) * kTileRows;
  float v[16] = {};
  for (int64_t i = 0; i < smaller(left, 16); ++i) {
    int64_t column = k + i;
    int64_t at = config->tiled ? id / kTileRows * tile +
                                     column / perLine * perLine * kTileRows +
                                     id % kTileRows * perLine + column % perLine
                               : id * config->hidden + column;
    v[i] = loadElement(config->element, table, at);
  }
  return load(v);
}

} // namespace

extern "C" void krn_embed(const EmbedConfig *config, const qrt_step *step,
                          const void *table, float *output, uint32_t part,
                          uint32_t parts) {
  Share share = shareOf(step->tokens, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    float *out = output + m * config->hidden;
    int64_t id = config->positions
                     ? step->positions[m] + config->positionOffset
                     : step->token_ids[m];
    // The runtime keeps positions inside the table; memory is safe regardless.
    if (config->positions && id >= config->vocabulary)
      id = config->vocabulary - 1;
    for (int64_t k = 0; k < config->hidden; k += 16) {
      int64_t left = config->hidden - k;
      storeUpTo(out + k,
                loadRow(config, table, id, k, left) *
                    splat(config->multiplier),
                left);
    }
  }
}
