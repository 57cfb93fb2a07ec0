//===- Residual.cpp - Folds residual sums into GEMMs ----------------------===//

#include "passes/fuse/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {

#define GEN_PASS_DEF_RESIDUALPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// The GEMM that makes `value`, if a residual can be added to its result.
qnt::FusedGemmOp openGemm(Value value) {
  auto gemm = value.getDefiningOp<qnt::FusedGemmOp>();
  if (!gemm || gemm.getNumResults() != 1 || !gemm->hasOneUse() ||
      gemm.getResidual() || gemm.getStep())
    return {};
  return gemm;
}

struct FoldResidual : OpRewritePattern<tfm::AddOp> {
  FoldResidual(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::AddOp op,
                                PatternRewriter &rewriter) const override {
    qnt::FusedGemmOp gemm = openGemm(op.getRhs());
    qnt::FusedGemmOp other = openGemm(op.getLhs());
    Value residual = op.getLhs();
    // Of two, the one that comes later: the earlier result is there by then.
    if (!gemm || (other && gemm->isBeforeInBlock(other))) {
      gemm = other;
      residual = op.getRhs();
    }
    if (!gemm)
      return rewriter.notifyMatchFailure(
          op, "no side is the only result of a gemm, read once, without "
              "residual, for all rows");
    if (residual == gemm.getResult(0))
      return rewriter.notifyMatchFailure(op, "both sides are the same");
    // At the place of the sum, where the residual is there for sure.
    rewriter.modifyOpInPlace(gemm, [&] {
      gemm->moveBefore(op);
      gemm.getResidualMutable().assign(residual);
    });
    rewriter.replaceOp(op, gemm.getResults());
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct Residual : qcc::impl::ResidualPassBase<Residual> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldResidual>(&getContext(), folded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
