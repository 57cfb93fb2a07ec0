//===- ReferenceGemm.cpp - A plain packed weight and its product ----------===//

#include "ReferenceGemm.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/formats/Reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qcc::test {
namespace {

int bitsOf(qrt::Code code) {
  qrt::Format format;
  format.code = code;
  return format.codeBits();
}

bool isScaled(qrt::Code code) { return code >= qrt::Code::Int8; }

/// Sets `bits` bits of a line: those of element `at` of a unit, in row r. As
/// kernels.h says, in its words.
void setCode(uint8_t *unit, int bits, int64_t at, int64_t r, uint32_t code) {
  auto orByte = [&](int64_t line, int64_t byte, uint32_t value) {
    unit[line * 64 + r * 4 + byte] |= uint8_t(value);
  };
  switch (bits) {
  case 32:
    std::memcpy(unit + r * 4, &code, 4);
    break;
  case 16: {
    uint16_t half = uint16_t(code);
    std::memcpy(unit + r * 4 + at * 2, &half, 2);
    break;
  }
  case 8:
    orByte(0, at, code);
    break;
  case 4:
    orByte(0, at % 4, code << (4 * (at / 4)));
    break;
  case 2:
    orByte(0, at % 4, code << (2 * (at / 4)));
    break;
  case 3:
    orByte(at / 16, at % 4, (code & 3) << (2 * (at % 16 / 4)));
    orByte(2, at % 4, (code >> 2) << (at / 4));
    break;
  }
}

float bits16ToFloat(qrt::Code code, uint32_t bits) {
  return code == qrt::Code::F16 ? qrt::halfToFloat(uint16_t(bits))
                                : qrt::bfloatToFloat(uint16_t(bits));
}

} // namespace

TestWeight::TestWeight(qrt::Code code, int64_t rows, int64_t columns,
                       int64_t group, bool hasZero, int32_t scaleType,
                       std::mt19937 &random)
    : code(code), rows(rows), columns(columns),
      group(isScaled(code) ? std::min(group, columns) : columns),
      hasZero(hasZero), scaleType(scaleType), codes(size_t(rows * columns)),
      packedCodes(size_t((rows + 15) / 16 *
                         krn::tileBytes(columns, this->group, bitsOf(code)))),
      packedScales(size_t(isScaled(code) ? (rows + 15) / 16 * groups() * 16 *
                                               (scaleType == ElemF32 ? 4 : 2)
                                         : 0)),
      packedZeros(size_t(hasZero ? (rows + 15) / 16 * groups() * 16 : 0)) {
  int bits = bitsOf(code);
  std::normal_distribution<float> normal;
  for (uint32_t &c : codes)
    switch (code) {
    case qrt::Code::F32: {
      float value = normal(random);
      std::memcpy(&c, &value, 4);
      break;
    }
    case qrt::Code::F16:
      c = qrt::floatToHalf(normal(random));
      break;
    case qrt::Code::BF16:
      c = qrt::floatToBfloat(normal(random));
      break;
    default:
      c = uint32_t(random()) & ((1u << bits) - 1);
    }

  int64_t unit = krn::lineElements(bits);
  int64_t unitBytes = bits == 3 ? 192 : 64;
  int64_t tileBytes = krn::tileBytes(columns, this->group, bits);
  std::memset(packedCodes.data(), 0, packedCodes.size());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < columns; ++k) {
      int64_t padded = k / this->group * paddedGroup() + k % this->group;
      auto *tile = packedCodes.data<uint8_t>() + row / 16 * tileBytes;
      setCode(tile + padded / unit * unitBytes, bits, padded % unit, row % 16,
              codes[size_t(row * columns + k)]);
    }
  if (!isScaled(code))
    return;

  std::uniform_real_distribution<float> magnitude(0.5f, 2.0f);
  std::memset(packedScales.data(), 0, packedScales.size());
  if (hasZero)
    std::memset(packedZeros.data(), 0, packedZeros.size());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < groups(); ++g) {
      int64_t at = (row / 16 * groups() + g) * 16 + row % 16;
      float scale = magnitude(random) / float(1 << bits);
      if (scaleType == ElemF32) {
        packedScales.data<float>()[at] = scale;
      } else {
        uint16_t half = scaleType == ElemF16 ? qrt::floatToHalf(scale)
                                             : qrt::floatToBfloat(scale);
        packedScales.data<uint16_t>()[at] = half;
        scale = scaleType == ElemF16 ? qrt::halfToFloat(half)
                                     : qrt::bfloatToFloat(half);
      }
      scales.push_back(scale);
      if (hasZero) {
        auto zero = uint8_t(random() & ((1u << bits) - 1));
        packedZeros.data<uint8_t>()[at] = zero;
        zeros.push_back(zero);
      }
    }
}

void TestWeight::nestScales(int64_t count, std::mt19937 &random) {
  nested = count;
  int64_t tiles = (rows + 15) / 16;
  uint32_t start = uint32_t(random() % 1000);
  int64_t last = (int64_t(start) + rows * groups() - 1) / count;
  scaleCodes.emplace(size_t(tiles * groups() * 16));
  const int64_t tileBytes = krn::nestedTileBytes(groups(), count);
  nestedScales.emplace(size_t(tiles * tileBytes));
  std::memset(scaleCodes->data(), 0, scaleCodes->size());
  std::uniform_real_distribution<float> magnitude(0.5f, 2.0f);
  std::vector<float> table(size_t(last + 1));
  for (float &scale : table)
    scale = magnitude(random) / 16;
  constexpr float offset = 0.03125f;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    int64_t origin = start + tile * 16 * groups();
    auto phase = uint32_t(origin % count);
    char *own = nestedScales->data() + tile * tileBytes;
    std::memcpy(own, &phase, 4);
    std::memcpy(own + 4, &offset, 4);
    for (int64_t i = 0; i < krn::nestedTileScales(groups(), count); ++i)
      if (origin / count + i <= last)
        std::memcpy(own + 8 + 4 * i, &table[size_t(origin / count + i)], 4);
  }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < groups(); ++g) {
      auto code = uint8_t(random());
      int64_t at = (row / 16 * groups() + g) * 16 + row % 16;
      scaleCodes->data<uint8_t>()[at] = code;
      float scaled = qrt::dynamicMap()[code] *
                     table[size_t((start + row * groups() + g) / count)];
      scales[size_t(row * groups() + g)] = scaled + offset;
    }
}

int64_t TestWeight::paddedGroup() const {
  return krn::paddedGroup(group, bitsOf(code));
}

float TestWeight::value(int64_t row, int64_t column) const {
  uint32_t c = codes[size_t(row * columns + column)];
  switch (code) {
  case qrt::Code::F32: {
    float value;
    std::memcpy(&value, &c, 4);
    return value;
  }
  case qrt::Code::F16:
  case qrt::Code::BF16:
    return bits16ToFloat(code, c);
  case qrt::Code::NF4:
    return qrt::kNf4Table[c];
  case qrt::Code::FP4:
    return qrt::kFp4Table[c];
  default:
    return float(c) -
           (hasZero ? float(zeros[size_t(row * groups() + column / group)])
                    : float(qrt::defaultZero(code)));
  }
}

float TestWeight::scale(int64_t row, int64_t column) const {
  return isScaled(code) ? scales[size_t(row * groups() + column / group)]
                        : 1.0f;
}

GemmConfig TestWeight::config() const {
  GemmConfig config = {};
  config.rows = rows;
  config.columns = columns;
  config.group = group;
  config.paddedGroup = paddedGroup();
  config.scaleType = scaleType;
  config.hasZero = hasZero;
  config.defaultZero = qrt::defaultZero(code);
  config.multiplier = 1.0f;
  config.nested = nested;
  return config;
}

FixedRow toFixed(const float *x, int64_t columns) {
  float absmax = 0;
  for (int64_t k = 0; k < columns; ++k)
    absmax = std::max(absmax, std::fabs(x[k]));
  FixedRow row{absmax * (1.0f / 32512.0f), {}};
  float factor = absmax > 1e-30f ? 32512.0f / absmax : 0.0f;
  for (int64_t k = 0; k < columns; ++k)
    row.values.push_back(int32_t(std::nearbyint(x[k] * factor)));
  return row;
}

float referenceF32(const TestWeight &weight, int64_t row, const float *x) {
  float total = 0;
  for (int64_t begin = 0; begin < weight.columns;) {
    int64_t end = std::min({(begin / weight.group + 1) * weight.group,
                            begin + krn::kPieceElements, weight.columns});
    float chains[2] = {0, 0};
    for (int64_t k = begin; k < end; ++k)
      chains[(k - begin) % 2] =
          std::fma(weight.value(row, k), x[k], chains[(k - begin) % 2]);
    total = std::fma(chains[0] + chains[1], weight.scale(row, begin), total);
    begin = end;
  }
  return total;
}

float referenceI16(const TestWeight &weight, int64_t row, const FixedRow &x) {
  float total = 0;
  for (int64_t begin = 0; begin < weight.columns;) {
    int64_t end = std::min({(begin / weight.group + 1) * weight.group,
                            begin + krn::kPieceElements, weight.columns});
    int64_t sum = 0;
    for (int64_t k = begin; k < end; ++k)
      sum += int64_t(weight.value(row, k)) * x.values[size_t(k)];
    total = std::fma(float(sum), weight.scale(row, begin), total);
    begin = end;
  }
  return total * x.scale;
}

Exact exactDot(const TestWeight &weight, int64_t row, const float *x) {
  Exact result;
  for (int64_t k = 0; k < weight.columns; ++k) {
    double w = double(weight.value(row, k)) * double(weight.scale(row, k));
    result.sum += w * double(x[k]);
    result.magnitude += std::fabs(w * double(x[k]));
    result.weights += std::fabs(w);
  }
  return result;
}

double activateExactly(int32_t activation, double x) {
  switch (activation) {
  case ActSilu:
    return x / (1 + std::exp(-x));
  case ActGeluErf:
    // erfc keeps the tail's digits.
    return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
  case ActGeluTanh:
    return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) *
                             (x + 0.044715 * x * x * x)));
  case ActRelu:
    return std::max(x, 0.0);
  case ActGeluQuick:
    return x / (1 + std::exp(-1.702 * x));
  case ActSigmoid:
    return 1 / (1 + std::exp(-x));
  case ActTanh:
    return std::tanh(x);
  default:
    return x;
  }
}

} // namespace qcc::test
