//===- LowerToKRN.cpp - Makes the phases of one target --------------------===//
//
// The same program is lowered once for each bucket of tokens: the buckets
// differ in kernels and in who stages activations.
//
//===----------------------------------------------------------------------===//

#include "passes/lower/Passes.h"

#include "codegen/cpu/kernels/Layout.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

namespace qcc {

#define GEN_PASS_DEF_LOWERTOKRNPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// A bucket of tokens.
struct Bucket {
  StringRef name;
  int64_t maxTokens;
  bool isPersistent = false;
  /// Few tokens: every thread stages all of them for itself, which costs less
  /// than a barrier, and the kernels are the ones bound by the weights' bytes.
  bool isSmall() const { return maxTokens <= krn::kGemvTokens; }
};

/// Bytes that a token takes in a layer's cache.
int64_t cacheBytes(tfm::CacheType cache) {
  return 2 * cache.getHeads() * cache.getDim() *
         (cache.getElement().getIntOrFloatBitWidth() / 8);
}

/// Lowers @model into one krn.entry.
class EntryBuilder {
public:
  EntryBuilder(ModuleOp module, krn::EntryOp entry, const Bucket &bucket,
               bool isCuda, StringRef activations,
               const llvm::StringMap<int64_t> &weightIndex,
               ArrayRef<int64_t> kvOffsets)
      : symbols(module), bucket(bucket), isCuda(isCuda),
        activations(activations), weightIndex(weightIndex),
        kvOffsets(kvOffsets), entry(entry),
        b(OpBuilder::atBlockBegin(&entry.getBody().front())) {}

  LogicalResult lower(func::FuncOp model);

private:
  /// What a value of the program is in KRN: a buffer, a weight, or nothing
  /// (step and caches are implied).
  using Mapping = llvm::DenseMap<Value, Value>;

  LogicalResult lowerOp(Operation *op, Mapping &map);
  LogicalResult lowerRun(ArrayRef<func::CallOp> calls, Mapping &map);
  LogicalResult lowerGemm(qnt::FusedGemmOp op, Mapping &map);
  LogicalResult lowerRopeAttention(qnt::RopeAttentionOp op, Mapping &map);
  LogicalResult lowerAttention(tfm::AttentionOp op, Mapping &map);
  LogicalResult lowerRope(tfm::RopeOp op, Mapping &map);

  /// The output of the op that defines `result`: the block's own output
  /// buffer where it is the block's result, else a new one.
  Value outputFor(Value result);
  /// Emits the phases of an attention. One that stands in @model itself gets a
  /// repeat of its own, which says where its layer's cache lies.
  LogicalResult inLayer(Value cache, llvm::function_ref<void()> emit);
  Value newBuffer(Location loc, int64_t columns) {
    return krn::BufferOp::create(
        b, loc, krn::BufferType::get(b.getContext(), columns, 0), -1);
  }
  Value weight(Operation *op, Value value, Mapping &map) {
    Value mapped = map.lookup(value);
    if (value && !mapped)
      op->emitOpError("uses a weight that is not packed");
    return mapped;
  }
  /// The table of cos and sin for frequencies, made once a step.
  Value ropeTable(Location loc, Value frequencies, float attentionFactor,
                  tfm::LengthScalingAttr lengthScaling);
  FailureOr<int64_t> indexOf(Value weight);
  UnitAttr fusedAttr() {
    return bucket.isPersistent ? b.getUnitAttr() : UnitAttr();
  }

  SymbolTable symbols;
  const Bucket &bucket;
  bool isCuda;
  StringRef activations;
  const llvm::StringMap<int64_t> &weightIndex;
  ArrayRef<int64_t> kvOffsets;
  krn::EntryOp entry;
  OpBuilder b;
  /// Weights of @model, made once an entry.
  llvm::DenseMap<int64_t, Value> entryWeights;
  struct RopeTable {
    int64_t weight;
    float attentionFactor;
    tfm::LengthScalingAttr lengthScaling;
    Value buffer;
  };
  SmallVector<RopeTable> ropeTables;
  /// Activations that are staged already, by everything that fixes them.
  struct Staged {
    Value input, normWeight, order;
    StringRef norm;
    FloatAttr eps, normOffset;
    Type type;
    bool gather;
    FloatAttr outlierThreshold;
    krn::StageOp stage;
    Value buffer;
  };
  SmallVector<Staged> stagedInBlock;
  /// Inside a block: its result and the buffer that must hold it.
  Value blockResult, blockOutput;
  /// What @model returns, if not logits, and the caller's room for it.
  Value modelResult, modelOutput;
  /// Inside a block: for each argument, the weight index if all layers of the
  /// run agree on one, or kDiffers.
  static constexpr int64_t kDiffers = -1;
  llvm::DenseMap<Value, int64_t> commonIndex;
};

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

/// Consecutive calls of one block become a repeat over their layers.
LogicalResult EntryBuilder::lowerRun(ArrayRef<func::CallOp> calls,
                                     Mapping &map) {
  func::CallOp first = calls.front();
  auto block = symbols.lookup<func::FuncOp>(first.getCallee());
  if (!block || block.isExternal() || block.getNumResults() != 1)
    return first.emitOpError("calls no block with one result");
  Block &body = block.getBody().front();

  SmallVector<Value> weightArguments;
  Value input;
  std::optional<int64_t> layer;
  for (BlockArgument argument : body.getArguments()) {
    if (isa<qnt::PackedType>(argument.getType()))
      weightArguments.push_back(argument);
    else if (isa<RankedTensorType>(argument.getType()))
      input = argument;
    else if (isa<tfm::CacheType>(argument.getType()))
      layer = first.getOperand(argument.getArgNumber())
                  .getDefiningOp<tfm::LayerCacheOp>()
                  .getLayer();
  }
  if (!input || !layer)
    return first.emitOpError("calls a block without activations or cache");

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
      stride = kvOffsets[*layer + 1] - kvOffsets[*layer];
    if (*layer + int64_t(i) + 1 >= int64_t(kvOffsets.size()))
      return call.emitOpError("has no cache of its own");
  }

  Location loc = first.getLoc();
  Value operand = first.getOperand(cast<BlockArgument>(input).getArgNumber());
  Value x = map.lookup(operand);
  if (!x)
    return first.emitOpError("takes activations that nothing computes");
  auto repeat = krn::RepeatOp::create(b, loc, int64_t(calls.size()), *layer,
                                      table, kvOffsets[*layer], stride);
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
  FloatAttr threshold = op.getOutlierThresholdAttr();
  if (threshold)
    staging = "split8";
  auto stagedType = krn::StagedType::get(
      b.getContext(), staging, packed.getColumns(),
      format.isQuantized() ? format.groupSize(packed.getColumns()) : 0,
      format.codeBits());
  Value input = map.lookup(op.getInput());
  Value normWeight =
      op.getNormWeight() ? weight(op, op.getNormWeight(), map) : Value();
  Value normBias =
      op.getNormBias() ? weight(op, op.getNormBias(), map) : Value();
  Value order = op.getOrder() ? weight(op, op.getOrder(), map) : Value();
  if (order && isCuda)
    return op.emitOpError("reads its input in activation order, which the "
                          "target cuda does not support yet: use static "
                          "groups");
  bool gather = bool(op.getStep());

  // GEMMs that read the same rows in the same form share them.
  Value staged;
  krn::StageOp stage;
  for (const Staged &other : stagedInBlock)
    if (other.input == input && other.normWeight == normWeight &&
        other.order == order && other.norm == op.getNorm() &&
        other.eps == op.getEpsAttr() &&
        other.normOffset == op.getNormOffsetAttr() &&
        other.type == stagedType && other.gather == gather &&
        other.outlierThreshold == threshold) {
      staged = other.buffer;
      stage = other.stage;
    }
  if (!staged) {
    staged = krn::StagedBufferOp::create(b, loc, stagedType, int64_t(-1),
                                         bucket.isSmall() &&
                                             (!isCuda || bucket.isPersistent));
    UnitAttr gathers = gather ? b.getUnitAttr() : UnitAttr();
    // A thread that stages all rows finds their outliers by itself, and so
    // does what stages a single one.
    if (threshold && threshold.getValueAsDouble() > 0 &&
        !(bucket.isSmall() && (!isCuda || bucket.maxTokens == 1)))
      krn::FindOutliersOp::create(b, loc, input, normWeight, normBias, staged,
                                  threshold, op.getNormAttr(), op.getEpsAttr(),
                                  op.getNormOffsetAttr(), gathers);
    stage = krn::StageOp::create(b, loc, input, normWeight, normBias, order,
                                 staged, op.getNormAttr(), op.getEpsAttr(),
                                 op.getNormOffsetAttr(), gathers, threshold,
                                 b.getI64IntegerAttr(0));
    stagedInBlock.push_back({input, normWeight, order, op.getNorm(),
                             op.getEpsAttr(), op.getNormOffsetAttr(),
                             stagedType, gather, threshold, stage, staged});
  }
  if (threshold)
    stage.setLinears(stage.getLinears() +
                     (op.getGlu() ? 2 : int64_t(op.getNumResults())));

  std::string kernel = bucket.isSmall() ? "gemv_" : "gemm_";
  kernel =
      isCuda ? kernel + code : "krn_" + kernel + code + "_" + staging.str();
  if (isCuda && threshold)
    kernel += "_split8";
  std::string reason =
      (bucket.isSmall() ? "up to " : "more than 8 and up to ") +
      std::to_string(bucket.maxTokens) + " tokens, bound by " +
      (bucket.isSmall() ? "the weight's bytes" : "arithmetic") + "; " +
      (threshold          ? std::string("int8 codes times rows of int8, "
                                        "outlier columns in float")
       : staging == "i16" ? std::string(isCuda ? "" : "int ") +
                                "codes times 16-bit fixed point"
       : isCuda           ? code + " times two halves of activations"
                          : code + " codes times f32");
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
  krn::GemmOp::create(b, loc, staged, map.lookup(op.getWeight()),
                      op.getBias() ? weight(op, op.getBias(), map) : Value(),
                      residual, output, b.getStringAttr(kernel),
                      b.getStringAttr(reason), op.getActivationAttr(),
                      op.getGlu(), gather, op.getMultiplier(), op.getSoftCap());
  // Writing a buffer in place ends what was staged of it.
  llvm::erase_if(stagedInBlock,
                 [&](const Staged &s) { return s.input == output; });

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
        qNorm, kNorm, TypeAttr::get(op.getCache().getType()),
        op.getHeadsAttr(), op.getRotaryAttr(), op.getInterleavedAttr(),
        op.getEpsAttr(), op.getNormOffsetAttr(), fusedAttr());
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
    krn::AttentionOp::create(
        b, loc, q, slopes, output, TypeAttr::get(op.getCache().getType()),
        op.getHeadsAttr(), op.getScaleAttr(), op.getSoftCapAttr(),
        op.getBf16BiasAttr());
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
        krn::EmbedOp::create(b, loc, table, output,
                             embedding.getMultiplierAttr(),
                             embedding.getPositionsAttr(),
                             embedding.getOffsetAttr());
        map[embedding.getResult()] = output;
        return success();
      })
      .Case([&](tfm::RMSNormOp norm) {
        Value scale = weight(op, norm.getWeight(), map);
        if (!scale)
          return failure();
        Value output = outputFor(norm.getResult());
        krn::NormOp::create(b, loc, map.lookup(norm.getInput()), scale, Value(),
                            output, b.getStringAttr("rms"), norm.getEpsAttr(),
                            norm.getOffsetAttr(), norm.getHeadsAttr());
        map[norm.getResult()] = output;
        return success();
      })
      .Case([&](tfm::LayerNormOp norm) {
        Value scale = weight(op, norm.getWeight(), map);
        if (!scale)
          return failure();
        Value bias = norm.getBias() ? weight(op, norm.getBias(), map) : Value();
        Value output = outputFor(norm.getResult());
        krn::NormOp::create(b, loc, map.lookup(norm.getInput()), scale, bias,
                            output, b.getStringAttr("layer"), norm.getEpsAttr(),
                            norm.getOffsetAttr(), norm.getHeadsAttr());
        map[norm.getResult()] = output;
        return success();
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
                           map.lookup(mapped.getInput()),
                           mapped.getValueAttr(), output);
        map[mapped.getResult()] = output;
        return success();
      })
      .Case<tfm::MulOp>([&](tfm::MulOp mul) {
        Value output = outputFor(mul.getResult());
        krn::MulOp::create(b, loc, map.lookup(mul.getLhs()),
                           map.lookup(mul.getRhs()), output);
        map[mul.getResult()] = output;
        return success();
      })
      .Case<tfm::AddOp>([&](tfm::AddOp add) {
        Value output = outputFor(add.getResult());
        krn::AddOp::create(b, loc, map.lookup(add.getLhs()),
                           map.lookup(add.getRhs()), output);
        map[add.getResult()] = output;
        return success();
      })
      .Default([](Operation *other) {
        return other->emitOpError("has no lowering to krn");
      });
}

struct LowerToKRN : qcc::impl::LowerToKRNPassBase<LowerToKRN> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto model = module.lookupSymbol<func::FuncOp>("model");
    auto weights = module.lookupSymbol<func::FuncOp>("weights");
    if (!model || !weights) {
      module.emitError("has no @model or no @weights");
      return signalPassFailure();
    }
    if (activations != "f32" && activations != "i16") {
      module.emitError("activations '")
          << activations << "' are neither f32 nor i16";
      return signalPassFailure();
    }

    llvm::StringMap<int64_t> weightIndex;
    for (auto define : weights.getOps<tfm::DefineOp>())
      weightIndex.try_emplace(define.getName(), weightIndex.size());
    SmallVector<int64_t> kvOffsets = {0};
    Type kvElement = Float32Type::get(&getContext());
    for (auto cache : model.getOps<tfm::LayerCacheOp>()) {
      kvOffsets.push_back(kvOffsets.back() + cacheBytes(cache.getType()));
      kvElement = cache.getType().getElement();
    }
    int64_t kvBytes = kvOffsets.back();

    std::string kv;
    llvm::raw_string_ostream(kv) << kvElement;
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto program = krn::ProgramOp::create(
        b, model.getLoc(), target.getValue(),
        krn::TargetAttr::get(&getContext(), target, activations, kv), kvBytes);
    b.createBlock(&program.getBody());
    Bucket buckets[] = {{"persistent", 1, true},
                        {"token", 1},
                        {"decode", decodeTokens},
                        {"batch", batchTokens},
                        {"prefill", prefillTokens}};
    // The persistent kernel reads neither nested scales nor split rows yet.
    bool isPersistable = true;
    module.walk([&](qnt::FusedGemmOp gemm) {
      isPersistable &=
          !gemm.getOutlierThresholdAttr() &&
          !gemm.getWeight().getType().getFormat().getValue().nested;
    });
    ArrayRef<Bucket> wanted =
        ArrayRef(buckets).drop_front(!tokenEntry     ? 2
                                     : isPersistable ? 0
                                                     : 1);
    if (onlyPrefill)
      wanted = wanted.take_back();
    for (const Bucket &bucket : wanted) {
      b.setInsertionPointToEnd(&program.getBody().front());
      auto entry = krn::EntryOp::create(
          b, model.getLoc(), bucket.name, bucket.maxTokens, bucket.isPersistent,
          int64_t(0), int64_t(0));
      b.createBlock(&entry.getBody());
      if (failed(EntryBuilder(module, entry, bucket, target == "cuda",
                              activations, weightIndex, kvOffsets)
                     .lower(model)))
        return signalPassFailure();
    }
    if (keep)
      return;
    for (auto function :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (function != weights)
        function.erase();
  }
};

} // namespace
