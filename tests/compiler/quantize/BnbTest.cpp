//===- BnbTest.cpp - bitsandbytes' formats against its own output ---------===//

#include "compiler/quantize/Bnb.h"

#include "codegen/cpu/kernels/dynamic_map.h"
#include "compiler/quantize/Simd.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"
#include "tests/support/Safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

using namespace qcc;
using namespace qcc::test;

namespace {

/// Goldens of the repository ("formats/...") or of the shared data.
std::filesystem::path goldenPath(const std::string &name) {
  return name.rfind("formats/", 0) == 0 ? testInput(name)
                                        : sharedData("quant-goldens/" + name);
}

/// A test that runs on a golden file; skipped where it is absent.
class GoldenFile : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override { QCC_REQUIRE_FILE(goldenPath(GetParam())); }
  Goldens goldens() const { return Goldens(goldenPath(GetParam())); }
};

qrt::Code codeNamed(const std::string &name) {
  return name == "nf4" ? qrt::Code::NF4 : qrt::Code::FP4;
}

/// bitsandbytes packs two codes a byte, the first in the high nibble; an odd
/// last element is followed by padding.
std::vector<uint8_t> unpackNibbles(const std::vector<uint8_t> &packed,
                                   size_t count) {
  std::vector<uint8_t> codes;
  for (uint8_t byte : packed) {
    codes.push_back(byte >> 4);
    codes.push_back(byte & 15);
  }
  codes.resize(count);
  return codes;
}

/// Rounds as the golden's dequantized tensor was.
float roundTo(const std::string &dtype, float value) {
  if (dtype == "F16")
    return qrt::roundToScaleType(value, qrt::ScaleType::F16);
  return dtype == "BF16" ? qrt::roundToScaleType(value, qrt::ScaleType::BF16)
                         : value;
}

/// How far x / absmax is from the nearest midpoint of the table.
double midpointDistance(qrt::Code code, float x, float absmax) {
  const float *table = code == qrt::Code::NF4 ? qrt::kNf4Table : qrt::kFp4Table;
  std::vector<double> values(table, table + 16);
  std::sort(values.begin(), values.end());
  double nearest = 1;
  for (size_t i = 0; i + 1 < values.size(); ++i)
    nearest = std::min(nearest, std::fabs(double(x) / absmax -
                                          (values[i] + values[i + 1]) / 2));
  return nearest;
}

/// One case of a golden file: "<weight>.<code>.b<block>".
struct BnbCase {
  std::string weight, code;
  int64_t block;
};

std::vector<BnbCase> casesOf(const Goldens &goldens) {
  std::vector<BnbCase> cases;
  for (auto &[name, tensor] : goldens) {
    size_t end = name.rfind(".packed");
    if (end == std::string::npos)
      continue;
    std::string stem = name.substr(0, end);
    size_t block = stem.rfind(".b"), code = stem.rfind('.', block - 1);
    cases.push_back({stem.substr(0, code),
                     stem.substr(code + 1, block - code - 1),
                     std::stoll(stem.substr(block + 2))});
  }
  return cases;
}

void checkCase(const Goldens &goldens, const BnbCase &one) {
  std::string stem =
      one.weight + "." + one.code + ".b" + std::to_string(one.block);
  SCOPED_TRACE(stem);
  const GoldenTensor &weight = goldens[one.weight + ".weight"];
  std::vector<float> w = weight.floats();
  qrt::PackedWeight packed;
  packed.format =
      qrt::Format::parse(one.code + ".b" + std::to_string(one.block));
  packed.rows = weight.shape[0];
  packed.columns = weight.shape[1];
  packed.codes.resize(w.size());
  packed.scales.resize(
      size_t(packed.format.scaleCount(packed.rows, packed.columns)));
  quantizeTableRows(w.data(), packed.rows, packed.columns, packed.format,
                    packed.codes.data(), packed.scales.data());

  EXPECT_EQ(packed.scales, goldens[stem + ".absmax"].as<float>());
  std::vector<uint8_t> expected =
      unpackNibbles(goldens[stem + ".packed"].bytes, w.size());
  qrt::Code code = codeNamed(one.code);
  for (size_t i = 0; i < w.size(); ++i) {
    if (packed.codes[i] == expected[i])
      continue;
    float absmax = packed.scales[i / size_t(one.block)];
    EXPECT_LT(midpointDistance(code, w[i], absmax), 1e-6)
        << "element " << i << " is " << w[i] << " of " << absmax << ": code "
        << int(packed.codes[i]) << ", expected " << int(expected[i]);
  }

  // The reference must reproduce bitsandbytes' dequantization of its codes.
  packed.codes = expected;
  std::vector<float> values(w.size());
  qrt::dequantize(packed, values.data());
  for (const char *dtype : {"f32", "f16", "bf16"}) {
    std::string name = stem + ".dequant_" + dtype;
    if (!goldens.has(name))
      continue;
    std::vector<float> golden = goldens[name].floats();
    for (size_t i = 0; i < w.size(); ++i)
      ASSERT_EQ(roundTo(goldens[name].dtype, values[i]), golden[i])
          << name << " element " << i;
  }
}

class Bnb4BitFile : public GoldenFile {};

TEST_P(Bnb4BitFile, codesAndScalesAreBitsandbytes) {
  Goldens file = goldens();
  std::vector<BnbCase> cases = casesOf(file);
  EXPECT_GE(cases.size(), 6u);
  for (const BnbCase &one : cases)
    checkCase(file, one);
}

class Blockwise8BitFile : public GoldenFile {};

TEST_P(Blockwise8BitFile, dynamicMapIsBitsandbytes) {
  EXPECT_EQ(goldens()["dynamic_map"].as<float>(),
            std::vector<float>(qrt::dynamicMap(), qrt::dynamicMap() + 256));
}

TEST_P(Blockwise8BitFile, codesAreNearest) {
  const Goldens goldens = this->goldens();
  int cases = 0;
  for (auto &[name, tensor] : goldens) {
    size_t end = name.rfind(".q_nearest");
    if (end == std::string::npos)
      continue;
    SCOPED_TRACE(name);
    std::string stem = name.substr(0, end);
    size_t blockAt = stem.rfind(".b");
    int64_t block = std::stoll(stem.substr(blockAt + 2));
    std::vector<float> input =
        goldens[stem.substr(0, blockAt) + ".input"].floats();
    std::vector<uint8_t> codes(input.size());
    std::vector<float> absmax((input.size() - 1) / size_t(block) + 1);
    quantizeDynamic(input.data(), int64_t(input.size()), block, codes.data(),
                    absmax.data());
    EXPECT_EQ(absmax, goldens[stem + ".absmax"].as<float>());
    std::vector<uint8_t> asRun = goldens[stem + ".q"].bytes;
    for (size_t i = 0; i < codes.size(); ++i)
      EXPECT_TRUE(codes[i] == tensor.bytes[i] || codes[i] == asRun[i])
          << "element " << i << " is " << input[i] << " of "
          << absmax[i / size_t(block)] << ": code " << int(codes[i])
          << ", expected " << int(tensor.bytes[i]) << " or " << int(asRun[i]);
    ++cases;
  }
  EXPECT_GE(cases, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Files, Blockwise8BitFile,
    testing::Values("formats/blockwise8bit.safetensors",
                    "bnb4bit/bnb8bit_blockwise.safetensors"));

TEST_P(Bnb4BitFile, doubleQuantizationOfScales) {
  const Goldens goldens = this->goldens();
  for (const BnbCase &one : casesOf(goldens)) {
    std::string nestedOffset = one.weight + "." + one.code + ".b" +
                               std::to_string(one.block) + ".dq.nested_offset";
    if (!goldens.has(nestedOffset))
      continue;
    std::string stem =
        one.weight + "." + one.code + ".b" + std::to_string(one.block);
    SCOPED_TRACE(stem);
    std::vector<float> absmax = goldens[stem + ".absmax"].as<float>();
    NestedScales nested = quantizeScales(absmax.data(), int64_t(absmax.size()));
    float offset = goldens[stem + ".dq.nested_offset"].as<float>()[0];
    EXPECT_NEAR(nested.offset, offset, 1e-6 * std::fabs(offset));
    std::vector<float> nestedAbsmax =
        goldens[stem + ".dq.nested_absmax"].as<float>();
    ASSERT_EQ(nested.absmax.size(), nestedAbsmax.size());
    for (size_t i = 0; i < nestedAbsmax.size(); ++i)
      EXPECT_NEAR(nested.absmax[i], nestedAbsmax[i], 1e-5 * nestedAbsmax[i]);
    std::vector<float> values(absmax.size());
    dequantizeScales(nested, values.data());
    std::vector<float> golden =
        goldens[stem + ".dq.absmax_dequant"].as<float>();
    std::vector<uint8_t> asRun = goldens[stem + ".dq.absmax_u8"].bytes;
    std::vector<uint8_t> nearest =
        goldens[stem + ".dq.absmax_u8_nearest"].bytes;
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_TRUE(nested.codes[i] == asRun[i] || nested.codes[i] == nearest[i])
          << "scale " << i << " of " << absmax.size() << " is " << absmax[i]
          << ": code " << int(nested.codes[i]) << ", expected "
          << int(nearest[i]);
      if (nested.codes[i] == asRun[i]) {
        EXPECT_NEAR(values[i], golden[i],
                    1e-6 * (std::fabs(offset) + nestedAbsmax[i / 256]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Bnb4BitFile,
                         testing::Values("formats/bnb4bit_f32.safetensors",
                                         "formats/bnb4bit_bf16.safetensors",
                                         "bnb4bit/bnb4bit_f32.safetensors",
                                         "bnb4bit/bnb4bit_f16.safetensors",
                                         "bnb4bit/bnb4bit_bf16.safetensors"));

TEST(Bnb, meanErrorsByBlockSize) {
  auto path = sharedData("quant-goldens/bnb_4bit_error_stats.json");
  QCC_REQUIRE_FILE(path);
  std::ifstream file(path);
  nlohmann::json stats = nlohmann::json::parse(file)["stats"];
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> w(1024 * 1024);
  for (float &value : w)
    value = normal(random);
  std::vector<uint8_t> codes(w.size());
  for (const char *name : {"nf4", "fp4"}) {
    const float *table =
        codeNamed(name) == qrt::Code::NF4 ? qrt::kNf4Table : qrt::kFp4Table;
    for (auto &[block, expected] : stats[name]["err"].items()) {
      int64_t size = std::stoll(block);
      std::vector<float> absmax(w.size() / size_t(size));
      QuantizeStatistics sums =
          quantizeBlocks(w.data(), int64_t(w.size()), codeNamed(name), size,
                         codes.data(), absmax.data());
      double error = 0, relative = 0, squares = 0;
      for (size_t i = 0; i < w.size(); ++i) {
        double difference =
            std::fabs(table[codes[i]] * absmax[i / size_t(size)] - w[i]);
        error += difference;
        relative += difference / (std::fabs(double(w[i])) + 1e-8);
        squares += difference * difference;
      }
      error /= double(w.size());
      relative /= double(w.size());
      // Mean and standard deviation over 200 samples: allow five of them.
      EXPECT_NEAR(error, expected[0], 5 * double(expected[1]))
          << name << " " << block;
      auto expectedRelative = stats[name]["rel_err"][block];
      EXPECT_NEAR(relative, expectedRelative[0],
                  5 * double(expectedRelative[1]) + 0.001)
          << name << " " << block;
      EXPECT_NEAR(sums.squaredError, squares, 1e-5 * squares);
    }
  }
}

class LlmInt8File : public GoldenFile {};

TEST_P(LlmInt8File, codesAndScales) {
  const Goldens goldens = this->goldens();
  int cases = 0;
  for (auto &[name, tensor] : goldens) {
    if (name.size() < 2 || name.substr(name.size() - 2) != ".W")
      continue;
    SCOPED_TRACE(name);
    std::string stem = name.substr(0, name.size() - 2);
    std::vector<float> w = tensor.floats();
    int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    std::vector<uint8_t> codes(w.size());
    std::vector<float> scales((size_t(rows)));
    quantizeLlmInt8Rows(w.data(), rows, columns, codes.data(), scales.data());
    std::vector<float> absmax = goldens[stem + ".SCB"].as<float>();
    for (size_t row = 0; row < scales.size(); ++row)
      EXPECT_EQ(scales[row], absmax[row] / 127.0f);
    EXPECT_EQ(codes, goldens[stem + ".CB"].bytes);
    ++cases;
  }
  EXPECT_GE(cases, 2);
}

INSTANTIATE_TEST_SUITE_P(Files, LlmInt8File,
                         testing::Values("formats/llm_int8.safetensors",
                                         "llm_int8/llm_int8.safetensors"));

TEST(Bnb, stripesEqualTheWhole) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  const int64_t rows = 24, columns = 40;
  std::vector<float> w(size_t(rows * columns));
  for (float &value : w)
    value = normal(random);
  for (const char *name : {"nf4.b64", "fp4.b32", "nf4.g16", "fp4.row.sf16"}) {
    qrt::Format format = qrt::Format::parse(name);
    size_t scales = size_t(format.scaleCount(rows, columns));
    std::vector<uint8_t> whole(w.size()), parts(w.size());
    std::vector<float> wholeScales(scales), partScales(scales);
    quantizeTableRows(w.data(), rows, columns, format, whole.data(),
                      wholeScales.data());
    int64_t stripe = blockRows(format, columns);
    EXPECT_EQ(rows % stripe, 0);
    float *to = partScales.data();
    for (int64_t row = 0; row < rows; row += stripe) {
      quantizeTableRows(w.data() + row * columns, stripe, columns, format,
                        parts.data() + row * columns, to);
      to += format.scaleCount(stripe, columns);
    }
    EXPECT_EQ(whole, parts) << name;
    EXPECT_EQ(wholeScales, partScales) << name;
  }
}

TEST(Bnb, everyInstructionSetGivesTheSameBits) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> w(5000);
  for (float &value : w)
    value = normal(random);
  const simd::Level best = simd::level();
  for (qrt::Code code : {qrt::Code::NF4, qrt::Code::FP4}) {
    std::vector<std::vector<uint8_t>> codes;
    std::vector<std::vector<float>> absmax;
    std::vector<double> errors;
    for (auto level :
         {simd::Level::Baseline, simd::Level::Avx2, simd::Level::Avx512}) {
      if (level > best)
        continue;
      simd::level() = level;
      codes.emplace_back(w.size());
      absmax.emplace_back(w.size() / 32 + 1);
      errors.push_back(quantizeBlocks(w.data(), int64_t(w.size()), code, 32,
                                      codes.back().data(), absmax.back().data())
                           .squaredError);
    }
    simd::level() = best;
    for (size_t i = 1; i < codes.size(); ++i) {
      EXPECT_EQ(codes[i], codes[0]);
      EXPECT_EQ(absmax[i], absmax[0]);
      EXPECT_EQ(errors[i], errors[0]);
    }
  }
}

/// The kernels' own copy of the table.
TEST(Bnb, kernelsHaveTheDynamicMap) {
  EXPECT_TRUE(
      std::equal(krn::kDynamicMap, krn::kDynamicMap + 256, qrt::dynamicMap()));
}

/// Codes of a weight with nested scales are those of its exact maxima; what is
/// lost is that of the scales that it stores.
TEST(Bnb, nestedScalesCountInTheError) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> w(5 * 1000);
  for (float &value : w)
    value = normal(random);
  for (const char *name : {"nf4.b64.d256", "fp4.b32.d256"}) {
    qrt::Format format = qrt::Format::parse(name);
    qrt::PackedWeight weight;
    weight.format = format;
    weight.rows = 5;
    weight.columns = 1000;
    size_t blocks = size_t(format.scaleCount(5, 1000));
    std::vector<uint8_t> plain(w.size());
    std::vector<float> absmax(blocks), scales(blocks);
    quantizeBlocks(w.data(), 5000, format.code, format.group, plain.data(),
                   absmax.data());
    NestedScales nested = quantizeScales(absmax.data(), int64_t(blocks));
    dequantizeScales(nested, scales.data());
    weight.codes.resize(w.size());
    QuantizeStatistics lost = quantizeToScales(
        w.data(), 5000, format, scales.data(), weight.codes.data());
    EXPECT_EQ(weight.codes, plain);
    weight.scaleCodes = nested.codes;
    weight.nestedScales = nested.absmax;
    weight.nestedOffset = nested.offset;
    std::vector<float> values(w.size());
    qrt::dequantize(weight, values.data());
    double error = 0;
    for (size_t i = 0; i < w.size(); ++i)
      error += std::pow(double(values[i]) - double(w[i]), 2);
    EXPECT_NEAR(lost.squaredError, error, 1e-4 * error);
  }
}

TEST(Bnb, refusesIntFormats) {
  float w[4] = {1, 2, 3, 4}, scales[4];
  uint8_t codes[4];
  EXPECT_THROW(
      quantizeTableRows(w, 1, 4, qrt::Format::parse("int4.g4"), codes, scales),
      qrt::Error);
}

TEST(Bnb, scalesThatF16CannotHoldAreCounted) {
  std::vector<float> w(64, 1e6f), tiny(64, 1e-9f);
  std::vector<uint8_t> codes(64);
  float scale;
  qrt::Format format = qrt::Format::parse("nf4.g64.sf16");
  QuantizeStatistics large =
      quantizeTableRows(w.data(), 1, 64, format, codes.data(), &scale);
  EXPECT_EQ(large.overflowedScales, 1);
  EXPECT_EQ(scale, 65504.0f);
  EXPECT_TRUE(large.needsF32Scales());
  QuantizeStatistics small =
      quantizeTableRows(tiny.data(), 1, 64, format, codes.data(), &scale);
  EXPECT_EQ(small.underflowedScales, 1);
  EXPECT_TRUE(small.needsF32Scales());
}

} // namespace
