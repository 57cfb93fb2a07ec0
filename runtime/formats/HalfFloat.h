//===- HalfFloat.h - f16 and bf16 conversions -------------------*- C++ -*-===//
//
// IEEE 754 binary16 and bfloat16 as bit patterns in uint16_t. All functions
// round to nearest, ties to even, keep infinities, and quiet NaNs (the payload
// is truncated). They are branch-free after if-conversion, so that loops over
// them are vectorized, and need no instruction beyond the baseline.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_FORMATS_HALFFLOAT_H
#define QRT_FORMATS_HALFFLOAT_H

#include <bit>
#include <cstdint>

namespace qrt {

/// The largest finite f16.
inline constexpr float kMaxHalf = 65504.0f;
/// The smallest positive f16 (subnormal): 2^-24.
inline constexpr float kMinHalf = 0x1p-24f;

inline uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  // Normal f16: round away 13 bits of the fraction, rebias the exponent by
  // 15 - 127. A carry out of the fraction goes into the exponent as it should.
  uint32_t normal =
      (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
  // Subnormal f16: beside 0.5 an f32 has steps of 2^-24, exactly f16's.
  uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      std::bit_cast<uint32_t>(0.5f);
  uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  uint32_t result = magnitude < 0x38800000u ? subnormal : normal; // 2^-14
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;           // 65520
  result = magnitude > 0x7f800000u ? nan : result;
  return static_cast<uint16_t>(sign | result);
}

inline float halfToFloat(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000u) << 16;
  uint32_t magnitude = half & 0x7fffu;
  uint32_t normal = (magnitude << 13) + (112u << 23);
  uint32_t infinite = (magnitude << 13) | 0x7f800000u;
  infinite |= magnitude > 0x7c00u ? 0x400000u : 0u;
  uint32_t subnormal = std::bit_cast<uint32_t>(
      static_cast<float>(int32_t(magnitude)) * kMinHalf);
  uint32_t result = magnitude < 0x400u ? subnormal : normal;
  result = magnitude >= 0x7c00u ? infinite : result;
  return std::bit_cast<float>(sign | result);
}

inline uint16_t floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  uint32_t nan = bits >> 16 | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan
                                                                  : rounded);
}

inline float bfloatToFloat(uint16_t bfloat) {
  return std::bit_cast<float>(uint32_t(bfloat) << 16);
}

} // namespace qrt

#endif // QRT_FORMATS_HALFFLOAT_H
