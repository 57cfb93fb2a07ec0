//===- EntryBuilder.cpp - Lowers @model into one entry --------------------===//

#include "passes/lower/EntryBuilder.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;

Value EntryBuilder::outputFor(Value result) {
  if (result == blockResult)
    return blockOutput;
  if (result == modelResult)
    return modelOutput;
  return newBuffer(result.getLoc(),
                   cast<RankedTensorType>(result.getType()).getDimSize(1));
}

FailureOr<int64_t> EntryBuilder::indexOf(Value value) {
  auto weight = value.getDefiningOp<tfm::WeightOp>();
  if (!weight)
    return failure();
  auto it = weightIndex.find(weight.getName());
  if (it == weightIndex.end())
    return weight.emitOpError("names no weight that @weights defines");
  return it->second;
}

Value EntryBuilder::ropeTable(Location loc, Value frequencies,
                              float attentionFactor,
                              tfm::LengthScalingAttr lengthScaling) {
  int64_t index;
  auto common = commonIndex.find(frequencies);
  if (common != commonIndex.end()) {
    index = common->second;
    if (index == kDiffers)
      return {};
  } else {
    FailureOr<int64_t> found = indexOf(frequencies);
    if (failed(found))
      return {};
    index = *found;
  }
  for (const RopeTable &table : ropeTables)
    if (table.weight == index && table.attentionFactor == attentionFactor &&
        table.lengthScaling == lengthScaling)
      return table.buffer;
  // Made at the start of the entry: all layers read it.
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&entry.getBody().front());
  auto type = cast<qnt::PackedType>(frequencies.getType());
  Value table =
      newBuffer(loc, lengthScaling ? type.getColumns() : 2 * type.getColumns());
  Value weight = krn::WeightOp::create(b, loc, type, index, "rope.frequencies");
  krn::RopeTableOp::create(b, loc, weight, table,
                           b.getF32FloatAttr(attentionFactor), lengthScaling);
  ropeTables.push_back({index, attentionFactor, lengthScaling, table});
  return table;
}

LogicalResult EntryBuilder::lower(func::FuncOp model) {
  Mapping map;
  Operation *end = model.getBody().front().getTerminator();
  if (end->getNumOperands() != 1)
    return model.emitOpError()
           << "returns " << end->getNumOperands() << " values, not one";
  Value returned = end->getOperand(0);
  auto head = returned.getDefiningOp<qnt::FusedGemmOp>();
  if (!head || !head.getStep()) {
    modelResult = returned;
    auto type = cast<RankedTensorType>(returned.getType());
    modelOutput = krn::OutputBufferOp::create(
        b, returned.getLoc(),
        krn::BufferType::get(b.getContext(), type.getDimSize(1), 0));
  }
  SmallVector<func::CallOp> run;
  auto flush = [&] {
    LogicalResult result = run.empty() ? success() : lowerRun(run, map);
    run.clear();
    return result;
  };
  for (Operation &op : model.getBody().front().without_terminator()) {
    if (auto call = dyn_cast<func::CallOp>(op)) {
      if (!run.empty() && run.back().getCallee() != call.getCallee() &&
          failed(flush()))
        return failure();
      run.push_back(call);
      continue;
    }
    if (auto weight = dyn_cast<tfm::WeightOp>(op)) {
      FailureOr<int64_t> index = indexOf(weight);
      if (failed(index))
        return failure();
      if (!isa<qnt::PackedType>(weight.getType()))
        return weight.emitOpError("is not packed: run the fuse and layout "
                                  "phases first");
      // Weights of layers are read through the table of their repeat.
      if (llvm::all_of(weight->getUsers(),
                       [](Operation *user) { return isa<func::CallOp>(user); }))
        continue;
      Value &value = entryWeights[*index];
      if (!value)
        value = krn::WeightOp::create(b, op.getLoc(), weight.getType(), *index,
                                      weight.getName());
      map[weight] = value;
      continue;
    }
    if (isa<tfm::LayerCacheOp>(op))
      continue;
    if (failed(flush()) || failed(lowerOp(&op, map)))
      return failure();
  }
  if (failed(flush()))
    return failure();
  if (modelResult && map.lookup(modelResult) != modelOutput)
    return model.emitOpError("returns what no phase can write to the caller");
  return success();
}

LogicalResult EntryBuilder::inLayer(Value cache,
                                    llvm::function_ref<void()> emit) {
  if (isa<BlockArgument>(cache)) {
    emit();
    return success();
  }
  auto layer = cache.getDefiningOp<tfm::LayerCacheOp>();
  if (!layer || int64_t(layer.getLayer()) + 1 >= int64_t(kvOffsets.size()))
    return failure();
  auto repeat = krn::RepeatOp::create(b, cache.getLoc(), 1, layer.getLayer(),
                                      ArrayRef<int64_t>(),
                                      kvOffsets[layer.getLayer()], int64_t(0));
  OpBuilder::InsertionGuard guard(b);
  b.createBlock(&repeat.getBody());
  emit();
  return success();
}

LogicalResult EntryBuilder::lowerRun(ArrayRef<func::CallOp> calls,
                                     Mapping &map) {
  func::CallOp first = calls.front();
  auto block = symbols.lookup<func::FuncOp>(first.getCallee());
  if (!block || block.isExternal() || block.getNumResults() != 1)
    return first.emitOpError("calls no block with one result");
  Block &body = block.getBody().front();

  SmallVector<Value> weightArguments;
  BlockArgument input, cache;
  for (BlockArgument argument : body.getArguments()) {
    if (isa<qnt::PackedType>(argument.getType()))
      weightArguments.push_back(argument);
    else if (isa<tfm::CacheType>(argument.getType()))
      cache = argument;
    else if (isa<RankedTensorType>(argument.getType())) {
      if (input)
        return first.emitOpError("calls a block of two activations");
      input = argument;
    }
  }
  if (!input || !cache)
    return first.emitOpError("calls a block without activations or cache");
  auto layerOf = [&](func::CallOp call) {
    auto taken = call.getOperand(cache.getArgNumber())
                     .getDefiningOp<tfm::LayerCacheOp>();
    return taken ? int64_t(taken.getLayer()) : -1;
  };
  int64_t layer = layerOf(first);
  // One buffer, written in place, goes from layer to layer.
  for (size_t i = 0; i < calls.size(); ++i) {
    func::CallOp call = calls[i];
    Value taken = call.getOperand(input.getArgNumber());
    if (layer < 0 || layerOf(call) != layer + int64_t(i))
      return call.emitOpError("does not take the cache of the next layer");
    if (i > 0 && taken != func::CallOp(calls[i - 1]).getResult(0))
      return call.emitOpError("does not take what the call before it gives");
    if (!taken.hasOneUse())
      return call.emitOpError("takes activations that are read elsewhere, too");
  }

  SmallVector<int64_t> table;
  int64_t stride = 0;
  for (auto [i, callee] : llvm::enumerate(calls)) {
    func::CallOp call = callee;
    for (Value argument : weightArguments) {
      FailureOr<int64_t> index = indexOf(
          call.getOperand(cast<BlockArgument>(argument).getArgNumber()));
      if (failed(index))
        return call.emitOpError("passes a weight that is no tfm.weight");
      table.push_back(*index);
      auto [it, inserted] = commonIndex.try_emplace(argument, *index);
      if (!inserted && it->second != *index)
        it->second = kDiffers;
    }
    if (i == 1)
      stride = kvOffsets[layer + 1] - kvOffsets[layer];
    if (layer + int64_t(i) + 1 >= int64_t(kvOffsets.size()))
      return call.emitOpError("has no cache of its own");
  }

  Location loc = first.getLoc();
  Value operand = first.getOperand(input.getArgNumber());
  Value x = map.lookup(operand);
  if (!x)
    return first.emitOpError("takes activations that nothing computes");
  auto repeat = krn::RepeatOp::create(b, loc, int64_t(calls.size()), layer,
                                      table, kvOffsets[layer], stride);
  Block *region = b.createBlock(&repeat.getBody());
  Mapping inner;
  inner[input] = x;
  for (Value argument : weightArguments)
    inner[argument] = region->addArgument(argument.getType(), loc);

  b.setInsertionPointToStart(region);
  blockResult = body.getTerminator()->getOperand(0);
  blockOutput = x;
  for (Operation &op : body.without_terminator())
    if (failed(lowerOp(&op, inner)))
      return failure();
  if (inner.lookup(blockResult) != x)
    return first.emitOpError("calls a block whose result is no new value");
  blockResult = blockOutput = {};
  stagedInBlock.clear();
  commonIndex.clear();
  b.setInsertionPointAfter(repeat);
  func::CallOp last = calls.back();
  map[last.getResult(0)] = x;
  return success();
}

LogicalResult EntryBuilder::lowerRopeAttention(qnt::RopeAttentionOp op,
                                               Mapping &map) {
  Location loc = op.getLoc();
  Value table = ropeTable(loc, op.getFrequencies(),
                          op.getAttentionFactor().convertToFloat(),
                          op.getLengthScalingAttr());
  if (!table)
    return op.emitOpError("takes frequencies that differ between layers");
  Value qNorm = op.getQNorm() ? weight(op, op.getQNorm(), map) : Value();
  Value kNorm = op.getKNorm() ? weight(op, op.getKNorm(), map) : Value();
  Value q = map.lookup(op.getQuery());
  Value slopes = op.getSlopes() ? weight(op, op.getSlopes(), map) : Value();
  Value output = outputFor(op.getResult());
  map[op.getResult()] = output;
  return inLayer(op.getCache(), [&] {
    krn::RopeAppendOp::create(
        b, loc, q, map.lookup(op.getKey()), map.lookup(op.getValue()), table,
        qNorm, kNorm, TypeAttr::get(op.getCache().getType()), op.getHeadsAttr(),
        op.getRotaryAttr(), op.getInterleavedAttr(), op.getEpsAttr(),
        op.getNormOffsetAttr(), fusedAttr());
    krn::AttentionOp::create(
        b, loc, q, slopes, output, TypeAttr::get(op.getCache().getType()),
        op.getHeadsAttr(), op.getScaleAttr(), op.getSoftCapAttr(), UnitAttr());
  });
}

LogicalResult EntryBuilder::lowerAttention(tfm::AttentionOp op, Mapping &map) {
  Location loc = op.getLoc();
  Value q = map.lookup(op.getQuery());
  Value slopes = op.getSlopes() ? weight(op, op.getSlopes(), map) : Value();
  Value output = outputFor(op.getResult());
  map[op.getResult()] = output;
  return inLayer(op.getCache(), [&] {
    krn::RopeAppendOp::create(
        b, loc, q, map.lookup(op.getKey()), map.lookup(op.getValue()), Value(),
        Value(), Value(), TypeAttr::get(op.getCache().getType()),
        op.getHeadsAttr(), b.getI64IntegerAttr(0), UnitAttr(),
        b.getF32FloatAttr(0), b.getF32FloatAttr(0), fusedAttr());
    krn::AttentionOp::create(b, loc, q, slopes, output,
                             TypeAttr::get(op.getCache().getType()),
                             op.getHeadsAttr(), op.getScaleAttr(),
                             op.getSoftCapAttr(), op.getBf16BiasAttr());
  });
}

LogicalResult EntryBuilder::lowerRope(tfm::RopeOp op, Mapping &map) {
  Value table = ropeTable(op.getLoc(), op.getFrequencies(),
                          op.getAttentionFactor().convertToFloat(),
                          op.getLengthScalingAttr());
  if (!table)
    return op.emitOpError("takes frequencies that differ between layers");
  // The kernel writes rows as far apart as it reads them.
  Value input = map.lookup(op.getInput());
  auto type = cast<krn::BufferType>(input.getType());
  Value output = newBuffer(op.getLoc(), type.rowStride());
  if (type.rowStride() != type.getColumns())
    output = krn::ViewOp::create(b, op.getLoc(), type, output, 0);
  krn::RopeOp::create(b, op.getLoc(), input, table, output, op.getHeadsAttr(),
                      op.getRotaryAttr(), op.getInterleavedAttr());
  map[op.getResult()] = output;
  return success();
}

LogicalResult EntryBuilder::lowerOp(Operation *op, Mapping &map) {
  Location loc = op->getLoc();
  auto lowerNorm = [&](auto norm, Value bias, const char *kind) {
    Value scale = weight(op, norm.getWeight(), map);
    if (!scale)
      return failure();
    Value output = outputFor(norm.getResult());
    krn::NormOp::create(b, loc, map.lookup(norm.getInput()), scale,
                        bias ? weight(op, bias, map) : Value(), output,
                        b.getStringAttr(kind), norm.getEpsAttr(),
                        norm.getOffsetAttr(), norm.getHeadsAttr());
    map[norm.getResult()] = output;
    return success();
  };
  auto lowerPair = [&]<typename Lowered>(auto pair) {
    Value output = outputFor(pair.getResult());
    Lowered::create(b, loc, map.lookup(pair.getLhs()),
                    map.lookup(pair.getRhs()), output);
    map[pair.getResult()] = output;
    return success();
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](qnt::FusedGemmOp gemm) { return lowerGemm(gemm, map); })
      .Case([&](qnt::RopeAttentionOp attention) {
        return lowerRopeAttention(attention, map);
      })
      .Case([&](tfm::AttentionOp attention) {
        return lowerAttention(attention, map);
      })
      .Case([&](tfm::RopeOp rope) { return lowerRope(rope, map); })
      .Case([&](tfm::EmbeddingOp embedding) {
        Value table = weight(op, embedding.getTable(), map);
        if (!table)
          return failure();
        Value output = outputFor(embedding.getResult());
        krn::EmbedOp::create(
            b, loc, table, output, embedding.getMultiplierAttr(),
            embedding.getPositionsAttr(), embedding.getOffsetAttr());
        map[embedding.getResult()] = output;
        return success();
      })
      .Case([&](tfm::RMSNormOp norm) { return lowerNorm(norm, {}, "rms"); })
      .Case([&](tfm::LayerNormOp norm) {
        return lowerNorm(norm, norm.getBias(), "layer");
      })
      .Case([&](tfm::ActivationOp activation) {
        Value output = outputFor(activation.getResult());
        krn::ActivationOp::create(b, loc, activation.getKindAttr(),
                                  map.lookup(activation.getInput()), output);
        map[activation.getResult()] = output;
        return success();
      })
      .Case([&](tfm::MapOp mapped) {
        Value output = outputFor(mapped.getResult());
        krn::MapOp::create(b, loc, mapped.getKindAttr(),
                           map.lookup(mapped.getInput()), mapped.getValueAttr(),
                           output);
        map[mapped.getResult()] = output;
        return success();
      })
      .Case(
          [&](tfm::MulOp mul) { return lowerPair.operator()<krn::MulOp>(mul); })
      .Case(
          [&](tfm::AddOp add) { return lowerPair.operator()<krn::AddOp>(add); })
      .Default([](Operation *other) {
        return other->emitOpError("has no lowering to krn");
      });
}
