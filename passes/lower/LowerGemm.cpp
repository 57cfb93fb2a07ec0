//===- LowerGemm.cpp - A fused GEMM and the staging of its input ----------===//

#include "passes/lower/EntryBuilder.h"

using namespace mlir;
using namespace qcc;

/// On CUDA, activations for table codes lie in another order than for integers
/// of as many bits.
static bool hasTableCodes(Value weight) {
  const qrt::Format &format =
      cast<qnt::PackedType>(weight.getType()).getFormat().getValue();
  return format.isQuantized() && !qrt::isIntCode(format.code);
}
static bool isForTableCodes(krn::StageOp stage) {
  return llvm::any_of(stage.getOutput().getUsers(), [](Operation *user) {
    auto gemm = dyn_cast<krn::GemmOp>(user);
    return gemm && hasTableCodes(gemm.getWeight());
  });
}

krn::StageOp EntryBuilder::stageInput(qnt::FusedGemmOp op, krn::StagedType type,
                                      Mapping &map) {
  Location loc = op.getLoc();
  Value input = map.lookup(op.getInput());
  Value normWeight =
      op.getNormWeight() ? weight(op, op.getNormWeight(), map) : Value();
  Value normBias =
      op.getNormBias() ? weight(op, op.getNormBias(), map) : Value();
  Value order = op.getOrder() ? weight(op, op.getOrder(), map) : Value();
  UnitAttr gather = op.getStep() ? b.getUnitAttr() : UnitAttr();
  FloatAttr threshold = op.getOutlierThresholdAttr();

  for (krn::StageOp stage : stagedInBlock)
    if (stage.getInput() == input && stage.getNormWeight() == normWeight &&
        stage.getNormBias() == normBias && stage.getOrder() == order &&
        stage.getNormAttr() == op.getNormAttr() &&
        stage.getEpsAttr() == op.getEpsAttr() &&
        stage.getNormOffsetAttr() == op.getNormOffsetAttr() &&
        stage.getOutput().getType() == type &&
        stage.getGatherAttr() == gather &&
        stage.getOutlierThresholdAttr() == threshold &&
        (!isCuda || isForTableCodes(stage) == hasTableCodes(op.getWeight())))
      return stage;

  Value staged = krn::StagedBufferOp::create(
      b, loc, type, int64_t(-1),
      bucket.isSmall() && (!isCuda || bucket.isPersistent));
  // A thread that stages all rows finds their outliers by itself, and so
  // does what stages a single one.
  if (threshold && threshold.getValueAsDouble() > 0 &&
      !(bucket.isSmall() && (!isCuda || bucket.maxTokens == 1)))
    krn::FindOutliersOp::create(b, loc, input, normWeight, normBias, staged,
                                threshold, op.getNormAttr(), op.getEpsAttr(),
                                op.getNormOffsetAttr(), gather);
  stagedInBlock.push_back(krn::StageOp::create(
      b, loc, input, normWeight, normBias, order, staged, op.getNormAttr(),
      op.getEpsAttr(), op.getNormOffsetAttr(), gather, threshold,
      b.getI64IntegerAttr(0)));
  return stagedInBlock.back();
}

LogicalResult EntryBuilder::lowerGemm(qnt::FusedGemmOp op, Mapping &map) {
  Location loc = op.getLoc();
  auto packed = cast<qnt::PackedType>(op.getWeight().getType());
  const qrt::Format &format = packed.getFormat().getValue();
  std::string code = std::string(qrt::codeName(format.code));
  // On CUDA every quantized code multiplies 16-bit fixed point, and a float
  // activations split into two of its kind.
  StringRef staging = activations;
  if (isCuda)
    staging = format.isQuantized() ? StringRef("i16") : StringRef(code);
  else if (!qrt::isIntCode(format.code))
    staging = "f32";
  bool hasThreshold = bool(op.getOutlierThresholdAttr());
  if (hasThreshold)
    staging = "split8";
  auto stagedType = krn::StagedType::get(
      b.getContext(), staging, packed.getColumns(),
      format.isQuantized() ? format.groupSize(packed.getColumns()) : 0,
      format.codeBits());
  krn::StageOp stage = stageInput(op, stagedType, map);
  if (!stage)
    return failure();
  if (hasThreshold)
    stage.setLinears(stage.getLinears() +
                     (op.getGlu() ? 2 : int64_t(op.getNumResults())));

  std::string kernel = bucket.isSmall() ? "gemv_" : "gemm_";
  kernel =
      isCuda ? kernel + code : "krn_" + kernel + code + "_" + staging.str();
  if (isCuda && hasThreshold)
    kernel += "_split8";
  std::string reason =
      (bucket.isSmall() ? "up to " : "more than 8 and up to ") +
      std::to_string(bucket.maxTokens) + " tokens, bound by " +
      (bucket.isSmall() ? "the weight's bytes" : "arithmetic") + "; " +
      (hasThreshold       ? std::string("int8 codes times rows of int8, "
                                        "outlier columns in float")
       : staging == "i16" ? std::string(isCuda ? "" : "int ") +
                                "codes times 16-bit fixed point"
       : isCuda           ? code + " times two halves of activations"
                          : code + " codes times f32");
  bool gather = bool(op.getStep());
  Value residual = op.getResidual() ? map.lookup(op.getResidual()) : Value();
  int64_t width = 0;
  for (int64_t split : op.getSplits())
    width += split;
  Value output;
  if (gather)
    output = krn::LogitsBufferOp::create(
        b, loc, krn::BufferType::get(b.getContext(), width, 0));
  else if (op.getNumResults() == 1)
    output = outputFor(op.getResult(0));
  else
    output = newBuffer(loc, width);
  krn::GemmOp::create(b, loc, stage.getOutput(), map.lookup(op.getWeight()),
                      op.getBias() ? weight(op, op.getBias(), map) : Value(),
                      residual, output, b.getStringAttr(kernel),
                      b.getStringAttr(reason), op.getActivationAttr(),
                      op.getGlu(), gather, op.getMultiplier(), op.getSoftCap());
  // Writing a buffer in place ends what was staged of it.
  llvm::erase_if(stagedInBlock,
                 [&](krn::StageOp s) { return s.getInput() == output; });

  if (op.getNumResults() == 1) {
    map[op.getResult(0)] = output;
    return success();
  }
  int64_t column = 0;
  for (auto [result, split] : llvm::zip(op.getResults(), op.getSplits())) {
    map[result] = krn::ViewOp::create(
        b, loc, krn::BufferType::get(b.getContext(), split, width), output,
        column);
    column += split;
  }
  return success();
}
