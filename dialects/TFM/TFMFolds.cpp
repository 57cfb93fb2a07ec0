//===- TFMFolds.cpp - Folds and canonicalizations of TFM ------------------===//

#include "dialects/TFM/TFM.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace qcc::tfm;

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (auto other = getInput().getDefiningOp<TransposeOp>())
    return other.getInput();
  return {};
}

OpFoldResult ActivationOp::fold(FoldAdaptor) {
  return getKind() == Activation::None ? getInput() : Value();
}

OpFoldResult MapOp::fold(FoldAdaptor) {
  bool isIdentity =
      getKind() == MapKind::Scale && getValue().convertToFloat() == 1.0f;
  return isIdentity ? getInput() : Value();
}

OpFoldResult SliceRowsOp::fold(FoldAdaptor) {
  return getResult().getType() == getInput().getType() ? getInput() : Value();
}

OpFoldResult ConcatRowsOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 ? getInputs().front() : Value();
}

namespace {

/// slice(slice(x)) = slice(x), where neither takes its rows block by block.
struct MergeSlices : OpRewritePattern<SliceRowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceRowsOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<SliceRowsOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "input is no slice");
    if (op.getStride() || inner.getStride())
      return rewriter.notifyMatchFailure(op, "a slice has a stride");
    rewriter.replaceOpWithNewOp<SliceRowsOp>(
        op, op.getResult().getType(), inner.getInput(),
        inner.getOffset() + op.getOffset(), op.getSize());
    return success();
  }
};

/// slice(concat(..., x, ...)) = slice(x), where all rows come of one input.
struct SliceOfConcat : OpRewritePattern<SliceRowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceRowsOp op,
                                PatternRewriter &rewriter) const override {
    auto concat = op.getInput().getDefiningOp<ConcatRowsOp>();
    if (!concat)
      return rewriter.notifyMatchFailure(op, "input is no concatenation");
    if (op.getStride())
      return rewriter.notifyMatchFailure(op, "the slice has a stride");
    int64_t offset = op.getOffset();
    for (Value input : concat.getInputs()) {
      int64_t rows = cast<RankedTensorType>(input.getType()).getDimSize(0);
      if (offset >= rows) {
        offset -= rows;
        continue;
      }
      if (offset + int64_t(op.getSize()) > rows)
        return rewriter.notifyMatchFailure(op, "rows come of several inputs");
      rewriter.replaceOpWithNewOp<SliceRowsOp>(op, op.getResult().getType(),
                                               input, offset, op.getSize());
      return success();
    }
    return failure();
  }
};

/// concat(concat(a, b), c) = concat(a, b, c).
struct FlattenConcat : OpRewritePattern<ConcatRowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatRowsOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<Value> inputs;
    for (Value input : op.getInputs()) {
      if (auto inner = input.getDefiningOp<ConcatRowsOp>())
        llvm::append_range(inputs, inner.getInputs());
      else
        inputs.push_back(input);
    }
    if (inputs.size() == op.getInputs().size())
      return rewriter.notifyMatchFailure(op, "no input is a concatenation");
    rewriter.replaceOpWithNewOp<ConcatRowsOp>(op, op.getResult().getType(),
                                              inputs);
    return success();
  }
};

} // namespace

void SliceRowsOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<MergeSlices, SliceOfConcat>(context);
}

void ConcatRowsOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                               MLIRContext *context) {
  patterns.add<FlattenConcat>(context);
}
