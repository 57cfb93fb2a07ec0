//===- staged.h - Activations as the GEMMs read them ------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELS_STAGED_H
#define QCC_CODEGEN_CPU_KERNELS_STAGED_H

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

namespace qcc::krn {

KRN_INLINE int64_t groupCount(int64_t columns, int64_t group) {
  return (columns + group - 1) / group;
}

/// f32 rows, `stride` elements apart.
struct StagedF32 {
  const float *rows;
  int64_t stride;

  StagedF32(const void *staged, int64_t padded)
      : rows((const float *)staged), stride(roundUp(padded, 16)) {}
  const float *row(int64_t m) const { return rows + m * stride; }
};

/// 16-bit fixed point x = scale * (256 * high + low), in two planes of s8 rows
/// (with VNNI), or in one of s16 whose quadruples are ordered 0, 2, 1, 3 (what
/// vpmaddwd wants beside the even and odd bytes of a code line). The sums of
/// high and low of each group follow, then the scales.
struct StagedI16 {
  char *base;
  int64_t stride, groups, planeBytes, sumsBytes;

  StagedI16(const void *staged, int64_t maxRows, int64_t padded, int64_t groups)
      : base((char *)staged), stride(roundUp(padded, 64)), groups(groups),
        planeBytes(roundUp(maxRows * stride, 64)),
        sumsBytes(roundUp(maxRows * roundUp(groups, 16) * 4, 64)) {}

  int8_t *high(int64_t m) const { return (int8_t *)base + m * stride; }
  int8_t *low(int64_t m) const { return high(m) + planeBytes; }
  int16_t *words(int64_t m) const { return (int16_t *)base + m * stride; }
  int32_t *sumHigh(int64_t m) const {
    return (int32_t *)(base + 2 * planeBytes) + m * groups;
  }
  int32_t *sumLow(int64_t m) const {
    return (int32_t *)(base + 2 * planeBytes + sumsBytes) + m * groups;
  }
  float *scales() const {
    return (float *)(base + 2 * planeBytes + 2 * sumsBytes);
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_STAGED_H
