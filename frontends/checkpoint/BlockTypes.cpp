//===- BlockTypes.cpp - GGUF's quantized blocks to f32 --------------------===//
//
// The layouts are those of ggml-common.h (block_q4_0 ... block_mxfp4). Products
// and sums are in ggml's order, so that values agree to the last bit.
//
//===----------------------------------------------------------------------===//

#include "frontends/checkpoint/BlockTypes.h"

#include "runtime/formats/HalfFloat.h"

#include <bit>
#include <cstring>

namespace qcc {
namespace {

template <typename T>
T load(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

float half(const uint8_t *at) { return qrt::halfToFloat(load<uint16_t>(at)); }

//===----------------------------------------------------------------------===//
// Blocks of 32: byte j holds element j in its low, j + 16 in its high bits
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Blocks of 256 in two halves of 128. In the 2- and 3-bit types byte i of a
// half's 32 bytes holds elements i, i + 32, i + 64 and i + 96; every 16
// elements have a scale.
//===----------------------------------------------------------------------===//

void q2_K(const uint8_t *block, float *out) {
  const uint8_t *scales = block, *codes = block + 16;
  float d = half(block + 80), dmin = half(block + 82);
  for (int group = 0; group < 16; ++group, out += 16) {
    float s = d * float(scales[group] & 15);
    float m = dmin * float(scales[group] >> 4);
    const uint8_t *q = codes + group / 8 * 32 + group % 2 * 16;
    int shift = group % 8 / 2 * 2;
    for (int i = 0; i < 16; ++i)
      out[i] = s * float(q[i] >> shift & 3) - m;
  }
}

/// The sixteen 6-bit scales lie in 12 bytes: nibbles of the first eight bytes
/// hold the low 4 bits, byte 8 + group % 4 holds the high 2 bits. The third bit
/// of a code is in the first 32 bytes: bit k of byte i is element 32 k + i's; a
/// clear bit means that 4 is taken off.
void q3_K(const uint8_t *block, float *out) {
  const uint8_t *highs = block, *codes = block + 32, *scales = block + 96;
  float d = half(block + 108);
  for (int group = 0; group < 16; ++group, out += 16) {
    int low = scales[group % 8] >> group / 8 * 4 & 15;
    int high = scales[8 + group % 4] >> group / 4 * 2 & 3;
    float s = d * float((low | high << 4) - 32);
    const uint8_t *q = codes + group / 8 * 32 + group % 2 * 16;
    const uint8_t *h = highs + group % 2 * 16;
    int shift = group % 8 / 2 * 2, bit = group / 2;
    for (int i = 0; i < 16; ++i)
      out[i] = s * float((q[i] >> shift & 3) - (h[i] >> bit & 1 ? 0 : 4));
  }
}

/// Scale and minimum of sub-block j of Q4_K and Q5_K. They are 6 bits each, in
/// 12 bytes: the first four of both are the low bits of bytes 0..7, the last
/// four are put together from bytes 8..11 and the high bits of the first eight.
struct ScaleAndMinimum {
  float scale, minimum;

  ScaleAndMinimum(const uint8_t *block, int j) {
    float d = half(block), dmin = half(block + 2);
    const uint8_t *packed = block + 4;
    int s, m;
    if (j < 4) {
      s = packed[j] & 63;
      m = packed[j + 4] & 63;
    } else {
      s = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
      m = (packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
    }
    scale = d * float(s);
    minimum = dmin * float(m);
  }
};

// Sub-blocks 2 k and 2 k + 1 of 32 elements share 32 bytes: the low and the
// high nibbles.

void q4_K(const uint8_t *block, float *out) {
  const uint8_t *codes = block + 16;
  for (int j = 0; j < 8; ++j, out += 32) {
    ScaleAndMinimum sub(block, j);
    const uint8_t *q = codes + j / 2 * 32;
    int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[i] = sub.scale * float(q[i] >> shift & 15) - sub.minimum;
  }
}

void q5_K(const uint8_t *block, float *out) {
  const uint8_t *highs = block + 16, *codes = block + 48;
  for (int j = 0; j < 8; ++j, out += 32) {
    ScaleAndMinimum sub(block, j);
    const uint8_t *q = codes + j / 2 * 32;
    int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      int code = (q[i] >> shift & 15) | (highs[i] >> j & 1) << 4;
      out[i] = sub.scale * float(code) - sub.minimum;
    }
  }
}

/// Each half of 128 elements: 64 bytes of low nibbles, 32 bytes of high bit
/// pairs, 8 scales; its quarter `part` takes nibbles of the bytes part % 2.
void q6_K(const uint8_t *block, float *out) {
  float d = half(block + 208);
  for (int quarter = 0; quarter < 8; ++quarter, out += 32) {
    int side = quarter / 4, part = quarter % 4;
    const uint8_t *low = block + side * 64 + part % 2 * 32;
    const uint8_t *high = block + 128 + side * 32;
    const uint8_t *scales = block + 192 + side * 8 + part * 2;
    int shift = part / 2 * 4;
    for (int i = 0; i < 32; ++i) {
      int code = (low[i] >> shift & 15) | (high[i] >> 2 * part & 3) << 4;
      out[i] = d * float(int8_t(scales[i / 16])) * float(code - 32);
    }
  }
}

//===----------------------------------------------------------------------===//
// Codes that stand for the values of a table
//===----------------------------------------------------------------------===//

/// ggml's kvalues_iq4nl, a non-linear table of int8.
constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

/// Twice the values of OCP's E2M1 (Microscaling Formats 1.0, 5.3.3).
constexpr int8_t kE2M1[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                              0, -1, -2, -3, -4, -6, -8, -12};

/// 32 elements: byte j holds element j in its low, j + 16 in its high bits.
void lookUp(const uint8_t *codes, const int8_t *table, float scale,
            float *out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = scale * float(table[codes[j] & 15]);
    out[j + 16] = scale * float(table[codes[j] >> 4]);
  }
}

void iq4_nl(const uint8_t *block, float *out) {
  lookUp(block + 2, kNonLinear, half(block), out);
}

/// Eight sub-blocks, whose 6-bit scales have their high bits in two bytes and
/// their low ones in the next four.
void iq4_xs(const uint8_t *block, float *out) {
  float d = half(block);
  auto highs = load<uint16_t>(block + 2);
  for (int j = 0; j < 8; ++j) {
    int low = block[4 + j / 2] >> j % 2 * 4 & 15, high = highs >> 2 * j & 3;
    lookUp(block + 8 + 16 * j, kNonLinear, d * float((low | high << 4) - 32),
           out + 32 * j);
  }
}

/// A scale of 2^(e - 127), halved because the table is doubled.
void mxfp4(const uint8_t *block, float *out) {
  uint32_t e = block[0];
  uint32_t bits = e < 2 ? uint32_t(0x00200000) << e : (e - 1) << 23;
  lookUp(block + 1, kE2M1, std::bit_cast<float>(bits), out);
}

template <void (*Decode)(const uint8_t *block, float *out)>
void each(TensorType type, const uint8_t *bytes, int64_t blocks, float *out) {
  const TypeTraits &t = traits(type);
  for (int64_t i = 0; i < blocks; ++i)
    Decode(bytes + i * t.bytes, out + i * t.elements);
}

} // namespace

void dequantizeBlocks(TensorType type, const uint8_t *bytes, int64_t blocks,
                      float *out) {
  switch (type) {
  case TensorType::Q4_0:
    return each<q4_0>(type, bytes, blocks, out);
  case TensorType::Q4_1:
    return each<q4_1>(type, bytes, blocks, out);
  case TensorType::Q5_0:
    return each<q5_0>(type, bytes, blocks, out);
  case TensorType::Q5_1:
    return each<q5_1>(type, bytes, blocks, out);
  case TensorType::Q8_0:
    return each<q8_0>(type, bytes, blocks, out);
  case TensorType::Q2_K:
    return each<q2_K>(type, bytes, blocks, out);
  case TensorType::Q3_K:
    return each<q3_K>(type, bytes, blocks, out);
  case TensorType::Q4_K:
    return each<q4_K>(type, bytes, blocks, out);
  case TensorType::Q5_K:
    return each<q5_K>(type, bytes, blocks, out);
  case TensorType::Q6_K:
    return each<q6_K>(type, bytes, blocks, out);
  case TensorType::IQ4_NL:
    return each<iq4_nl>(type, bytes, blocks, out);
  case TensorType::IQ4_XS:
    return each<iq4_xs>(type, bytes, blocks, out);
  case TensorType::MXFP4:
    return each<mxfp4>(type, bytes, blocks, out);
  default:
    return; // plain types are no blocks
  }
}

} // namespace qcc
