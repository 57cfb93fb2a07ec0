//===- ReferenceTest.cpp - The scalar reference ---------------------------===//

#include "runtime/formats/Reference.h"

#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace qrt;

namespace {

PackedWeight weight(const char *format, int64_t rows, int64_t columns,
                    std::vector<uint8_t> codes, std::vector<float> scales,
                    std::vector<uint8_t> zeros = {}) {
  return {Format::parse(format),
          rows,
          columns,
          std::move(codes),
          std::move(scales),
          std::move(zeros),
          {},
          {},
          0};
}

std::vector<float> values(const PackedWeight &packed) {
  std::vector<float> out(size_t(packed.rows * packed.columns));
  dequantize(packed, out.data());
  return out;
}

using Floats = std::vector<float>;

TEST(Reference, int4_c1_middleIsEight) {
  EXPECT_EQ(values(weight("int4.g2", 2, 3, {0, 15, 8, 9, 7, 1}, {2, 3, 4, 5})),
            (Floats{-16, 14, 0, 4, -4, -35}));
}

TEST(Reference, int4_c2_storedZeroPoint) {
  EXPECT_EQ(
      values(weight("int4.row.z", 2, 2, {0, 15, 8, 9}, {2, 0.5f}, {15, 0})),
      (Floats{-30, 0, 4, 4.5f}));
}

/// nf4_c3: scale = map[code] * nested scale + offset.
TEST(Reference, nf4_c3_nestedScales) {
  PackedWeight nested = weight("nf4.b2.d2", 1, 6, {15, 15, 15, 0, 7, 15}, {});
  nested.scaleCodes = {255, 127, 254};
  nested.nestedScales = {2.0f, 4.0f};
  nested.nestedOffset = 0.5f;
  float last = dynamicMap()[254] * 4.0f + 0.5f;
  EXPECT_EQ(values(nested), (Floats{2.5f, 2.5f, 0.5f, -0.5f, 0.0f, last}));
  auto broken = [&](auto change) {
    PackedWeight copy = nested;
    change(copy);
    try {
      verify(copy);
    } catch (const Error &error) {
      return std::string(error.what()).substr(0, 9);
    }
    return std::string();
  };
  EXPECT_EQ(broken([](PackedWeight &) {}), "");
  EXPECT_EQ(broken([](PackedWeight &w) { w.scaleCodes.pop_back(); }),
            "weight_c2");
  EXPECT_EQ(broken([](PackedWeight &w) { w.nestedScales.pop_back(); }),
            "weight_c2");
  EXPECT_EQ(broken([](PackedWeight &w) { w.scales = {1, 1, 1}; }), "weight_c2");
  EXPECT_EQ(broken([](PackedWeight &w) { w.nestedScales[1] = INFINITY; }),
            "weight_c6");
  EXPECT_EQ(broken([](PackedWeight &w) { w.nestedOffset = NAN; }), "weight_c6");
}

TEST(Reference, int3_c1_middleIsFour) {
  EXPECT_EQ(values(weight("int3.row", 1, 3, {0, 4, 7}, {0.5f})),
            (Floats{-2, 0, 1.5f}));
}

TEST(Reference, int2_c1_middleIsTwo) {
  EXPECT_EQ(values(weight("int2.row", 1, 4, {0, 1, 2, 3}, {1})),
            (Floats{-2, -1, 0, 1}));
}

TEST(Reference, int8_c1_twosComplement) {
  EXPECT_EQ(values(weight("int8.row", 1, 4, {0x80, 0xff, 0, 127}, {1})),
            (Floats{-128, -1, 0, 127}));
}

TEST(Reference, int8_c2_unsignedWithZeroPoint) {
  EXPECT_EQ(values(weight("int8.row.z", 1, 3, {0, 200, 255}, {1}, {200})),
            (Floats{-200, 0, 55}));
}

TEST(Reference, nf4_c1_table) {
  std::vector<uint8_t> codes(16);
  for (uint8_t i = 0; i < 16; ++i)
    codes[i] = i;
  Floats nf4 = values(weight("nf4.g16", 1, 16, codes, {2}));
  for (size_t i = 0; i < 16; ++i)
    EXPECT_EQ(nf4[i], 2 * kNf4Table[i]);
  for (size_t i = 1; i < 16; ++i)
    EXPECT_LT(kNf4Table[i - 1], kNf4Table[i]);
}

TEST(Reference, fp4_c1_table) {
  // Signs and magnitudes in units of 1/192: e2m1 without its own scaling.
  const int kMagnitudes[8] = {0, 1, 128, 192, 64, 96, 32, 48};
  for (size_t i = 0; i < 16; ++i)
    EXPECT_FLOAT_EQ(kFp4Table[i],
                    float(i < 8 ? 1 : -1) * float(kMagnitudes[i % 8]) / 192);
}

TEST(Reference, nf4_c2_flattenedBlocksCrossRows) {
  // 3 rows of 5, blocks of 4: element 4 opens block 1 in the first row.
  std::vector<uint8_t> ones(15, 15);
  EXPECT_EQ(values(weight("nf4.b4", 3, 5, ones, {1, 2, 3, 4})),
            (Floats{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4}));
}

TEST(Reference, unscaledElements) {
  EXPECT_EQ(values(weight("bf16", 1, 2, {0x80, 0x3f, 0x00, 0xc0}, {})),
            (Floats{1, -2}));
  EXPECT_EQ(values(weight("f16", 1, 1, {0x00, 0x3e}, {})), (Floats{1.5f}));
  EXPECT_EQ(values(weight("f32", 1, 1, {0, 0, 0x40, 0xc0}, {})), (Floats{-3}));
}

std::string verifyError(const PackedWeight &packed) {
  try {
    verify(packed);
  } catch (const Error &error) {
    return std::string(error.what()).substr(0, 9);
  }
  return "";
}

TEST(Reference, verifyCitesTheConstraint) {
  auto good = [] {
    return weight("int4.g2.z", 1, 3, {1, 2, 3}, {1, 2}, {0, 15});
  };
  EXPECT_EQ(verifyError(good()), "");
  PackedWeight bad = good();
  bad.rows = 0;
  EXPECT_EQ(verifyError(bad), "weight_c1");
  bad = good();
  bad.rows = int64_t(1) << 62;
  EXPECT_EQ(verifyError(bad), "weight_c1");
  bad = good();
  bad.codes.pop_back();
  EXPECT_EQ(verifyError(bad), "weight_c2");
  bad = good();
  bad.scales.pop_back();
  EXPECT_EQ(verifyError(bad), "weight_c2");
  bad = good();
  bad.zeros.clear();
  EXPECT_EQ(verifyError(bad), "weight_c2");
  bad = good();
  bad.codes[2] = 16;
  EXPECT_EQ(verifyError(bad), "weight_c3");
  for (float scale : {NAN, INFINITY, 0.1f}) { // 0.1 is no f16
    bad = good();
    bad.scales[1] = scale;
    EXPECT_EQ(verifyError(bad), "weight_c4");
  }
  bad = good();
  bad.zeros[0] = 16;
  EXPECT_EQ(verifyError(bad), "weight_c5");
  bad = good();
  bad.format.group = 0;
  EXPECT_EQ(verifyError(bad), "format_c2");
}

} // namespace
