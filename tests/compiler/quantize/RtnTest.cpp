//===- RtnTest.cpp - Round-to-nearest against the reference recipe --------===//

#include "compiler/quantize/Rtn.h"

#include "compiler/quantize/Simd.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"
#include "tests/support/Safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <span>

using namespace qcc;
using namespace qcc::test;

namespace {

std::vector<float> randomWeight(int64_t count, unsigned seed,
                                float deviation = 0.02f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> w(static_cast<size_t>(count));
  for (float &value : w)
    value = normal(random);
  return w;
}

qrt::PackedWeight quantized(const std::vector<float> &w, int64_t rows,
                            int64_t columns, const std::string &format,
                            QuantizeStatistics *statistics = nullptr,
                            const RtnOptions &options = {}) {
  qrt::PackedWeight packed;
  packed.format = qrt::Format::parse(format);
  packed.rows = rows;
  packed.columns = columns;
  packed.codes.resize(w.size());
  packed.scales.resize(size_t(packed.format.scaleCount(rows, columns)));
  packed.zeros.resize(packed.format.zero ? packed.scales.size() : 0);
  QuantizeStatistics sums = quantizeRows(
      w.data(), rows, columns, packed.format, options, packed.codes.data(),
      packed.scales.data(), packed.zeros.data());
  if (statistics)
    *statistics = sums;
  return packed;
}

/// Quantizer.find_params and quantize of GPTQ-for-LLaMa, a value at a time.
struct NaiveGroup {
  float scale, zero;
  std::vector<float> codes;
};

NaiveGroup naiveGroup(const float *w, int64_t count, int bits, bool symmetric,
                      qrt::ScaleType type) {
  float most = 0, least = 0, maxq = float((1 << bits) - 1);
  for (int64_t i = 0; i < count; ++i) {
    most = std::max(most, w[i]);
    least = std::min(least, w[i]);
  }
  if (symmetric) {
    most = std::max(std::fabs(least), most);
    least = -most;
  }
  if (most == 0 && least == 0) {
    least = -1;
    most = 1;
  }
  NaiveGroup group;
  float exact = (most - least) / maxq;
  group.scale = qrt::roundToScaleType(exact, type);
  // Toward zero, the next lower number of the type, where it has all digits.
  float least16 = type == qrt::ScaleType::F16 ? 0x1p-14f : 0.0f;
  if (symmetric && group.scale > exact && group.scale > least16)
    group.scale =
        type == qrt::ScaleType::F16
            ? qrt::halfToFloat(uint16_t(qrt::floatToHalf(group.scale) - 1))
            : qrt::bfloatToFloat(uint16_t(qrt::floatToBfloat(group.scale) - 1));
  group.zero =
      symmetric ? (maxq + 1) / 2 : std::nearbyint(-least / group.scale);
  for (int64_t i = 0; i < count; ++i)
    group.codes.push_back(std::clamp(
        std::nearbyint(w[i] / group.scale) + group.zero, 0.0f, maxq));
  return group;
}

struct RtnCase {
  int bits;
  int64_t group;
  bool symmetric;
  const char *scale;
};

class Rtn : public testing::TestWithParam<RtnCase> {};

/// "int4.g128.z.sf32".
std::string formatName(const RtnCase &one) {
  std::string group = one.group < 0 ? "row" : "g" + std::to_string(one.group);
  return "int" + std::to_string(one.bits) + "." + group +
         (one.symmetric ? "" : ".z") + one.scale;
}

TEST_P(Rtn, equalsTheRecipe) {
  const RtnCase &one = GetParam();
  std::string name = formatName(one);
  qrt::Format format = qrt::Format::parse(name);
  const int64_t rows = 7, columns = 321; // a ragged last group
  std::vector<float> w = randomWeight(rows * columns, 11);
  std::fill(w.begin() + 321, w.begin() + 642, 0.0f); // a row of zeros
  std::fill(w.begin() + 642, w.begin() + 963, -0.5f);
  const int64_t size = format.groupSize(columns);
  std::vector<NaiveGroup> naive;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < columns; begin += size)
      naive.push_back(naiveGroup(w.data() + row * columns + begin,
                                 std::min(size, columns - begin), one.bits,
                                 one.symmetric, format.scale));

  const simd::Level best = simd::level();
  for (auto level :
       {simd::Level::Baseline, simd::Level::Avx2, simd::Level::Avx512}) {
    if (level > best)
      continue;
    simd::level() = level;
    qrt::PackedWeight packed = quantized(w, rows, columns, name);
    simd::level() = best;
    size_t element = 0;
    for (size_t g = 0; g < naive.size(); ++g) {
      ASSERT_EQ(packed.scales[g], naive[g].scale) << name << " group " << g;
      if (!one.symmetric) {
        ASSERT_EQ(packed.zeros[g], naive[g].zero);
      }
      for (float code : naive[g].codes) {
        int stored = packed.codes[element];
        if (one.bits == 8 && one.symmetric)
          stored = int8_t(stored) + 128;
        ASSERT_EQ(stored, code) << name << " element " << element;
        ++element;
      }
    }
    std::vector<float> values(w.size());
    qrt::dequantize(packed, values.data());
    EXPECT_EQ(values[400], 0.0f) << "an all-zero group stays zero";
  }
}

std::vector<RtnCase> rtnCases() {
  std::vector<RtnCase> cases;
  for (int bits : {2, 3, 4, 8})
    for (int64_t group : {8, 16, 17, 32, 64, 128, 1024, -1})
      for (bool symmetric : {true, false})
        for (const char *scale : {"", ".sf32", ".sbf16"})
          cases.push_back({bits, group, symmetric, scale});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, Rtn, testing::ValuesIn(rtnCases()),
                         [](const auto &info) {
                           std::string name = formatName(info.param);
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

/// GPTQ leaves a first group's parameters at those of the untouched weight,
/// and, with one group a row, all of them: there the goldens are RTN's.
void checkReferenceParameters(const Goldens &goldens, int leastCases,
                              int leastMseCases) {
  int cases = 0, mseCases = 0;
  for (auto &[name, tensor] : goldens) {
    size_t end = name.rfind(".scales");
    if (end == std::string::npos || name.find("actorder") != name.npos)
      continue;
    SCOPED_TRACE(name);
    std::string stem = name.substr(0, end), model = stem.substr(0, 2);
    int bits = stem[stem.find(".b") + 2] - '0';
    int64_t group = std::stoll(stem.substr(stem.find(".g") + 2));
    bool symmetric = stem.find(".sym") != stem.npos;
    RtnOptions options;
    options.mse = stem.find(".mse") != stem.npos;
    const GoldenTensor &weight = goldens[model + ".W"];
    std::vector<float> w = weight.floats();
    int64_t rows = weight.shape[0], columns = weight.shape[1];
    // A dead column (zero on the Hessian's diagonal) is zeroed before the
    // groups are looked at, but after the search for one group a row.
    std::vector<float> hessian;
    if (group > 0)
      hessian = goldens[model + ".H"].floats();
    for (int64_t k = 0; group > 0 && k < columns; ++k)
      if (hessian[size_t(k * columns + k)] == 0)
        for (int64_t row = 0; row < rows; ++row)
          w[size_t(row * columns + k)] = 0;

    qrt::Format format = qrt::Format::parse(
        "int" + std::to_string(bits) +
        (group < 0 ? std::string(".row") : ".g" + std::to_string(group)) +
        (symmetric ? "" : ".z") + ".sf32");
    std::vector<float> scales = tensor.floats();
    int64_t groups = tensor.shape[1];
    const std::vector<uint8_t> &zeros = goldens[stem + ".zeros"].bytes;
    for (int64_t row = 0; row < rows; ++row) {
      GroupParameters found = findGroupParameters(
          w.data() + row * columns, format.groupSize(columns), format, options);
      float expected = scales[size_t(row * groups)];
      int zero = zeros[size_t(row * groups)];
      if (found.scale == expected && found.zero == zero)
        continue;
      ADD_FAILURE() << "row " << row << ": scale " << found.scale << " zero "
                    << found.zero << ", expected " << expected << " and "
                    << zero;
    }
    ++cases;
    mseCases += options.mse;
  }
  EXPECT_GE(cases, leastCases);
  EXPECT_GE(mseCases, leastMseCases);
}

TEST(RtnGoldens, groupParametersOfRows) {
  checkReferenceParameters(Goldens(testInput("formats/rtn.safetensors")), 8, 0);
}

TEST(RtnGoldens, groupParametersOfEveryGroupSize) {
  auto path = sharedData("quant-goldens/gptq/gptq.safetensors");
  QCC_REQUIRE_FILE(path);
  checkReferenceParameters(Goldens(path), 60, 6);
}

TEST(Rtn, mseSearchNeverIncreasesItsError) {
  const int64_t rows = 16, columns = 256;
  std::vector<float> w = randomWeight(rows * columns, 5);
  for (const char *name :
       {"int2.g64", "int3.g128.z", "int4.g128", "int4.g8.z", "int8.row"}) {
    RtnOptions mse;
    mse.mse = true;
    mse.norm = 2; // so that the search minimizes what the statistics sum
    QuantizeStatistics plain, searched;
    quantized(w, rows, columns, name, &plain);
    quantized(w, rows, columns, name, &searched, mse);
    EXPECT_LE(searched.squaredError, plain.squaredError * (1 + 1e-6)) << name;
  }
}

TEST(Rtn, mseSearchIgnoresTheSizeOfTheWeights) {
  const int64_t columns = 128;
  std::vector<float> w = randomWeight(columns, 6);
  std::vector<float> tiny = w;
  for (float &value : tiny)
    value *= 0x1p-80f;
  RtnOptions mse;
  mse.mse = true;
  qrt::PackedWeight a =
      quantized(w, 1, columns, "int3.g128.sf32", nullptr, mse);
  qrt::PackedWeight b =
      quantized(tiny, 1, columns, "int3.g128.sf32", nullptr, mse);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.scales[0] * 0x1p-80f, b.scales[0]);
}

TEST(Rtn, statisticsAreTheReferencesError) {
  const int64_t rows = 9, columns = 300;
  std::vector<float> w = randomWeight(rows * columns, 7);
  for (const char *name :
       {"int2.g64", "int3.g128.z", "int4.g128", "int8.row", "int8.g32.z"}) {
    QuantizeStatistics sums;
    qrt::PackedWeight packed = quantized(w, rows, columns, name, &sums);
    std::vector<float> values(w.size());
    qrt::dequantize(packed, values.data());
    double error = 0, norm = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      error += (double(w[i]) - values[i]) * (double(w[i]) - values[i]);
      norm += double(w[i]) * w[i];
    }
    EXPECT_NEAR(sums.squaredError, error, 1e-5 * error) << name;
    EXPECT_NEAR(sums.squaredNorm, norm, 1e-5 * norm) << name;
    EXPECT_NEAR(sums.relativeError(), error / norm, 1e-5 * error / norm);
    EXPECT_FALSE(sums.needsF32Scales());
  }
}

/// The reference maps a symmetric group without negative values to the upper
/// half of the codes only after clamping its larger half; here it is exact.
TEST(Rtn, symmetricGroupWithoutNegativeValues) {
  std::vector<float> w = {0, 1, 2, 3, 4, 5, 6, 7.5f};
  qrt::PackedWeight packed = quantized(w, 1, 8, "int4.g8");
  std::vector<float> values(8);
  qrt::dequantize(packed, values.data());
  for (size_t i = 0; i < 8; ++i)
    EXPECT_NEAR(values[i], w[i], 0.5f + 1e-3f);
}

// A scale that f16 rounds up would bring it to the code next to it.
TEST(Rtn, symmetricGroupKeepsItsLargestMagnitude) {
  std::vector<float> w = randomWeight(64 * 32, 3);
  for (size_t group = 0; group < 64; ++group) {
    auto values = std::span(w).subspan(group * 32, 32);
    float largest = 0;
    for (float value : values)
      largest = std::max(largest, std::abs(value));
    values[group % 32] = -1.1f * largest;
  }
  for (const char *format : {"int4.g32", "int3.g32", "int4.g32.sbf16"}) {
    qrt::PackedWeight packed = quantized(w, 64, 32, format);
    for (size_t group = 0; group < 64; ++group)
      EXPECT_EQ(packed.codes[group * 32 + group % 32], 0)
          << format << ", group " << group;
  }
}

TEST(Rtn, scalesThatF16CannotHold) {
  QuantizeStatistics sums;
  std::vector<float> large(64, 1e7f), tiny(64, 1e-8f), mixed(128, 1.0f);
  qrt::PackedWeight packed = quantized(large, 1, 64, "int4.g64", &sums);
  EXPECT_EQ(packed.scales[0], 65504.0f);
  EXPECT_EQ(sums.overflowedScales, 1);
  EXPECT_TRUE(sums.needsF32Scales());
  packed = quantized(tiny, 1, 64, "int4.g64", &sums);
  EXPECT_EQ(packed.scales[0], 0x1p-24f);
  EXPECT_EQ(sums.underflowedScales, 1);
  EXPECT_TRUE(sums.needsF32Scales());
  quantized(large, 1, 64, "int4.g64.sf32", &sums);
  EXPECT_FALSE(sums.needsF32Scales());
  // A negligible group does not cost a weight its f16 scales.
  std::fill(mixed.begin() + 64, mixed.end(), 1e-8f);
  quantized(mixed, 1, 128, "int4.g64", &sums);
  EXPECT_EQ(sums.underflowedScales, 1);
  EXPECT_FALSE(sums.needsF32Scales());
}

TEST(Rtn, extremeValuesStayFinite) {
  for (float value : {3.4e38f, 1e-45f, 1.2e-38f}) {
    std::vector<float> w = {value, -value, value / 2, 0};
    for (const char *name : {"int4.g4", "int4.g4.z", "int2.g4.sf32",
                             "int8.g4.z.sf32", "int8.g4.sbf16", "int3.g4"}) {
      for (bool search : {false, true}) {
        RtnOptions options;
        options.mse = search;
        qrt::PackedWeight packed = quantized(w, 1, 4, name, nullptr, options);
        std::vector<float> values(4);
        EXPECT_NO_THROW(qrt::dequantize(packed, values.data())) << name;
      }
    }
  }
}

TEST(Rtn, refusesTableFormats) {
  float w[4] = {}, scales[4];
  uint8_t codes[4];
  EXPECT_THROW(quantizeRows(w, 1, 4, qrt::Format::parse("nf4.g4"), {}, codes,
                            scales, nullptr),
               qrt::Error);
}

} // namespace
