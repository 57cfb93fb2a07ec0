//===- CudaGptqTest.cpp - GPTQ on a GPU against the CPU's -----------------===//
//
// Needs a GPU with cuBLAS, cuSOLVER and NVRTC and is skipped, with the reason,
// where there is none. Sums of f32 are in another order on a GPU, so a value
// that lies on the border between two codes may go the other way, and
// everything after it in the row follows: the tests prove of every row that
// differs that its first difference is such a tie.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/cuda/CudaGptq.h"

#include "compiler/quantize/Rtn.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"
#include "tests/support/GptqExample.h"
#include "tests/support/GptqGoldens.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

using namespace qcc;
using namespace qcc::test;

namespace {

/// What all tests share: making it compiles the kernels.
struct Gpu {
  Gpu() : device(0), gptq(device) {}
  qrt::cuda::Device device;
  CudaGptq gptq;
};

class CudaGptqTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    try {
      gpu.emplace();
    } catch (const qrt::Error &error) {
      reason = error.what();
    }
  }
  static void TearDownTestSuite() { gpu.reset(); }
  void SetUp() override {
    if (!gpu)
      GTEST_SKIP() << reason;
    gptq().inputs = cuda::Element::BF16;
    gptq().panelColumns = 512;
    gptq().mostElements = int64_t(128) << 20;
  }
  static CudaGptq &gptq() { return gpu->gptq; }
  static GptqResult quantize(const std::vector<float> &w, int64_t rows,
                             int64_t columns, const std::vector<float> &hessian,
                             const GptqSetting &one, const GptqFactor &) {
    CudaHessian onGpu(gptq(), columns, hessian.data());
    return quantizeGptq(gptq(), w.data(), rows, columns, one.format,
                        factorHessian(gptq(), onGpu,
                                      one.format.groupSize(columns),
                                      one.options),
                        one.options);
  }

  static std::optional<Gpu> gpu;
  static std::string reason;
};
std::optional<Gpu> CudaGptqTest::gpu;
std::string CudaGptqTest::reason;

std::vector<float> fullMatrix(const Hessian &hessian) {
  int64_t n = hessian.size();
  std::vector<float> matrix;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      matrix.push_back(float(hessian.at(i, j)));
  return matrix;
}

/// A weight, and one Hessian in f32 for both.
struct Case {
  Case(CudaGptq &gptq, int64_t rows, int64_t columns, int64_t tokens,
       unsigned seed)
      : example(rows, columns, tokens, seed),
        matrix(fullMatrix(example.hessian)), cpu(columns, matrix.data()),
        gpu(gptq, columns, matrix.data()) {}
  Case(CudaGptq &gptq, const std::vector<float> &matrix, int64_t columns)
      : example(6, columns, 80, 5), matrix(matrix), cpu(columns, matrix.data()),
        gpu(gptq, columns, matrix.data()) {}
  Example example;
  std::vector<float> matrix;
  Hessian cpu;
  CudaHessian gpu;
};

struct Differences {
  int64_t rows = 0, ties = 0, scaleTies = 0, codes = 0;
};

/// A result as it was quantized: in the order of quantization, from 0.
struct Row {
  Row(const GptqResult &result, int64_t row, const qrt::Format &format,
      const GptqFactor &factor, const GptqOptions &options) {
    auto n = int64_t(factor.order.size());
    int64_t size = format.groupSize(n), groups = format.groupsPerRow(n);
    bool isSigned = format.code == qrt::Code::Int8 && !format.zero;
    for (int64_t i = 0; i < n; ++i) {
      int64_t column = storesPermuted(options) ? i : factor.order[size_t(i)];
      auto group = size_t(row * groups + column / size);
      int code = result.codes[size_t(row * n + column)];
      code = isSigned ? int(int8_t(code)) + 128 : code;
      codes.push_back(code);
      scales.push_back(result.scales[group]);
      zeros.push_back(format.zero ? result.zeros[group]
                                  : qrt::defaultZero(format.code));
    }
  }
  std::vector<int> codes;
  std::vector<float> scales;
  std::vector<int> zeros;
};

/// Where two rows differ, their first difference must be one that rounding can
/// make.
void compareRow(const float *w, const GptqFactor &factor, const Row &expected,
                const Row &actual, const qrt::Format &format, bool isMse,
                Differences &counted) {
  size_t n = factor.order.size();
  auto valueOf = [&](size_t i) {
    auto column = size_t(factor.order[i]);
    return factor.dead[column] ? 0.0 : double(w[column]);
  };
  ++counted.rows;
  std::optional<size_t> first;
  for (size_t i = n; i-- > 0;)
    if (expected.codes[i] != actual.codes[i] ||
        expected.scales[i] != actual.scales[i] ||
        expected.zeros[i] != actual.zeros[i]) {
      first = i;
      counted.codes += expected.codes[i] != actual.codes[i];
    }
  if (!first)
    return;
  size_t i = *first;
  if (expected.scales[i] != actual.scales[i] ||
      expected.zeros[i] != actual.zeros[i]) {
    ++counted.scaleTies;
    // The search may go to a candidate that is as good.
    double tolerance = isMse                                 ? 0.2
                       : format.scale == qrt::ScaleType::F16 ? 0x1p-10
                                                             : 1e-4;
    EXPECT_NEAR(expected.scales[i], actual.scales[i],
                tolerance * expected.scales[i]);
    EXPECT_NEAR(expected.zeros[i], actual.zeros[i], isMse ? 2 : 1);
    return;
  }
  ++counted.ties;
  double value = valueOf(i);
  for (size_t j = 0; j < i; ++j)
    value += (valueOf(j) - double(expected.codes[j] - expected.zeros[j]) *
                               double(expected.scales[j])) *
             double(factor.r[j * n + i]) / double(factor.r[i * n + i]);
  double position = value / double(expected.scales[i]) + expected.zeros[i];
  EXPECT_EQ(std::abs(expected.codes[i] - actual.codes[i]), 1);
  EXPECT_NEAR(position, (expected.codes[i] + actual.codes[i]) / 2.0, 4e-3)
      << "column " << i << " is no tie";
}

Differences compare(const Case &one, const qrt::Format &format,
                    const GptqFactor &factor, const GptqResult &expected,
                    const GptqResult &actual, const GptqOptions &options) {
  Differences counted;
  for (int64_t row = 0; row < one.example.rows; ++row)
    compareRow(one.example.w.data() + row * one.example.columns, factor,
               Row(expected, row, format, factor, options),
               Row(actual, row, format, factor, options), format,
               options.scales.mse, counted);
  return counted;
}

double relativeError(const std::vector<float> &expected,
                     const std::vector<float> &actual) {
  double lost = 0, whole = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double difference = double(expected[i]) - double(actual[i]);
    lost += difference * difference;
    whole += double(expected[i]) * double(expected[i]);
  }
  return std::sqrt(lost / whole);
}

std::vector<float> fetchFloats(CudaGptq &gptq, const qrt::cuda::Buffer &from) {
  std::vector<float> values(from.size() / sizeof(float));
  gptq.fetch(values.data(), from.address(), int64_t(from.size()));
  return values;
}

/// Inputs as the GPU gets them, and as floats again.
struct Inputs {
  Inputs(const std::vector<float> &x, cuda::Element element) {
    for (float value : x) {
      if (element == cuda::Element::F32) {
        const auto *from = reinterpret_cast<const uint8_t *>(&value);
        bytes.insert(bytes.end(), from, from + sizeof(value));
        values.push_back(value);
        continue;
      }
      bool isHalf = element == cuda::Element::F16;
      uint16_t bits =
          isHalf ? qrt::floatToHalf(value) : qrt::floatToBfloat(value);
      bytes.push_back(uint8_t(bits));
      bytes.push_back(uint8_t(bits >> 8));
      values.push_back(isHalf ? qrt::halfToFloat(bits)
                              : qrt::bfloatToFloat(bits));
    }
  }
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

TEST_F(CudaGptqTest, sumsSecondMoments) {
  using cuda::Element;
  // The type of the inputs, what f32 ones are rounded to, and what that may
  // cost beside the rounding of sums: TF32 cuts each factor to 11 bits.
  struct {
    Element element, rounded;
    double tolerance;
  } kinds[] = {{Element::F16, Element::F16, 1e-5},
               {Element::BF16, Element::BF16, 1e-5},
               {Element::F32, Element::BF16, 1e-5},
               {Element::F32, Element::F32, 0x1p-9}};
  struct {
    int64_t size, tokens;
  } shapes[] = {{1, 3}, {7, 101}, {130, 257}, {2100, 64}};
  for (auto [element, rounded, tolerance] : kinds)
    for (auto [size, tokens] : shapes) {
      Example example(1, size, tokens, 11);
      Inputs inputs(example.x, element), seen(example.x, rounded);
      Hessian expected(size);
      CudaHessian actual(gptq(), size);
      gptq().inputs = rounded;
      qrt::cuda::Buffer x(gptq().device(), inputs.bytes.size(), "inputs");
      gptq().send(x.address(), inputs.bytes.data(),
                  int64_t(inputs.bytes.size()));
      // Rows in two parts, and none.
      int64_t half = tokens / 2;
      expected.add(seen.values.data(), tokens, 2);
      actual.add(x.address(), half, element);
      actual.add(x.address(), 0, element);
      actual.add(x.address() + uint64_t(half * size * bytesOf(element)),
                 tokens - half, element);
      expected.scale(2.0 / 3);
      actual.scale(2.0 / 3);
      std::vector<float> matrix = actual.toHost();
      double worst = 0;
      for (int64_t i = 0; i < size; ++i)
        for (int64_t j = 0; j <= i; ++j)
          worst =
              std::max(worst, std::fabs(expected.at(i, j) -
                                        double(matrix[size_t(i * size + j)])) /
                                  std::sqrt(expected.diagonal(i) *
                                            expected.diagonal(j)));
      EXPECT_LT(worst, tolerance) << size << " inputs of type " << int(element);
      std::printf("%lld inputs, type %d as %d: within %.2e of the diagonal\n",
                  static_cast<long long>(size), int(element), int(rounded),
                  worst);
    }
}

TEST_F(CudaGptqTest, factorsAsTheCpu) {
  for (int64_t n : {1, 5, 128, 150, 700})
    for (ColumnOrder order : {ColumnOrder::Natural, ColumnOrder::Activation,
                              ColumnOrder::GroupAware}) {
      Case one(gptq(), 1, n, 3 * n, 21);
      GptqOptions options;
      options.order = order;
      options.refineSweeps = 1;
      GptqFactor expected = factorHessian(one.cpu, 32, options);
      CudaGptqFactor actual = factorHessian(gptq(), one.gpu, 32, options);
      EXPECT_EQ(actual.host.order, expected.order);
      EXPECT_EQ(actual.host.dead, expected.dead);
      EXPECT_EQ(actual.host.damp, expected.damp);
      EXPECT_EQ(actual.host.note, expected.note);
      EXPECT_NEAR(actual.host.added, expected.added, 1e-6 * expected.added);
      ASSERT_TRUE(actual.usable);
      std::vector<float> r = fetchFloats(gptq(), actual.r);
      EXPECT_LT(relativeError(expected.r, r), 1e-5) << n;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < i; ++j)
          ASSERT_EQ(r[size_t(i * n + j)], 0.0f);
      // The corners are the damped Hessian itself.
      std::vector<float> corners = fetchFloats(gptq(), actual.corners);
      int64_t covered = 0;
      for (const CudaGptqFactor::Span &span : actual.spans) {
        EXPECT_EQ(span.first, covered);
        covered += span.size;
        for (int64_t i = 0; i < span.size; ++i)
          for (int64_t j = 0; j < span.size; ++j) {
            int64_t row = expected.order[size_t(span.first + i)];
            int64_t column = expected.order[size_t(span.first + j)];
            double exact =
                one.cpu.at(row, column) + (i == j ? expected.added : 0);
            ASSERT_NEAR(corners[size_t(span.corner + i * span.size + j)], exact,
                        1e-5 * std::sqrt(one.cpu.diagonal(row) *
                                         one.cpu.diagonal(column)));
          }
      }
      EXPECT_EQ(covered, n);
    }
}

TEST_F(CudaGptqTest, quantizesAsTheCpu) {
  Differences all;
  auto check = [&](const Case &one, const std::string &name,
                   const GptqOptions &options) {
    SCOPED_TRACE(name + " order " + std::to_string(int(options.order)) +
                 (options.staticGroups ? " static" : "") +
                 (options.scales.mse ? " mse" : "") + " block " +
                 std::to_string(options.block) + " columns " +
                 std::to_string(one.example.columns));
    qrt::Format format = qrt::Format::parse(name);
    const Example &example = one.example;
    int64_t group = format.groupSize(example.columns);
    GptqFactor factor = factorHessian(one.cpu, group, options);
    GptqResult expected =
        quantizeGptq(example.w.data(), example.rows, example.columns, format,
                     factor, options);
    GptqResult actual = quantizeGptq(
        gptq(), example.w.data(), example.rows, example.columns, format,
        factorHessian(gptq(), one.gpu, group, options), options);
    ASSERT_EQ(actual.codes.size(), expected.codes.size());
    ASSERT_EQ(actual.scales.size(), expected.scales.size());
    ASSERT_EQ(actual.zeros.size(), expected.zeros.size());
    Differences here = compare(one, format, factor, expected, actual, options);
    all.rows += here.rows;
    all.ties += here.ties;
    all.scaleTies += here.scaleTies;
    all.codes += here.codes;
    EXPECT_NEAR(actual.statistics.relativeError(),
                expected.statistics.relativeError(),
                0.03 * expected.statistics.relativeError());
    EXPECT_NEAR(actual.statistics.squaredNorm, expected.statistics.squaredNorm,
                2e-3 * expected.statistics.squaredNorm);
  };
  Case small(gptq(), 35, 150, 400, 1);
  for (const char *name :
       {"int4.g32", "int3.row.z", "int2.g64.z", "int8.g32", "int8.row.z",
        "int4.g100.z", "int4.g128.sbf16", "int4.g40.z.sf32", "int2.row"})
    for (ColumnOrder order : {ColumnOrder::Natural, ColumnOrder::Activation,
                              ColumnOrder::GroupAware})
      for (bool isStatic : {false, true})
        for (bool isMse : {false, true}) {
          GptqOptions options;
          options.order = order;
          options.staticGroups = isStatic;
          options.scales.mse = isMse;
          check(small, name, options);
        }
  // Several panels, groups over their borders, blocks of other sizes.
  Case large(gptq(), 70, 730, 1500, 2);
  gptq().panelColumns = 256;
  for (const char *name :
       {"int4.g128", "int4.g100.z", "int3.g32", "int4.g300.z", "int4.row"})
    for (int64_t block : {64, 128, 200, 400}) {
      GptqOptions options;
      options.block = block;
      check(large, name, options);
      options.order = ColumnOrder::Activation;
      check(large, name, options);
      options.order = ColumnOrder::GroupAware;
      check(large, name, options);
    }
  std::printf(
      "%lld rows: %lld differ behind a tie of a code, %lld behind one "
      "of a scale, %lld codes in all\n",
      static_cast<long long>(all.rows), static_cast<long long>(all.ties),
      static_cast<long long>(all.scaleTies), static_cast<long long>(all.codes));
  EXPECT_LT(all.ties + all.scaleTies, all.rows / 10);
}

TEST_F(CudaGptqTest, refinesAsTheCpu) {
  double worst = 0;
  int64_t codes = 0, different = 0;
  for (int64_t columns : {150, 730}) {
    Case one(gptq(), 40, columns, 2 * columns, 5);
    gptq().panelColumns = columns == 150 ? 512 : 256;
    for (const char *name : {"int4.g32", "int4.g128", "int3.row.z",
                             "int2.g64.z", "int8.g32", "int4.g300.z"})
      for (ColumnOrder order : {ColumnOrder::Natural, ColumnOrder::Activation,
                                ColumnOrder::GroupAware})
        for (bool isStatic : {false, true})
          for (int64_t sweeps : {1, 3}) {
            qrt::Format format = qrt::Format::parse(name);
            GptqOptions options;
            options.order = order;
            options.staticGroups = isStatic;
            options.refineSweeps = sweeps;
            int64_t group = format.groupSize(columns);
            GptqFactor factor = factorHessian(one.cpu, group, options);
            GptqResult expected = quantizeGptq(
                one.example.w.data(), 40, columns, format, factor, options);
            GptqResult actual = quantizeGptq(
                gptq(), one.example.w.data(), 40, columns, format,
                factorHessian(gptq(), one.gpu, group, options), options);
            // What it says of itself is so.
            double error = one.example.error(
                actual, format,
                storesPermuted(options) ? &factor.order : nullptr);
            EXPECT_NEAR(actual.statistics.relativeError(), error,
                        2e-3 * error + 1e-9)
                << name;
            double ratio = actual.statistics.relativeError() /
                           expected.statistics.relativeError();
            worst = std::max(worst, std::fabs(ratio - 1));
            EXPECT_NEAR(ratio, 1, 0.03) << name;
            for (float scale : actual.scales)
              EXPECT_EQ(scale, qrt::roundToScaleType(scale, format.scale));
            for (size_t i = 0; i < actual.codes.size(); ++i)
              different += actual.codes[i] != expected.codes[i];
            codes += int64_t(actual.codes.size());
          }
  }
  std::printf("%lld of %lld codes differ; errors by at most %.2e\n",
              static_cast<long long>(different), static_cast<long long>(codes),
              worst);
  EXPECT_LT(different, codes / 20);
}

TEST_F(CudaGptqTest, equalsTheReference) {
  std::filesystem::path path =
      sharedData("quant-goldens/gptq/gptq.safetensors");
  QCC_REQUIRE_FILE(path);
  compareWithGoldens(path, quantize);
}

TEST_F(CudaGptqTest, findsTheSameStaticScales) {
  // The values are the weight's own: everything must agree to the bit.
  const int64_t rows = 50, columns = 330;
  Case one(gptq(), rows, columns, 700, 31);
  for (float factor : {1.0f, 1e-7f, 3e9f})
    for (const char *name :
         {"int4.g128", "int4.g128.z", "int3.g32.z.sbf16", "int2.row.z.sf32",
          "int8.g64", "int8.row.z", "int4.g32.sf32"})
      for (bool isMse : {false, true}) {
        std::vector<float> w(one.example.w);
        for (float &value : w)
          value *= factor;
        std::fill(w.begin(), w.begin() + 200, 0.0f); // a group of zeros
        qrt::Format format = qrt::Format::parse(name);
        GptqOptions options;
        options.staticGroups = true;
        options.scales.mse = isMse;
        options.order = ColumnOrder::Activation;
        int64_t group = format.groupSize(columns);
        GptqFactor factorCpu = factorHessian(one.cpu, group, options);
        GptqResult expected =
            quantizeGptq(w.data(), rows, columns, format, factorCpu, options);
        GptqResult actual = quantizeGptq(
            gptq(), w.data(), rows, columns, format,
            factorHessian(gptq(), one.gpu, group, options), options);
        SCOPED_TRACE(std::string(name) + (isMse ? " mse" : ""));
        EXPECT_EQ(actual.scales, expected.scales);
        EXPECT_EQ(actual.zeros, expected.zeros);
        EXPECT_EQ(actual.statistics.overflowedScales,
                  expected.statistics.overflowedScales);
        EXPECT_EQ(actual.statistics.underflowedScales,
                  expected.statistics.underflowedScales);
        EXPECT_NEAR(actual.statistics.underflowedNorm,
                    expected.statistics.underflowedNorm,
                    1e-9 * expected.statistics.underflowedNorm);
      }
}

TEST_F(CudaGptqTest, takesRowsInParts) {
  Case one(gptq(), 300, 260, 600, 2);
  qrt::Format format = qrt::Format::parse("int4.g128.z");
  GptqOptions options;
  options.refineSweeps = 1;
  options.threads = 3;
  CudaGptqFactor factor = factorHessian(gptq(), one.gpu, 128, options);
  auto run = [&] {
    return quantizeGptq(gptq(), one.example.w.data(), 300, 260, format, factor,
                        options);
  };
  GptqResult whole = run(), again = run();
  EXPECT_EQ(whole.codes, again.codes);
  EXPECT_EQ(whole.scales, again.scales);
  EXPECT_EQ(whole.zeros, again.zeros);
  EXPECT_EQ(whole.statistics.squaredError, again.statistics.squaredError);
  gptq().mostElements = 100 * 260;
  gptq().releaseWorkspace();
  GptqResult parts = run();
  // Products of other sizes may sum in another order.
  EXPECT_NEAR(parts.statistics.squaredError, whole.statistics.squaredError,
              0.01 * whole.statistics.squaredError);
  int64_t different = 0;
  for (size_t i = 0; i < whole.codes.size(); ++i)
    different += whole.codes[i] != parts.codes[i];
  EXPECT_LT(different, int64_t(whole.codes.size() / 20));
}

TEST_F(CudaGptqTest, survivesBadHessians) {
  const int64_t n = 40;
  qrt::Format format = qrt::Format::parse("int4.g16.z");
  auto check = [&](const std::vector<float> &matrix, double damp,
                   const std::string &note) {
    SCOPED_TRACE(note);
    Case one(gptq(), matrix, n);
    GptqOptions options;
    options.damp = damp;
    options.refineSweeps = 1;
    GptqFactor expected = factorHessian(one.cpu, 16, options);
    CudaGptqFactor actual = factorHessian(gptq(), one.gpu, 16, options);
    EXPECT_EQ(expected.note, note);
    EXPECT_EQ(actual.host.note, note);
    EXPECT_EQ(actual.host.damp, expected.damp);
    EXPECT_EQ(actual.usable, !expected.r.empty());
    GptqResult fromCpu =
        quantizeGptq(one.example.w.data(), 6, n, format, expected, options);
    GptqResult fromGpu = quantizeGptq(gptq(), one.example.w.data(), 6, n,
                                      format, actual, options);
    EXPECT_TRUE(std::isfinite(fromGpu.statistics.squaredError));
    if (!actual.usable) {
      EXPECT_EQ(fromGpu.codes, fromCpu.codes);
    }
    return fromGpu;
  };
  std::vector<float> matrix(n * n, 0.0f);
  check(matrix, 0.01, "inputs are always zero: rounded to nearest");
  matrix[3 * n + 3] = std::numeric_limits<float>::quiet_NaN();
  check(matrix, 0.01, "activations are not finite: rounded to nearest");
  // Of rank one, without damping.
  std::fill(matrix.begin(), matrix.end(), 1.0f);
  check(matrix, 0, "damping raised");
  // No damping up to 1 makes this one positive definite.
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      matrix[size_t(i * n + j)] = i == j ? 1.0f : -10.0f;
  check(matrix, 0.01, "diagonal floored");
  // One input that is always zero.
  Example example(6, n, 80, 5);
  matrix = fullMatrix(example.hessian);
  for (int64_t i = 0; i < n; ++i)
    matrix[size_t(i * n + 7)] = matrix[size_t(7 * n + i)] = 0;
  GptqResult result = check(matrix, 0.01, "1 dead column set to zero");
  for (int64_t row = 0; row < 6; ++row)
    EXPECT_EQ(result.codes[size_t(row * n + 7)], result.zeros[size_t(row * 3)]);
}

TEST_F(CudaGptqTest, factorsInDoubleWhereFloatIsNotEnough) {
  // Almost of rank one: the pivots are smaller than what f32 rounds away.
  const int64_t n = 400;
  std::vector<float> matrix(n * n, 1.0f);
  for (int64_t i = 0; i < n; ++i)
    matrix[size_t(i * n + i)] = 1.0f + 0x1p-22f;
  Case one(gptq(), matrix, n);
  GptqOptions options;
  options.damp = 0;
  GptqFactor expected = factorHessian(one.cpu, 16, options);
  CudaGptqFactor actual = factorHessian(gptq(), one.gpu, 16, options);
  EXPECT_EQ(actual.host.note, expected.note);
  ASSERT_TRUE(actual.usable);
  EXPECT_LT(relativeError(expected.r, fetchFloats(gptq(), actual.r)), 1e-5);
}

TEST_F(CudaGptqTest, endsWhenCancelled) {
  Case one(gptq(), 4, 32, 64, 6);
  std::atomic<bool> cancelled = true;
  GptqOptions options;
  options.cancelled = &cancelled;
  CudaGptqFactor factor = factorHessian(gptq(), one.gpu, 16, options);
  try {
    quantizeGptq(gptq(), one.example.w.data(), 4, 32,
                 qrt::Format::parse("int4.g16"), factor, options);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const qrt::Error &error) {
    EXPECT_EQ(error.kind(), qrt::ErrorKind::Cancelled);
  }
}

TEST_F(CudaGptqTest, refusesWhatDoesNotFit) {
  Case one(gptq(), 2, 16, 8, 6);
  GptqOptions options;
  CudaGptqFactor factor = factorHessian(gptq(), one.gpu, 16, options);
  const float *w = one.example.w.data();
  EXPECT_THROW(quantizeGptq(gptq(), w, 1, 32, qrt::Format::parse("int4.g16"),
                            factor, options),
               qrt::Error);
  EXPECT_THROW(quantizeGptq(gptq(), w, 2, 16, qrt::Format::parse("nf4.b64"),
                            factor, options),
               qrt::Error);
}

} // namespace
