//===- SplitGemmTest.cpp - LLM.int8's product in every variant ------------===//
//
// Against bitsandbytes' own output (quant-goldens/llm_int8), and, for shapes
// that it does not have, against the definition in double precision.
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "ReferenceGemm.h"
#include "Variants.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"
#include "tests/support/Safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace qcc;
using namespace qcc::test;

namespace {

/// A product: x [tokens][columns], codes [rows][columns] with a scale a row.
struct Problem {
  int64_t tokens, rows, columns;
  float threshold;
  std::vector<float> x;
  std::vector<int8_t> codes;
  std::vector<float> scales;
};

struct Result {
  std::vector<int32_t> outliers;
  std::vector<float> rowScales; ///< of the staged rows
  std::vector<float> values;    ///< [tokens][rows]
  uint64_t statistics[2] = {};
};

/// What LLM.int8 defines, in double precision.
Result reference(const Problem &p) {
  Result r;
  std::vector<float> x = p.x;
  for (float &v : x)
    v = qrt::halfToFloat(qrt::floatToHalf(v));
  std::vector<bool> isOutlier(size_t(p.columns));
  for (int64_t k = 0; k < p.columns; ++k) {
    for (int64_t m = 0; m < p.tokens && p.threshold > 0; ++m)
      if (std::fabs(x[size_t(m * p.columns + k)]) >= p.threshold)
        isOutlier[size_t(k)] = true;
    if (isOutlier[size_t(k)])
      r.outliers.push_back(int32_t(k));
  }
  for (int64_t m = 0; m < p.tokens; ++m) {
    const float *row = x.data() + m * p.columns;
    float absmax = 0;
    for (int64_t k = 0; k < p.columns; ++k)
      if (p.threshold == 0 || std::fabs(row[k]) < p.threshold)
        absmax = std::max(absmax, std::fabs(row[k]));
    r.rowScales.push_back(absmax / 127.0f);
    float factor = absmax > 0 ? 1.0f / absmax * 127.0f : 0.0f;
    for (int64_t n = 0; n < p.rows; ++n) {
      int64_t sum = 0;
      double outliers = 0;
      for (int64_t k = 0; k < p.columns; ++k) {
        int8_t w = p.codes[size_t(n * p.columns + k)];
        if (isOutlier[size_t(k)])
          outliers += double(row[k]) * w;
        else
          sum += int64_t(std::nearbyint(row[k] * factor)) * w;
      }
      r.values.push_back(
          float((double(sum) * double(r.rowScales.back()) + outliers) *
                double(p.scales[size_t(n)])));
    }
  }
  return r;
}

/// The weight in t16, the codes offset by 128.
GuardedBuffer pack(const Problem &p) {
  int64_t tileBytes = krn::tileBytes(p.columns, p.columns, 8);
  GuardedBuffer packed{size_t((p.rows + 15) / 16 * tileBytes)};
  std::memset(packed.data(), 0, packed.size());
  for (int64_t n = 0; n < p.rows; ++n)
    for (int64_t k = 0; k < p.columns; ++k)
      packed.data<uint8_t>()[n / 16 * tileBytes + k / 4 * 64 + n % 16 * 4 +
                             k % 4] =
          uint8_t(p.codes[size_t(n * p.columns + k)] + 128);
  return packed;
}

Result run(const Variant &variant, const Problem &p, bool gemv,
           uint32_t parts) {
  StageConfig stage = {};
  stage.columns = stage.inputStride = stage.group = p.columns;
  stage.paddedGroup = krn::paddedGroup(p.columns, 8);
  stage.heads = 1;
  stage.outlierThreshold = p.threshold;
  stage.findsOutliers = gemv;
  stage.linears = 3;
  GuardedBuffer staged(size_t(krn::stagedBytesSplit(
      p.tokens, krn::stagedColumns(p.columns, p.columns, stage.paddedGroup),
      p.columns)));
  Result r;
  if (gemv) {
    variant.stage_split8(&stage, p.tokens, 1, p.x.data(), nullptr, nullptr,
                         nullptr, staged.data(), r.statistics, 0, 1);
  } else {
    for (uint32_t part = 0; part < parts && p.threshold > 0; ++part)
      variant.find_outliers(&stage, p.tokens, p.x.data(), nullptr, nullptr,
                            nullptr, staged.data(), part, parts);
    for (uint32_t part = 0; part < parts; ++part)
      variant.stage_split8(&stage, p.tokens, 0, p.x.data(), nullptr, nullptr,
                           nullptr, staged.data(), r.statistics, part, parts);
  }
  // As Layout.h and staged.h say.
  auto *list = reinterpret_cast<const int32_t *>(staged.data() +
                                                 krn::outlierListAt(p.columns));
  r.outliers.assign(list + 1, list + 1 + *list);
  int64_t sumsAt = 2 * krn::roundUp(stage.paddedGroup, 64);
  int64_t scaleAt = sumsAt + 4 * krn::groupPieces(stage.paddedGroup);
  int64_t stride = sumsAt + krn::roundUp(scaleAt - sumsAt + 4, 64) +
                   krn::roundUp(4 * p.columns, 64);
  for (int64_t m = 0; m < p.tokens; ++m)
    std::memcpy(&r.rowScales.emplace_back(),
                staged.data() + krn::splitHeaderBytes(p.columns) + m * stride +
                    scaleAt,
                4);

  GuardedBuffer packed = pack(p);
  int64_t padded = (p.rows + 15) / 16 * 16;
  GuardedBuffer scales(size_t(padded) * 4);
  std::memset(scales.data(), 0, scales.size());
  std::copy(p.scales.begin(), p.scales.end(), scales.data<float>());
  GemmConfig config = {};
  config.rows = p.rows;
  config.columns = config.group = p.columns;
  config.paddedGroup = stage.paddedGroup;
  config.outputStride = p.rows;
  config.defaultZero = 128;
  config.multiplier = 1;
  r.values.resize(size_t(p.tokens * p.rows));
  GuardedBuffer scratch{size_t(krn::gemmScratchBytes())};
  for (uint32_t part = 0; part < parts; ++part)
    (gemv ? variant.gemvSplit8 : variant.gemmSplit8)(
        &config, p.tokens, staged.data(), packed.data(), scales.data(), nullptr,
        nullptr, nullptr, r.values.data(), scratch.data(), part, parts);
  return r;
}

Problem randomProblem(int64_t tokens, int64_t rows, int64_t columns,
                      float threshold, std::mt19937 &random) {
  Problem p{tokens, rows, columns, threshold, {}, {}, {}};
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < tokens * columns; ++i)
    p.x.push_back(normal(random));
  // A column of outliers, and one in a single row.
  for (int64_t m = 0; m < tokens; ++m)
    p.x[size_t(m * columns + columns / 3)] = 20 + normal(random);
  p.x[size_t((tokens - 1) * columns + columns - 1)] = -7.5f;
  for (int64_t i = 0; i < rows * columns; ++i)
    p.codes.push_back(int8_t(int(random() % 255) - 127));
  std::uniform_real_distribution<float> magnitude(0.5f, 2.0f);
  for (int64_t i = 0; i < rows; ++i)
    p.scales.push_back(magnitude(random) / 1024);
  return p;
}

TEST(SplitGemm, EqualsTheDefinition) {
  std::mt19937 random(1);
  for (float threshold : {0.0f, 6.0f, 1.5f})
    for (int64_t tokens : {1, 2, 7, 13, 40})
      for (auto [rows, columns] :
           {std::pair<int64_t, int64_t>(1, 1), {17, 33}, {32, 320}, {50, 579}})
        for (const Variant &variant : variants())
          for (uint32_t parts : {1, 3})
            for (bool gemv : {true, false}) {
              if (gemv && tokens > 8)
                continue;
              SCOPED_TRACE(variant.name + (gemv ? " gemv" : " gemm") + " " +
                           std::to_string(tokens) + " x " +
                           std::to_string(rows) + " x " +
                           std::to_string(columns) + " threshold " +
                           std::to_string(threshold));
              Problem p =
                  randomProblem(tokens, rows, columns, threshold, random);
              Result expected = reference(p),
                     got = run(variant, p, gemv, parts);
              ASSERT_EQ(got.outliers, expected.outliers);
              ASSERT_EQ(got.rowScales, expected.rowScales);
              EXPECT_EQ(got.statistics[0], 3u);
              EXPECT_EQ(got.statistics[1], 3 * expected.outliers.size());
              for (size_t i = 0; i < got.values.size(); ++i)
                ASSERT_NEAR(got.values[i], expected.values[i],
                            2e-6 * (std::fabs(expected.values[i]) +
                                    0.1 * double(columns)))
                    << i;
            }
}

/// bitsandbytes' products are in f16 (or the input's type): within its rounding
/// ours are equal.
TEST(SplitGemm, EqualsBitsandbytes) {
  auto path = sharedData("quant-goldens/llm_int8/llm_int8.safetensors");
  QCC_REQUIRE_FILE(path);
  const Goldens goldens(path);
  int cases = 0;
  for (auto &[name, tensor] : goldens) {
    if (!name.ends_with(".A"))
      continue;
    SCOPED_TRACE(name);
    std::string stem = name.substr(0, name.size() - 2);
    Problem p = {};
    p.tokens = tensor.shape[0];
    p.columns = tensor.shape[1];
    p.rows = goldens[stem + ".CB"].shape[0];
    p.threshold = stem.starts_with("t0") ? 0.0f : 6.0f;
    p.x = tensor.floats();
    p.codes = goldens[stem + ".CB"].as<int8_t>();
    for (float absmax : goldens[stem + ".SCB"].as<float>())
      p.scales.push_back(absmax / 127.0f);
    std::vector<float> bias(size_t(p.rows));
    if (goldens.has(stem + ".bias"))
      bias = goldens[stem + ".bias"].floats();
    std::vector<int32_t> outliers;
    if (goldens.has(stem + ".outlier_cols"))
      for (int64_t column : goldens[stem + ".outlier_cols"].as<int64_t>())
        outliers.push_back(int32_t(column));
    std::vector<double> exact = goldens[stem + ".out_f64"].as<double>();
    std::vector<float> absmax = goldens[stem + ".SCA"].as<float>();
    std::vector<float> out = goldens[stem + ".out"].floats();
    // Half an ulp of the type that it computes in.
    double ulp = stem.ends_with("bf16") ? 0x1p-8 : 0x1p-10;
    for (const Variant &variant : variants())
      for (bool gemv : {true, false}) {
        if (gemv && p.tokens > 8)
          continue;
        Result got = run(variant, p, gemv, 2);
        EXPECT_EQ(got.outliers, outliers) << variant.name;
        for (int64_t m = 0; m < p.tokens; ++m)
          EXPECT_EQ(got.rowScales[size_t(m)], absmax[size_t(m)] / 127.0f);
        double largest = 0;
        for (double value : exact)
          largest = std::max(largest, std::fabs(value));
        for (size_t i = 0; i < got.values.size(); ++i) {
          double value =
              double(got.values[i]) + double(bias[i % size_t(p.rows)]);
          // Of f32 inputs, bitsandbytes keeps outliers as they are.
          ASSERT_NEAR(value, exact[i],
                      (stem.ends_with("f32") ? ulp : 1e-5) * largest)
              << variant.name << i;
          ASSERT_NEAR(value, out[i], ulp * largest) << variant.name << i;
        }
      }
    ++cases;
  }
  EXPECT_EQ(cases, 11);
}

} // namespace
