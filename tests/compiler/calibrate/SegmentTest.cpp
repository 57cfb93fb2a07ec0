//===- SegmentTest.cpp - Pieces of a layer --------------------------------===//

#include "compiler/calibrate/Segment.h"

#include "codegen/cuda/KernelUnits.h"
#include "compiler/calibrate/Plan.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"
#include "runtime/support/Error.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace mlir;

namespace qcc {
namespace {

const char kLayer[] = R"(
!wide = !qnt.packed<64 by 64, <int4, group = 32, zero>>
!narrow = !qnt.packed<32 by 64, <int4, group = 32, zero>>
func.func @layer(%step: !tfm.step, %cache: !tfm.cache<1 by 32 by f32>,
                 %x: tensor<?x64xf32>, %norm: tensor<64xf32>, %q: !wide,
                 %k: !narrow, %v: !narrow, %o: !wide,
                 %frequencies: tensor<16xf32>) -> tensor<?x64xf32> {
  %0 = tfm.rms_norm %x, %norm eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>
  %1 = qnt.dequant_gemm %0, %q : tensor<?x64xf32>, !wide -> tensor<?x64xf32>
  %2 = qnt.dequant_gemm %0, %k : tensor<?x64xf32>, !narrow -> tensor<?x32xf32>
  %3 = qnt.dequant_gemm %0, %v : tensor<?x64xf32>, !narrow -> tensor<?x32xf32>
  %4 = tfm.rope %step, %1, %frequencies heads 2 rotary 32
    : tensor<?x64xf32>, tensor<16xf32>
  %5 = tfm.rope %step, %2, %frequencies heads 1 rotary 32
    : tensor<?x32xf32>, tensor<16xf32>
  %6 = tfm.attention %step, %cache, %4, %5, %3 heads 2 scale 0.176776692
    : !tfm.cache<1 by 32 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  %7 = qnt.dequant_gemm %6, %o : tensor<?x64xf32>, !wide -> tensor<?x64xf32>
  %8 = tfm.add %x, %7 : tensor<?x64xf32>
  return %8 : tensor<?x64xf32>
}
)";

class SegmentTest : public testing::Test {
protected:
  SegmentTest() {
    context.loadDialect<tfm::TFMDialect, qnt::QNTDialect, krn::KRNDialect,
                        func::FuncDialect>();
    module = parseSourceString<ModuleOp>(kLayer, &context);
    layer = *module->getOps<func::FuncOp>().begin();
    x = layer.getArgument(2);
    result = layer.front().getTerminator()->getOperand(0);
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  func::FuncOp layer;
  Value x, result;
};

TEST_F(SegmentTest, AreCutWhereInputsAreWanted) {
  std::vector<PlanStep> steps = planSteps(layer.front(), x, result);
  // What the norm, the attention and the layer give.
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].readers.size(), 3u);
  EXPECT_EQ(steps[1].readers.size(), 1u);
  EXPECT_EQ(steps[2].target, result);

  EXPECT_EQ(keptInputs(steps[1].target, {x, steps[0].target}),
            SmallVector<Value>{steps[0].target});
  // What is not kept is computed again.
  EXPECT_EQ(keptInputs(steps[1].target, {x}), SmallVector<Value>{x});
  EXPECT_FALSE(Segment(steps[0].target, {x}, 8, {false, 8}).isCostly());
  EXPECT_TRUE(Segment(steps[1].target, {x}, 8, {false, 8}).isCostly());
}

TEST_F(SegmentTest, AreProgramsForCuda) {
  for (const PlanStep &step : planSteps(layer.front(), x, result)) {
    Segment segment(step.target, {x}, 8192, {/*isCuda=*/true, 4096});
    EXPECT_EQ(segment.columns(), 64);
    EXPECT_EQ(segment.inputs(), ArrayRef<Value>(x));
    for (const char *architecture : {"sm_80", "sm_90"}) {
      cuda::CudaProgram program =
          cuda::generateKernels(segment.program(), architecture);
      ASSERT_EQ(program.entries.size(), 1u);
      // The result leaves through the logits; tables and weights come in.
      bool hasLogits = false;
      for (const qrt::fb::LaunchT &launch : program.entries[0].launches) {
        EXPECT_FALSE(launch.cooperative);
        for (const qrt::fb::Operand &operand : launch.operands) {
          hasLogits |= operand.kind() == qrt::fb::OperandKind::Logits;
          if (operand.kind() == qrt::fb::OperandKind::Tensor) {
            EXPECT_LT(operand.tensor(), segment.slots().size());
          }
        }
      }
      EXPECT_TRUE(hasLogits);
    }
  }
}

TEST_F(SegmentTest, CoverAllTokensOnce) {
  CalibrationTokens tokens;
  tokens.samples = 5;
  // Two sequences at once, one at once, and pieces of one.
  for (int64_t length : {3, 5, 19}) {
    tokens.length = length;
    tokens.ids.assign(size_t(tokens.count()), 7);
    std::vector<int32_t> rows;
    forEachStep(tokens, 8, /*readsIds=*/false, [&](const SegmentStep &step) {
      EXPECT_EQ(step.firstRow, int64_t(rows.size()));
      EXPECT_LE(step.ids.size(), 8u);
      rows.insert(rows.end(), step.ids.begin(), step.ids.end());
      for (const SegmentStep::Sequence &s : step.sequences) {
        EXPECT_LT(s.cache, sequencesAtOnce(tokens, 8));
        for (int64_t i = 0; i < s.tokens; ++i)
          EXPECT_EQ(step.positions[size_t(s.first + i)], s.past + i);
      }
    });
    std::vector<int32_t> all(size_t(tokens.count()));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(rows, all);
  }
}

} // namespace
} // namespace qcc
