//===- staged.h - Activations as the GEMMs read them ------------*- C++ -*-===//
//
// The layout of staged activations is private to the kernels of one variant;
// only its size is known outside (Layout.h).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_STAGED_H
#define QCC_CODEGEN_CPU_KERNELS_STAGED_H

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

namespace qcc::krn {

/// f32 rows, `stride` elements apart.
struct StagedF32 {
  const float *base;
  int64_t stride;

  template <typename Config> // GemmConfig or StageConfig
  StagedF32(const Config *config, const void *staged)
      : base((const float *)staged),
        stride(roundUp(
            stagedColumns(config->columns, config->group, config->paddedGroup),
            16)) {}
  const float *row(int64_t m) const { return base + m * stride; }
};

/// 16-bit fixed point: x = scale * v, |v| <= 32512, one scale a row.
///
/// Values lie in one of two forms. As words: s16 rows in which every four
/// elements are ordered 0, 2, 1, 3, which is how the even and odd bytes of a
/// line of codes want them. As planes: v = 256 * high + low, all high halves
/// (s8, in order), then all low halves; vpdpbusd and AMX multiply bytes.
/// The negated sum of each piece (kPieceElements) follows, then the scales.
struct StagedI16 {
  char *base;
  int64_t stride, pieces, planeBytes, sumBytes;

  template <typename Config> // GemmConfig or StageConfig
  StagedI16(const Config *config, const void *staged, int64_t maxRows)
      : base((char *)staged),
        stride(roundUp(
            stagedColumns(config->columns, config->group, config->paddedGroup),
            64)),
        pieces(rowPieces(config->columns, config->group, config->paddedGroup)),
        planeBytes(maxRows * stride),
        sumBytes(roundUp(maxRows * pieces * 4, 64)) {}

  int8_t *high(int64_t m) const { return (int8_t *)base + m * stride; }
  int8_t *low(int64_t m) const { return high(m) + planeBytes; }
  int16_t *words(int64_t m) const { return (int16_t *)base + m * stride; }
  int32_t *negatedSums(int64_t m) const {
    return (int32_t *)(base + 2 * planeBytes) + m * pieces;
  }
  float *scales() const { return (float *)(base + 2 * planeBytes + sumBytes); }
};

/// Up to so many tokens of a step, the bucket is for gemv.
constexpr int64_t kGemvTokens = 8;

/// The form in which a bucket of up to `maxRows` tokens is staged. Planes halve
/// the work of reading codes; words halve that of adding up pieces.
KRN_INLINE bool isInPlanes([[maybe_unused]] int64_t maxRows) {
#if defined(__AMX_INT8__)
  return true;
#elif defined(__AVX512VNNI__)
  return maxRows <= kGemvTokens;
#else
  return false;
#endif
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_STAGED_H
