//===- KernelsTest.cpp - GPTQ's CUDA kernels without a GPU ----------------===//
//
// The kernels, run by threads of the CPU, against the plain loops that they
// stand for: operation by operation the same, so the results are, too.
//
//===----------------------------------------------------------------------===//

#include "tests/support/CudaThreads.h"

// Shared memory: what is declared is defined below, what is local is static.
#define __shared__
#include "compiler/quantize/cuda/kernels/tile.cuh"
#undef __shared__
#define __shared__ static
#include "compiler/quantize/cuda/kernels/rows.cuh"

#include "compiler/quantize/Rtn.h"
#include "compiler/quantize/ScaleRounding.h"

#include <gtest/gtest.h>

#include <random>

namespace qcc::cuda {
float4 tileShared[kTileSharedBytes / sizeof(float4)];
} // namespace qcc::cuda

using namespace qcc;
using namespace qcc::cuda;

namespace {

uint64_t addressOf(const void *p) { return reinterpret_cast<uint64_t>(p); }

/// A tile of `width` columns from column `first` on, of matrices with n
/// columns.
struct TileCase {
  TileCase(int rows, int width, int n, int first, unsigned seed)
      : rows(rows), width(width), n(n), first(first), random(seed),
        weight(normal(rows * n, 0.1f)), sums(normal(rows * n, 0.05f)),
        matrix(normal(n * n, 0.1f)), scales(normal(rows * kGroups, 0.01f)),
        out(size_t(rows * n), -9.0f), second(out),
        codes(size_t(rows * n), kUntouched) {
    for (int i = 0; i < n; ++i)
      at(matrix, i, i) = 1 + std::fabs(at(matrix, i, i));
    for (float &scale : scales)
      scale = 0.02f + std::fabs(scale);
    for (int i = 0; i < rows * kGroups; ++i)
      zeros.push_back(float(random() % 16));
    for (int i = 0; i < n; ++i)
      groups.push_back(int(random() % kGroups));
  }

  std::vector<float> normal(int count, float deviation) {
    std::normal_distribution<float> distribution(0, deviation);
    std::vector<float> values;
    for (int i = 0; i < count; ++i)
      values.push_back(distribution(random));
    return values;
  }
  float &at(std::vector<float> &m, int row, int column) {
    return m[size_t(row * n + column)];
  }
  /// Of the tile.
  float &in(std::vector<float> &m, int row, int k) {
    return at(m, row, first + k);
  }
  float corner(int k, int j) { return at(matrix, first + k, first + j); }
  size_t groupOf(int row, int k) {
    return size_t(row * kGroups + groups[size_t(first + k)]);
  }
  uint8_t &code(int row, int k) { return codes[size_t(row * n + first + k)]; }
  Matrix tileOf(const std::vector<float> &m, int row = 0) {
    return {addressOf(m.data() + row * n + first), n};
  }
  TileArguments tile() {
    return {tileOf(weight),
            {addressOf(codes.data() + first), n},
            addressOf(scales.data()),
            addressOf(zeros.data()),
            addressOf(groups.data() + first),
            rows,
            width,
            kGroups,
            kMaxCode};
  }
  template <class Kernel>
  void run(const Kernel &kernel) {
    runKernel((rows + kTileRows - 1) / kTileRows, kTileThreads, kernel);
  }
  /// A value as a code less the zero point.
  float steps(float value, size_t group) {
    float zero = zeros[group];
    return std::nearbyint(std::fmax(
        std::fmin(value / scales[group], kMaxCode - zero), 0.0f - zero));
  }
  /// Adds a times row k of the corner to what is behind k.
  void spread(std::vector<float> &y, int k, float a) {
    for (int j = k + 1; j < width; ++j)
      y[size_t(j)] = std::fma(a, corner(k, j), y[size_t(j)]);
  }
  std::vector<float> tileRow(std::vector<float> &m, int row) {
    return {&in(m, row, 0), &in(m, row, 0) + width};
  }
  void expectNothingElse(std::vector<float> &m) {
    for (int row = 0; row < rows; ++row)
      for (int i = 0; i < n; ++i)
        if (i < first || i >= first + width) {
          ASSERT_EQ(at(m, row, i), -9.0f);
          ASSERT_EQ(codes[size_t(row * n + i)], kUntouched);
        }
  }

  static constexpr int kGroups = 5;
  static constexpr float kMaxCode = 15;
  static constexpr uint8_t kUntouched = 99;
  int rows, width, n, first;
  std::mt19937 random;
  std::vector<float> weight, sums, matrix, scales, zeros, out, second;
  std::vector<int> groups;
  std::vector<uint8_t> codes;
};

/// Aligned and whole; ragged in every way.
const struct {
  int rows, width, n, first;
} kShapes[] = {{32, 128, 256, 64}, {35, 77, 301, 3}};

TEST(CudaKernels, QuantizeColumnByColumn) {
  for (auto [rows, width, n, first] : kShapes) {
    TileCase t(rows, width, n, first, 1);
    QuantizeArguments a{t.tile(), t.tileOf(t.sums), t.tileOf(t.matrix, first),
                        t.tileOf(t.out), t.tileOf(t.second)};
    t.run([&] { quantizeTile(a); });
    for (int row = 0; row < rows; ++row) {
      std::vector<float> y = t.tileRow(t.sums, row);
      for (int k = 0; k < width; ++k) {
        size_t group = t.groupOf(row, k);
        float original = t.in(t.weight, row, k);
        float w = original + y[size_t(k)] * (1.0f / t.corner(k, k));
        float steps = t.steps(w, group), value = steps * t.scales[group];
        ASSERT_EQ(t.code(row, k), uint8_t(steps + t.zeros[group]));
        ASSERT_EQ(t.in(t.out, row, k), original - value);
        ASSERT_EQ(t.in(t.second, row, k), (w - value) * t.corner(k, k));
        t.spread(y, k, original - value);
      }
    }
    t.expectNothingElse(t.out);
    t.expectNothingElse(t.second);
  }
}

TEST(CudaKernels, RefineCodeByCode) {
  for (auto [rows, width, n, first] : kShapes) {
    TileCase t(rows, width, n, first, 2);
    for (int row = 0; row < rows; ++row)
      for (int k = 0; k < width; ++k)
        t.code(row, k) = uint8_t(t.random() % 16);
    std::vector<uint8_t> before(t.codes);
    RefineArguments a{t.tile(), t.tileOf(t.sums), t.tileOf(t.matrix, first),
                      t.tileOf(t.out)};
    t.run([&] { refineTile(a); });
    for (int row = 0; row < rows; ++row) {
      std::vector<float> y = t.tileRow(t.sums, row);
      for (int k = 0; k < width; ++k) {
        size_t group = t.groupOf(row, k);
        float value =
            (float(before[size_t(row * n + first + k)]) - t.zeros[group]) *
            t.scales[group];
        float steps =
            t.steps(value + y[size_t(k)] * (1.0f / t.corner(k, k)), group);
        float change = steps * t.scales[group] - value;
        ASSERT_EQ(t.code(row, k), uint8_t(steps + t.zeros[group]));
        ASSERT_EQ(t.in(t.out, row, k), change);
        t.spread(y, k, -change);
      }
    }
    t.expectNothingElse(t.out);
  }
}

TEST(CudaKernels, SolveTriangles) {
  for (bool addsOld : {false, true}) {
    auto [rows, width, n, first] = kShapes[addsOld];
    TileCase t(rows, width, n, first, 3);
    std::vector<float> old(t.out);
    SolveArguments a{t.tileOf(t.sums),
                     t.tileOf(t.out),
                     t.tileOf(t.matrix, first),
                     rows,
                     width,
                     addsOld};
    t.run([&] { solveTile(a); });
    for (int row = 0; row < rows; ++row) {
      std::vector<float> y = t.tileRow(t.sums, row);
      for (int k = 0; addsOld && k < width; ++k)
        y[size_t(k)] += t.in(old, row, k);
      for (int k = 0; k < width; ++k) {
        float x = y[size_t(k)] * (1.0f / t.corner(k, k));
        ASSERT_EQ(t.in(t.out, row, k), x);
        t.spread(y, k, -x);
      }
    }
    t.expectNothingElse(t.out);
  }
}

TEST(CudaKernels, FindScalesAsTheCpu) {
  const int rows = 3, columns = 330;
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> w, delta;
  for (int i = 0; i < rows * columns; ++i) {
    w.push_back(i < 100 ? 0 : normal(random));
    delta.push_back(i < 100 ? 0 : 0.1f * normal(random));
  }
  for (const char *name : {"int4.g128", "int3.g32.z.sbf16", "int2.row.z.sf32",
                           "int8.g100", "int8.row.z"})
    for (bool isMse : {false, true})
      for (float factor : {1.0f, 1e-6f, 1e9f}) {
        if (isMse && factor != 1)
          continue;
        qrt::Format format = qrt::Format::parse(name);
        RtnOptions options;
        options.mse = isMse;
        auto groups = int32_t(format.groupsPerRow(columns));
        auto size = int32_t(format.groupSize(columns));
        std::vector<float> values, scales(size_t(rows * groups)), zeros(scales);
        for (float value : w)
          values.push_back(value * factor);
        std::vector<float> added(delta);
        for (float &value : added)
          value *= factor;
        std::vector<uint8_t> fits(scales.size());
        std::vector<double> norms(scales.size());
        uint32_t misfit = 0;
        std::vector<GroupRun> runs;
        for (int32_t i = 0; i < groups; ++i)
          runs.push_back({i * size, std::min(size, columns - i * size), i, 0});
        GroupArguments a{{addressOf(values.data()), columns},
                         {addressOf(added.data()), columns},
                         0,
                         addressOf(runs.data()),
                         rows,
                         groups,
                         groups,
                         0,
                         {float((1 << format.codeBits()) - 1),
                          float(qrt::defaultZero(format.code)), format.zero,
                          int32_t(format.scale), isMse, options.grid,
                          int32_t(options.maxShrink * options.grid),
                          float(options.norm), options.norm},
                         addressOf(scales.data()),
                         addressOf(zeros.data()),
                         addressOf(fits.data()),
                         addressOf(norms.data()),
                         addressOf(&misfit)};
        runKernel((rows * groups * 32 + kThreads - 1) / kThreads, kThreads,
                  [&] { findGroups(a); });
        QuantizeStatistics expected, counted;
        for (int row = 0; row < rows; ++row)
          for (const GroupRun &run : runs) {
            std::vector<float> group;
            for (int i = 0; i < run.size; ++i) {
              auto at = size_t(row * columns + run.first + i);
              group.push_back(added[at] + values[at]);
            }
            GroupParameters found = findGroupParameters(
                group.data(), run.size, format, options, &expected);
            auto at = size_t(row * groups + run.index);
            EXPECT_EQ(scales[at], found.scale) << name << " " << at;
            EXPECT_EQ(zeros[at], float(found.zero)) << name << " " << at;
            countFit(ScaleFit(fits[at]), norms[at], counted);
          }
        EXPECT_EQ(counted.overflowedScales, expected.overflowedScales);
        EXPECT_EQ(counted.underflowedScales, expected.underflowedScales);
        EXPECT_NEAR(counted.underflowedNorm, expected.underflowedNorm,
                    1e-12 * expected.underflowedNorm);
        EXPECT_EQ(misfit != 0, expected.overflowedScales > 0 ||
                                   expected.underflowedScales > 0);
      }
}

TEST(CudaKernels, FitScales) {
  // One group of 40 columns, and 20 columns behind it.
  const int rows = 9, size = 40, behind = 20, ld = size + behind, groups = 2;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> steps, gradient, product, scales(rows * groups, 0.5f);
  for (int i = 0; i < rows * ld; ++i) {
    steps.push_back(float(int(random() % 15) - 7));
    gradient.push_back(normal(random));
    product.push_back(30 * steps.back() + normal(random));
  }
  std::vector<float> oldSteps(steps), oldGradient(gradient);
  FitArguments a{{addressOf(steps.data()), ld},
                 {addressOf(gradient.data()), ld},
                 {addressOf(product.data()), ld},
                 addressOf(scales.data()),
                 rows,
                 groups,
                 1,
                 size,
                 behind,
                 int32_t(qrt::ScaleType::F16)};
  runKernel((rows * 32 + kThreads - 1) / kThreads, kThreads,
            [&] { fitScales(a); });
  for (int row = 0; row < rows; ++row) {
    double along = 0, norm = 0;
    for (int k = 0; k < size; ++k) {
      auto at = size_t(row * ld + k);
      along += double(oldSteps[at]) * double(oldGradient[at]);
      norm += double(oldSteps[at]) * double(product[at]);
    }
    float expected =
        qrt::halfToFloat(qrt::floatToHalf(float(0.5 + along / norm)));
    EXPECT_EQ(scales[size_t(row * groups)], 0.5f);
    EXPECT_EQ(scales[size_t(row * groups + 1)], expected);
    for (int k = 0; k < ld; ++k) {
      auto at = size_t(row * ld + k);
      float change = expected - 0.5f;
      EXPECT_EQ(steps[at], k < size ? oldSteps[at] * change : oldSteps[at]);
      EXPECT_EQ(gradient[at], k < size
                                  ? oldGradient[at]
                                  : oldGradient[at] - change * product[at]);
    }
  }
}

} // namespace
