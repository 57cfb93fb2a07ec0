//===- PackTest.cpp - The CPU layout, there and back ----------------------===//

#include "compiler/quantize/Pack.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>

using namespace qcc;

namespace {

/// A weight with random codes, scales that the format holds, and zero points.
qrt::PackedWeight randomWeight(const qrt::Format &format, int64_t rows,
                               int64_t columns) {
  std::mt19937 random(static_cast<unsigned>(rows * 1000 + columns));
  qrt::PackedWeight weight;
  weight.format = format;
  weight.rows = rows;
  weight.columns = columns;
  int bits = format.codeBits();
  unsigned mask = format.isQuantized() ? (1u << bits) - 1 : 0xff;
  weight.codes.resize(size_t(rows * columns) *
                      (format.isQuantized() ? 1 : size_t(bits / 8)));
  for (uint8_t &code : weight.codes)
    code = uint8_t(random() & mask);
  if (format.nested) {
    weight.scaleCodes.resize(size_t(format.scaleCount(rows, columns)));
    for (uint8_t &code : weight.scaleCodes)
      code = uint8_t(random());
    weight.nestedScales.resize(size_t(format.nestedCount(rows, columns)));
    for (float &scale : weight.nestedScales)
      scale = float(random() % 10000) / 7777;
    weight.nestedOffset = 0.7f;
    return weight;
  }
  weight.scales.resize(size_t(format.scaleCount(rows, columns)));
  for (float &scale : weight.scales)
    scale = qrt::roundToScaleType(float(random() % 10000) / 7777 + 0.1f,
                                  format.scale);
  if (format.zero)
    for (size_t i = 0; i < weight.scales.size(); ++i)
      weight.zeros.push_back(uint8_t(random() & mask));
  return weight;
}

std::vector<uint8_t> packed(const qrt::PackedWeight &weight) {
  auto format = packedFormat(weight.format, weight.columns);
  PackedLayout layout = t16Layout(*format, weight.rows, weight.columns);
  // Poison: every byte must be written.
  std::vector<uint8_t> bytes(size_t(layout.totalBytes), 0xa5);
  packWeight(weight, bytes.data());
  return bytes;
}

class Pack : public testing::TestWithParam<const char *> {};

TEST_P(Pack, unpackInverts) {
  qrt::Format format = qrt::Format::parse(GetParam());
  for (int64_t rows : {1, 15, 16, 17, 40})
    for (int64_t columns : {1, 3, 8, 31, 64, 65, 128, 320, 333}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
      qrt::PackedWeight weight = randomWeight(format, rows, columns);
      std::vector<uint8_t> bytes = packed(weight);
      qrt::PackedWeight back =
          unpack(format, rows, columns, bytes.data(), int64_t(bytes.size()));
      EXPECT_EQ(back.codes, weight.codes);
      EXPECT_EQ(back.scales, weight.scales);
      EXPECT_EQ(back.zeros, weight.zeros);
    }
}

/// Stripes of whole tiles give the bytes that packing at once gives.
TEST_P(Pack, stripesEqualTheWhole) {
  qrt::Format format = qrt::Format::parse(GetParam());
  if (!format.isQuantized())
    return;
  const int64_t rows = 70, columns = 200;
  qrt::PackedWeight weight = randomWeight(format, rows, columns);
  std::vector<uint8_t> whole = packed(weight);
  PackedLayout layout = t16Layout(format, rows, columns);
  std::vector<uint8_t> parts(whole.size());
  int64_t groups = format.groupsPerRow(columns);
  for (int64_t row = 0; row < rows; row += 32) {
    int64_t count = std::min<int64_t>(32, rows - row), tile = row / 16;
    packCodes(format, count, columns, weight.codes.data() + row * columns,
              parts.data() + layout.codesOffset + tile * layout.tileCodesBytes);
    packScales(format, count, columns, weight.scales.data() + row * groups,
               parts.data() + layout.scalesOffset +
                   tile * layout.tileScalesBytes);
    if (format.zero)
      packZeros(format, count, columns, weight.zeros.data() + row * groups,
                parts.data() + layout.zerosOffset +
                    tile * layout.tileZerosBytes);
  }
  EXPECT_EQ(parts, whole);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Pack,
    testing::Values("f32", "f16", "bf16", "int8.row", "int8.g32.z", "int4.g128",
                    "int4.g8.z.sf32", "int4.g5", "int3.g128", "int3.g16.z",
                    "int3.row", "int2.g64", "int2.row.z.sbf16", "int2.g7",
                    "nf4.g64", "nf4.row", "fp4.g32.sf16"));

/// The words of kernels.h, bit by bit, for one tile.
TEST(PackLayout, wordsAreAsTheKernelsReadThem) {
  auto word = [](const char *name, std::vector<uint8_t> row, size_t at) {
    qrt::PackedWeight weight;
    weight.format = qrt::Format::parse(name);
    weight.rows = 3;
    weight.columns = int64_t(row.size());
    weight.codes.resize(3 * row.size());
    std::copy(row.begin(), row.end(), weight.codes.begin() + 2 * row.size());
    weight.scales.assign(3, 1.0f);
    uint32_t value; // line `at`, dword 2: row 2 of the tile
    std::memcpy(&value, packed(weight).data() + at * 64 + 8, 4);
    return value;
  };
  EXPECT_EQ(word("int8.row", {0x80, 0xff, 0x00, 0x7f}, 0), 0xff807f00u);
  EXPECT_EQ(word("int4.row", {1, 2, 3, 4, 5, 6, 7, 8}, 0), 0x84736251u);
  EXPECT_EQ(
      word("int2.row", {0, 1, 2, 3, 1, 1, 1, 1, 2, 2, 2, 2, 3, 0, 3, 0}, 0),
      // byte j: k = j, 4 + j, 8 + j, 12 + j from the low bits up
      0x27e625e4u);
  std::vector<uint8_t> threes(32, 0);
  threes[0] = 7;
  threes[5] = 4;
  threes[17] = 1;
  threes[31] = 6;
  EXPECT_EQ(word("int3.row", threes, 0), 0x00000003u);
  EXPECT_EQ(word("int3.row", threes, 1), 0x80000100u);
  EXPECT_EQ(word("int3.row", threes, 2), 0x80000201u);
}

TEST(PackLayout, planesAreAlignedAndPaddedRowsAreZero) {
  qrt::Format format = qrt::Format::parse("int4.g128.z");
  PackedLayout layout = t16Layout(format, 20, 320);
  EXPECT_EQ(layout.tileCodesBytes, 16 * 320 / 2);
  EXPECT_EQ(layout.codesBytes, 2 * 16 * 320 / 2);
  EXPECT_EQ(layout.scalesBytes, 2 * 3 * 16 * 2);
  EXPECT_EQ(layout.zerosBytes, 2 * 3 * 16);
  for (int64_t offset : {layout.codesOffset, layout.scalesOffset,
                         layout.zerosOffset, layout.totalBytes})
    EXPECT_EQ(offset % 64, 0);
  std::vector<uint8_t> bytes = packed(randomWeight(format, 20, 320));
  qrt::PackedWeight all =
      unpack(format, 32, 320, bytes.data(), int64_t(bytes.size()));
  for (size_t i = 20 * 320; i < all.codes.size(); ++i)
    ASSERT_EQ(all.codes[i], 0);
  for (size_t i = 20 * 3; i < all.scales.size(); ++i)
    ASSERT_EQ(all.scales[i], 0.0f);
}

TEST(PackLayout, floatsAreRoundedToNearestEven) {
  const int64_t rows = 18, columns = 33;
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> w(size_t(rows * columns));
  for (float &value : w)
    value = normal(random);
  for (const char *name : {"f32", "f16", "bf16"}) {
    qrt::Format format = qrt::Format::parse(name);
    PackedLayout layout = t16Layout(format, rows, columns);
    std::vector<uint8_t> bytes(size_t(layout.totalBytes));
    packFloats(format, rows, columns, w.data(), bytes.data());
    qrt::PackedWeight weight =
        unpack(format, rows, columns, bytes.data(), int64_t(bytes.size()));
    std::vector<float> values(w.size());
    qrt::dequantize(weight, values.data());
    std::vector<uint16_t> halves;
    for (size_t i = 0; i < w.size(); ++i) {
      qrt::ScaleType type = format.code == qrt::Code::F32 ? qrt::ScaleType::F32
                            : format.code == qrt::Code::F16
                                ? qrt::ScaleType::F16
                                : qrt::ScaleType::BF16;
      ASSERT_EQ(values[i], qrt::roundToScaleType(w[i], type));
      halves.push_back(format.code == qrt::Code::F16
                           ? qrt::floatToHalf(w[i])
                           : qrt::floatToBfloat(w[i]));
    }
    if (format.code == qrt::Code::F32)
      continue;
    std::vector<uint8_t> direct(bytes.size());
    packHalves(format, rows, columns, halves.data(), direct.data());
    EXPECT_EQ(direct, bytes);
  }
}

TEST(PackLayout, flattenedBlocksBecomeGroupsOfTheRow) {
  auto packedName = [](const char *name, int64_t columns) {
    auto format = packedFormat(qrt::Format::parse(name), columns);
    return format ? format->mangled() : std::string("none");
  };
  EXPECT_EQ(packedName("nf4.b64", 4096), "nf4.g64");
  EXPECT_EQ(packedName("nf4.b128", 320), "nf4.g64");
  EXPECT_EQ(packedName("nf4.b64", 40), "nf4.g8");
  EXPECT_EQ(packedName("fp4.b4096", 576), "fp4.g64");
  EXPECT_EQ(packedName("nf4.b64", 355), "none");
  EXPECT_EQ(packedName("nf4.b64", 36), "none");
  EXPECT_EQ(packedName("int4.g128", 355), "int4.g128");

  for (int64_t columns : {40, 64, 320}) {
    qrt::PackedWeight weight =
        randomWeight(qrt::Format::parse("nf4.b128"), 21, columns);
    std::vector<float> expected(weight.codes.size());
    qrt::dequantize(weight, expected.data());
    std::vector<uint8_t> bytes = packed(weight);
    qrt::PackedWeight back =
        unpack(*packedFormat(weight.format, columns), 21, columns, bytes.data(),
               int64_t(bytes.size()));
    std::vector<float> values(expected.size());
    qrt::dequantize(back, values.data());
    EXPECT_EQ(values, expected);
    // A stripe that begins inside a block finds its scales.
    int64_t groups = back.format.groupsPerRow(columns), first = 5;
    std::vector<float> stripe(size_t(3 * groups));
    int64_t element = first * columns;
    expandBlockScales(weight.format, element, 3, columns,
                      weight.scales.data() + element / 128, stripe.data());
    EXPECT_TRUE(std::equal(stripe.begin(), stripe.end(),
                           back.scales.begin() + first * groups));
  }
  std::vector<uint8_t> bytes(1 << 16);
  EXPECT_THROW(packWeight(randomWeight(qrt::Format::parse("nf4.b64"), 4, 355),
                          bytes.data()),
               qrt::Error);
}

/// Scales in a nested format mean the same before and after packing, whether
/// blocks divide rows or not.
TEST(PackLayout, nestedScalesAreKept) {
  EXPECT_EQ(packedFormat(qrt::Format::parse("nf4.b64.d256"), 4096)->mangled(),
            "nf4.g64.d256");
  EXPECT_EQ(packedFormat(qrt::Format::parse("nf4.b128.d256"), 320)->mangled(),
            "nf4.g64.d512");
  for (const char *name :
       {"nf4.b64.d256", "fp4.b128.d256", "nf4.b32.d3", "nf4.g32.d7"})
    for (int64_t rows : {5, 16, 37})
      for (int64_t columns : {32, 64, 320, 4096}) {
        SCOPED_TRACE(std::string(name) + " " + std::to_string(rows) + " x " +
                     std::to_string(columns));
        qrt::PackedWeight weight =
            randomWeight(qrt::Format::parse(name), rows, columns);
        std::vector<float> expected(weight.codes.size()), values = expected;
        qrt::dequantize(weight, expected.data());
        std::vector<uint8_t> bytes = packed(weight);
        qrt::Format format = *packedFormat(weight.format, columns);
        qrt::dequantize(
            unpack(format, rows, columns, bytes.data(), int64_t(bytes.size())),
            values.data());
        EXPECT_EQ(values, expected);
      }
  // A phase that leads outside the tile is noticed.
  qrt::Format format = qrt::Format::parse("nf4.g64.d256");
  std::vector<uint8_t> bytes = packed(randomWeight(format, 16, 64));
  PackedLayout layout = t16Layout(format, 16, 64);
  bytes[size_t(layout.zerosOffset) + 3] = 0xff;
  EXPECT_THROW(unpack(format, 16, 64, bytes.data(), int64_t(bytes.size())),
               qrt::Error);
}

TEST(PackLayout, errors) {
  qrt::Format int4 = qrt::Format::parse("int4.g128");
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(t16Layout(qrt::Format::parse("nf4.b64"), 4, 64), qrt::Error);
  EXPECT_THROW(t16Layout(int4, 0, 64), qrt::Error);
  EXPECT_THROW(t16Layout(int4, 4, -1), qrt::Error);
  EXPECT_THROW(t16Layout(int4, kHuge, 64), qrt::Error);
  EXPECT_THROW(t16Layout(int4, 64, kHuge), qrt::Error);
  EXPECT_THROW(t16Layout(int4, int64_t(1) << 40, int64_t(1) << 40), qrt::Error);
  std::vector<uint8_t> bytes(64);
  EXPECT_THROW(unpack(int4, 16, 128, bytes.data(), 64), qrt::Error);
  EXPECT_THROW(
      packCodes(qrt::Format::parse("f32"), 1, 1, bytes.data(), bytes.data()),
      qrt::Error);
  float w = 0;
  EXPECT_THROW(packFloats(int4, 1, 1, &w, bytes.data()), qrt::Error);
}

} // namespace
