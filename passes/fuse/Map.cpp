//===- Map.cpp - Folds scales and soft caps into GEMMs --------------------===//

#include "passes/fuse/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>

namespace qcc {

#define GEN_PASS_DEF_MAPPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct FoldMap : OpRewritePattern<tfm::MapOp> {
  FoldMap(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::MapOp op,
                                PatternRewriter &rewriter) const override {
    auto gemm = op.getInput().getDefiningOp<qnt::FusedGemmOp>();
    if (!gemm)
      return rewriter.notifyMatchFailure(op, "input is no gemm's");
    if (gemm.getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "the gemm has several results");
    if (!gemm->hasOneUse())
      return rewriter.notifyMatchFailure(op, "the gemm has other readers");
    if (gemm.getResidual() || gemm.getSoftCap().convertToFloat() != 0)
      return rewriter.notifyMatchFailure(op, "the gemm has an epilogue");
    if (op.getKind() == tfm::MapKind::Scale &&
        !std::isfinite(gemm.getMultiplier().convertToFloat() *
                       op.getValue().convertToFloat()))
      return rewriter.notifyMatchFailure(op, "the scales' product overflows");
    if (op.getKind() == tfm::MapKind::Clamp)
      return rewriter.notifyMatchFailure(op, "no epilogue clamps");
    rewriter.modifyOpInPlace(gemm, [&] {
      if (op.getKind() == tfm::MapKind::SoftCap)
        gemm.setSoftCapAttr(op.getValueAttr());
      else
        gemm.setMultiplierAttr(
            rewriter.getF32FloatAttr(gemm.getMultiplier().convertToFloat() *
                                     op.getValue().convertToFloat()));
    });
    rewriter.replaceOp(op, gemm.getResults());
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct Map : qcc::impl::MapPassBase<Map> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldMap>(&getContext(), folded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
