//===- Reference.cpp - The scalar reference of every format ---------------===//

#include "runtime/formats/Reference.h"

#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

namespace qrt {

const float kNf4Table[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

const float kFp4Table[16] = {
    0.0f,
    0.0052083334885537624f,
    0.6666666865348816f,
    1.0f,
    0.3333333432674408f,
    0.5f,
    0.1666666716337204f,
    0.25f,
    0.0f,
    -0.0052083334885537624f,
    -0.6666666865348816f,
    -1.0f,
    -0.3333333432674408f,
    -0.5f,
    -0.1666666716337204f,
    -0.25f,
};

namespace {

void expectSize(const char *what, size_t have, int64_t want) {
  if (want < 0 || have != static_cast<size_t>(want))
    throw Error("weight_c2: " + std::to_string(have) + " " + what + " where " +
                std::to_string(want) + " are expected");
}

/// The value of an f32, f16 or bf16 element at `bytes`.
float unscaledElement(Code code, const uint8_t *bytes) {
  if (code == Code::F32) {
    float value;
    std::memcpy(&value, bytes, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return code == Code::F16 ? halfToFloat(bits) : bfloatToFloat(bits);
}

} // namespace

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

float scaleOf(const PackedWeight &weight, int64_t index) {
  if (!weight.format.nested)
    return weight.scales[size_t(index)];
  float scaled = dynamicMap()[weight.scaleCodes[size_t(index)]] *
                 weight.nestedScales[size_t(index / weight.format.nested)];
  return scaled + weight.nestedOffset;
}

float roundToScaleType(float scale, ScaleType type) {
  if (type == ScaleType::F16)
    return halfToFloat(floatToHalf(scale));
  if (type == ScaleType::BF16)
    return bfloatToFloat(floatToBfloat(scale));
  return scale;
}

void dequantizeGroup(const Format &format, std::span<const uint8_t> codes,
                     float scale, uint8_t zero, float *out) {
  switch (format.code) {
  case Code::NF4:
  case Code::FP4: {
    const float *table = format.code == Code::NF4 ? kNf4Table : kFp4Table;
    for (uint8_t code : codes)
      *out++ = table[code & 15] * scale;
    return;
  }
  case Code::Int8:
    if (!format.zero) {
      for (uint8_t code : codes)
        *out++ = scale * float(int8_t(code));
      return;
    }
    [[fallthrough]];
  case Code::Int4:
  case Code::Int3:
  case Code::Int2: {
    int32_t offset = format.zero ? int32_t(zero) : defaultZero(format.code);
    for (uint8_t code : codes)
      *out++ = scale * float(int32_t(code) - offset);
    return;
  }
  case Code::F32:
  case Code::F16:
  case Code::BF16:
    break;
  }
  throw Error("format " + format.mangled() + " has no codes to look up");
}

void verify(const PackedWeight &weight) {
  const Format &format = weight.format;
  format.verify();
  int64_t elements, bytes;
  int64_t elementBytes = format.isQuantized() ? 1 : format.codeBits() / 8;
  if (weight.rows < 1 || weight.columns < 1 ||
      __builtin_mul_overflow(weight.rows, weight.columns, &elements) ||
      __builtin_mul_overflow(elements, elementBytes, &bytes))
    throw Error("weight_c1: a weight of " + std::to_string(weight.rows) +
                " x " + std::to_string(weight.columns) + " elements");
  expectSize("bytes of codes", weight.codes.size(), bytes);
  int64_t scales = format.scaleCount(weight.rows, weight.columns);
  expectSize("scales", weight.scales.size(), format.nested ? 0 : scales);
  expectSize("codes of scales", weight.scaleCodes.size(),
             format.nested ? scales : 0);
  expectSize("nested scales", weight.nestedScales.size(),
             format.nestedCount(weight.rows, weight.columns));
  expectSize("zero points", weight.zeros.size(), format.zero ? scales : 0);
  if (!format.isQuantized())
    return;

  int limit = (1 << format.codeBits()) - 1;
  for (int64_t i = 0; i < elements; ++i)
    if (weight.codes[i] > limit)
      throw Error("weight_c3: code " + std::to_string(weight.codes[i]) +
                  " of element " + std::to_string(i) + " exceeds " +
                  std::to_string(limit));
  for (size_t i = 0; i < weight.nestedScales.size(); ++i)
    if (!std::isfinite(weight.nestedScales[i]))
      throw Error("weight_c6: nested scale " + std::to_string(i) + " is " +
                  std::to_string(weight.nestedScales[i]));
  if (!std::isfinite(weight.nestedOffset))
    throw Error("weight_c6: the offset of the scales is " +
                std::to_string(weight.nestedOffset));
  for (size_t i = 0; i < weight.scales.size(); ++i) {
    float scale = weight.scales[i];
    if (!std::isfinite(scale) || roundToScaleType(scale, format.scale) != scale)
      throw Error("weight_c4: scale " + std::to_string(i) + " is " +
                  std::to_string(scale) + ", which is no finite " +
                  std::string(scaleTypeName(format.scale)));
  }
  for (size_t i = 0; i < weight.zeros.size(); ++i)
    if (weight.zeros[i] > limit)
      throw Error("weight_c5: zero point " + std::to_string(weight.zeros[i]) +
                  " of group " + std::to_string(i) + " exceeds " +
                  std::to_string(limit));
}

void dequantize(const PackedWeight &weight, float *out) {
  verify(weight);
  const Format &format = weight.format;
  int64_t elements = weight.rows * weight.columns;
  if (!format.isQuantized()) {
    int64_t bytes = format.codeBits() / 8;
    for (int64_t i = 0; i < elements; ++i)
      out[i] = unscaledElement(format.code, weight.codes.data() + i * bytes);
    return;
  }
  // Flattened blocks run over the whole weight, groups along a row.
  int64_t line = format.flattened ? elements : weight.columns;
  int64_t size =
      format.flattened ? format.group : format.groupSize(weight.columns);
  size_t group = 0;
  for (int64_t begin = 0; begin < elements; begin += line)
    for (int64_t at = begin; at < begin + line; at += size, ++group)
      dequantizeGroup(
          format,
          {weight.codes.data() + at, size_t(std::min(size, begin + line - at))},
          scaleOf(weight, int64_t(group)),
          format.zero ? weight.zeros[group] : uint8_t(0), out + at);
}

} // namespace qrt
