//===- Bnb.cpp - bitsandbytes' blockwise formats --------------------------===//

#include "compiler/quantize/Bnb.h"

#include "compiler/quantize/Simd.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace qcc {

namespace {

using namespace simd;

/// bitsandbytes divides by at least this much (a subnormal), so that blocks of
/// zeros and of subnormals stay finite.
constexpr float kLeastAbsmax = 1e-38f;

/// Elements of a block of bitsandbytes' nested 8-bit scales.
constexpr int64_t kNestedBlock = 256;

/// The 15 midpoints between neighbours of the ascending table: a scaled value
/// has the rank "how many midpoints lie below it", which sends ties to the
/// lower value. fp4 has two zeros, code 0 below code 8, and so a midpoint at 0.
using Midpoints = std::array<float, 15>;

Midpoints midpointsOf(qrt::Code code) {
  const float *table = code == qrt::Code::NF4 ? qrt::kNf4Table : qrt::kFp4Table;
  std::array<float, 16> ascending;
  std::copy(table, table + 16, ascending.begin());
  std::sort(ascending.begin(), ascending.end());
  Midpoints midpoints;
  for (size_t i = 0; i < midpoints.size(); ++i)
    midpoints[i] = (ascending[i] + ascending[i + 1]) / 2;
  return midpoints;
}

const Midpoints kNf4Midpoints = midpointsOf(qrt::Code::NF4);
const Midpoints kFp4Midpoints = midpointsOf(qrt::Code::FP4);

struct FindAbsmax {
  QCC_SIMD_INLINE static float run(const float *w, int64_t count) {
    VecF32 most{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      most = simd::max(simd::abs(load(w + i)), most);
    if (i < count)
      most = simd::max(simd::abs(loadPart<VecF32>(w + i, count - i)), most);
    return reduceMax(most);
  }
};

QCC_SIMD_INLINE VecI32 rankOf(VecF32 x, const Midpoints &midpoints) {
  VecI32 rank{};
  for (float midpoint : midpoints)
    rank -= x > splat(midpoint); // a true lane is -1
  return rank;
}

/// fp4's code of a rank among -1, -2/3, ... -0.0052, 0, 0, 0.0052, ... 1. By
/// magnitude the codes 0..7 are 0, 1, 6, 7, 4, 5, 2, 3: bit 2 flips with bit 1.
QCC_SIMD_INLINE VecI32 fp4CodeOf(VecI32 rank) {
  VecI32 above = rank >= 8; // -1 in lanes of positive values
  VecI32 magnitude = above ? rank - 8 : 7 - rank;
  VecI32 code = magnitude ^ ((magnitude & 2) << 1);
  VecI32 zero = magnitude == 0;
  return code | (~(above ^ zero) & 8);
}

template <bool IsNf4>
struct EncodeBlock {
  QCC_SIMD_INLINE static void run(const float *w, int64_t count, float absmax,
                                  uint8_t *codes,
                                  QuantizeStatistics *statistics) {
    const Midpoints &midpoints = IsNf4 ? kNf4Midpoints : kFp4Midpoints;
    const float *table = IsNf4 ? qrt::kNf4Table : qrt::kFp4Table;
    const float inverse = 1.0f / std::max(absmax, kLeastAbsmax);
    VecF64 error{}, norm{};
    auto step = [&](VecF32 x, int64_t size) __attribute__((always_inline)) {
      VecI32 code = rankOf(x * inverse, midpoints);
      if constexpr (!IsNf4)
        code = fp4CodeOf(code);
      storeBytes(codes, code, size);
      VecF32 value{};
      for (int64_t lane = 0; lane < kLanes; ++lane)
        value[lane] = table[code[lane]];
      VecF64 difference = toDouble(x) - toDouble(value * absmax);
      error += difference * difference;
      norm += toDouble(x) * toDouble(x);
      codes += size;
    };
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      step(load(w + i), kLanes);
    // Padding lanes hold 0, which both tables represent.
    if (i < count)
      step(loadPart<VecF32>(w + i, count - i), count - i);
    statistics->squaredError += reduceAdd(error);
    statistics->squaredNorm += reduceAdd(norm);
  }
};

void encodeBlock(qrt::Code code, const float *w, int64_t count, float absmax,
                 uint8_t *codes, QuantizeStatistics *statistics) {
  if (code == qrt::Code::NF4)
    dispatch<EncodeBlock<true>>(w, count, absmax, codes, statistics);
  else
    dispatch<EncodeBlock<false>>(w, count, absmax, codes, statistics);
}

void requireTableFormat(const qrt::Format &format) {
  format.verify();
  if (format.code != qrt::Code::NF4 && format.code != qrt::Code::FP4)
    throw qrt::Error("bitsandbytes' 4-bit codes are nf4 and fp4, not " +
                     format.mangled());
}

} // namespace

QuantizeStatistics quantizeBlocks(const float *w, int64_t count, qrt::Code code,
                                  int64_t block, uint8_t *codes,
                                  float *absmax) {
  QuantizeStatistics statistics;
  for (int64_t begin = 0; begin < count; begin += block) {
    int64_t size = std::min(block, count - begin);
    float most = dispatch<FindAbsmax>(w + begin, size);
    encodeBlock(code, w + begin, size, most, codes + begin, &statistics);
    *absmax++ = most;
  }
  return statistics;
}

QuantizeStatistics quantizeTableRows(const float *w, int64_t rows,
                                     int64_t columns, const qrt::Format &format,
                                     uint8_t *codes, float *scales) {
  requireTableFormat(format);
  // A flattened range is one long row.
  int64_t lines = format.flattened ? 1 : rows;
  int64_t length = format.flattened ? rows * columns : columns;
  int64_t block = format.groupSize(length);
  QuantizeStatistics statistics;
  for (int64_t line = 0; line < lines; ++line) {
    for (int64_t begin = 0; begin < length; begin += block) {
      int64_t size = std::min(block, length - begin);
      const float *values = w + line * length + begin;
      float exact = dispatch<FindAbsmax>(values, size);
      float scale = qrt::roundToScaleType(exact, format.scale);
      if (!std::isfinite(scale)) {
        ++statistics.overflowedScales;
        scale =
            format.scale == qrt::ScaleType::F16 ? qrt::kMaxHalf : 0x1.fep127f;
      }
      double normBefore = statistics.squaredNorm;
      encodeBlock(format.code, values, size, scale, codes, &statistics);
      if (std::fabs(double(scale) - exact) > 0x1p-8 * exact && scale < 1) {
        ++statistics.underflowedScales;
        statistics.underflowedNorm += statistics.squaredNorm - normBefore;
      }
      codes += size;
      *scales++ = scale;
    }
  }
  return statistics;
}

int64_t blockRows(const qrt::Format &format, int64_t columns) {
  if (!format.flattened || columns <= 0)
    return 1;
  return format.group / std::gcd(format.group, columns);
}

const float *dynamicMap() {
  // create_dynamic_map(signed=True, max_exponent_bits=7, total_bits=8): for
  // each decade the midpoints of 2^i equal parts of [0.1, 1], in torch's f32
  // arithmetic (linspace steps from both ends, with one rounding each).
  static const std::array<float, 256> map = [] {
    std::array<float, 256> values;
    size_t size = 0;
    for (int decade = 0; decade < 7; ++decade) {
      int parts = 1 << decade;
      float step = (1.0f - 0.1f) / float(parts);
      auto boundary = [&](int i) {
        return i < (parts + 1) / 2 ? std::fma(step, float(i), 0.1f)
                                   : std::fma(-step, float(parts - i), 1.0f);
      };
      float unit = float(std::pow(10.0, decade - 6));
      for (int i = 0; i < parts; ++i) {
        float middle = (boundary(i) + boundary(i + 1)) / 2.0f;
        values[size++] = unit * middle;
        values[size++] = -(unit * middle);
      }
    }
    values[size++] = 0.0f;
    values[size++] = 1.0f;
    std::sort(values.begin(), values.end());
    return values;
  }();
  return map.data();
}

void quantizeDynamic(const float *values, int64_t count, int64_t block,
                     uint8_t *codes, float *absmax) {
  const float *map = dynamicMap();
  for (int64_t begin = 0; begin < count; begin += block) {
    int64_t size = std::min(block, count - begin);
    float most = dispatch<FindAbsmax>(values + begin, size);
    float inverse = 1.0f / std::max(most, kLeastAbsmax);
    for (int64_t i = begin; i < begin + size; ++i) {
      float x = values[i] * inverse;
      // The first value that is not below x, or the one before if nearer.
      int64_t code = std::lower_bound(map, map + 255, x) - map;
      if (code > 0 && x <= (map[code - 1] + map[code]) / 2)
        --code;
      codes[i] = uint8_t(code);
    }
    *absmax++ = most;
  }
}

NestedScales quantizeScales(const float *absmax, int64_t count) {
  NestedScales nested;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += absmax[i];
  nested.offset = count > 0 ? float(sum / double(count)) : 0.0f;
  std::vector<float> centered(absmax, absmax + count);
  for (float &value : centered)
    value -= nested.offset;
  nested.codes.resize(size_t(count));
  nested.absmax.resize(size_t((count + kNestedBlock - 1) / kNestedBlock));
  quantizeDynamic(centered.data(), count, kNestedBlock, nested.codes.data(),
                  nested.absmax.data());
  return nested;
}

void dequantizeScales(const NestedScales &nested, float *out) {
  const float *map = dynamicMap();
  for (size_t i = 0; i < nested.codes.size(); ++i)
    out[i] = map[nested.codes[i]] * nested.absmax[i / size_t(kNestedBlock)] +
             nested.offset;
}

QuantizeStatistics quantizeLlmInt8Rows(const float *w, int64_t rows,
                                       int64_t columns, uint8_t *codes,
                                       float *scales) {
  QuantizeStatistics statistics;
  for (int64_t row = 0; row < rows; ++row, w += columns, codes += columns) {
    // Rounding to f16 is monotonic: the largest stays the largest.
    float exact = dispatch<FindAbsmax>(w, columns);
    float absmax = qrt::roundToScaleType(exact, qrt::ScaleType::F16);
    if (!std::isfinite(absmax)) {
      ++statistics.overflowedScales;
      absmax = qrt::kMaxHalf;
    }
    float scale = absmax / 127.0f;
    float factor = absmax > 0 ? 127.0f / absmax : 0.0f;
    double error = 0, norm = 0;
    for (int64_t i = 0; i < columns; ++i) {
      float half = qrt::halfToFloat(qrt::floatToHalf(w[i]));
      half = std::clamp(half, -absmax, absmax);
      float shifted = half * factor + 12582912.0f; // rounds to even
      float code = shifted - 12582912.0f;
      codes[i] = uint8_t(int8_t(code));
      double difference = double(w[i]) - double(code * scale);
      error += difference * difference;
      norm += double(w[i]) * double(w[i]);
    }
    statistics.squaredError += error;
    statistics.squaredNorm += norm;
    *scales++ = scale;
  }
  return statistics;
}

} // namespace qcc
