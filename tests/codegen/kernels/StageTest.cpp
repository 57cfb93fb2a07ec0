//===- StageTest.cpp - Staging, norms and element-wise kernels ------------===//

#include "Buffers.h"
#include "ReferenceGemm.h"
#include "Variants.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace qcc;
using namespace qcc::test;

namespace {

std::vector<float> randomFloats(int64_t count, std::mt19937 &random,
                                float mean = 0) {
  std::normal_distribution<float> normal(mean);
  std::vector<float> values(static_cast<size_t>(count));
  for (float &v : values)
    v = normal(random);
  return values;
}

std::vector<double> normExactly(int32_t norm, const float *x, int64_t columns,
                                const float *weight, const float *bias,
                                double epsilon, double offset) {
  double mean = 0, variance = 0;
  if (norm == NormLayer)
    for (int64_t k = 0; k < columns; ++k)
      mean += double(x[k]) / double(columns);
  for (int64_t k = 0; k < columns; ++k)
    variance += std::pow(double(x[k]) - mean, 2) / double(columns);
  std::vector<double> out;
  for (int64_t k = 0; k < columns; ++k)
    out.push_back((double(x[k]) - mean) / std::sqrt(variance + epsilon) *
                      (double(weight[k]) + offset) +
                  (bias ? double(bias[k]) : 0.0));
  return out;
}

TEST(NormTest, AgainstDouble) {
  std::mt19937 random(1);
  for (const Variant &variant : variants())
    for (int32_t norm : {NormRms, NormLayer})
      for (int64_t columns : {1, 7, 16, 33, 64, 100, 576, 4544})
        for (int32_t heads : {1, 3}) {
          StageConfig config = {};
          config.columns = config.group = config.paddedGroup = columns;
          config.inputStride = columns * heads + 2;
          config.norm = norm;
          config.epsilon = 1e-5f;
          config.normOffset = heads == 3 ? 1.0f : 0.0f;
          config.hasNormBias = norm == NormLayer;
          config.heads = heads;
          int64_t rows = 5, stride = columns * heads + 1;
          std::vector<float> x =
              randomFloats(rows * config.inputStride, random, 0.5f);
          std::vector<float> weight = randomFloats(columns, random);
          std::vector<float> bias = randomFloats(columns, random);
          GuardedBuffer out(size_t(rows * stride - 1) * 4);
          for (uint32_t part = 0; part < 2; ++part)
            variant.norm(&config, rows, x.data(), weight.data(), bias.data(),
                         out.data<float>(), stride, part, 2);
          for (int64_t m = 0; m < rows; ++m)
            for (int64_t h = 0; h < heads; ++h) {
              std::vector<double> expected = normExactly(
                  norm, x.data() + m * config.inputStride + h * columns,
                  columns, weight.data(),
                  config.hasNormBias ? bias.data() : nullptr, 1e-5,
                  double(config.normOffset));
              for (int64_t k = 0; k < columns; ++k)
                ASSERT_NEAR(out.data<float>()[m * stride + h * columns + k],
                            expected[size_t(k)],
                            1e-6 * (2 + std::fabs(expected[size_t(k)])))
                    << variant.name << " columns " << columns;
            }
        }
}

/// Normalized staging times the identity gives the norm back.
TEST(StageTest, NormsAndGathers) {
  std::mt19937 random(2);
  for (const Variant &variant : variants())
    for (bool fixed : {false, true})
      for (int64_t columns : {24, 70, 320})
        for (int64_t group : {8, 32, 100, 4096}) {
          TestWeight weight(qrt::Code::Int8, columns, columns, group, false,
                            ElemF32, random);
          // 1 on the diagonal: code 129, scale 1.
          for (int64_t row = 0; row < columns; ++row)
            for (int64_t k = 0; k < columns; ++k) {
              int64_t tile = krn::tileBytes(columns, weight.group, 8);
              int64_t padded =
                  k / weight.group * weight.paddedGroup() + k % weight.group;
              weight.packedCodes
                  .data<uint8_t>()[row / 16 * tile + padded / 4 * 64 +
                                   row % 16 * 4 + padded % 4] =
                  row == k ? 129 : 128;
            }
          for (size_t i = 0; i < weight.packedScales.size() / 4; ++i)
            weight.packedScales.data<float>()[i] = 1.0f;

          StageConfig stage = {};
          stage.columns = columns;
          stage.inputStride = columns + 1;
          stage.group = weight.group;
          stage.paddedGroup = weight.paddedGroup();
          stage.norm = NormLayer;
          stage.epsilon = 1e-5f;
          stage.normOffset = 1.0f;
          stage.hasNormBias = 1;
          std::vector<float> x = randomFloats(9 * (columns + 1), random);
          std::vector<float> norm = randomFloats(columns, random);
          std::vector<float> bias = randomFloats(columns, random);
          std::vector<int32_t> rows = {8, 3, 3, 0};
          // With ragged groups, features also come in an order.
          std::vector<float> order;
          if (columns % group)
            for (int64_t k = 0; k < columns; ++k)
              order.push_back(float(columns - 1 - k));
          int64_t staged =
              krn::stagedColumns(columns, weight.group, weight.paddedGroup());
          GuardedBuffer buffer(
              size_t(fixed ? krn::stagedBytesI16(7, staged, weight.groups())
                           : krn::stagedBytesF32(7, staged)));
          for (uint32_t part = 0; part < 3; ++part)
            (fixed ? variant.stage_i16 : variant.stage_f32)(
                &stage, 4, /*forGemv=*/1, x.data(), rows.data(), norm.data(),
                bias.data(), order.empty() ? nullptr : order.data(),
                buffer.data(), part, 3);
          GemmConfig config = weight.config();
          config.outputStride = columns;
          std::vector<float> out(size_t(4 * columns));
          GuardedBuffer scratch(size_t(krn::gemmScratchBytes()));
          (fixed ? variant.gemvI16 : variant.gemvF32)[size_t(qrt::Code::Int8)](
              &config, 4, buffer.data(), weight.packedCodes.data(),
              weight.packedScales.data(), nullptr, nullptr, nullptr, out.data(),
              scratch.data(), 0, 1);
          for (size_t m = 0; m < rows.size(); ++m) {
            std::vector<double> expected =
                normExactly(NormLayer, x.data() + rows[m] * (columns + 1),
                            columns, norm.data(), bias.data(), 1e-5, 1.0);
            double largest = 0;
            for (double v : expected)
              largest = std::max(largest, std::fabs(v));
            // Half a step of fixed point, and what f32 rounds in the norm.
            double error = (fixed ? largest * 0.5 / 32512 : 0) + 2e-6;
            for (int64_t k = 0; k < columns; ++k)
              ASSERT_NEAR(
                  out[m * size_t(columns) + size_t(k)],
                  expected[size_t(order.empty() ? k : columns - 1 - k)], error)
                  << variant.name << " columns " << columns << " group "
                  << group << " fixed " << fixed;
          }
        }
}

TEST(StageTest, ZerosStayZeros) {
  std::mt19937 random(3);
  TestWeight weight(qrt::Code::Int4, 16, 64, 32, false, ElemF16, random);
  StageConfig stage = {};
  stage.columns = stage.inputStride = 64;
  stage.group = stage.paddedGroup = 32;
  std::vector<float> x(64, 0.0f);
  for (const Variant &variant : variants()) {
    GuardedBuffer buffer(size_t(krn::stagedBytesI16(1, 64, 2)));
    variant.stage_i16(&stage, 1, 1, x.data(), nullptr, nullptr, nullptr,
                      nullptr, buffer.data(), 0, 1);
    GemmConfig config = weight.config();
    config.outputStride = 16;
    std::vector<float> out(16, 1.0f);
    variant.gemvI16[size_t(qrt::Code::Int4)](
        &config, 1, buffer.data(), weight.packedCodes.data(),
        weight.packedScales.data(), nullptr, nullptr, nullptr, out.data(),
        nullptr, 0, 1);
    EXPECT_EQ(out, std::vector<float>(16, 0.0f));
  }
}

/// Relative errors of the activations, over all magnitudes.
TEST(ActivationTest, AgainstDouble) {
  std::vector<float> x = {0.0f, -0.0f, 1e-30f, -1e-30f, 100.0f, -100.0f};
  for (float magnitude = 1e-6f; magnitude < 12; magnitude *= 1.0007f) {
    x.push_back(magnitude);
    x.push_back(-magnitude);
  }
  struct Bound {
    int32_t activation;
    double error; ///< of the result
    float least;  ///< below this the result may lose digits
  };
  const Bound bounds[] = {
      {ActNone, 0, -200},      {ActSilu, 5e-7, -12},  {ActGeluErf, 1.5e-6, -5},
      {ActGeluTanh, 3e-6, -5}, {ActRelu, 0, -200},    {ActGeluQuick, 2e-6, -12},
      {ActSigmoid, 5e-7, -12}, {ActTanh, 3e-7, -200},
  };
  for (const Variant &variant : variants())
    for (const Bound &bound : bounds) {
      ElementwiseConfig config = {};
      config.columns = config.aStride = config.outputStride = int64_t(x.size());
      config.activation = bound.activation;
      GuardedBuffer out(x.size() * 4);
      for (uint32_t part = 0; part < 3; ++part)
        variant.activation(&config, 1, x.data(), out.data<float>(), part, 3);
      for (size_t i = 0; i < x.size(); ++i) {
        double expected = activateExactly(bound.activation, double(x[i]));
        double error = bound.error * std::fabs(expected) + 1e-37;
        // Far below, results vanish.
        if (x[i] < bound.least)
          error = 3e-6;
        ASSERT_NEAR(out.data<float>()[i], expected, error)
            << variant.name << " activation " << bound.activation << " of "
            << x[i];
      }
    }
}

TEST(ElementwiseTest, MulAndAdd) {
  std::mt19937 random(4);
  for (const Variant &variant : variants())
    for (int64_t columns : {1, 16, 31, 100}) {
      ElementwiseConfig config = {columns, columns + 1, columns + 2,
                                  columns + 3, ActNone};
      std::vector<float> a = randomFloats(4 * (columns + 1), random);
      std::vector<float> b = randomFloats(4 * (columns + 2), random);
      for (bool add : {false, true}) {
        GuardedBuffer out(size_t(4 * (columns + 3) - 3) * 4);
        for (uint32_t part = 0; part < 2; ++part)
          (add ? variant.add : variant.mul)(&config, 4, a.data(), b.data(),
                                            out.data<float>(), part, 2);
        for (int64_t m = 0; m < 4; ++m)
          for (int64_t k = 0; k < columns; ++k) {
            float left = a[size_t(m * (columns + 1) + k)];
            float right = b[size_t(m * (columns + 2) + k)];
            ASSERT_EQ(out.data<float>()[m * (columns + 3) + k],
                      add ? left + right : left * right);
          }
      }
    }
}

TEST(EmbedTest, RowsAndTiles) {
  std::mt19937 random(5);
  constexpr int64_t vocabulary = 35;
  std::vector<int32_t> ids = {0, 34, 16, 15, 7};
  qrt_step step = {};
  step.tokens = uint32_t(ids.size());
  step.token_ids = ids.data();
  for (const Variant &variant : variants())
    for (qrt::Code code : {qrt::Code::F32, qrt::Code::F16, qrt::Code::BF16})
      for (int64_t hidden : {1, 15, 33, 64})
        for (bool tiled : {false, true}) {
          TestWeight table(code, vocabulary, hidden, hidden, false, ElemF32,
                           random);
          int64_t bytes = code == qrt::Code::F32 ? 4 : 2;
          GuardedBuffer rows(size_t(vocabulary * hidden * bytes));
          for (int64_t i = 0; i < vocabulary * hidden; ++i)
            std::memcpy(rows.data() + i * bytes, &table.codes[size_t(i)],
                        size_t(bytes));
          EmbedConfig config = {vocabulary, hidden,
                                code == qrt::Code::F32   ? ElemF32
                                : code == qrt::Code::F16 ? ElemF16
                                                         : ElemBF16,
                                tiled, 1.5f};
          GuardedBuffer out(ids.size() * size_t(hidden) * 4);
          for (uint32_t part = 0; part < 2; ++part)
            variant.embed(&config, &step,
                          tiled ? table.packedCodes.data() : rows.data(),
                          out.data<float>(), part, 2);
          for (size_t m = 0; m < ids.size(); ++m)
            for (int64_t k = 0; k < hidden; ++k)
              ASSERT_EQ(out.data<float>()[int64_t(m) * hidden + k],
                        1.5f * table.value(ids[m], k))
                  << variant.name << " hidden " << hidden;
        }
}

} // namespace
