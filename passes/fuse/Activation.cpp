//===- Activation.cpp - Folds activation functions into GEMMs -------------===//

#include "passes/fuse/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {

#define GEN_PASS_DEF_ACTIVATIONPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct FoldActivation : OpRewritePattern<tfm::ActivationOp> {
  FoldActivation(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::ActivationOp op,
                                PatternRewriter &rewriter) const override {
    auto gemm = op.getInput().getDefiningOp<qnt::FusedGemmOp>();
    if (!gemm)
      return rewriter.notifyMatchFailure(op, "input is no gemm's");
    if (gemm.getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "the gemm has several results");
    if (!gemm->hasOneUse())
      return rewriter.notifyMatchFailure(op, "the gemm has other readers");
    if (gemm.getActivation() || gemm.getResidual() ||
        gemm.getMultiplier().convertToFloat() != 1 ||
        gemm.getSoftCap().convertToFloat() != 0)
      return rewriter.notifyMatchFailure(op, "the gemm has an epilogue");
    rewriter.modifyOpInPlace(gemm,
                             [&] { gemm.setActivationAttr(op.getKindAttr()); });
    rewriter.replaceOp(op, gemm.getResults());
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct Activation : qcc::impl::ActivationPassBase<Activation> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldActivation>(&getContext(), folded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
