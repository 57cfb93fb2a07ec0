//===- TensorTypeTest.cpp - Tests of conversions to f32 -------------------===//

#include "frontends/checkpoint/TensorType.h"

#include "frontends/checkpoint/Gguf.h"
#include "runtime/formats/HalfFloat.h"
#include "tests/frontends/checkpoint/TestFiles.h"

#include <bit>
#include <cmath>
#include <limits>

using namespace qcc;
using namespace qcc::test;

namespace {

template <typename T>
std::vector<float> convert(TensorType type, const std::vector<T> &values) {
  // From an odd address on: files promise no alignment.
  std::string bytes(1, 'x');
  bytes += rawBytes(values);
  std::vector<float> out(values.size());
  convertToF32(type, reinterpret_cast<const uint8_t *>(bytes.data()) + 1,
               int64_t(values.size()), out.data());
  return out;
}

TEST(TensorType, NamesAreUnique) {
  for (int i = 0; i < kNumTensorTypes; ++i) {
    const TypeTraits &one = traits(TensorType(i));
    EXPECT_LE(one.elements, kMaxBlockElements);
    for (int j = 0; j < i; ++j)
      EXPECT_NE(one.name, traits(TensorType(j)).name);
  }
}

/// Every half, at every position in a vector register and in the rest.
TEST(TensorType, ConvertsEveryHalf) {
  std::vector<uint16_t> halves(65536 + 5);
  for (size_t i = 0; i < halves.size(); ++i)
    halves[i] = uint16_t(i);
  std::vector<float> out = convert(TensorType::F16, halves);
  for (size_t i = 0; i < halves.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]),
              std::bit_cast<uint32_t>(qrt::halfToFloat(halves[i])))
        << i;
}

TEST(TensorType, ConvertsEveryBfloat) {
  std::vector<uint16_t> values(65536);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = uint16_t(i);
  std::vector<float> out = convert(TensorType::BF16, values);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), uint32_t(values[i]) << 16);
}

TEST(TensorType, ConvertsFloats) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(convert<float>(TensorType::F32, {1.5f, -0.0f, inf}),
            (std::vector<float>{1.5f, -0.0f, inf}));
  EXPECT_EQ(convert<double>(TensorType::F64, {0.1, 1e300, -2.0}),
            (std::vector<float>{0.1f, inf, -2.0f}));
  convertToF32(TensorType::F32, nullptr, 0, nullptr);
}

TEST(TensorType, ConvertsIntegers) {
  EXPECT_EQ(convert<int64_t>(TensorType::I64, {-1, int64_t(1) << 40}),
            (std::vector<float>{-1, 0x1p40f}));
  EXPECT_EQ(convert<int32_t>(TensorType::I32, {INT32_MIN, 7}),
            (std::vector<float>{-0x1p31f, 7}));
  EXPECT_EQ(convert<int16_t>(TensorType::I16, {-32768, 3}),
            (std::vector<float>{-32768, 3}));
  EXPECT_EQ(convert<int8_t>(TensorType::I8, {-128, 127}),
            (std::vector<float>{-128, 127}));
  EXPECT_EQ(convert<uint64_t>(TensorType::U64, {uint64_t(1) << 63}),
            (std::vector<float>{0x1p63f}));
  EXPECT_EQ(convert<uint32_t>(TensorType::U32, {uint32_t(1) << 31}),
            (std::vector<float>{0x1p31f}));
  EXPECT_EQ(convert<uint16_t>(TensorType::U16, {65535}),
            (std::vector<float>{65535}));
  EXPECT_EQ(convert<uint8_t>(TensorType::U8, {255, 0}),
            (std::vector<float>{255, 0}));
  EXPECT_EQ(convert<uint8_t>(TensorType::Bool, {0, 1}),
            (std::vector<float>{0, 1}));
}

/// Against the package `gguf` (tests/Inputs/gguf/generate.py).
TEST(TensorType, DequantizesAsGgml) {
  std::string path = ggufInputs() / "types.gguf";
  qrt::MappedFile file(path);
  GgufContents contents = parseGguf(file.bytes(), path);
  auto expected = openSafetensorsFile(ggufInputs() / "types.safetensors");
  ASSERT_EQ(contents.tensors.size(), expected->tensors().size());
  for (const TensorInfo &info : contents.tensors) {
    SCOPED_TRACE(info.name);
    EXPECT_EQ(traits(info.type).name, info.name);
    const TensorInfo *other = expected->find(info.name);
    ASSERT_TRUE(other);
    EXPECT_EQ(info.shape, other->shape);
    std::vector<float> want = readAll(*expected, info.name);
    std::vector<float> got(want.size());
    convertToF32(info.type, file.bytes().data() + info.offset, info.elements(),
                 got.data());
    EXPECT_EQ(got, want);
  }
}

TEST(TensorInfo, CountsElementsAndBytes) {
  constexpr int64_t large = int64_t(1) << 30;
  EXPECT_EQ(elementCount({}), 1);
  EXPECT_EQ(elementCount({2, 3, 4}), 24);
  EXPECT_EQ(elementCount({large, 0, large, large}), 0);
  EXPECT_EQ(elementCount({large, large}), -1);
  EXPECT_EQ(elementCount({INT64_MAX}), -1);
  EXPECT_EQ(elementCount({2, -1}), -1);
  EXPECT_EQ(byteCount(TensorType::F64, {int64_t(1) << 58}), int64_t(1) << 61);
  EXPECT_EQ(byteCount(TensorType::BF16, {3, 5}), 30);
  EXPECT_EQ(byteCount(TensorType::Q4_0, {3, 64}), 3 * 2 * 18);
  EXPECT_EQ(byteCount(TensorType::Q4_0, {64, 3}), -1);
  EXPECT_EQ(byteCount(TensorType::Q4_0, {}), -1);
  EXPECT_EQ(byteCount(TensorType::Q6_K, {2, 128}), -1);
}

TEST(TensorInfo, QuotesTextOnOneLine) {
  EXPECT_EQ(quoteText("a b"), "'a b'");
  EXPECT_EQ(quoteText("\n\x7f\xff"), "'\\x0a\\x7f\\xff'");
  EXPECT_EQ(quoteText(std::string(81, 'x')),
            "'" + std::string(80, 'x') + "...'");
}

} // namespace
