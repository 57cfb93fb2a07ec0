//===- TFMOps.cpp - Verifiers of TFM --------------------------------------===//
//
// Each message begins with the number of the constraint that is broken; the
// tests are named after the same numbers.
//
//===----------------------------------------------------------------------===//

#include "dialects/TFM/TFM.h"

#include "mlir/IR/Builders.h"

#include <cmath>

using namespace mlir;
using namespace qcc::tfm;

#define GET_OP_CLASSES
#include "dialects/TFM/TFMOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Shared checks
//===----------------------------------------------------------------------===//

StoredShape qcc::tfm::storedShape(Type type) {
  if (auto stored = dyn_cast<StoredTypeInterface>(type))
    return {stored.getRows(), stored.getColumns()};
  auto tensor = cast<RankedTensorType>(type);
  if (tensor.getRank() == 1)
    return {1, tensor.getDimSize(0)};
  return {tensor.getDimSize(0), tensor.getDimSize(1)};
}

LogicalResult qcc::tfm::verifyVector(Operation *op, StringRef what, Type type,
                                     int64_t size) {
  auto [rows, columns] = storedShape(type);
  if (rows != 1 || columns != size)
    return op->emitOpError(what)
           << " has " << rows * columns << " elements where " << size
           << " are needed in one row";
  return success();
}

LogicalResult qcc::tfm::verifyProduct(Operation *op, StringRef constraint,
                                      RankedTensorType input, Type weight,
                                      Value bias, RankedTensorType result) {
  auto [rows, columns] = storedShape(weight);
  if (columns != features(input))
    return op->emitOpError()
           << constraint << "_c1: the weight has " << columns
           << " columns, the input " << features(input) << " features";
  if (rows != features(result))
    return op->emitOpError()
           << constraint << "_c2: the weight has " << rows
           << " rows, the result " << features(result) << " features";
  if (bias)
    return verifyVector(op, (constraint + "_c3: the bias").str(),
                        bias.getType(), rows);
  return success();
}

LogicalResult qcc::tfm::verifyRope(Operation *op, StringRef constraint,
                                   int64_t features, int64_t heads,
                                   int64_t rotary, Type frequencies,
                                   LengthScalingAttr lengthScaling) {
  if (heads < 1 || features % heads)
    return op->emitOpError()
           << constraint << "_c1: " << features
           << " features do not divide into " << heads << " heads";
  if (rotary < 2 || rotary % 2 || rotary > features / heads)
    return op->emitOpError() << constraint << "_c2: " << rotary
                             << " rotary dimensions are not an even number "
                                "from 2 to "
                             << features / heads;
  return verifyVector(op, (constraint + "_c3: the frequency vector").str(),
                      frequencies, lengthScaling ? rotary : rotary / 2);
}

LogicalResult qcc::tfm::verifyNormVector(Operation *op, StringRef what,
                                         Type type, int64_t features,
                                         int64_t heads) {
  if (heads > 1 && storedShape(type).columns == features)
    return verifyVector(op, what, type, features);
  return verifyVector(op, what, type, features / heads);
}

LogicalResult qcc::tfm::verifyAttention(Operation *op, StringRef constraint,
                                        CacheType cache, RankedTensorType query,
                                        RankedTensorType key,
                                        RankedTensorType value,
                                        RankedTensorType result, Value slopes,
                                        int64_t heads, float softCap) {
  if (heads < 1 || heads * cache.getDim() != features(query))
    return op->emitOpError()
           << constraint << "_c1: " << heads << " heads of " << cache.getDim()
           << " elements are not the query's " << features(query)
           << " features";
  for (RankedTensorType type : {key, value})
    if (cache.getHeads() * cache.getDim() != features(type))
      return op->emitOpError()
             << constraint << "_c2: " << cache.getHeads() << " kv heads of "
             << cache.getDim() << " elements are not the key's or value's "
             << features(type) << " features";
  if (heads % cache.getHeads())
    return op->emitOpError()
           << constraint << "_c3: " << heads << " heads do not share "
           << cache.getHeads() << " kv heads evenly";
  if (features(result) != features(query))
    return op->emitOpError()
           << constraint << "_c4: the result has " << features(result)
           << " features, the query " << features(query);
  if (slopes && failed(verifyVector(op, (constraint + "_c5: slopes").str(),
                                    slopes.getType(), heads)))
    return failure();
  if (!(softCap >= 0) || !std::isfinite(softCap))
    return op->emitOpError() << constraint << "_c6: soft cap " << softCap
                             << " is no finite number from 0";
  return success();
}

static LogicalResult verifyEpsilon(Operation *op, StringRef constraint,
                                   const APFloat &epsilon) {
  float value = epsilon.convertToFloat();
  if (!(value >= 0) || !std::isfinite(value))
    return op->emitOpError()
           << constraint << ": eps " << value << " is no finite number from 0";
  return success();
}

//===----------------------------------------------------------------------===//
// @weights
//===----------------------------------------------------------------------===//

LogicalResult SliceRowsOp::verify() {
  RankedTensorType input = getInput().getType();
  int64_t rows = input.getDimSize(0);
  int64_t block = getStride() ? int64_t(getStride()) : rows;
  int64_t offset = getOffset(), size = getSize();
  if (block < 1 || rows % block)
    return emitOpError() << "slice_rows_c1: blocks of " << block
                         << " rows do not divide the " << rows << " rows";
  if (offset < 0 || size < 1 || size > block || offset > block - size)
    return emitOpError() << "slice_rows_c2: " << size << " rows from row "
                         << offset << " are not inside " << block << " rows";
  SmallVector<int64_t> shape(input.getShape());
  shape[0] = rows / block * size;
  auto expected = RankedTensorType::get(shape, input.getElementType());
  if (getResult().getType() != expected)
    return emitOpError() << "slice_rows_c3: the result is "
                         << getResult().getType() << " where " << expected
                         << " is left";
  return success();
}

LogicalResult ConcatRowsOp::verify() {
  if (getInputs().empty())
    return emitOpError("concat_rows_c1: nothing to concatenate");
  auto first = cast<RankedTensorType>(getInputs().front().getType());
  SmallVector<int64_t> shape(first.getShape());
  shape[0] = 0;
  for (Type type : getInputs().getTypes()) {
    auto tensor = cast<RankedTensorType>(type);
    if (tensor.getElementType() != first.getElementType() ||
        tensor.getShape().drop_front() != first.getShape().drop_front())
      return emitOpError() << "concat_rows_c2: " << tensor << " does not go "
                           << "under " << first;
    shape[0] += tensor.getDimSize(0);
  }
  auto expected = RankedTensorType::get(shape, first.getElementType());
  if (getResult().getType() != expected)
    return emitOpError() << "concat_rows_c3: the result is "
                         << getResult().getType() << " where the inputs make "
                         << expected;
  return success();
}

LogicalResult TransposeOp::verify() {
  RankedTensorType input = getInput().getType();
  if (input.getRank() != 2)
    return emitOpError() << "transpose_c1: the input is a vector, not a matrix";
  auto expected = RankedTensorType::get(
      {input.getDimSize(1), input.getDimSize(0)}, input.getElementType());
  if (getResult().getType() != expected)
    return emitOpError() << "transpose_c2: the result is "
                         << getResult().getType() << " where the transpose is "
                         << expected;
  return success();
}

LogicalResult UnpermuteRotaryOp::verify() {
  int64_t rows = getInput().getType().getDimSize(0), heads = getHeads();
  if (heads < 1 || rows % heads || rows / heads % 2)
    return emitOpError() << "unpermute_rotary_c1: " << rows
                         << " rows do not divide into " << heads
                         << " heads of an even number of rows";
  return success();
}

LogicalResult DefineOp::verify() {
  if (getName().empty())
    return emitOpError("define_c1: the name is empty");
  return success();
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  int64_t columns = storedShape(getTable().getType()).columns;
  if (columns != features(getResult().getType()))
    return emitOpError() << "embedding_c1: the table has " << columns
                         << " columns, the result "
                         << features(getResult().getType()) << " features";
  if (int64_t(getOffset()) < 0 || (getOffset() && !getPositions()))
    return emitOpError() << "embedding_c2: offset " << int64_t(getOffset())
                         << " is negative, or of no positions";
  return success();
}

LogicalResult MapOp::verify() {
  float value = getValue().convertToFloat();
  if (!std::isfinite(value) || (getKind() != MapKind::Scale && !(value > 0)))
    return emitOpError() << "map_c1: " << value << " is no "
                         << stringifyMapKind(getKind());
  return success();
}

LogicalResult RMSNormOp::verify() {
  int64_t width = features(getInput().getType()), heads = getHeads();
  if (heads < 1 || width % heads)
    return emitOpError() << "rms_norm_c1: " << width
                         << " features do not divide into " << heads
                         << " slices";
  if (failed(verifyNormVector(*this, "rms_norm_c2: the weight",
                              getWeight().getType(), width, heads)))
    return failure();
  return verifyEpsilon(*this, "rms_norm_c3", getEps());
}

LogicalResult LayerNormOp::verify() {
  int64_t width = features(getInput().getType()), heads = getHeads();
  if (heads < 1 || width % heads)
    return emitOpError() << "layer_norm_c4: " << width
                         << " features do not divide into " << heads
                         << " slices";
  if (failed(verifyNormVector(*this, "layer_norm_c1: the weight",
                              getWeight().getType(), width, heads)))
    return failure();
  if (getBias() && failed(verifyNormVector(*this, "layer_norm_c2: the bias",
                                           getBias().getType(), width, heads)))
    return failure();
  if (getBias() && storedShape(getBias().getType()).columns !=
                       storedShape(getWeight().getType()).columns)
    return emitOpError("layer_norm_c5: weight and bias are not both one for "
                       "all slices, or both a part for each");
  return verifyEpsilon(*this, "layer_norm_c3", getEps());
}

LogicalResult LinearOp::verify() {
  if (failed(verifyProduct(*this, "linear", getInput().getType(),
                           getWeight().getType(), getBias(),
                           getResult().getType())))
    return failure();
  if (getInput().getType().getDimSize(0) != getResult().getType().getDimSize(0))
    return emitOpError() << "linear_c4: input and result have different "
                            "numbers of tokens";
  return success();
}

LogicalResult RopeOp::verify() {
  return verifyRope(*this, "rope", features(getInput().getType()), getHeads(),
                    getRotary(), getFrequencies().getType(),
                    getLengthScalingAttr());
}

LogicalResult AttentionOp::verify() {
  return verifyAttention(
      *this, "attention", getCache().getType(), getQuery().getType(),
      getKey().getType(), getValue().getType(), getResult().getType(),
      getSlopes(), getHeads(), getSoftCap().convertToFloat());
}

LogicalResult LogitsOp::verify() {
  float cap = getSoftCap().convertToFloat();
  if (!(cap >= 0) || !std::isfinite(cap) ||
      !std::isfinite(getMultiplier().convertToFloat()))
    return emitOpError() << "logits_c4: soft cap " << cap
                         << " or multiplier is no finite number from 0";
  return verifyProduct(*this, "logits", getInput().getType(),
                       getWeight().getType(), getBias(), getResult().getType());
}
