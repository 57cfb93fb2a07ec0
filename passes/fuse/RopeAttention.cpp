//===- RopeAttention.cpp - Folds norms and rotations into attention -------===//
//
// Heads are normed and rotated where k and v go into the cache: one phase for
// all of it, in place.
//
//===----------------------------------------------------------------------===//

#include "passes/fuse/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qcc {

#define GEN_PASS_DEF_ROPEATTENTIONPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// The norm of the heads of a rotated value, if it has one of its own.
tfm::RMSNormOp headNorm(tfm::RopeOp rope) {
  auto norm = rope.getInput().getDefiningOp<tfm::RMSNormOp>();
  if (!norm || norm.getHeads() != rope.getHeads() || !norm->hasOneUse())
    return {};
  // One weight for all heads, not a part for each.
  int64_t dim =
      tfm::features(norm.getInput().getType()) / int64_t(norm.getHeads());
  if (tfm::storedShape(norm.getWeight().getType()).columns != dim)
    return {};
  return norm;
}

struct FoldRopes : OpRewritePattern<tfm::AttentionOp> {
  FoldRopes(MLIRContext *context, Pass::Statistic &folded)
      : OpRewritePattern(context), folded(folded) {}

  LogicalResult matchAndRewrite(tfm::AttentionOp op,
                                PatternRewriter &rewriter) const override {
    auto q = op.getQuery().getDefiningOp<tfm::RopeOp>();
    auto k = op.getKey().getDefiningOp<tfm::RopeOp>();
    if (op.getBf16Bias())
      return rewriter.notifyMatchFailure(op, "biases are rounded");
    if (!q || !k)
      return rewriter.notifyMatchFailure(op, "q or k is not rotated");
    if (q == k || !q->hasOneUse() || !k->hasOneUse())
      return rewriter.notifyMatchFailure(op,
                                         "rotated q or k has other readers");
    if (q.getStep() != op.getStep() || k.getStep() != op.getStep() ||
        q.getFrequencies() != k.getFrequencies() ||
        q.getRotary() != k.getRotary() ||
        q.getInterleaved() != k.getInterleaved() ||
        q.getAttentionFactor() != k.getAttentionFactor() ||
        q.getLengthScalingAttr() != k.getLengthScalingAttr())
      return rewriter.notifyMatchFailure(op, "q and k are rotated differently");
    if (q.getHeads() != op.getHeads() ||
        int64_t(k.getHeads()) != op.getCache().getType().getHeads())
      return rewriter.notifyMatchFailure(op,
                                         "rotated heads are not attention's");

    // Norms go along if both are alike; else they stay in front.
    tfm::RMSNormOp qNorm = headNorm(q), kNorm = headNorm(k);
    if (!qNorm || !kNorm || qNorm.getEps() != kNorm.getEps() ||
        qNorm.getOffset() != kNorm.getOffset())
      qNorm = kNorm = {};
    Value query = qNorm ? qNorm.getInput() : q.getInput();
    Value key = kNorm ? kNorm.getInput() : k.getInput();
    if (!query.hasOneUse())
      return rewriter.notifyMatchFailure(op, "q is read before its rotation, "
                                             "which happens in place");
    FloatAttr zero = rewriter.getF32FloatAttr(0);
    rewriter.replaceOpWithNewOp<qnt::RopeAttentionOp>(
        op, op.getResult().getType(), op.getStep(), op.getCache(), query, key,
        op.getValue(), q.getFrequencies(), qNorm ? qNorm.getWeight() : Value(),
        kNorm ? kNorm.getWeight() : Value(), op.getSlopes(), op.getHeadsAttr(),
        q.getRotaryAttr(), q.getInterleavedAttr(), q.getAttentionFactorAttr(),
        qNorm ? qNorm.getEpsAttr() : zero, qNorm ? qNorm.getOffsetAttr() : zero,
        op.getScaleAttr(), op.getSoftCapAttr(), q.getLengthScalingAttr());
    ++folded;
    return success();
  }

  Pass::Statistic &folded;
};

struct RopeAttention : qcc::impl::RopeAttentionPassBase<RopeAttention> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldRopes>(&getContext(), folded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
