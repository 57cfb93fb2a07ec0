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
/// A row is its words or planes, the negated sum of each piece
/// (kPieceElements), and the scale.
struct StagedI16 {
  char *base;
  int64_t planeBytes, sumsBytes;
  /// Between rows: of bytes, and of words.
  int64_t stride, wordStride;

  template <typename Config> // GemmConfig or StageConfig
  StagedI16(const Config *config, const void *staged)
      : base((char *)staged),
        planeBytes(roundUp(
            stagedColumns(config->columns, config->group, config->paddedGroup),
            64)),
        sumsBytes(
            rowPieces(config->columns, config->group, config->paddedGroup) * 4),
        stride(2 * planeBytes + roundUp(sumsBytes + 4, 64)),
        wordStride(stride / 2) {}

  int8_t *high(int64_t m) const { return (int8_t *)base + m * stride; }
  int8_t *low(int64_t m) const { return high(m) + planeBytes; }
  int16_t *words(int64_t m) const { return (int16_t *)base + m * wordStride; }
  int32_t *negatedSums(int64_t m) const {
    return (int32_t *)(base + m * stride + 2 * planeBytes);
  }
  float *scale(int64_t m) const {
    return (float *)((char *)negatedSums(m) + sumsBytes);
  }
};

/// Rows of LLM.int8: those of StagedI16, whose values are codes of 8 bits, each
/// followed by its values in the outlier columns; in front of all, which
/// columns these are (Layout.h).
struct StagedSplit : StagedI16 {
  char *header;
  int64_t columns, maskBytes, valuesAt;

  template <typename Config> // GemmConfig or StageConfig
  StagedSplit(const Config *config, const void *staged)
      : StagedI16(config, staged), header((char *)staged),
        columns(config->columns), maskBytes(outlierMaskBytes(columns)),
        valuesAt(stride) {
    base = header + splitHeaderBytes(columns);
    stride += roundUp(columns * 4, 64);
    wordStride = stride / 2;
  }

  /// A bit a column, 16 in each word.
  uint16_t *mask(int64_t slot) const {
    return (uint16_t *)(header + slot * maskBytes);
  }
  int32_t *count() const {
    return (int32_t *)(header + outlierListAt(columns));
  }
  int32_t *list() const { return count() + 1; }
  float *values(int64_t m) const {
    return (float *)(base + m * stride + valuesAt);
  }
};

/// The form in which activations are staged, for a gemv or a gemm. Planes halve
/// the work of reading codes; words halve that of adding up pieces.
KRN_INLINE bool isInPlanes([[maybe_unused]] bool forGemv) {
#if defined(__AMX_INT8__)
  return true;
#elif defined(__AVX512VNNI__)
  return forGemv;
#else
  return false;
#endif
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_STAGED_H
