//===- ScaleRounding.cpp - Scales as a format stores them -----------------===//

#include "compiler/quantize/ScaleRounding.h"

#include "runtime/formats/HalfFloat.h"
#include "runtime/formats/Reference.h"

#include <algorithm>
#include <cfloat>

namespace qcc {

float storedScale(float exact, qrt::ScaleType type) {
  constexpr float kMaxBfloat = 0x1.fep127f;
  float rounded = qrt::roundToScaleType(exact, type);
  if (type == qrt::ScaleType::F16)
    return std::clamp(rounded, qrt::kMinHalf, qrt::kMaxHalf);
  float largest = type == qrt::ScaleType::BF16 ? kMaxBfloat : FLT_MAX;
  return std::clamp(rounded, FLT_MIN, largest);
}

float storedScaleBelow(float exact, qrt::ScaleType type) {
  float stored = storedScale(exact, type);
  if (stored <= exact || type == qrt::ScaleType::F32)
    return stored;
  // One step of the type lower, rounded again.
  float half = type == qrt::ScaleType::F16 ? 0x1p-11f : 0x1p-8f;
  return storedScale(stored - stored * half, type);
}

ScaleFit scaleFit(double exact, qrt::ScaleType type) {
  double limited = std::min(exact, double(FLT_MAX));
  double stored = storedScale(float(limited), type);
  constexpr double kTolerance = 0x1p-8;
  if (stored < exact * (1 - kTolerance))
    return exact > 1 ? ScaleFit::TooLarge : ScaleFit::TooSmall;
  return stored > exact * (1 + kTolerance) ? ScaleFit::TooSmall
                                           : ScaleFit::Good;
}

void countFit(ScaleFit fit, double squaredNorm, QuantizeStatistics &to) {
  if (fit == ScaleFit::TooLarge)
    ++to.overflowedScales;
  if (fit == ScaleFit::TooSmall) {
    ++to.underflowedScales;
    to.underflowedNorm += squaredNorm;
  }
}

} // namespace qcc
