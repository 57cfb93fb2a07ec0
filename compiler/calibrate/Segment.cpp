//===- Segment.cpp - A piece of the program -------------------------------===//

#include "compiler/calibrate/Segment.h"

#include "compiler/calibrate/Plan.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"
#include "passes/fuse/Pipeline.h"
#include "passes/layout/Pipeline.h"
#include "passes/lower/Pipeline.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using qrt::Error;

namespace qcc {

namespace {

/// Weights have a fixed number of rows.
bool isWeight(Value value) {
  return isa<tfm::StoredTypeInterface>(value.getType()) ||
         (isa<RankedTensorType>(value.getType()) && !isActivation(value));
}

/// The shape of a weight.
SmallVector<int64_t> shapeOf(Type type) {
  if (auto packed = dyn_cast<qnt::PackedType>(type))
    return {packed.getRows(), packed.getColumns()};
  return SmallVector<int64_t>(cast<RankedTensorType>(type).getShape());
}

/// The order of columns that `op` takes its input in; weights are read with
/// their columns in place, so that a segment needs none.
Value orderOf(Operation *op) {
  auto gemm = dyn_cast<qnt::DequantGemmOp>(op);
  return gemm ? gemm.getOrder() : Value();
}

/// Writes the segment's module.
class SegmentBuilder {
public:
  SegmentBuilder(MLIRContext *context, int64_t tokens, bool isCuda)
      : tokens(tokens), isCuda(isCuda), loc(UnknownLoc::get(context)),
        weights(context), model(context), module(ModuleOp::create(loc)) {
    OpBuilder top = OpBuilder::atBlockEnd(module->getBody());
    auto weightsFunction =
        func::FuncOp::create(top, loc, "weights", top.getFunctionType({}, {}));
    weights.setInsertionPointToStart(weightsFunction.addEntryBlock());
    modelFunction = func::FuncOp::create(
        top, loc, "model",
        top.getFunctionType({tfm::StepType::get(context)}, {}));
    model.setInsertionPointToStart(modelFunction.addEntryBlock());
    step = modelFunction.getArgument(0);
  }

  Value define(const std::string &name, RankedTensorType type) {
    auto attr = tfm::ParamAttr::get(weights.getContext(), "calibration", name);
    Value value = tfm::ParamOp::create(weights, loc, type, attr);
    tfm::DefineOp::create(weights, loc, weights.getStringAttr(name), value,
                          StringAttr());
    return tfm::WeightOp::create(model, loc, type, name);
  }

  void takeTable(Value kept, size_t index) {
    auto type = cast<RankedTensorType>(kept.getType());
    Value table =
        define("x" + std::to_string(index),
               RankedTensorType::get({tokens, type.getDimSize(1)},
                                     Float32Type::get(model.getContext())));
    mapping.map(kept,
                tfm::EmbeddingOp::create(model, loc, type, step, table,
                                         model.getF32FloatAttr(1), UnitAttr(),
                                         model.getI64IntegerAttr(0))
                    .getResult());
  }

  void takeWeight(Value leaf, size_t index) {
    SmallVector<int64_t> shape = shapeOf(leaf.getType());
    Type element = Float32Type::get(model.getContext());
    if (isCuda && shape.size() == 2)
      element = Float16Type::get(model.getContext());
    mapping.map(leaf, define("w" + std::to_string(index),
                             RankedTensorType::get(shape, element)));
  }

  void takeOther(Value value) {
    if (isa<tfm::StepType>(value.getType()))
      mapping.map(value, step);
    else if (auto cache = dyn_cast<tfm::CacheType>(value.getType()))
      mapping.map(
          value,
          tfm::LayerCacheOp::create(model, loc, cacheOf(cache), 0).getResult());
  }

  /// Weights are floats here. What LLM.int8 does to activations is left out.
  void clone(Operation *op) {
    if (auto gemm = dyn_cast<qnt::DequantGemmOp>(op))
      cloneAsLinear(gemm);
    else if (auto gemm = dyn_cast<qnt::OutlierGemmOp>(op))
      cloneAsLinear(gemm);
    else
      model.clone(*op, mapping);
  }

  OwningOpRef<ModuleOp> finish(Value target) {
    func::ReturnOp::create(weights, loc);
    func::ReturnOp::create(model, loc, mapping.lookup(target));
    modelFunction.setFunctionType(model.getFunctionType(
        modelFunction.getArgumentTypes(), {target.getType()}));
    return std::move(module);
  }

private:
  tfm::CacheType cacheOf(tfm::CacheType cache) const {
    if (!isCuda || !cache.getElement().isF32())
      return cache;
    return tfm::CacheType::get(
        cache.getContext(), cache.getHeads(), cache.getDim(),
        Float16Type::get(cache.getContext()), cache.getWindow());
  }
  template <typename Gemm>
  void cloneAsLinear(Gemm gemm) {
    Value bias = gemm.getBias() ? mapping.lookup(gemm.getBias()) : Value();
    mapping.map(gemm.getResult(),
                tfm::LinearOp::create(model, gemm.getLoc(),
                                      gemm.getResult().getType(),
                                      mapping.lookup(gemm.getInput()),
                                      mapping.lookup(gemm.getWeight()), bias)
                    .getResult());
  }

  int64_t tokens;
  bool isCuda;
  Location loc;
  OpBuilder weights, model;
  OwningOpRef<ModuleOp> module;
  func::FuncOp modelFunction;
  Value step;
  IRMapping mapping;
};

/// What `target` is computed from: the ops in the order of the program, and
/// the values that no op in the slice computes.
void sliceOf(Value target, ArrayRef<Value> kept,
             llvm::SetVector<Operation *> &ops,
             llvm::SetVector<Value> &leaves) {
  SmallVector<Value> open = {target};
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value value = open.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    Operation *op = value.getDefiningOp();
    if (!op || (value != target && llvm::is_contained(kept, value)) ||
        isa<tfm::WeightOp, tfm::LayerCacheOp>(op)) {
      leaves.insert(value);
      continue;
    }
    ops.insert(op);
    for (Value operand : op->getOperands())
      if (operand != orderOf(op))
        open.push_back(operand);
  }
}

} // namespace

SmallVector<Value> keptInputs(Value target, ArrayRef<Value> kept) {
  llvm::SetVector<Operation *> ops;
  llvm::SetVector<Value> leaves;
  sliceOf(target, kept, ops, leaves);
  return llvm::to_vector(llvm::make_filter_range(
      leaves, [&](Value leaf) { return llvm::is_contained(kept, leaf); }));
}

Segment::Segment(Value target, ArrayRef<Value> kept, int64_t tokens,
                 const SegmentTarget &segmentTarget)
    : segmentTarget(segmentTarget),
      width(cast<RankedTensorType>(target.getType()).getDimSize(1)) {
  build(target, kept, tokens);
  lower();
}

krn::ProgramOp Segment::program() {
  return *module->getOps<krn::ProgramOp>().begin();
}

void Segment::build(Value target, ArrayRef<Value> kept, int64_t tokens) {
  llvm::SetVector<Operation *> ops;
  llvm::SetVector<Value> ends;
  sliceOf(target, kept, ops, ends);
  SmallVector<Operation *> ordered = ops.takeVector();
  llvm::sort(ordered,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  SegmentBuilder builder(target.getContext(), tokens, segmentTarget.isCuda);
  for (Value value : ends) {
    if (isActivation(value)) {
      if (!llvm::is_contained(kept, value))
        throw Error("the calibrator does not have what a layer reads");
      builder.takeTable(value, tables.size());
      tables.push_back(value);
    } else if (isWeight(value)) {
      builder.takeWeight(value, leaves.size());
      leaves.push_back(value);
    } else {
      builder.takeOther(value);
    }
  }
  for (Operation *op : ordered) {
    hasEmbedding |= isa<tfm::EmbeddingOp>(op);
    hasProduct |= isProduct(op);
    builder.clone(op);
  }
  if (hasEmbedding && !tables.empty())
    throw Error("the calibrator cannot cut a layer that reads an embedding");
  module = builder.finish(target);
}

void Segment::lower() {
  PassManager pm(module->getContext(), ModuleOp::getOperationName());
  FuseOptions fuse;
  buildFusePipeline(pm, fuse);
  buildLayoutPipeline(pm);
  LowerToKRNPassOptions lower;
  if (segmentTarget.isCuda)
    lower.target = "cuda";
  else
    lower.activations = "f32";
  lower.onlyPrefill = true;
  lower.prefillTokens = segmentTarget.maxTokens;
  buildLowerPipeline(pm, {lower});
  std::string error;
  {
    ScopedDiagnosticHandler handler(
        module->getContext(), [&](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error &&
              error.empty())
            error = diagnostic.str();
          return success();
        });
    if (failed(pm.run(*module)))
      throw Error("a piece of a layer cannot be compiled for calibration: " +
                  error);
  }

  weightsOnly = module->clone();
  for (auto program :
       llvm::make_early_inc_range(weightsOnly->getOps<krn::ProgramOp>()))
    program.erase();
  auto weights = weightsOnly->lookupSymbol<func::FuncOp>("weights");
  for (auto define :
       llvm::make_early_inc_range(weights.getOps<tfm::DefineOp>())) {
    StringRef name = define.getName();
    Slot slot;
    if (name.starts_with("x"))
      (void)name.drop_front().getAsInteger(10, slot.table);
    else
      slot.tensor = name.str();
    weightSlots.push_back(slot);
    if (slot.table >= 0)
      define.erase();
  }
}

namespace {

/// The parameters of a segment: rows of the leaves' weights.
class LeafReader : public ParameterReader {
public:
  LeafReader(std::vector<Value> values, const ReadWeight &readRows,
             bool limitsToHalf)
      : values(std::move(values)), readRows(readRows),
        limitsToHalf(limitsToHalf) {}

  void read(tfm::ParamAttr param, RankedTensorType type, int64_t first,
            int64_t count, float *out) const override {
    size_t leaf = 0;
    (void)param.getKey().drop_front().getAsInteger(10, leaf);
    int64_t columns = type.getShape().back();
    int64_t begin = first / columns;
    int64_t end = (first + count + columns - 1) / columns;
    if (begin * columns == first && end * columns == first + count) {
      readRows(values[leaf], begin, end - begin, out);
    } else {
      std::vector<float> rows(size_t((end - begin) * columns));
      readRows(values[leaf], begin, end - begin, rows.data());
      std::copy_n(rows.data() + first - begin * columns, count, out);
    }
    if (limitsToHalf && type.getElementType().isF16())
      checkRange(out, count);
  }
  void release(tfm::ParamAttr) const override {}

private:
  static void checkRange(const float *values, int64_t count) {
    constexpr float largest = 65504; // f16's
    for (int64_t i = 0; i < count; ++i)
      if (std::fabs(values[i]) > largest)
        throw Error("a weight of " + std::to_string(values[i]) +
                        " is out of the range of f16, which calibration on a "
                        "GPU computes in",
                    "", "use --calibration-device cpu");
  }

  std::vector<Value> values;
  const ReadWeight &readRows;
  bool limitsToHalf;
};

} // namespace

void Segment::streamTensors(
    const ResolveWeight &resolve, const ReadWeight &read,
    const WeightStreamOptions &options,
    const std::function<void(const StreamedTensor &)> &sink) {
  std::vector<Value> values;
  for (Value leaf : leaves)
    values.push_back(resolve(leaf));
  streamWeights(weightsOnly->lookupSymbol<func::FuncOp>("weights"),
                LeafReader(std::move(values), read, segmentTarget.isCuda),
                options, sink);
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

int64_t sequencesAtOnce(const CalibrationTokens &tokens, int64_t maxTokens) {
  return std::max<int64_t>(1, maxTokens / tokens.length);
}

void forEachStep(const CalibrationTokens &tokens, int64_t maxTokens,
                 bool readsIds,
                 const std::function<void(const SegmentStep &)> &work) {
  int64_t length = tokens.length;
  int64_t together = sequencesAtOnce(tokens, maxTokens);
  SegmentStep step;
  for (int64_t sample = 0; sample < tokens.samples; sample += together) {
    int64_t last = std::min(tokens.samples, sample + together);
    for (int64_t past = 0; past < length; past += maxTokens) {
      int64_t take = std::min(maxTokens, length - past);
      step.firstRow = sample * length + past;
      step.sequences.clear();
      step.ids.clear();
      step.positions.clear();
      for (int64_t s = sample; s < last; ++s) {
        step.sequences.push_back(
            {int64_t(step.ids.size()), take, past, s - sample});
        for (int64_t i = past; i < past + take; ++i) {
          step.ids.push_back(readsIds ? tokens.ids[size_t(s * length + i)]
                                      : int32_t(s * length + i));
          step.positions.push_back(int32_t(i));
        }
      }
      work(step);
    }
  }
}

} // namespace qcc
