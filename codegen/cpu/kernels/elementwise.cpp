//===- elementwise.cpp - Element-wise phases ------------------------------===//

#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/math.h"

using namespace qcc::krn;

namespace {

/// output = f(row m, first column, columns left), 16 columns at a time.
template <typename F>
KRN_INLINE void forRows(const ElementwiseConfig *config, int64_t rows,
                        float *output, uint32_t part, uint32_t parts, F f) {
  // Vectors are shared out, not rows: there may be but one.
  int64_t perRow = (config->columns + 15) / 16;
  Share share = shareOf(rows * perRow, part, parts);
  for (int64_t i = share.begin; i < share.end; ++i) {
    int64_t m = i / perRow, k = i % perRow * 16, left = config->columns - k;
    storeUpTo(output + m * config->outputStride + k, f(m, k, left), left);
  }
}

} // namespace

extern "C" {

void krn_activation(const ElementwiseConfig *config, int64_t rows,
                    const float *a, float *output, uint32_t part,
                    uint32_t parts) {
  forRows(config, rows, output, part, parts,
          [&](int64_t m, int64_t k, int64_t left) KRN_LAMBDA {
            return activate(config->activation,
                            loadUpTo(a + m * config->aStride + k, left));
          });
}

void krn_map(const ElementwiseConfig *config, int64_t rows, const float *a,
             float *output, uint32_t part, uint32_t parts) {
  forRows(config, rows, output, part, parts,
          [&](int64_t m, int64_t k, int64_t left) KRN_LAMBDA {
            F32x16 v = loadUpTo(a + m * config->aStride + k, left);
            if (config->activation == MapSoftCap)
              return softCap(v, config->value);
            if (config->activation == MapClamp)
              return max(min(v, splat(config->value)), splat(-config->value));
            return v * splat(config->value);
          });
}

void krn_mul(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts) {
  forRows(config, rows, output, part, parts,
          [&](int64_t m, int64_t k, int64_t left) KRN_LAMBDA {
            return loadUpTo(a + m * config->aStride + k, left) *
                   loadUpTo(b + m * config->bStride + k, left);
          });
}

void krn_add(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts) {
  forRows(config, rows, output, part, parts,
          [&](int64_t m, int64_t k, int64_t left) KRN_LAMBDA {
            return loadUpTo(a + m * config->aStride + k, left) +
                   loadUpTo(b + m * config->bStride + k, left);
          });
}

} // extern "C"
