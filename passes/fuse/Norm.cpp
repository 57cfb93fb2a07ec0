//===- Norm.cpp - Folds norms into the GEMMs that read them ---------------===//
//
// A GEMM stages its activations anyway; normalizing them on the way saves a
// pass over them and a barrier. Where several GEMMs read one norm, each does
// it again: cheaper than handing the result round.
//
//===----------------------------------------------------------------------===//

#include "passes/fuse/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {

#define GEN_PASS_DEF_NORMPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// Makes `norm` the prologue of all its users, if they are GEMMs without one.
LogicalResult foldNorm(Operation *norm, Value input, Value weight, Value bias,
                       StringRef kind, FloatAttr eps, FloatAttr offset,
                       PatternRewriter &rewriter) {
  if (norm->use_empty())
    return rewriter.notifyMatchFailure(norm, "nothing reads the norm");
  for (OpOperand &use : norm->getUses()) {
    auto gemm = dyn_cast<qnt::FusedGemmOp>(use.getOwner());
    if (!gemm || use.getOperandNumber() != 0)
      return rewriter.notifyMatchFailure(
          norm, "something other than a gemm's input reads the norm");
    if (!gemm.getNorm().empty())
      return rewriter.notifyMatchFailure(norm, "a gemm has a norm already");
  }
  for (Operation *user : llvm::make_early_inc_range(norm->getUsers())) {
    auto gemm = cast<qnt::FusedGemmOp>(user);
    rewriter.modifyOpInPlace(gemm, [&] {
      gemm.getInputMutable().assign(input);
      gemm.getNormWeightMutable().assign(weight);
      if (bias)
        gemm.getNormBiasMutable().assign(bias);
      gemm.setNorm(kind);
      gemm.setEpsAttr(eps);
      gemm.setNormOffsetAttr(offset);
    });
  }
  rewriter.eraseOp(norm);
  return success();
}

struct FoldRMSNorm : OpRewritePattern<tfm::RMSNormOp> {
  FoldRMSNorm(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::RMSNormOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getHeads() != 1)
      return rewriter.notifyMatchFailure(op, "normalizes slices of rows");
    if (failed(foldNorm(op, op.getInput(), op.getWeight(), Value(), "rms",
                        op.getEpsAttr(), op.getOffsetAttr(), rewriter)))
      return failure();
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct FoldLayerNorm : OpRewritePattern<tfm::LayerNormOp> {
  FoldLayerNorm(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::LayerNormOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getHeads() != 1)
      return rewriter.notifyMatchFailure(op, "normalizes slices of rows");
    if (failed(foldNorm(op, op.getInput(), op.getWeight(), op.getBias(),
                        "layer", op.getEpsAttr(), op.getOffsetAttr(),
                        rewriter)))
      return failure();
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct Norm : qcc::impl::NormPassBase<Norm> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldRMSNorm, FoldLayerNorm>(&getContext(), folded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
