//===- KRNOps.cpp - Verifiers and folds of KRN ----------------------------===//
//
// Each message begins with the number of the constraint that is broken; the
// tests are named after the same numbers.
//
//===----------------------------------------------------------------------===//

#include "dialects/KRN/KRN.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace qcc::krn;
using namespace qcc;

#define GET_OP_CLASSES
#include "dialects/KRN/KRNOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

LogicalResult EntryOp::verify() {
  if (int64_t(getMaxTokens()) < 1)
    return emitOpError() << "entry_c1: a step of " << int64_t(getMaxTokens())
                         << " tokens";
  if (int64_t(getArena()) < 0 || int64_t(getScratch()) < 0)
    return emitOpError("entry_c2: arena or scratch is negative");
  return success();
}

LogicalResult RepeatOp::verify() {
  int64_t layers = getLayers();
  if (layers < 1 || int64_t(getFirst()) < 0)
    return emitOpError() << "repeat_c1: " << layers << " layers from layer "
                         << int64_t(getFirst());
  Block &body = getBody().front();
  for (Type type : body.getArgumentTypes())
    if (!isa<qnt::PackedType>(type))
      return emitOpError() << "repeat_c2: an argument is " << type
                           << ", not a packed weight";
  size_t entries = size_t(layers) * body.getNumArguments();
  if (getWeights().size() != entries)
    return emitOpError() << "repeat_c3: the table has " << getWeights().size()
                         << " weights; " << layers << " layers of "
                         << body.getNumArguments() << " need " << entries;
  for (int64_t index : getWeights())
    if (index < 0)
      return emitOpError() << "repeat_c4: weight index " << index;
  if (int64_t(getKvOffset()) < 0 || int64_t(getKvStride()) < 0)
    return emitOpError("repeat_c5: kv_offset or kv_stride is negative");
  return success();
}

LogicalResult ViewOp::verify() {
  BufferType input = getInput().getType(), result = getResult().getType();
  int64_t column = getColumn();
  if (column < 0 || result.getColumns() > input.getColumns() ||
      column > input.getColumns() - result.getColumns())
    return emitOpError() << "view_c1: " << result.getColumns()
                         << " columns from column " << column
                         << " are not inside " << input.getColumns();
  if (result.rowStride() != input.rowStride())
    return emitOpError() << "view_c2: the stride is " << result.rowStride()
                         << " where the input's is " << input.rowStride();
  return success();
}

OpFoldResult ViewOp::fold(FoldAdaptor) {
  return getResult().getType() == getInput().getType() ? getInput() : Value();
}

bool krn::arePairable(GemmOp first, GemmOp second) {
  qnt::FormatAttr format = first.getWeight().getType().getFormat();
  return first != second && first.getInput() == second.getInput() &&
         second.getWeight().getType().getFormat() == format &&
         format.getValue().nested == 0 &&
         first.getInput().getType().getActivations() != "split8" &&
         !first.getGather() && !second.getGather();
}

Value krn::rootOf(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewOp>())
    buffer = view.getInput();
  return buffer;
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

/// Emits that `what` has the wrong number of columns, if it has.
static LogicalResult verifyColumns(Operation *op, StringRef what,
                                   BufferType type, int64_t columns) {
  if (type.getColumns() != columns)
    return op->emitOpError(what)
           << " has " << type.getColumns() << " columns where " << columns
           << " are needed";
  return success();
}

LogicalResult EmbedOp::verify() {
  if (int64_t(getOffset()) < 0 || (getOffset() && !getPositions()))
    return emitOpError() << "embed_c2: offset " << int64_t(getOffset())
                         << " is negative, or of no positions";
  return verifyColumns(*this, "embed_c1: the output", getOutput().getType(),
                       getTable().getType().getColumns());
}

LogicalResult RopeTableOp::verify() {
  int64_t frequencies = getFrequencies().getType().getColumns();
  bool areTwoSets = bool(getLengthScalingAttr());
  if (areTwoSets && frequencies % 2)
    return emitOpError() << "rope_table_c2: " << frequencies
                         << " frequencies are not two sets";
  return verifyColumns(*this, "rope_table_c1: the output",
                       getOutput().getType(),
                       areTwoSets ? frequencies : 2 * frequencies);
}

/// What reads rows, normalizes them and writes a staged buffer: `constraint`_c1
/// to _c3.
template <typename Op>
static LogicalResult verifyStaging(Op op, const std::string &constraint) {
  int64_t columns = op.getInput().getType().getColumns();
  if (op.getOutput().getType().getColumns() != columns)
    return op.emitOpError()
           << constraint << "_c1: the input has " << columns
           << " columns, the output " << op.getOutput().getType().getColumns();
  StringRef norm = op.getNorm();
  if (!norm.empty() && norm != "rms" && norm != "layer")
    return op.emitOpError()
           << constraint << "_c2: unknown norm '" << norm << "' (rms, layer)";
  if (norm.empty() == bool(op.getNormWeight()) ||
      (op.getNormBias() && norm != "layer"))
    return op.emitOpError() << constraint
                            << "_c2: a norm has a weight, and only a layer "
                               "norm a bias";
  for (Value vector : {op.getNormWeight(), op.getNormBias()})
    if (vector && failed(tfm::verifyVector(op, constraint + "_c3: the norm",
                                           vector.getType(), columns)))
      return failure();
  return success();
}

LogicalResult StageOp::verify() {
  if (failed(verifyStaging(*this, "stage")))
    return failure();
  if (getOrder() && failed(tfm::verifyVector(
                        *this, "stage_c4: the order", getOrder().getType(),
                        getInput().getType().getColumns())))
    return failure();
  bool isSplit = getOutput().getType().getActivations() == "split8";
  if (isSplit != bool(getOutlierThresholdAttr()))
    return emitOpError()
           << "stage_c5: split8, and nothing else, has an outlier "
              "threshold, not "
           << getOutput().getType().getActivations();
  if (isSplit && !(getOutlierThresholdAttr().getValueAsDouble() >= 0))
    return emitOpError() << "stage_c6: the threshold "
                         << getOutlierThresholdAttr().getValueAsDouble()
                         << " is neither 0 nor positive";
  return success();
}

LogicalResult FindOutliersOp::verify() {
  if (failed(verifyStaging(*this, "find_outliers")))
    return failure();
  if (getOutput().getType().getActivations() != "split8")
    return emitOpError() << "find_outliers_c4: split8 has outliers, not "
                         << getOutput().getType().getActivations();
  if (!(getOutlierThreshold().convertToFloat() > 0))
    return emitOpError() << "find_outliers_c5: the threshold "
                         << getOutlierThreshold().convertToFloat()
                         << " is not positive";
  return success();
}

LogicalResult GemmOp::verify() {
  qnt::PackedType weight = getWeight().getType();
  if (getInput().getType().getColumns() != weight.getColumns())
    return emitOpError() << "gemm_c1: the weight has " << weight.getColumns()
                         << " columns, the input "
                         << getInput().getType().getColumns();
  int64_t rows = weight.getRows();
  if (getGlu() && (rows % 32 || !getActivation()))
    return emitOpError() << "gemm_c2: glu needs an activation and a multiple "
                            "of 32 rows, not "
                         << rows;
  int64_t outputs = getGlu() ? rows / 2 : rows;
  if (getOutput().getType().getColumns() != outputs)
    return emitOpError() << "gemm_c3: the product has " << outputs
                         << " columns, the output "
                         << getOutput().getType().getColumns();
  if (getBias() && failed(tfm::verifyVector(*this, "gemm_c4: the bias",
                                            getBias().getType(), rows)))
    return failure();
  if (getResidual() && getResidual().getType().getColumns() != outputs)
    return emitOpError() << "gemm_c5: the product has " << outputs
                         << " columns, the residual "
                         << getResidual().getType().getColumns();
  return success();
}

LogicalResult RopeAppendOp::verify() {
  tfm::CacheType cache = cast<tfm::CacheType>(getCache());
  int64_t dim = cache.getDim(), heads = getHeads(), rotary = getRotary();
  if (heads < 1 || heads % cache.getHeads())
    return emitOpError() << "rope_append_c1: " << heads
                         << " heads do not share " << cache.getHeads()
                         << " kv heads evenly";
  if (failed(verifyColumns(*this, "rope_append_c2: the query",
                           getQuery().getType(), heads * dim)) ||
      failed(verifyColumns(*this, "rope_append_c2: the key", getKey().getType(),
                           cache.getHeads() * dim)) ||
      failed(verifyColumns(*this, "rope_append_c2: the value",
                           getValue().getType(), cache.getHeads() * dim)))
    return failure();
  if (rotary < 0 || rotary % 2 || rotary > dim ||
      bool(rotary) != bool(getTable()))
    return emitOpError() << "rope_append_c3: " << rotary
                         << " rotary dimensions are not an even number up to "
                         << dim << ", with a table unless it is 0";
  if (getTable() && failed(verifyColumns(*this, "rope_append_c4: the table",
                                         getTable().getType(), rotary)))
    return failure();
  if (bool(getQNorm()) != bool(getKNorm()))
    return emitOpError(
        "rope_append_c5: q and k are normalized both or neither");
  for (Value vector : {getQNorm(), getKNorm()})
    if (vector &&
        failed(tfm::verifyVector(*this, "rope_append_c6: a head's norm",
                                 vector.getType(), dim)))
      return failure();
  return success();
}

LogicalResult AttentionOp::verify() {
  tfm::CacheType cache = cast<tfm::CacheType>(getCache());
  int64_t heads = getHeads();
  if (heads < 1 || heads % cache.getHeads())
    return emitOpError() << "attention_c1: " << heads << " heads do not share "
                         << cache.getHeads() << " kv heads evenly";
  for (auto [what, buffer] :
       {std::pair(StringRef("attention_c2: the query"), getQuery()),
        std::pair(StringRef("attention_c2: the output"), getOutput())})
    if (failed(verifyColumns(*this, what, buffer.getType(),
                             heads * cache.getDim())))
      return failure();
  if (getSlopes())
    return tfm::verifyVector(*this, "attention_c3: slopes",
                             getSlopes().getType(), heads);
  return success();
}

LogicalResult NormOp::verify() {
  int64_t columns = getInput().getType().getColumns(), heads = getHeads();
  StringRef norm = getNorm();
  if (norm != "rms" && norm != "layer")
    return emitOpError() << "norm_c1: unknown norm '" << norm
                         << "' (rms, layer)";
  if (getBias() && norm != "layer")
    return emitOpError("norm_c2: only a layer norm has a bias");
  if (heads < 1 || columns % heads)
    return emitOpError() << "norm_c3: " << columns
                         << " columns do not divide into " << heads
                         << " slices";
  for (Value vector : {Value(getWeight()), Value(getBias())})
    if (vector &&
        failed(tfm::verifyNormVector(*this, "norm_c4: the norm",
                                     vector.getType(), columns, heads)))
      return failure();
  if (getBias() &&
      getBias().getType().getColumns() != getWeight().getType().getColumns())
    return emitOpError("norm_c6: weight and bias are not both one for all "
                       "slices, or both a part for each");
  return verifyColumns(*this, "norm_c5: the output", getOutput().getType(),
                       columns);
}

LogicalResult RopeOp::verify() {
  int64_t columns = getInput().getType().getColumns();
  int64_t heads = getHeads(), rotary = getRotary();
  if (heads < 1 || columns % heads)
    return emitOpError() << "rope_c1: " << columns
                         << " columns do not divide into " << heads << " heads";
  if (rotary < 2 || rotary % 2 || rotary > columns / heads)
    return emitOpError() << "rope_c2: " << rotary
                         << " rotary dimensions are not an even number from 2 "
                            "to "
                         << columns / heads;
  if (failed(verifyColumns(*this, "rope_c3: the table", getTable().getType(),
                           rotary)))
    return failure();
  return verifyColumns(*this, "rope_c4: the output", getOutput().getType(),
                       columns);
}

LogicalResult ActivationOp::verify() {
  return verifyColumns(*this, "activation_c1: the output",
                       getOutput().getType(),
                       getInput().getType().getColumns());
}

LogicalResult MapOp::verify() {
  float value = getValue().convertToFloat();
  if (!std::isfinite(value) ||
      (getKind() != tfm::MapKind::Scale && !(value > 0)))
    return emitOpError() << "map_c2: " << value << " is no "
                         << tfm::stringifyMapKind(getKind());
  return verifyColumns(*this, "map_c1: the output", getOutput().getType(),
                       getInput().getType().getColumns());
}

template <typename Op>
static LogicalResult verifyElementwise(Op op, const std::string &constraint) {
  int64_t columns = op.getLhs().getType().getColumns();
  if (failed(verifyColumns(op, constraint + "_c1: the right side",
                           op.getRhs().getType(), columns)))
    return failure();
  return verifyColumns(op, constraint + "_c2: the output",
                       op.getOutput().getType(), columns);
}

LogicalResult MulOp::verify() { return verifyElementwise(*this, "mul"); }

LogicalResult AddOp::verify() { return verifyElementwise(*this, "add"); }
