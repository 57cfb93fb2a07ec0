//===- GptqTest.cpp - GPTQ against the reference algorithm's output -------===//

#include "compiler/quantize/Gptq.h"

#include "compiler/quantize/Simd.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"
#include "tests/support/GptqExample.h"
#include "tests/support/GptqGoldens.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

using namespace qcc;
using namespace qcc::test;

namespace {

/// On the CPU.
GptqResult quantize(const std::vector<float> &w, int64_t rows, int64_t columns,
                    const std::vector<float> &, const GptqSetting &one,
                    const GptqFactor &factor) {
  return quantizeGptq(w.data(), rows, columns, one.format, factor, one.options);
}

TEST(Gptq, equalsTheReferenceOnASmallGolden) {
  compareWithGoldens(testInput("quantize/gptq.safetensors"), quantize);
}

TEST(Gptq, equalsTheReferenceInEverySetting) {
  std::filesystem::path path =
      sharedData("quant-goldens/gptq/gptq.safetensors");
  QCC_REQUIRE_FILE(path);
  compareWithGoldens(path, quantize);
}

/// How much less than without is the error with three sweeps of refinement.
double gainOfRefinement(const Goldens &goldens, GptqSetting one) {
  const GoldenTensor &weight = goldens[one.matrix + ".W"];
  int64_t rows = weight.shape[0], columns = weight.shape[1];
  std::vector<float> w = weight.floats();
  Hessian hessian(columns, goldens[one.matrix + ".H"].floats().data());
  double errors[2];
  for (int64_t refined : {0, 1}) {
    one.options.refineSweeps = 3 * refined;
    GptqFactor factor =
        factorHessian(hessian, one.format.groupSize(columns), one.options);
    errors[refined] =
        quantizeGptq(w.data(), rows, columns, one.format, factor, one.options)
            .statistics.relativeError();
  }
  return 1 - errors[1] / errors[0];
}

TEST(Gptq, gainsByRefinementOnRealInputs) {
  Goldens goldens(testInput("quantize/gptq.safetensors"));
  double sum = 0;
  std::vector<GptqSetting> settings = gptqSettings(goldens);
  for (const GptqSetting &one : settings) {
    double gain = gainOfRefinement(goldens, one);
    EXPECT_GT(gain, 0) << one.name;
    sum += gain;
  }
  EXPECT_GT(sum / double(settings.size()), 0.15);
}

TEST(Gptq, reportsTheErrorOfTheOutputs) {
  Example example(20, 150, 400, 1);
  for (const char *name : {"int4.g32", "int3.row.z", "int4.g64.z.sf32"})
    for (ColumnOrder order : {ColumnOrder::Natural, ColumnOrder::Activation,
                              ColumnOrder::GroupAware}) {
      qrt::Format format = qrt::Format::parse(name);
      GptqOptions options;
      options.order = order;
      GptqFactor factor =
          factorHessian(example.hessian, format.groupSize(150), options);
      GptqResult result =
          quantizeGptq(example.w.data(), 20, 150, format, factor, options);
      double expected = example.error(
          result, format, storesPermuted(options) ? &factor.order : nullptr);
      EXPECT_NEAR(result.statistics.relativeError(), expected,
                  1e-4 * expected + 1e-9)
          << name;
      // It must be worth the trouble.
      GptqOptions nearest;
      GptqFactor none = factor;
      none.r.clear();
      none.order.resize(150);
      EXPECT_LT(expected,
                0.8 * example.error(quantizeGptq(example.w.data(), 20, 150,
                                                 format, none, nearest),
                                    format));
    }
}

TEST(Gptq, doesNotDependOnThreads) {
  Example example(300, 260, 300, 2);
  Hessian alone(260);
  alone.add(example.x.data(), 300, 1);
  qrt::Format format = qrt::Format::parse("int4.g128.z");
  GptqOptions one, several;
  one.refineSweeps = several.refineSweeps = 2;
  several.threads = 7;
  GptqFactor factor = factorHessian(alone, 128, one);
  GptqFactor same = factorHessian(example.hessian, 128, several);
  EXPECT_EQ(factor.r, same.r);
  GptqResult a = quantizeGptq(example.w.data(), 300, 260, format, factor, one);
  GptqResult b =
      quantizeGptq(example.w.data(), 300, 260, format, factor, several);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.zeros, b.zeros);
  EXPECT_EQ(a.statistics.squaredError, b.statistics.squaredError);
}

TEST(Gptq, refinesCodesAndScales) {
  Example example(20, 150, 400, 5); // blocks, groups and lanes are ragged
  for (const char *name : {"int4.g32", "int3.row.z", "int2.g64.z", "int8.g32"})
    for (ColumnOrder order : {ColumnOrder::Natural, ColumnOrder::Activation,
                              ColumnOrder::GroupAware})
      for (bool isStatic : {false, true}) {
        qrt::Format format = qrt::Format::parse(name);
        GptqOptions options;
        options.order = order;
        options.staticGroups = isStatic;
        options.block = 64;
        double before = 0;
        for (int64_t sweeps : {0, 1, 3}) {
          options.refineSweeps = sweeps;
          GptqFactor factor =
              factorHessian(example.hessian, format.groupSize(150), options);
          GptqResult result =
              quantizeGptq(example.w.data(), 20, 150, format, factor, options);
          double error =
              example.error(result, format,
                            storesPermuted(options) ? &factor.order : nullptr);
          EXPECT_NEAR(result.statistics.relativeError(), error,
                      1e-4 * error + 1e-9)
              << name;
          // What falls is the error with the damping.
          if (sweeps > 0) {
            EXPECT_LT(error, 1.001 * before) << name;
          }
          before = error;
          // Scales are still those of the format.
          for (float scale : result.scales)
            EXPECT_EQ(scale, qrt::roundToScaleType(scale, format.scale));
        }
      }
}

TEST(Gptq, keepsGroupsTogetherInGroupAwareOrder) {
  Example example(4, 100, 50, 3); // a ragged last group
  GptqOptions options;
  options.order = ColumnOrder::GroupAware;
  GptqFactor factor = factorHessian(example.hessian, 32, options);
  ASSERT_EQ(factor.groups.size(), 4u);
  std::set<int32_t> seen;
  double before = std::numeric_limits<double>::infinity();
  for (const GptqFactor::Group &group : factor.groups) {
    EXPECT_EQ(group.size, group.index == 3 ? 4 : 32);
    for (int64_t i = group.first; i < group.first + group.size; ++i) {
      int32_t column = factor.order[size_t(i)];
      seen.insert(column);
      EXPECT_EQ(column / 32, group.index);
      double here = example.hessian.diagonal(column);
      if (i > group.first) {
        EXPECT_LE(here, example.hessian.diagonal(factor.order[size_t(i - 1)]));
      } else {
        EXPECT_LE(here, before);
        before = here;
      }
    }
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST(Gptq, findsStaticGroupsOfTheWeightItself) {
  Example example(5, 96, 60, 4);
  GptqOptions options;
  options.order = ColumnOrder::Activation;
  options.staticGroups = true;
  qrt::Format format = qrt::Format::parse("int4.g32.z");
  GptqFactor factor = factorHessian(example.hessian, 32, options);
  GptqResult result =
      quantizeGptq(example.w.data(), 5, 96, format, factor, options);
  std::vector<uint8_t> codes(5 * 96), zeros(15);
  std::vector<float> scales(15);
  quantizeRows(example.w.data(), 5, 96, format, {}, codes.data(), scales.data(),
               zeros.data());
  EXPECT_EQ(result.scales, scales);
  EXPECT_EQ(result.zeros, zeros);
  EXPECT_NE(result.codes, codes);
}

TEST(Gptq, survivesBadHessians) {
  const int64_t n = 40;
  Example example(6, n, 80, 5);
  qrt::Format format = qrt::Format::parse("int4.g16.z");
  std::vector<uint8_t> nearest(size_t(6 * n)), zeros(18);
  std::vector<float> scales(18);
  quantizeRows(example.w.data(), 6, n, format, {}, nearest.data(),
               scales.data(), zeros.data());
  auto run = [&](const std::vector<float> &matrix, double damp,
                 GptqFactor &factor) {
    GptqOptions options;
    options.damp = damp;
    factor = factorHessian(Hessian(n, matrix.data()), 16, options);
    return quantizeGptq(example.w.data(), 6, n, format, factor, options);
  };
  GptqFactor factor;
  std::vector<float> matrix(n * n, 0.0f);
  EXPECT_EQ(run(matrix, 0.01, factor).codes, nearest);
  EXPECT_EQ(factor.note, "inputs are always zero: rounded to nearest");
  matrix[3 * n + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run(matrix, 0.01, factor).codes, nearest);
  EXPECT_EQ(factor.note, "activations are not finite: rounded to nearest");
  // Of rank one, without damping.
  std::fill(matrix.begin(), matrix.end(), 1.0f);
  GptqResult result = run(matrix, 0, factor);
  EXPECT_EQ(factor.note, "damping raised");
  EXPECT_GT(factor.damp, 0);
  EXPECT_TRUE(std::isfinite(result.statistics.squaredError));
  // No damping up to 1 makes this one positive definite.
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      matrix[size_t(i * n + j)] = i == j ? 1.0f : -10.0f;
  result = run(matrix, 0.01, factor);
  EXPECT_EQ(factor.note, "diagonal floored");
  EXPECT_TRUE(std::isfinite(result.statistics.squaredError));
  // One input that is always zero.
  Hessian dead = example.hessian;
  matrix.clear();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      matrix.push_back(i == 7 || j == 7 ? 0.0f : float(dead.at(i, j)));
  result = run(matrix, 0.01, factor);
  EXPECT_EQ(factor.note, "1 dead column set to zero");
  for (int64_t row = 0; row < 6; ++row)
    EXPECT_EQ(result.codes[size_t(row * n + 7)], result.zeros[size_t(row * 3)]);
}

TEST(Gptq, refusesWhatDoesNotFit) {
  Example example(2, 16, 8, 6);
  GptqOptions options;
  GptqFactor factor = factorHessian(example.hessian, 16, options);
  EXPECT_THROW(quantizeGptq(example.w.data(), 1, 32,
                            qrt::Format::parse("int4.g16"), factor, options),
               qrt::Error);
  EXPECT_THROW(quantizeGptq(example.w.data(), 2, 16,
                            qrt::Format::parse("nf4.b64"), factor, options),
               qrt::Error);
}

TEST(Cholesky, factorsAcrossTiles) {
  const int64_t n = 300;
  Example example(1, n, 900, 7);
  std::vector<double> matrix(size_t(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      matrix[size_t(i * n + j)] = example.hessian.at(i, j);
  ASSERT_EQ(cholesky(matrix.data(), n, 2), 0);
  for (int64_t i = 0; i < n; i += 13)
    for (int64_t j = 0; j <= i; j += 7) {
      double sum = 0;
      for (int64_t k = 0; k <= j; ++k)
        sum += matrix[size_t(i * n + k)] * matrix[size_t(j * n + k)];
      EXPECT_NEAR(sum, example.hessian.at(i, j),
                  1e-12 * example.hessian.diagonal(i));
    }
  matrix.assign(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    matrix[size_t(i * n + i)] = i == 200 ? -1 : 1;
  EXPECT_EQ(cholesky(matrix.data(), n, 2), 201);
}

} // namespace
