//===- Bnb.cpp - bitsandbytes' blockwise formats --------------------------===//

#include "compiler/quantize/Bnb.h"

#include "compiler/quantize/ScaleRounding.h"
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

/// The table's values in ascending order, and the 15 midpoints between
/// neighbours: a scaled value has the rank "how many midpoints lie below it",
/// which sends ties to the lower value. fp4 has two zeros, code 0 below code 8,
/// and so a midpoint at 0.
struct RankTable {
  explicit RankTable(const float *table) {
    std::copy(table, table + 16, values.begin());
    std::sort(values.begin(), values.end());
    for (size_t i = 0; i < midpoints.size(); ++i) {
      midpoints[i] = (values[i] + values[i + 1]) / 2;
      steps[i] = values[i + 1] - values[i];
    }
  }

  std::array<float, 16> values;
  std::array<float, 15> midpoints;
  std::array<float, 15> steps;
};

const RankTable &rankTable(qrt::Code code) {
  static const RankTable nf4(qrt::kNf4Table), fp4(qrt::kFp4Table);
  return code == qrt::Code::NF4 ? nf4 : fp4;
}

struct FindAbsmax {
  template <int N>
  QCC_SIMD_INLINE static float run(const float *w, int64_t count) {
    F32<N> most;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      most = simd::max(simd::abs(F32<N>::load(w + i)), most);
    if (i < count)
      most = simd::max(simd::abs(F32<N>::load(w + i, count - i)), most);
    return reduceMax(most);
  }
};

/// fp4's code of a rank among -1, -2/3, ... -0.0052, 0, 0, 0.0052, ... 1. By
/// magnitude the codes 0..7 are 0, 1, 6, 7, 4, 5, 2, 3: bit 2 flips with bit 1.
template <int N>
QCC_SIMD_INLINE I32<N> fp4CodeOf(const I32<N> &rank) {
  I32<N> below = I32<N>(8) > rank;             // -1 for values below 0
  I32<N> magnitude = ((rank - 8) ^ below) & 7; // rank - 8 or 7 - rank
  I32<N> code = magnitude ^ ((magnitude & 2) << 1);
  I32<N> zero = I32<N>(1) > magnitude;
  return code | ((below ^ zero) & 8);
}

/// Sums of squares in units of absmax^2. `ratio` is the stored scale's to
/// absmax.
struct BlockSums {
  double error, norm;
};

/// Vectors whose squares are summed in f32 before the sum goes to a double.
constexpr int64_t kSumChunk = 64;

template <bool IsNf4>
struct EncodeBlock {
  template <int N>
  QCC_SIMD_INLINE static BlockSums run(const RankTable *ranks, const float *w,
                                       int64_t count, float absmax, float ratio,
                                       uint8_t *codes) {
    const RankTable &table = *ranks;
    const float inverse = 1.0f / std::max(absmax, kLeastAbsmax);
    BlockSums sums{0, 0};
    for (int64_t i = 0; i < count;) {
      F32<N> error, norm;
      int64_t end = std::min(count, i + kSumChunk * kLanes);
      for (; i < end; i += kLanes) {
        int64_t size = std::min(kLanes, count - i);
        F32<N> x =
            size == kLanes ? F32<N>::load(w + i) : F32<N>::load(w + i, size);
        x = x * inverse;
        I32<N> rank;
        F32<N> value(table.values[0]); // the code's, up to rounding
        for (size_t m = 0; m < table.midpoints.size(); ++m) {
          I32<N> above = x > F32<N>(table.midpoints[m]);
          rank = rank - above; // a true lane is -1
          value = value + masked(above, F32<N>(table.steps[m]));
        }
        I32<N> code = rank;
        if constexpr (!IsNf4)
          code = fp4CodeOf(rank);
        if (size == kLanes)
          storeBytes(codes + i, code, kLanes);
        else
          storeBytes(codes + i, code, size);
        value = value * ratio;
        // Padding lanes hold 0, which both tables represent.
        error = error + (x - value) * (x - value);
        norm = norm + x * x;
      }
      sums.error += reduceAdd(error);
      sums.norm += reduceAdd(norm);
    }
    return sums;
  }
};

/// Encodes one block by its absmax, for a weight that stores `scale`, and
/// returns its squared norm.
double encodeBlock(qrt::Code code, const float *w, int64_t count, float absmax,
                   float scale, uint8_t *codes,
                   QuantizeStatistics &statistics) {
  const RankTable *ranks = &rankTable(code);
  float ratio = absmax > 0 ? scale / absmax : 1.0f;
  BlockSums sums =
      code == qrt::Code::NF4
          ? dispatch<EncodeBlock<true>>(ranks, w, count, absmax, ratio, codes)
          : dispatch<EncodeBlock<false>>(ranks, w, count, absmax, ratio, codes);
  double unit = double(absmax) * double(absmax);
  statistics.squaredError += sums.error * unit;
  statistics.squaredNorm += sums.norm * unit;
  return sums.norm * unit;
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
    encodeBlock(code, w + begin, size, most, most, codes + begin, statistics);
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
      // An all-zero block keeps its absmax of 0.
      float scale = exact > 0 ? storedScale(exact, format.scale) : 0.0f;
      if (format.scale == qrt::ScaleType::F32)
        scale = exact; // bitsandbytes stores subnormals
      double norm = encodeBlock(format.code, values, size, scale, scale, codes,
                                statistics);
      if (exact > 0)
        countFit(scaleFit(exact, format.scale), norm, statistics);
      codes += size;
      *scales++ = scale;
    }
  }
  return statistics;
}

void blockMaxima(const float *w, int64_t count, int64_t block, float *absmax) {
  for (int64_t begin = 0; begin < count; begin += block)
    *absmax++ = dispatch<FindAbsmax>(w + begin, std::min(block, count - begin));
}

QuantizeStatistics quantizeToScales(const float *w, int64_t count,
                                    const qrt::Format &format,
                                    const float *scales, uint8_t *codes) {
  requireTableFormat(format);
  QuantizeStatistics statistics;
  for (int64_t begin = 0; begin < count; begin += format.group) {
    int64_t size = std::min(format.group, count - begin);
    float absmax = dispatch<FindAbsmax>(w + begin, size);
    encodeBlock(format.code, w + begin, size, absmax, *scales++, codes + begin,
                statistics);
  }
  return statistics;
}

int64_t blockRows(const qrt::Format &format, int64_t columns) {
  if (!format.flattened || columns <= 0)
    return 1;
  return format.group / std::gcd(format.group, columns);
}

void quantizeDynamic(const float *values, int64_t count, int64_t block,
                     uint8_t *codes, float *absmax) {
  const float *map = qrt::dynamicMap();
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
  const float *map = qrt::dynamicMap();
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
