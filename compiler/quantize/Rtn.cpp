//===- Rtn.cpp - Round-to-nearest quantization ----------------------------===//
//
// A group's elements are walked over twice (three times and more with the MSE
// search) while they are in the cache: for the range, then for the codes.
// Divisions stay divisions: x / scale and x * (1 / scale) round differently.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/Rtn.h"

#include "compiler/quantize/Simd.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

namespace qcc {

namespace {

using namespace simd;

/// The constants of a format that the loops need.
struct IntCode {
  explicit IntCode(const qrt::Format &format)
      : maxCode(float((1 << format.codeBits()) - 1)),
        middle(qrt::defaultZero(format.code)), asymmetric(format.zero),
        signedBytes(format.code == qrt::Code::Int8 && !format.zero),
        scaleType(format.scale) {}

  float maxCode;
  int32_t middle;
  bool asymmetric;
  bool signedBytes; ///< store code - 128
  qrt::ScaleType scaleType;
};

struct Range {
  float least, most;
};

/// The least and the largest of the values and 0.
struct FindRange {
  QCC_SIMD_INLINE static Range run(const float *w, int64_t count) {
    VecF32 least{}, most{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      VecF32 x = load(w + i);
      least = simd::min(x, least);
      most = simd::max(x, most);
    }
    if (i < count) {
      VecF32 x = loadPart<VecF32>(w + i, count - i);
      least = simd::min(x, least);
      most = simd::max(x, most);
    }
    return {reduceMin(least), reduceMax(most)};
  }
};

/// round(x / scale), limited so that adding the zero point gives a code.
QCC_SIMD_INLINE VecF32 roundedCode(VecF32 x, VecF32 scale, float low,
                                   float high) {
  // Limiting before rounding is the same as after: the limits are integers.
  return roundEven(simd::max(simd::min(x / scale, splat(high)), splat(low)));
}

/// The codes of one group, and the sums for the error.
struct EncodeGroup {
  QCC_SIMD_INLINE static void run(const float *w, int64_t count,
                                  GroupParameters group, float maxCode,
                                  int32_t stored, uint8_t *codes,
                                  QuantizeStatistics *statistics) {
    float zero = float(group.zero);
    VecF32 scale = splat(group.scale);
    VecF64 error{}, norm{};
    auto step = [&](VecF32 x, int64_t size) __attribute__((always_inline)) {
      VecF32 code = roundedCode(x, scale, -zero, maxCode - zero);
      // Padding lanes hold x = 0, which adds nothing to either sum.
      VecF64 difference = toDouble(x) - toDouble(code * scale);
      error += difference * difference;
      norm += toDouble(x) * toDouble(x);
      VecI32 integer = __builtin_convertvector(code, VecI32);
      storeBytes(codes, (integer + stored) & 0xff, size);
      codes += size;
    };
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      step(load(w + i), kLanes);
    if (i < count)
      step(loadPart<VecF32>(w + i, count - i), count - i);
    statistics->squaredError += reduceAdd(error);
    statistics->squaredNorm += reduceAdd(norm);
  }
};

/// base^power for base >= 0 to about 2e-6: enough to compare candidates.
/// log2 by the series of atanh, exp2 by a polynomial of degree 6.
QCC_SIMD_INLINE VecF32 powApproximate(VecF32 base, float power) {
  VecI32 bits = reinterpret_cast<VecI32>(base);
  VecI32 exponent =
      (bits - 0x3f3504f3) >> 23; // fraction in [sqrt(1/2), sqrt 2)
  VecF32 fraction = reinterpret_cast<VecF32>(bits - (exponent << 23));
  VecF32 t = (fraction - 1.0f) / (fraction + 1.0f);
  VecF32 t2 = t * t;
  VecF32 series = ((t2 * 0.320598898f + 0.412198583f) * t2 + 0.577078016f) * t2;
  series = t * ((series + 0.961796694f) * t2 + 2.885390082f);
  VecF32 y = (__builtin_convertvector(exponent, VecF32) + series) * power;
  y = simd::max(simd::min(y, splat(120.0f)), splat(-120.0f));
  VecF32 whole = roundEven(y);
  VecF32 f = y - whole;
  VecF32 p = splat(1.54035304e-4f);
  p = p * f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  VecI32 shift = (__builtin_convertvector(whole, VecI32) + 127) << 23;
  VecF32 result = p * reinterpret_cast<VecF32>(shift);
  return base > splat(1e-30f) ? result : splat(0.0f);
}

/// sum |dequantized - w|^norm * unit^norm: `unit` brings the errors near 1,
/// whatever the size of the weights.
struct SearchError {
  QCC_SIMD_INLINE static double run(const float *w, int64_t count,
                                    GroupParameters group, float maxCode,
                                    float unit, float norm) {
    float zero = float(group.zero);
    VecF32 scale = splat(group.scale);
    VecF64 sum{};
    auto step = [&](VecF32 x) __attribute__((always_inline)) {
      VecF32 code = roundedCode(x, scale, -zero, maxCode - zero);
      sum += toDouble(powApproximate(simd::abs(code * scale - x) * unit, norm));
    };
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      step(load(w + i));
    if (i < count)
      step(loadPart<VecF32>(w + i, count - i));
    return reduceAdd(sum);
  }
};

/// The scale as the format stores it, never 0 and never infinite.
float storedScale(float scale, qrt::ScaleType type) {
  float rounded = qrt::roundToScaleType(scale, type);
  if (type == qrt::ScaleType::F16) {
    if (rounded == 0)
      return qrt::kMinHalf;
    return std::min(rounded, qrt::kMaxHalf);
  }
  constexpr float kMaxBfloat = 0x1.fep127f;
  float largest = type == qrt::ScaleType::BF16 ? kMaxBfloat : FLT_MAX;
  return std::min(std::max(rounded, FLT_MIN), largest);
}

GroupParameters parametersOf(float least, float most, const IntCode &code) {
  // The difference of two large values may not fit where the scale does.
  float width = most - least;
  float exact = std::isfinite(width)
                    ? width / code.maxCode
                    : most / code.maxCode - least / code.maxCode;
  float scale = storedScale(exact, code.scaleType);
  if (!code.asymmetric)
    return {scale, code.middle};
  float zero = std::nearbyint(-least / scale);
  return {scale, int32_t(std::clamp(zero, 0.0f, code.maxCode))};
}

GroupParameters search(const float *w, int64_t count, Range range,
                       const IntCode &code, const RtnOptions &options) {
  GroupParameters best = parametersOf(range.least, range.most, code);
  double bestError = std::numeric_limits<double>::infinity();
  float unit = 1.0f / best.scale;
  if (!std::isfinite(unit))
    return best;
  int steps = int(options.maxShrink * options.grid);
  for (int i = 0; i < steps; ++i) {
    float shrink = float(1.0 - double(i) / options.grid);
    GroupParameters candidate =
        parametersOf(shrink * range.least, shrink * range.most, code);
    double error = dispatch<SearchError>(w, count, candidate, code.maxCode,
                                         unit, float(options.norm));
    if (error < bestError) {
      bestError = error;
      best = candidate;
    }
  }
  return best;
}

/// What rounding did to the exact scale of `range`.
enum class ScaleFit { Good, TooLarge, TooSmall };

ScaleFit fitOf(Range range, const IntCode &code) {
  double exact = (double(range.most) - double(range.least)) / code.maxCode;
  double stored = storedScale(float(exact), code.scaleType);
  if (stored < exact * (1 - 0x1p-8))
    return exact > 1 ? ScaleFit::TooLarge : ScaleFit::TooSmall;
  return stored > exact * (1 + 0x1p-8) ? ScaleFit::TooSmall : ScaleFit::Good;
}

struct FoundGroup {
  GroupParameters parameters;
  ScaleFit fit;
};

FoundGroup findGroup(const float *w, int64_t count, const IntCode &code,
                     const RtnOptions &options) {
  Range range = dispatch<FindRange>(w, count);
  if (range.least == 0 && range.most == 0) {
    // Any scale will do; this one is the reference's.
    return {parametersOf(-1, 1, code), ScaleFit::Good};
  }
  if (!code.asymmetric) {
    float largest = std::max(-range.least, range.most);
    range = {-largest, largest};
  }
  GroupParameters parameters =
      options.mse ? search(w, count, range, code, options)
                  : parametersOf(range.least, range.most, code);
  return {parameters, fitOf(range, code)};
}

void countFit(ScaleFit fit, double squaredNorm, QuantizeStatistics &to) {
  if (fit == ScaleFit::TooLarge)
    ++to.overflowedScales;
  if (fit == ScaleFit::TooSmall) {
    ++to.underflowedScales;
    to.underflowedNorm += squaredNorm;
  }
}

void requireIntFormat(const qrt::Format &format) {
  format.verify();
  if (!qrt::isIntCode(format.code))
    throw qrt::Error("round-to-nearest makes int codes, not " +
                     format.mangled());
}

} // namespace

GroupParameters findGroupParameters(const float *w, int64_t count,
                                    const qrt::Format &format,
                                    const RtnOptions &options,
                                    QuantizeStatistics *statistics) {
  requireIntFormat(format);
  FoundGroup found = findGroup(w, count, IntCode(format), options);
  if (statistics && found.fit != ScaleFit::Good) {
    double squaredNorm = 0;
    for (int64_t i = 0; i < count; ++i)
      squaredNorm += double(w[i]) * double(w[i]);
    countFit(found.fit, squaredNorm, *statistics);
  }
  return found.parameters;
}

QuantizeStatistics quantizeRows(const float *w, int64_t rows, int64_t columns,
                                const qrt::Format &format,
                                const RtnOptions &options, uint8_t *codes,
                                float *scales, uint8_t *zeros) {
  requireIntFormat(format);
  const IntCode code(format);
  const int64_t groupSize = format.groupSize(columns);
  QuantizeStatistics total;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t begin = 0; begin < columns; begin += groupSize) {
      int64_t count = std::min(groupSize, columns - begin);
      const float *values = w + row * columns + begin;
      FoundGroup found = findGroup(values, count, code, options);
      // The codes are those of the stored scale, not of the exact one.
      int32_t stored = found.parameters.zero - (code.signedBytes ? 128 : 0);
      QuantizeStatistics sums;
      dispatch<EncodeGroup>(values, count, found.parameters, code.maxCode,
                            stored, codes, &sums);
      countFit(found.fit, sums.squaredNorm, sums);
      total += sums;
      codes += count;
      *scales++ = found.parameters.scale;
      if (format.zero)
        *zeros++ = uint8_t(found.parameters.zero);
    }
  }
  return total;
}

} // namespace qcc
