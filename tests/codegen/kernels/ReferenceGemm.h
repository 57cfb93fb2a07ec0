//===- ReferenceGemm.h - A plain packed weight and its product --*- C++ -*-===//

#ifndef QCC_TESTS_CODEGEN_KERNELS_REFERENCEGEMM_H
#define QCC_TESTS_CODEGEN_KERNELS_REFERENCEGEMM_H

#include "Buffers.h"
#include "codegen/cpu/kernels/kernels.h"
#include "runtime/formats/Format.h"

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace qcc::test {

/// A random weight of [rows, columns], logical and packed to t16.
struct TestWeight {
  qrt::Code code;
  int64_t rows, columns, group; ///< group <= columns
  bool hasZero;
  int32_t scaleType; ///< an Element
  /// Codes as unsigned numbers [rows][columns] (bits of f32, f16, bf16);
  /// scales and zero points [rows][groups].
  std::vector<uint32_t> codes;
  std::vector<float> scales;
  std::vector<uint8_t> zeros;
  GuardedBuffer packedCodes, packedScales, packedZeros;
  std::optional<GuardedBuffer> scaleCodes, nestedScales;
  /// What the kernels get.
  const void *scalePlane() const {
    return nested ? scaleCodes->data() : packedScales.data();
  }
  const void *zeroPlane() const {
    return nested ? nestedScales->data() : packedZeros.data();
  }

  TestWeight(qrt::Code code, int64_t rows, int64_t columns, int64_t group,
             bool hasZero, int32_t scaleType, std::mt19937 &random);

  /// Makes scales u8 codes, `count` of which share a nested scale (f32 scales
  /// of table codes only). The rows of a tile are those of one weight, whose
  /// first scale has some origin.
  void nestScales(int64_t count, std::mt19937 &random);
  int64_t nested = 0;

  int64_t groups() const { return (columns + group - 1) / group; }
  int64_t paddedGroup() const;
  /// What a kernel multiplies by: the code's value before its scale, minus its
  /// zero point. Exact.
  float value(int64_t row, int64_t column) const;
  float scale(int64_t row, int64_t column) const;
  /// The part of GemmConfig that describes the weight.
  GemmConfig config() const;
};

/// Scale and values of a row in 16-bit fixed point, as krn_stage_i16 says.
struct FixedRow {
  float scale;
  std::vector<int32_t> values;
};
FixedRow toFixed(const float *x, int64_t columns);

/// What a GEMM kernel has to give for a row, bit for bit, before its epilogue:
/// sums of pieces (Layout.h) in f32, or exact ones of fixed-point values.
float referenceF32(const TestWeight &weight, int64_t row, const float *x);
float referenceI16(const TestWeight &weight, int64_t row, const FixedRow &x);

/// The same in double precision, from x itself, and the sum of magnitudes that
/// errors are measured by.
struct Exact {
  double sum = 0, magnitude = 0, weights = 0;
};
Exact exactDot(const TestWeight &weight, int64_t row, const float *x);

/// An activation in double precision.
double activateExactly(int32_t activation, double x);

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_KERNELS_REFERENCEGEMM_H
