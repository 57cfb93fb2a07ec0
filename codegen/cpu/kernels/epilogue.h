//===- epilogue.h - What happens to a tile of sums --------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H
#define QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H

#include "codegen/cpu/kernels/math.h"

namespace qcc::krn {

/// Output columns [n, n + 16) of token m, of which `count` exist.
KRN_INLINE void finishTile(const GemmConfig *config, int64_t m, int64_t n,
                           int64_t count, F32x16 v, const float *residual,
                           float *output) {
  v *= config->multiplier;
  float *at = output + m * config->outputStride + n;
  if (count >= 16) {
    if (config->hasResidual)
      v += load(residual + m * config->residualStride + n);
    store(at, v);
    return;
  }
  if (config->hasResidual)
    v += loadPart(residual + m * config->residualStride + n, count);
  storePart(at, v, count);
}

KRN_INLINE F32x16 addBias(const GemmConfig *config, const float *bias,
                          int64_t row, F32x16 v) {
  if (!config->hasBias)
    return v;
  int64_t count = config->rows - row;
  return v + (count >= 16 ? load(bias + row) : loadPart(bias + row, count));
}

/// The epilogue of one tile of rows (rows [16 tile, 16 tile + 16)).
KRN_INLINE void epilogue(const GemmConfig *config, int64_t m, int64_t tile,
                         F32x16 v, const float *bias, const float *residual,
                         float *output) {
  v = activate(config->activation, addBias(config, bias, tile * 16, v));
  finishTile(config, m, tile * 16, config->rows - tile * 16, v, residual,
             output);
}

/// The epilogue of a pair of tiles with GLU: gates and the rows they gate.
KRN_INLINE void epilogueGlu(const GemmConfig *config, int64_t m, int64_t pair,
                            F32x16 gate, F32x16 up, const float *bias,
                            const float *residual, float *output) {
  gate = addBias(config, bias, pair * 32, gate);
  up = addBias(config, bias, pair * 32 + 16, up);
  finishTile(config, m, pair * 16, config->rows / 2 - pair * 16,
             activate(config->activation, gate) * up, residual, output);
}

/// One or two tiles that were computed together, whatever the epilogue.
/// `first` is the index of the first tile; with GLU it is even.
KRN_INLINE void epilogues(const GemmConfig *config, int64_t m, int64_t first,
                          int64_t tiles, const F32x16 *sums, const float *bias,
                          const float *residual, float *output) {
  if (config->glu) {
    epilogueGlu(config, m, first / 2, sums[0], sums[1], bias, residual, output);
    return;
  }
  for (int64_t t = 0; t < tiles; ++t)
    epilogue(config, m, first + t, sums[t], bias, residual, output);
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H
