//===- epilogue.h - What happens to tiles of sums ---------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H
#define QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H

#include "codegen/cpu/kernels/math.h"

namespace qcc::krn {

/// The operands of a GEMM's epilogue and where its results go.
struct Epilogue {
  const GemmConfig *config;
  const float *bias, *residual;
  float *output;

  /// Finishes tiles [first, first + T) of token m. With GLU, tiles come in
  /// pairs of gate and up, and `first` is even.
  template <int T>
  KRN_METHOD void run(int64_t m, int64_t first, const F32x16 *sums) const {
    if (config->glu) {
      KRN_UNROLL
      for (int t = 0; t + 1 < T; t += 2) {
        int64_t row = (first + t) * 16;
        F32x16 gate = addBias(row, sums[t]);
        F32x16 up = addBias(row + 16, sums[t + 1]);
        finish(m, row / 2, config->rows / 2,
               activate(config->activation, gate) * up);
      }
      return;
    }
    KRN_UNROLL
    for (int t = 0; t < T; ++t) {
      int64_t row = (first + t) * 16;
      finish(m, row, config->rows,
             activate(config->activation, addBias(row, sums[t])));
    }
  }

private:
  KRN_METHOD F32x16 addBias(int64_t row, F32x16 v) const {
    return config->hasBias ? v + loadUpTo(bias + row, config->rows - row) : v;
  }

  /// Sixteen output columns from n on, of `columns` in all.
  KRN_METHOD void finish(int64_t m, int64_t n, int64_t columns,
                         F32x16 v) const {
    v *= splat(config->multiplier);
    if (config->softCap > 0)
      v = softCap(v, config->softCap);
    if (config->hasResidual)
      v += loadUpTo(residual + m * config->residualStride + n, columns - n);
    storeUpTo(output + m * config->outputStride + n, v, columns - n);
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_EPILOGUE_H
