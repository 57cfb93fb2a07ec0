//===- Rtn.cpp - Round-to-nearest quantization ----------------------------===//
//
// A group's elements are walked over twice (three times and more with the MSE
// search) while they are in the cache: for the range, then for the codes.
// Divisions stay divisions: x / scale and x * (1 / scale) round differently.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/Rtn.h"

#include "compiler/quantize/ScaleRounding.h"
#include "compiler/quantize/Simd.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <iterator>
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
  template <int N>
  QCC_SIMD_INLINE static Range run(const float *w, int64_t count) {
    F32<N> least, most;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      F32<N> x = F32<N>::load(w + i);
      least = simd::min(x, least);
      most = simd::max(x, most);
    }
    if (i < count) {
      F32<N> x = F32<N>::load(w + i, count - i);
      least = simd::min(x, least);
      most = simd::max(x, most);
    }
    return {reduceMin(least), reduceMax(most)};
  }
};

/// Rounds x in units of the scale to a code, less the zero point. Limiting
/// before rounding is the same as after it: the limits are integers.
template <int N>
QCC_SIMD_INLINE F32<N> roundedCode(const F32<N> &x, float low, float high) {
  return roundEven(simd::max(simd::min(x, F32<N>(high)), F32<N>(low)));
}

/// Sums of squares in units of scale^2.
struct GroupSums {
  double error, norm;
};

/// Vectors whose squares are summed in f32 before the sum goes to a double.
constexpr int64_t kSumChunk = 64;

/// The codes of one group, `stored` higher than they count from 0.
struct EncodeGroup {
  template <int N>
  QCC_SIMD_INLINE static GroupSums run(const float *w, int64_t count,
                                       GroupParameters group, float maxCode,
                                       int32_t stored, uint8_t *codes) {
    const F32<N> scale(group.scale);
    const float low = -float(group.zero), high = maxCode - float(group.zero);
    GroupSums sums{0, 0};
    for (int64_t i = 0; i < count;) {
      F32<N> error, norm;
      int64_t end = std::min(count, i + kSumChunk * kLanes);
      for (; i < end; i += kLanes) {
        int64_t size = std::min(kLanes, count - i);
        F32<N> x =
            size == kLanes ? F32<N>::load(w + i) : F32<N>::load(w + i, size);
        x = x / scale;
        F32<N> code = roundedCode(x, low, high);
        // Padding lanes hold x = 0, which adds nothing to either sum.
        error = error + (x - code) * (x - code);
        norm = norm + x * x;
        I32<N> bytes = (convert<int32_t>(code) + stored) & 0xff;
        if (size == kLanes)
          storeBytes(codes + i, bytes, kLanes);
        else
          storeBytes(codes + i, bytes, size);
      }
      sums.error += reduceAdd(error);
      sums.norm += reduceAdd(norm);
    }
    return sums;
  }
};

/// log2(1 + m) / m for 1 + m in [sqrt 1/2, sqrt 2), within 1e-6, and 2^f for f
/// in [-1/2, 1/2], within 4e-6: coefficients of the polynomials through the
/// Chebyshev nodes, highest power first.
constexpr float kLog2[] = {0.168186591f,  -0.267963871f, 0.296119557f,
                           -0.359524455f, 0.480613125f,  -0.721360179f,
                           1.44269652f};
constexpr float kExp2[] = {0.00966636852f, 0.0559219758f, 0.24022349f,
                           0.693121045f, 1.0f};

/// base^power for base >= 0, to about 1e-5: enough to compare candidates.
/// 2^(power * log2(base)), both by polynomials (Chebyshev fits).
template <int N>
QCC_SIMD_INLINE F32<N> powApproximate(const F32<N> &base, float power) {
  I32<N> bits = bitCast<int32_t>(base);
  I32<N> exponent = (bits - 0x3f3504f3) >> 23; // fraction in [sqrt 1/2, sqrt 2)
  F32<N> m = bitCast<float>(bits - (exponent << 23)) - 1.0f;
  F32<N> log = m * kLog2[0] + kLog2[1];
  for (size_t i = 2; i < std::size(kLog2); ++i)
    log = log * m + kLog2[i];
  F32<N> y = (convert<float>(exponent) + log * m) * power;
  y = simd::max(simd::min(y, F32<N>(120.0f)), F32<N>(-120.0f));
  F32<N> whole = roundEven(y);
  F32<N> f = y - whole;
  F32<N> fraction = f * kExp2[0] + kExp2[1];
  for (size_t i = 2; i < std::size(kExp2); ++i)
    fraction = fraction * f + kExp2[i];
  I32<N> shift = (convert<int32_t>(whole) + 127) << 23;
  return masked(base > F32<N>(1e-30f), fraction * bitCast<float>(shift));
}

/// sum |dequantized - w|^norm in units of scale^norm.
struct SearchError {
  template <int N>
  QCC_SIMD_INLINE static double run(const float *w, int64_t count,
                                    GroupParameters group, float maxCode,
                                    float norm) {
    // Where the reciprocal rounds a tie the other way, the error is the same.
    const float inverse = 1.0f / group.scale;
    const float low = -float(group.zero), high = maxCode - float(group.zero);
    double total = 0;
    for (int64_t i = 0; i < count;) {
      F32<N> sum;
      int64_t end = std::min(count, i + kSumChunk * kLanes);
      for (; i < end; i += kLanes) {
        int64_t size = std::min(kLanes, count - i);
        F32<N> x =
            size == kLanes ? F32<N>::load(w + i) : F32<N>::load(w + i, size);
        x = x * inverse;
        F32<N> error = simd::abs(roundedCode(x, low, high) - x);
        sum = sum + powApproximate(error, norm);
      }
      total += reduceAdd(sum);
    }
    return total;
  }
};

GroupParameters parametersOf(float least, float most, const IntCode &code) {
  // The difference of two large values may not fit where the scale does.
  float width = most - least;
  float exact = std::isfinite(width)
                    ? width / code.maxCode
                    : most / code.maxCode - least / code.maxCode;
  if (!code.asymmetric)
    return {storedScaleBelow(exact, code.scaleType), code.middle};
  float scale = storedScale(exact, code.scaleType);
  float zero = std::nearbyint(-least / scale);
  return {scale, int32_t(std::clamp(zero, 0.0f, code.maxCode))};
}

GroupParameters search(const float *w, int64_t count, Range range,
                       const IntCode &code, const RtnOptions &options) {
  const GroupParameters whole = parametersOf(range.least, range.most, code);
  if (!std::isfinite(1.0f / whole.scale))
    return whole;
  GroupParameters best = whole;
  double bestError = std::numeric_limits<double>::infinity();
  const double width = double(range.most) - double(range.least);
  const int steps = int(options.maxShrink * options.grid);
  for (int i = 0; i < steps; ++i) {
    double shrink = 1.0 - double(i) / options.grid;
    GroupParameters candidate = parametersOf(float(shrink) * range.least,
                                             float(shrink) * range.most, code);
    // The codes reach over shrink * width, and a zero point that was rounded
    // shifts them by half a step at most. So the element at one end or the
    // other is off by at least `clipped`, ever more as the range shrinks.
    double clipped = ((1 - shrink) * width - candidate.scale) / 2;
    if (clipped > 0 &&
        std::pow(clipped / whole.scale, options.norm) > bestError * 1.001)
      break;
    double unit = double(candidate.scale) / double(whole.scale);
    double error = std::pow(unit, options.norm) *
                   dispatch<SearchError>(w, count, candidate, code.maxCode,
                                         float(options.norm));
    if (error < bestError) {
      bestError = error;
      best = candidate;
    }
  }
  return best;
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
  double exact = (double(range.most) - double(range.least)) / code.maxCode;
  return {parameters, scaleFit(exact, code.scaleType)};
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
      GroupSums sums = dispatch<EncodeGroup>(values, count, found.parameters,
                                             code.maxCode, stored, codes);
      double unit =
          double(found.parameters.scale) * double(found.parameters.scale);
      total.squaredError += sums.error * unit;
      total.squaredNorm += sums.norm * unit;
      countFit(found.fit, sums.norm * unit, total);
      codes += count;
      *scales++ = found.parameters.scale;
      if (format.zero)
        *zeros++ = uint8_t(found.parameters.zero);
    }
  }
  return total;
}

} // namespace qcc
