//===- GemmTest.cpp - Every GEMM kernel of every variant ------------------===//
//
// Without an activation the kernels must give the scalar reference's results
// bit for bit: in gemv and gemm, for any number of tokens and of parts, in
// every variant. The reference in turn is held against double precision.
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "ReferenceGemm.h"
#include "Variants.h"

#include "codegen/cpu/kernels/Layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

using namespace qcc;
using namespace qcc::test;

namespace {

struct Case {
  qrt::Code code;
  bool fixed; ///< 16-bit fixed-point activations
  int64_t rows, columns, group, tokens, maxTokens;
  bool hasZero;
  int32_t scaleType;
  bool bias, residual, glu;
  int32_t activation;
  float multiplier;
  uint32_t parts;
  int64_t nested = 0; ///< scales of a nested scale

  std::string describe() const {
    return std::string(qrt::codeName(code)) + (fixed ? " i16" : " f32") +
           " N=" + std::to_string(rows) + " K=" + std::to_string(columns) +
           " g=" + std::to_string(group) + " M=" + std::to_string(tokens) +
           "/" + std::to_string(maxTokens) + (hasZero ? " zero" : "") +
           " scale=" + std::to_string(scaleType) + (bias ? " bias" : "") +
           (residual ? " residual" : "") + (glu ? " glu" : "") +
           " act=" + std::to_string(activation) +
           " parts=" + std::to_string(parts) +
           " nested=" + std::to_string(nested);
  }
};

std::vector<float> randomFloats(size_t count, std::mt19937 &random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &v : values)
    v = normal(random);
  return values;
}

class GemmTest : public testing::TestWithParam<qrt::Code> {
protected:
  /// Runs a case in all variants, in gemm and, for few tokens, in gemv.
  void check(const Case &c, std::mt19937 &random) {
    SCOPED_TRACE(c.describe());
    TestWeight weight(c.code, c.rows, c.columns, c.group, c.hasZero,
                      c.scaleType, random);
    if (c.nested)
      weight.nestScales(c.nested, random);
    int64_t outputs = c.glu ? c.rows / 2 : c.rows, stride = outputs + 3;
    std::vector<float> x = randomFloats(size_t(c.tokens * c.columns), random);
    std::vector<float> bias = randomFloats(size_t(c.rows), random);
    std::vector<float> residual =
        randomFloats(size_t(c.tokens * stride), random);
    std::vector<float> expected =
        reference(c, weight, x, bias, residual, stride);
    for (const Variant &variant : variants())
      for (bool gemv : {true, false}) {
        if (gemv && c.tokens > 8)
          continue;
        auto tables = c.fixed ? std::pair(variant.gemvI16, variant.gemmI16)
                              : std::pair(variant.gemvF32, variant.gemmF32);
        GemmFunction function =
            (gemv ? tables.first : tables.second)[size_t(c.code)];
        ASSERT_TRUE(function);
        GuardedBuffer out =
            run(variant, function, gemv, c, weight, x, bias, residual, stride);
        SCOPED_TRACE(variant.name + (gemv ? " gemv" : " gemm"));
        compare(c, expected, out.data<float>(), outputs, stride);
        if (HasFailure())
          return;
      }
  }

private:
  GuardedBuffer run(const Variant &variant, GemmFunction function, bool gemv,
                    const Case &c, const TestWeight &weight,
                    const std::vector<float> &x, const std::vector<float> &bias,
                    const std::vector<float> &residual, int64_t stride) {
    StageConfig stage = {};
    stage.columns = stage.inputStride = c.columns;
    stage.group = weight.group;
    stage.paddedGroup = weight.paddedGroup();
    stage.heads = 1;
    int64_t staged =
        krn::stagedColumns(c.columns, weight.group, weight.paddedGroup());
    GuardedBuffer buffer(size_t(
        c.fixed ? krn::stagedBytesI16(c.maxTokens, staged, weight.groups())
                : krn::stagedBytesF32(c.maxTokens, staged)));
    for (uint32_t part = 0; part < c.parts; ++part)
      (c.fixed ? variant.stage_i16 : variant.stage_f32)(
          &stage, c.tokens, gemv, x.data(), nullptr, nullptr, nullptr,
          /*order=*/nullptr, buffer.data(), part, c.parts);

    GemmConfig config = weight.config();
    config.outputStride = config.residualStride = stride;
    config.mayBeFew = c.tokens % 2 != 0;
    config.hasBias = c.bias;
    config.hasResidual = c.residual;
    config.glu = c.glu;
    config.activation = c.activation;
    config.multiplier = c.multiplier;
    GuardedBuffer output(size_t(c.tokens * stride - 3) * 4);
    GuardedBuffer scratch(size_t(krn::gemmScratchBytes()));
    for (uint32_t part = 0; part < c.parts; ++part)
      function(&config, c.tokens, buffer.data(), weight.packedCodes.data(),
               weight.scalePlane(), weight.zeroPlane(), bias.data(),
               residual.data(), output.data<float>(), scratch.data(), part,
               c.parts);
    return output;
  }

  std::vector<float> reference(const Case &c, const TestWeight &weight,
                               const std::vector<float> &x,
                               const std::vector<float> &bias,
                               const std::vector<float> &residual,
                               int64_t stride) {
    std::vector<float> sums(size_t(c.rows)), expected;
    for (int64_t m = 0; m < c.tokens; ++m) {
      const float *row = x.data() + m * c.columns;
      FixedRow fixed = toFixed(row, c.columns);
      for (int64_t n = 0; n < c.rows; ++n) {
        float sum = c.fixed ? referenceI16(weight, n, fixed)
                            : referenceF32(weight, n, row);
        // The reference itself: rounding of f32 sums, and half a step of
        // fixed point.
        Exact exact = exactDot(weight, n, row);
        double error = 1e-6 * exact.magnitude + 1e-30;
        if (c.fixed)
          error += 0.501 * double(fixed.scale) * exact.weights;
        EXPECT_NEAR(sum, exact.sum, error);
        sums[size_t(n)] = sum + (c.bias ? bias[size_t(n)] : 0.0f);
      }
      auto activate = [&](float v) {
        return c.activation == ActNone
                   ? v
                   : float(activateExactly(c.activation, double(v)));
      };
      int64_t outputs = c.glu ? c.rows / 2 : c.rows;
      for (int64_t n = 0; n < outputs; ++n) {
        int64_t gate = n / 16 * 32 + n % 16;
        float v = c.glu ? activate(sums[size_t(gate)]) * sums[size_t(gate) + 16]
                        : activate(sums[size_t(n)]);
        v *= c.multiplier;
        expected.push_back(c.residual ? v + residual[size_t(m * stride + n)]
                                      : v);
      }
    }
    return expected;
  }

  void compare(const Case &c, const std::vector<float> &expected,
               const float *output, int64_t outputs, int64_t stride) {
    for (int64_t m = 0; m < c.tokens; ++m) {
      for (int64_t n = 0; n < outputs; ++n) {
        float want = expected[size_t(m * outputs + n)];
        float got = output[m * stride + n];
        // Activations differ in their last digits, and a residual may cancel
        // what they add.
        double error = c.activation == ActNone
                           ? 0
                           : 6e-7 * (std::fabs(want) + (c.residual ? 8 : 1));
        ASSERT_NEAR(got, want, error) << "token " << m << " column " << n;
      }
      // Between rows nothing is written.
      for (int64_t n = outputs; n < stride && m + 1 < c.tokens; ++n)
        ASSERT_TRUE(std::isnan(output[m * stride + n]));
    }
  }
};

std::vector<bool> activationsOf(qrt::Code code) {
  return qrt::isIntCode(code) ? std::vector<bool>{false, true}
                              : std::vector<bool>{false};
}

TEST_P(GemmTest, RaggedShapes) {
  std::mt19937 random(1);
  const int64_t tokenCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 65};
  size_t next = 0;
  for (bool fixed : activationsOf(GetParam()))
    for (int64_t rows : {1, 15, 17, 33})
      for (int64_t columns : {1, 7, 31, 33, 320})
        for (int64_t group : {8, 16, 32, 64, 128, 4096}) {
          int64_t tokens = tokenCounts[next++ % std::size(tokenCounts)];
          check({GetParam(), fixed, rows, columns, group, tokens,
                 std::max<int64_t>(tokens, next % 3 ? 8 : 70),
                 qrt::isIntCode(GetParam()) && next % 2 == 0, int32_t(next % 3),
                 false, false, false, ActNone, 1.0f, uint32_t(1 + next % 3)},
                random);
          if (HasFailure())
            return;
        }
}

TEST_P(GemmTest, LongRows) {
  std::mt19937 random(2);
  for (bool fixed : activationsOf(GetParam()))
    for (int64_t group : {32, 100, 128, 300, 4544})
      for (int64_t tokens : {1, 8, 13}) {
        check({GetParam(), fixed, 17, 4544, group, tokens, 16,
               qrt::isIntCode(GetParam()) && group % 3 != 0, ElemF32, false,
               false, false, ActNone, 1.0f, 1},
              random);
        if (HasFailure())
          return;
      }
}

TEST_P(GemmTest, AllTokenCounts) {
  std::mt19937 random(3);
  for (bool fixed : activationsOf(GetParam()))
    for (int64_t tokens = 1; tokens <= 34; ++tokens) {
      check({GetParam(), fixed, 81, 96, 32, tokens, 34, false, ElemF16, false,
             false, false, ActNone, 1.0f, 2},
            random);
      if (HasFailure())
        return;
    }
}

TEST_P(GemmTest, Epilogues) {
  std::mt19937 random(4);
  for (bool fixed : activationsOf(GetParam()))
    for (int32_t activation = ActNone; activation <= ActTanh; ++activation)
      for (int options = 0; options < 8; ++options)
        for (int64_t tokens : {1, 3, 11}) {
          bool glu = options & 4;
          check({GetParam(), fixed, glu ? 96 : 49, 64, 32, tokens, 12, false,
                 ElemF32, bool(options & 1), bool(options & 2), glu, activation,
                 options == 3 ? 0.5f : 1.0f, 2},
                random);
          if (HasFailure())
            return;
        }
}

/// Scales that are codes themselves.
TEST_P(GemmTest, NestedScales) {
  if (GetParam() != qrt::Code::NF4 && GetParam() != qrt::Code::FP4)
    GTEST_SKIP() << "only table codes have nested scales";
  std::mt19937 random(7);
  for (int64_t rows : {1, 17, 96})
    for (int64_t columns : {33, 320, 4544})
      for (int64_t nested : {1, 7, 256, 512})
        for (int64_t tokens : {1, 3, 12}) {
          check({GetParam(), false, rows, columns, 64, tokens, 12, false,
                 ElemF32, false, false, rows == 96, ActNone, 1.0f, 2, nested},
                random);
          if (HasFailure())
            return;
        }
}

TEST_P(GemmTest, ManyParts) {
  std::mt19937 random(5);
  for (bool fixed : activationsOf(GetParam()))
    for (uint32_t parts : {4, 7, 16, 96})
      for (int64_t tokens : {1, 40}) {
        check({GetParam(), fixed, 128, 64, 64, tokens, 40, false, ElemF32, true,
               false, true, ActSilu, 1.0f, parts},
              random);
        if (HasFailure())
          return;
      }
}

/// The largest codes and activations: sums of pieces must not overflow.
TEST_P(GemmTest, Extremes) {
  if (!qrt::isIntCode(GetParam()))
    GTEST_SKIP() << "only sums of ints can overflow";
  std::mt19937 random(6);
  constexpr int64_t columns = 1024;
  for (bool hasZero : {false, true})
    for (uint32_t code : {0u, ~0u}) {
      TestWeight weight(GetParam(), 16, columns, columns, hasZero, ElemF32,
                        random);
      qrt::Format format;
      format.code = GetParam();
      uint32_t largest = (1u << format.codeBits()) - 1;
      std::memset(weight.packedCodes.data(), code ? 0xff : 0,
                  weight.packedCodes.size());
      for (uint32_t &c : weight.codes)
        c = code & largest;
      for (uint8_t &zero : weight.zeros)
        zero = uint8_t(code ? 0 : largest);
      if (hasZero)
        std::memset(weight.packedZeros.data(), int(code ? 0 : largest),
                    weight.packedZeros.size());
      std::vector<float> x(columns, 3.0f);
      float expected = referenceI16(weight, 5, toFixed(x.data(), columns));
      for (const Variant &variant : variants())
        for (int64_t tokens : {1, 9}) {
          StageConfig stage = {};
          stage.columns = stage.group = stage.paddedGroup = columns;
          GuardedBuffer staged(size_t(krn::stagedBytesI16(tokens, columns, 1)));
          variant.stage_i16(&stage, tokens, tokens == 1, x.data(), nullptr,
                            nullptr, nullptr, nullptr, staged.data(), 0, 1);
          GemmConfig config = weight.config();
          config.outputStride = 16;
          std::vector<float> out(size_t(tokens) * 16);
          GuardedBuffer scratch(size_t(krn::gemmScratchBytes()));
          (tokens == 1 ? variant.gemvI16 : variant.gemmI16)[size_t(GetParam())](
              &config, tokens, staged.data(), weight.packedCodes.data(),
              weight.packedScales.data(), weight.packedZeros.data(), nullptr,
              nullptr, out.data(), scratch.data(), 0, 1);
          EXPECT_EQ(out[5], expected) << variant.name << " " << tokens;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Codes, GemmTest,
                         testing::Values(qrt::Code::F32, qrt::Code::F16,
                                         qrt::Code::BF16, qrt::Code::Int8,
                                         qrt::Code::Int4, qrt::Code::Int3,
                                         qrt::Code::Int2, qrt::Code::NF4,
                                         qrt::Code::FP4),
                         [](const testing::TestParamInfo<qrt::Code> &info) {
                           return std::string(qrt::codeName(info.param));
                         });

} // namespace
