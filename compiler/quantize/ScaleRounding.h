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

/// The same, but rounded toward zero where the type's steps are relative. For
/// symmetric codes: a group's largest magnitude lies half a step beyond the
/// largest code, a tie, which goes to the larger magnitude where there is a
/// code for it. A scale rounded up would make it the smaller one, and so shrink
/// the largest weights of half of all groups.
float storedScaleBelow(float exact, qrt::ScaleType type);

/// How well storedScale() represents `exact`, which may exceed an f32.
ScaleFit scaleFit(double exact, qrt::ScaleType type);

/// Counts a group's scale in `to`; `squaredNorm` is that of its weights.
void countFit(ScaleFit fit, double squaredNorm, QuantizeStatistics &to);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_SCALEROUNDING_H
