//===- TensorType.cpp - Elements of checkpoints to f32 --------------------===//

#include "frontends/checkpoint/TensorType.h"

#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <bit>
#include <cstring>

namespace qcc {

const TypeTraits &traits(TensorType type) {
  static constexpr TypeTraits table[] = {
      {"F64", 1, 8, true},      {"F32", 1, 4, true},
      {"F16", 1, 2, true},      {"BF16", 1, 2, true},
      {"I64", 1, 8, false},     {"I32", 1, 4, false},
      {"I16", 1, 2, false},     {"I8", 1, 1, false},
      {"U8", 1, 1, false},      {"BOOL", 1, 1, false},
      {"Q4_0", 32, 18, true},   {"Q4_1", 32, 20, true},
      {"Q5_0", 32, 22, true},   {"Q5_1", 32, 24, true},
      {"Q8_0", 32, 34, true},   {"Q4_K", 256, 144, true},
      {"Q6_K", 256, 210, true},
  };
  return table[int(type)];
}

namespace {

template <typename T>
T load(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

float half(const uint8_t *at) { return qrt::halfToFloat(load<uint16_t>(at)); }

// One block each. In the 4- and 5-bit types byte j holds element j in its low
// and element j + 16 in its high bits.

void q4_0(const uint8_t *block, float *out) {
  float d = half(block);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * float((block[2 + j] & 15) - 8);
    out[j + 16] = d * float((block[2 + j] >> 4) - 8);
  }
}

void q4_1(const uint8_t *block, float *out) {
  float d = half(block), m = half(block + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = float(block[4 + j] & 15) * d + m;
    out[j + 16] = float(block[4 + j] >> 4) * d + m;
  }
}

void q5_0(const uint8_t *block, float *out) {
  float d = half(block);
  auto high = load<uint32_t>(block + 2);
  for (int j = 0; j < 16; ++j) {
    int low0 = block[6 + j] & 15, low1 = block[6 + j] >> 4;
    out[j] = d * float((low0 | int(high >> j & 1) << 4) - 16);
    out[j + 16] = d * float((low1 | int(high >> (j + 16) & 1) << 4) - 16);
  }
}

void q5_1(const uint8_t *block, float *out) {
  float d = half(block), m = half(block + 2);
  auto high = load<uint32_t>(block + 4);
  for (int j = 0; j < 16; ++j) {
    int low0 = block[8 + j] & 15, low1 = block[8 + j] >> 4;
    out[j] = float(low0 | int(high >> j & 1) << 4) * d + m;
    out[j + 16] = float(low1 | int(high >> (j + 16) & 1) << 4) * d + m;
  }
}

void q8_0(const uint8_t *block, float *out) {
  float d = half(block);
  for (int j = 0; j < 32; ++j)
    out[j] = d * float(int8_t(block[2 + j]));
}

/// Scales and minima of Q4_K are 6 bits each, packed into 12 bytes: the first
/// four of both lie in the low bits of bytes 0..7, the last four are put
/// together from bytes 8..11 and the high bits of the first eight.
void q4_K(const uint8_t *block, float *out) {
  float d = half(block), dmin = half(block + 2);
  const uint8_t *packed = block + 4, *codes = block + 16;
  for (int j = 0; j < 8; ++j) {
    int scale, minimum;
    if (j < 4) {
      scale = packed[j] & 63;
      minimum = packed[j + 4] & 63;
    } else {
      scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
      minimum = (packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
    }
    float s = d * float(scale), m = dmin * float(minimum);
    // Sub-blocks 2i and 2i + 1 share 32 bytes, low and high nibbles.
    const uint8_t *q = codes + j / 2 * 32;
    for (int i = 0; i < 32; ++i)
      out[j * 32 + i] = s * float(j % 2 ? q[i] >> 4 : q[i] & 15) - m;
  }
}

void q6_K(const uint8_t *block, float *out) {
  const uint8_t *low = block, *high = block + 128;
  const auto *scales = reinterpret_cast<const int8_t *>(block + 192);
  float d = half(block + 208);
  for (int h = 0; h < 2; ++h, low += 64, high += 32, scales += 8, out += 128)
    for (int i = 0; i < 32; ++i)
      for (int part = 0; part < 4; ++part) {
        int nibble = low[i + part % 2 * 32] >> part / 2 * 4 & 15;
        int code = (nibble | (high[i] >> 2 * part & 3) << 4) - 32;
        out[i + 32 * part] = d * float(scales[i / 16 + 2 * part]) * float(code);
      }
}

template <typename Decode>
void blocks(TensorType type, const uint8_t *bytes, int64_t count, float *out,
            Decode decode) {
  const TypeTraits &t = traits(type);
  for (int64_t i = 0; i < count; i += t.elements, bytes += t.bytes)
    decode(bytes, out + i);
}

} // namespace

void convertToF32(TensorType type, const uint8_t *bytes, int64_t count,
                  float *out) {
  switch (type) {
  case TensorType::F32:
    std::memcpy(out, bytes, size_t(count) * 4);
    return;
  case TensorType::F64:
    for (int64_t i = 0; i < count; ++i)
      out[i] = float(load<double>(bytes + 8 * i));
    return;
  case TensorType::F16:
    for (int64_t i = 0; i < count; ++i)
      out[i] = half(bytes + 2 * i);
    return;
  case TensorType::BF16:
    for (int64_t i = 0; i < count; ++i)
      out[i] =
          std::bit_cast<float>(uint32_t(load<uint16_t>(bytes + 2 * i)) << 16);
    return;
  case TensorType::Q4_0:
    return blocks(type, bytes, count, out, q4_0);
  case TensorType::Q4_1:
    return blocks(type, bytes, count, out, q4_1);
  case TensorType::Q5_0:
    return blocks(type, bytes, count, out, q5_0);
  case TensorType::Q5_1:
    return blocks(type, bytes, count, out, q5_1);
  case TensorType::Q8_0:
    return blocks(type, bytes, count, out, q8_0);
  case TensorType::Q4_K:
    return blocks(type, bytes, count, out, q4_K);
  case TensorType::Q6_K:
    return blocks(type, bytes, count, out, q6_K);
  default:
    throw qrt::Error("elements of type " + std::string(traits(type).name) +
                     " are no floats");
  }
}

} // namespace qcc
