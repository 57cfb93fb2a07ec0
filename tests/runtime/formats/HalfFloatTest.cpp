//===- HalfFloatTest.cpp - f16 and bf16 conversions -----------------------===//

#include "runtime/formats/HalfFloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace qrt;

namespace {

/// The value of f16 bits by the definition of IEEE 754.
double halfValue(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double magnitude = exponent == 0 ? std::ldexp(fraction, -24)
                                   : std::ldexp(1024 + fraction, exponent - 25);
  if (exponent == 31)
    magnitude = fraction ? std::nan("") : INFINITY;
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(HalfFloat, everyHalfIsItsValueAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = halfToFloat(uint16_t(bits));
    double expected = halfValue(uint16_t(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_EQ(floatToHalf(value), bits | 0x200);
      continue;
    }
    ASSERT_EQ(double(value), expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    ASSERT_EQ(floatToHalf(value), bits);
  }
}

/// Between each pair of neighbours: below the middle, the middle (to even) and
/// above it.
TEST(HalfFloat, roundsToNearestEven) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    float low = halfToFloat(bits), high = halfToFloat(uint16_t(bits + 1));
    float middle = (low + high) / 2; // exact in f32
    uint16_t even = bits & 1 ? bits + 1 : bits;
    ASSERT_EQ(floatToHalf(middle), even);
    ASSERT_EQ(floatToHalf(-middle), even | 0x8000);
    ASSERT_EQ(floatToHalf(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(floatToHalf(std::nextafter(middle, 1e9f)), bits + 1);
  }
}

TEST(HalfFloat, halfLimits) {
  EXPECT_EQ(floatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(65519.996f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(floatToHalf(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(floatToHalf(0x1p-25f), 0);
  EXPECT_EQ(floatToHalf(0x1.000002p-25f), 1);
  EXPECT_EQ(floatToHalf(-1e-45f), 0x8000);
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(NAN))));
}

TEST(HalfFloat, bfloat) {
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    uint32_t bits = random();
    float value = std::bit_cast<float>(bits);
    uint16_t rounded = floatToBfloat(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bfloatToFloat(rounded)));
      continue;
    }
    uint16_t down = uint16_t(bits >> 16);
    uint32_t rest = bits & 0xffff;
    bool up = rest > 0x8000 || (rest == 0x8000 && (down & 1));
    ASSERT_EQ(rounded, uint16_t(down + up));
    ASSERT_EQ(floatToBfloat(bfloatToFloat(down)), down);
  }
  EXPECT_EQ(floatToBfloat(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(floatToBfloat(-INFINITY), 0xff80);
  EXPECT_EQ(floatToBfloat(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

} // namespace
