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

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

LogicalResult StageOp::verify() {
  int64_t columns = getInput().getType().getColumns();
  if (getOutput().getType().getColumns() != columns)
    return emitOpError() << "stage_c1: the input has " << columns
                         << " columns, the output "
                         << getOutput().getType().getColumns();
  StringRef norm = getNorm();
  if (!norm.empty() && norm != "rms" && norm != "layer")
    return emitOpError() << "stage_c2: unknown norm '" << norm
                         << "' (rms, layer)";
  if (norm.empty() == bool(getNormWeight()) ||
      (getNormBias() && norm != "layer"))
    return emitOpError(
        "stage_c2: a norm has a weight, and only a layer norm a bias");
  for (Value vector : {getNormWeight(), getNormBias()})
    if (vector && failed(tfm::verifyVector(*this, "stage_c3: the norm",
                                           vector.getType(), columns)))
      return failure();
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
