//===- QNTOps.cpp - Verifiers and folds of QNT ----------------------------===//
//
// Each message begins with the number of the constraint that is broken; the
// tests are named after the same numbers.
//
//===----------------------------------------------------------------------===//

#include "dialects/QNT/QNT.h"

#include "mlir/IR/Builders.h"

#include <cmath>

using namespace mlir;
using namespace qcc::qnt;
using namespace qcc;
using tfm::features;

#define GET_OP_CLASSES
#include "dialects/QNT/QNTOps.cpp.inc"

//===----------------------------------------------------------------------===//
// @weights
//===----------------------------------------------------------------------===//

/// Checks codes, scales and zero points or nested scales (null: none) of a
/// [rows, columns] weight: `constraint`_c1 to _c3.
static LogicalResult verifyUnpacked(Operation *op, StringRef constraint,
                                    const qrt::Format &format, int64_t rows,
                                    int64_t columns, Type codes, Type scales,
                                    Type zeros) {
  UnpackedTypes types = unpackedTypes(op->getContext(), format, rows, columns);
  if (codes != types.codes)
    return op->emitOpError() << constraint << "_c1: codes are " << codes
                             << " where the format has " << types.codes;
  if (scales != types.scales)
    return op->emitOpError() << constraint << "_c2: scales are " << scales
                             << " where the format has " << types.scales;
  StringRef third = format.nested ? "nested scales" : "zero points";
  if (bool(zeros) != bool(types.zeros))
    return op->emitOpError() << constraint << "_c3: " << third << " are "
                             << (zeros ? "given, but not in" : "missing for")
                             << " format " << format.mangled();
  if (zeros && zeros != types.zeros)
    return op->emitOpError()
           << constraint << "_c3: " << third << " are " << zeros
           << " where the format has " << types.zeros;
  return success();
}

LogicalResult QuantizeOp::verify() {
  const qrt::Format &format = getFormat().getValue();
  std::string broken = schemeViolation(getMethod(), format, getMse());
  if (!broken.empty())
    return emitOpError(broken);
  RankedTensorType input = getInput().getType();
  if (input.getRank() != 2)
    return emitOpError("quantize_c4: the input is a vector, not a matrix");
  return verifyUnpacked(*this, "quantize", format, input.getDimSize(0),
                        input.getDimSize(1), getCodes().getType(),
                        getScales().getType(),
                        getZeros() ? getZeros().getType() : Type());
}

LogicalResult ActivationOrderOp::verify() {
  RankedTensorType type = getResult().getType();
  if (type.getRank() != 1 || !type.getElementType().isF32())
    return emitOpError() << "activation_order_c1: " << type
                         << " is no vector of f32";
  return success();
}

LogicalResult GptqOp::verify() {
  const qrt::Format &format = getFormat().getValue();
  std::string broken = schemeViolation("gptq", format, getMse());
  if (!broken.empty())
    return emitOpError(broken);
  RankedTensorType input = getInput().getType();
  if (input.getRank() != 2)
    return emitOpError("gptq_c4: the input is a vector, not a matrix");
  StringRef order = getOrder();
  if (order != "natural" && order != "activation" && order != "group-aware")
    return emitOpError() << "gptq_c5: unknown order '" << order
                         << "' (natural, activation, group-aware)";
  bool isPermuted = order == "activation" && !getStaticGroups();
  if (isPermuted != bool(getColumns()))
    return emitOpError("gptq_c7: columns are given for activation order "
                       "without static groups, and only there");
  if (getColumns() &&
      failed(tfm::verifyVector(*this, "gptq_c7: the order",
                               getColumns().getType(), input.getDimSize(1))))
    return failure();
  double damp = getDamp().convertToDouble();
  if (!(damp >= 0 && damp <= 1))
    return emitOpError() << "gptq_c6: a damping of " << damp
                         << " is not between 0 and 1";
  return verifyUnpacked(*this, "gptq", format, input.getDimSize(0),
                        input.getDimSize(1), getCodes().getType(),
                        getScales().getType(),
                        getZeros() ? getZeros().getType() : Type());
}

LogicalResult PackOp::verify() {
  PackedType packed = getResult().getType();
  const qrt::Format &format = packed.getFormat().getValue();
  if (!format.isQuantized())
    return emitOpError() << "pack_c4: format " << format.mangled()
                         << " has no scales: use qnt.convert";
  return verifyUnpacked(*this, "pack", format, packed.getRows(),
                        packed.getColumns(), getCodes().getType(),
                        getScales().getType(),
                        getZeros() ? getZeros().getType() : Type());
}

LogicalResult ConvertOp::verify() {
  PackedType packed = getResult().getType();
  const qrt::Format &format = packed.getFormat().getValue();
  if (format.isQuantized())
    return emitOpError() << "convert_c1: format " << format.mangled()
                         << " has scales: use qnt.quantize";
  auto [rows, columns] = tfm::storedShape(getInput().getType());
  if (rows != packed.getRows() || columns != packed.getColumns())
    return emitOpError() << "convert_c2: the result is " << packed.getRows()
                         << " by " << packed.getColumns() << ", the input "
                         << rows << " by " << columns;
  return success();
}

LogicalResult StackRowsOp::verify() {
  if (getInputs().empty())
    return emitOpError("stack_rows_c1: nothing to stack");
  PackedType result = getResult().getType();
  const qrt::Format &format = result.getFormat().getValue();
  int64_t interleave = getInterleave();
  int64_t rows = 0;
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    auto type = cast<PackedType>(input.getType());
    if (type.getColumns() != result.getColumns() ||
        type.getFormat() != result.getFormat() ||
        type.getLayout() != result.getLayout())
      return emitOpError() << "stack_rows_c2: " << type << " does not go into "
                           << result;
    rows += type.getRows();
    // A flattened block that crossed into the next input would need a scale of
    // its own.
    int64_t unit = interleave ? interleave : type.getRows();
    bool last = i + 1 == getInputs().size() && !interleave;
    if (format.flattened && !last && unit * type.getColumns() % format.group)
      return emitOpError() << "stack_rows_c3: blocks of " << format.group
                           << " elements do not end with " << unit
                           << " rows of " << type.getColumns();
    // Layouts keep the offset of nested scales once a tile of rows.
    if (format.nested && !last && unit % 16)
      return emitOpError() << "stack_rows_c6: with nested scales, parts have a "
                              "multiple of 16 rows, not "
                           << unit;
  }
  if (rows != result.getRows())
    return emitOpError() << "stack_rows_c4: the inputs have " << rows
                         << " rows, the result " << result.getRows();
  if (interleave == 0)
    return success();
  auto first = cast<PackedType>(getInputs().front().getType());
  if (interleave < 0 || getInputs().size() != 2 ||
      first.getRows() * 2 != rows || first.getRows() % interleave)
    return emitOpError() << "stack_rows_c5: blocks of " << interleave
                         << " rows interleave two inputs of a multiple of as "
                            "many rows each";
  return success();
}

OpFoldResult StackRowsOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 ? getInputs().front() : Value();
}

LogicalResult RelayoutOp::verify() {
  PackedType input = getInput().getType(), result = getResult().getType();
  // A format that no layout can hold is stored dequantized, as f32.
  qrt::Code code = result.getFormat().getValue().code;
  if (input.getRows() != result.getRows() ||
      input.getColumns() != result.getColumns() ||
      (code != input.getFormat().getValue().code && code != qrt::Code::F32))
    return emitOpError() << "relayout_c1: " << result
                         << " is not the same weight as " << input;
  if (!result.getLayout())
    return emitOpError("relayout_c2: the result has no layout");
  return success();
}

OpFoldResult RelayoutOp::fold(FoldAdaptor) {
  return getInput().getType() == getResult().getType() ? getInput() : Value();
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

LogicalResult DequantGemmOp::verify() {
  if (getOrder() &&
      failed(tfm::verifyVector(*this, "dequant_gemm_c5: the order",
                               getOrder().getType(),
                               features(getInput().getType()))))
    return failure();
  return tfm::verifyProduct(*this, "dequant_gemm", getInput().getType(),
                            getWeight().getType(), getBias(),
                            getResult().getType());
}

void FusedGemmOp::build(OpBuilder &b, OperationState &state, TypeRange results,
                        Value input, Value weight, Value step, Value bias,
                        Value order, ArrayRef<int64_t> splits) {
  build(b, state, results, input, weight, step, /*norm_weight=*/Value(),
        /*norm_bias=*/Value(), bias, /*residual=*/Value(), order,
        b.getStringAttr(""),
        /*eps=*/b.getF32FloatAttr(0), /*norm_offset=*/b.getF32FloatAttr(0),
        /*activation=*/tfm::ActivationAttr(), /*glu=*/UnitAttr(),
        b.getDenseI64ArrayAttr(splits), /*multiplier=*/b.getF32FloatAttr(1),
        /*soft_cap=*/b.getF32FloatAttr(0),
        /*outlier_threshold=*/FloatAttr());
}

/// `constraint`_c5 and _c6: what LLM.int8's product needs.
static LogicalResult verifyOutliers(Operation *op, StringRef constraint,
                                    PackedType weight, FloatAttr threshold) {
  const qrt::Format &format = weight.getFormat().getValue();
  if (format.code != qrt::Code::Int8 || format.zero ||
      format.groupSize(weight.getColumns()) != weight.getColumns())
    return op->emitOpError() << constraint
                             << "_c5: outliers are split off from rows of int8 "
                                "without zero points, not "
                             << format.mangled();
  double value = threshold.getValueAsDouble();
  if (!(value >= 0) || !std::isfinite(value))
    return op->emitOpError()
           << constraint << "_c6: the threshold " << value
           << " is neither 0 (no outliers) nor positive and finite";
  return success();
}

LogicalResult OutlierGemmOp::verify() {
  if (failed(tfm::verifyProduct(*this, "outlier_gemm", getInput().getType(),
                                getWeight().getType(), getBias(),
                                getResult().getType())))
    return failure();
  return verifyOutliers(*this, "outlier_gemm", getWeight().getType(),
                        getThresholdAttr());
}

LogicalResult FusedGemmOp::verify() {
  PackedType weight = getWeight().getType();
  int64_t width = features(getInput().getType());
  if (weight.getColumns() != width)
    return emitOpError() << "fused_gemm_c1: the weight has "
                         << weight.getColumns() << " columns, the input "
                         << width << " features";
  int64_t rows = weight.getRows();
  if (getGlu() && (rows % 32 || !getActivation()))
    return emitOpError() << "fused_gemm_c2: glu needs an activation and a "
                            "multiple of 32 rows, not "
                         << rows;
  int64_t outputs = getGlu() ? rows / 2 : rows;
  int64_t total = 0;
  for (int64_t split : getSplits()) {
    if (split < 1 || split > outputs - total)
      return emitOpError() << "fused_gemm_c3: the splits do not add up to "
                           << outputs;
    total += split;
  }
  if (total != outputs)
    return emitOpError() << "fused_gemm_c3: the splits do not add up to "
                         << outputs;
  if (getSplits().size() != getNumResults())
    return emitOpError() << "fused_gemm_c4: " << getSplits().size()
                         << " splits, but " << getNumResults() << " results";
  for (auto [split, result] : llvm::zip(getSplits(), getResults()))
    if (features(cast<RankedTensorType>(result.getType())) != split)
      return emitOpError() << "fused_gemm_c4: a result is " << result.getType()
                           << " where the split is " << split;
  StringRef norm = getNorm();
  if (!norm.empty() && norm != "rms" && norm != "layer")
    return emitOpError() << "fused_gemm_c5: unknown norm '" << norm
                         << "' (rms, layer)";
  if (norm.empty() == bool(getNormWeight()) ||
      (getNormBias() && norm != "layer"))
    return emitOpError("fused_gemm_c5: a norm has a weight, and only a layer "
                       "norm a bias");
  for (Value vector : {getNormWeight(), getNormBias()})
    if (vector && failed(tfm::verifyVector(*this, "fused_gemm_c6: the norm",
                                           vector.getType(), width)))
      return failure();
  if (getBias() && failed(tfm::verifyVector(*this, "fused_gemm_c7: the bias",
                                            getBias().getType(), rows)))
    return failure();
  if (getOrder() && failed(tfm::verifyVector(*this, "fused_gemm_c9: the order",
                                             getOrder().getType(), width)))
    return failure();
  if (getResidual() && (getNumResults() != 1 || getStep() ||
                        getResidual().getType() != getResult(0).getType()))
    return emitOpError("fused_gemm_c8: a residual goes with one result of its "
                       "type, for all rows");
  if (getOutlierThresholdAttr())
    return verifyOutliers(*this, "fused_gemm_outliers", weight,
                          getOutlierThresholdAttr());
  return success();
}

LogicalResult RopeAttentionOp::verify() {
  tfm::CacheType cache = getCache().getType();
  if (failed(tfm::verifyAttention(
          *this, "rope_attention", cache, getQuery().getType(),
          getKey().getType(), getValue().getType(), getResult().getType(),
          getSlopes(), getHeads(), getSoftCap().convertToFloat())))
    return failure();
  if (failed(tfm::verifyRope(*this, "rope_attention_rope",
                             features(getQuery().getType()), getHeads(),
                             getRotary(), getFrequencies().getType(),
                             getLengthScalingAttr())))
    return failure();
  if (bool(getQNorm()) != bool(getKNorm()))
    return emitOpError("rope_attention_c7: q and k are normalized both or "
                       "neither");
  for (Value vector : {getQNorm(), getKNorm()})
    if (vector &&
        failed(tfm::verifyVector(*this, "rope_attention_c8: a head's norm",
                                 vector.getType(), cache.getDim())))
      return failure();
  return success();
}
