//===- RunCompiledTest.cpp - Compiled programs compute what they say ------===//

#include "LoadedKernels.h"
#include "TinyModel.h"

#include "codegen/cpu/CompileCpu.h"
#include "runtime/support/Cpu.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>

using namespace qcc;
using namespace qcc::test;

namespace {

/// Compiles Inputs/tiny.mlir once for all tests.
class RunCompiled : public testing::TestWithParam<uint32_t> {
protected:
  static void SetUpTestSuite() {
    mlir::MLIRContext context;
    context.loadDialect<krn::KRNDialect>();
    auto module = mlir::parseSourceFile<mlir::ModuleOp>(
        QCC_KRN_INPUTS "/tiny.mlir", &context);
    ASSERT_TRUE(module);
    auto program = *module->getOps<krn::ProgramOp>().begin();
    kernels = std::make_unique<LoadedKernels>(compileCpu(program));
    model = std::make_unique<TinyModel>();
  }
  static void TearDownTestSuite() {
    kernels.reset();
    model.reset();
  }

  void SetUp() override {
    if (GetParam() > qrt::detectCpuLevel())
      GTEST_SKIP() << "this CPU is below " << qrt::cpuLevelName(GetParam());
  }

  std::vector<float> run(const char *entry, uint32_t threads,
                         const std::vector<StepSequence> &sequences,
                         const std::vector<int32_t> &logitRows) {
    return runStep(kernels->table(), kernels->entry(GetParam(), entry), threads,
                   sequences, logitRows, model->weights());
  }

  /// Room for the cache of one sequence.
  static AlignedBytes cache(uint32_t capacity) {
    return AlignedBytes(capacity * kernels->table().kv_bytes_per_token, 0xff);
  }

  /// Compares row `row` of `logits` with row `position` of the reference. The
  /// i16 activations and the kernels' own exp leave an error well below 1e-3
  /// of logits of about 1.
  static void expectRow(const std::vector<float> &logits, size_t row,
                        const std::vector<float> &expected, size_t position) {
    constexpr size_t width = TinyModel::vocabulary;
    for (size_t i = 0; i < width; ++i)
      ASSERT_NEAR(logits[row * width + i], expected[position * width + i],
                  1e-3F)
          << "row " << row << ", logit " << i;
  }

  static std::unique_ptr<LoadedKernels> kernels;
  static std::unique_ptr<TinyModel> model;
};

std::unique_ptr<LoadedKernels> RunCompiled::kernels;
std::unique_ptr<TinyModel> RunCompiled::model;

TEST_P(RunCompiled, decodeAfterPrompt) {
  std::vector<int32_t> tokens = {3, 47, 0, 11, 30, 5, 5, 21};
  std::vector<float> expected = model->reference(tokens);
  AlignedBytes kv = cache(16);
  // Five at once, then one at a time.
  std::vector<float> logits = run(
      "decode", 1, {{{tokens.begin(), tokens.begin() + 5}, 0, 16, kv.data()}},
      {0, 1, 2, 3, 4});
  for (size_t i = 0; i < 5; ++i)
    expectRow(logits, i, expected, i);
  for (uint32_t i = 5; i < tokens.size(); ++i)
    expectRow(run("decode", 1, {{{tokens[i]}, i, 16, kv.data()}}, {0}), 0,
              expected, i);
}

TEST_P(RunCompiled, batchOfTwoSequences) {
  std::vector<int32_t> first(15), second = {9, 8, 7, 6, 5, 4, 3, 2, 1};
  std::iota(first.begin(), first.end(), 20);
  AlignedBytes firstKv = cache(32), secondKv = cache(16);
  std::vector<float> logits =
      run("batch", 2,
          {{first, 0, 32, firstKv.data()}, {second, 0, 16, secondKv.data()}},
          {2, 14, 23});
  std::vector<float> expected = model->reference(first);
  expectRow(logits, 0, expected, 2);
  expectRow(logits, 1, expected, 14);
  expectRow(logits, 2, model->reference(second), 8);
}

TEST_P(RunCompiled, batchContinuesInDecode) {
  std::vector<int32_t> tokens(19, 1);
  std::iota(tokens.begin(), tokens.end(), 2);
  AlignedBytes kv = cache(32);
  // No row wants logits: the head is skipped.
  EXPECT_TRUE(run("batch", 1,
                  {{{tokens.begin(), tokens.end() - 1}, 0, 32, kv.data()}}, {})
                  .empty());
  expectRow(run("decode", 2, {{{tokens.back()}, 18, 32, kv.data()}}, {0}), 0,
            model->reference(tokens), 18);
}

TEST_P(RunCompiled, threadsDoNotChangeBits) {
  std::vector<int32_t> tokens(13, 4);
  for (const char *entry : {"decode", "batch"}) {
    std::vector<int32_t> part(tokens.begin(),
                              tokens.begin() + (entry[0] == 'd' ? 7 : 13));
    std::vector<int32_t> last = {int32_t(part.size()) - 1};
    std::vector<std::vector<float>> results;
    for (uint32_t threads : {1, 2, 5}) {
      AlignedBytes kv = cache(16);
      results.push_back(run(entry, threads, {{part, 0, 16, kv.data()}}, last));
    }
    EXPECT_EQ(results[0], results[1]) << entry;
    EXPECT_EQ(results[0], results[2]) << entry;
  }
}

INSTANTIATE_TEST_SUITE_P(, RunCompiled,
                         testing::Values(QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V4,
                                         QRT_CPU_X86_64_AMX),
                         [](const auto &info) {
                           switch (info.param) {
                           case QRT_CPU_X86_64_V3:
                             return "v3";
                           case QRT_CPU_X86_64_V4:
                             return "v4";
                           default:
                             return "amx";
                           }
                         });

} // namespace
