//===- ScaleRounding.h - Scales as a format stores them ---------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_SCALEROUNDING_H
#define QCC_COMPILER_QUANTIZE_SCALEROUNDING_H

#include "compiler/quantize/Statistics.h"
#include "runtime/formats/Format.h"

namespace qcc {

/// What rounding did to a scale.
enum class ScaleFit {
  Good,
  TooLarge, ///< limited to the largest of the type
  TooSmall, ///< lost more than 2^-8 of it to the type's subnormals
};

/// A positive scale rounded to what `type` holds: never 0, never infinite.
float storedScale(float exact, qrt::ScaleType type);

/// How well storedScale() represents `exact`, which may exceed an f32.
ScaleFit scaleFit(double exact, qrt::ScaleType type);

/// Counts a group's scale in `to`; `squaredNorm` is that of its weights.
void countFit(ScaleFit fit, double squaredNorm, QuantizeStatistics &to);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_SCALEROUNDING_H
