//===- Statistics.h - What a quantizer reports ------------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_STATISTICS_H
#define QCC_COMPILER_QUANTIZE_STATISTICS_H

#include <cstdint>

namespace qcc {

/// Sums over the elements that were quantized. Stripes of one weight add up;
/// adding them in stripe order makes the sums independent of threads.
struct QuantizeStatistics {
  int64_t rows = 0;        ///< of W, as far as it has been quantized
  double squaredError = 0; ///< of W - dequantized(W)
  double squaredNorm = 0;  ///< of W
  /// Groups whose scale the format's scale type cannot hold: too large (the
  /// scale was limited to the largest one), or too small (its rounding lost
  /// more than 2^-8 of it).
  int64_t overflowedScales = 0;
  int64_t underflowedScales = 0;
  /// Part of squaredNorm in the groups whose scale underflowed.
  double underflowedNorm = 0;

  QuantizeStatistics &operator+=(const QuantizeStatistics &other) {
    rows += other.rows;
    squaredError += other.squaredError;
    squaredNorm += other.squaredNorm;
    overflowedScales += other.overflowedScales;
    underflowedScales += other.underflowedScales;
    underflowedNorm += other.underflowedNorm;
    return *this;
  }

  /// ‖W - Q‖² / ‖W‖², the `error` column of the quantization log; 0 for an
  /// all-zero weight.
  double relativeError() const {
    return squaredNorm > 0 ? squaredError / squaredNorm : 0;
  }

  /// True if scales of f16 hurt the weight: a scale was too large, or the
  /// groups whose scales were too small are a noticeable part of the weight.
  bool needsF32Scales() const {
    return overflowedScales > 0 || underflowedNorm > 1e-6 * squaredNorm;
  }
};

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_STATISTICS_H
