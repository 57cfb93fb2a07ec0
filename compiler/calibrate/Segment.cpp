//===- Segment.cpp - A piece of the program, compiled ---------------------===//

#include "compiler/calibrate/Segment.h"

#include "codegen/cpu/CompileCpu.h"
#include "compiler/calibrate/Plan.h"
#include "compiler/weights/WeightStream.h"
#include "dialects/KRN/KRN.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"
#include "passes/fuse/Pipeline.h"
#include "passes/layout/Pipeline.h"
#include "passes/lower/Pipeline.h"
#include "runtime/executor/Memory.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <algorithm>
#include <map>
#include <numeric>

using namespace mlir;
using qrt::Error;

namespace qcc {

namespace {

/// Tokens that the kernels take at once.
constexpr int64_t kMaxTokens = 512;

/// Weights have a fixed number of rows.
bool isWeight(Value value) {
  return isa<tfm::StoredTypeInterface>(value.getType()) ||
         (isa<RankedTensorType>(value.getType()) && !isActivation(value));
}

/// The type of a weight as f32.
RankedTensorType floatsOf(Type type) {
  Type f32 = Float32Type::get(type.getContext());
  if (auto packed = dyn_cast<qnt::PackedType>(type))
    return RankedTensorType::get({packed.getRows(), packed.getColumns()}, f32);
  return RankedTensorType::get(cast<RankedTensorType>(type).getShape(), f32);
}

/// Writes the segment's module.
class SegmentBuilder {
public:
  SegmentBuilder(MLIRContext *context, int64_t tokens)
      : tokens(tokens), loc(UnknownLoc::get(context)), weights(context),
        model(context), module(ModuleOp::create(loc)) {
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
    mapping.map(leaf,
                define("w" + std::to_string(index), floatsOf(leaf.getType())));
  }

  void takeOther(Value value) {
    if (isa<tfm::StepType>(value.getType()))
      mapping.map(value, step);
    else if (auto cache = dyn_cast<tfm::CacheType>(value.getType()))
      mapping.map(value,
                  tfm::LayerCacheOp::create(model, loc, cache, 0).getResult());
  }

  /// Weights are f32 here. What LLM.int8 does to activations is left out.
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
    // Weights are read with their columns in place: no order is needed.
    Value order;
    if (auto gemm = dyn_cast<qnt::DequantGemmOp>(op))
      order = gemm.getOrder();
    for (Value operand : op->getOperands())
      if (operand != order)
        open.push_back(operand);
  }
}

} // namespace

Segment::Segment(Value target, ArrayRef<Value> kept, int64_t tokens,
                 unsigned threads) {
  build(target, kept, tokens);
  compile(threads);
}

Segment::~Segment() = default;

void Segment::build(Value target, ArrayRef<Value> kept, int64_t tokens) {
  llvm::SetVector<Operation *> ops;
  llvm::SetVector<Value> ends;
  sliceOf(target, kept, ops, ends);
  SmallVector<Operation *> ordered = ops.takeVector();
  llvm::sort(ordered,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  SegmentBuilder builder(target.getContext(), tokens);
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
    readsIds |= isa<tfm::EmbeddingOp>(op);
    builder.clone(op);
  }
  if (readsIds && !tables.empty())
    throw Error("the calibrator cannot cut a layer that reads an embedding");
  module = builder.finish(target);
}

void Segment::compile(unsigned threads) {
  PassManager pm(module->getContext(), ModuleOp::getOperationName());
  FuseOptions fuse;
  fuse.dtype = "f32";
  buildFusePipeline(pm, fuse);
  buildLayoutPipeline(pm);
  LowerToKRNPassOptions lower;
  lower.activations = "f32";
  lower.onlyPrefill = true;
  lower.prefillTokens = kMaxTokens;
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
    slots.push_back(slot);
    if (slot.table >= 0)
      define.erase();
  }

  CompileCpuOptions cpu;
  cpu.threads = threads;
  // f32 products gain nothing from AMX.
  cpu.variants = {
      qrt_cpu_level(std::min<uint32_t>(qrt::cpuLevel(), QRT_CPU_X86_64_V4))};
  std::vector<char> code =
      compileCpu(*module->getOps<krn::ProgramOp>().begin(), cpu);
  kernels = std::make_unique<qrt::KernelLibrary>(
      std::span(reinterpret_cast<const uint8_t *>(code.data()), code.size()));
}

/// The packed weights of one run, and the reader that gives their rows.
class Segment::Weights : public ParameterReader {
public:
  Weights(Segment &segment, const ResolveWeight &resolve,
          const ReadWeight &readRows, unsigned threads)
      : readRows(readRows) {
    for (Value leaf : segment.leaves)
      values.push_back(resolve(leaf));
    WeightStreamOptions options;
    options.threads = threads;
    streamWeights(
        segment.weightsOnly->lookupSymbol<func::FuncOp>("weights"), *this,
        options, [&](const StreamedTensor &tensor) {
          qrt::Memory bytes(tensor.data.size(), "a layer's weights", true);
          std::copy(tensor.data.begin(), tensor.data.end(), bytes.data());
          tensors.emplace(tensor.name, std::move(bytes));
        });
  }

  void read(tfm::ParamAttr param, RankedTensorType type, int64_t first,
            int64_t count, float *out) const override {
    size_t leaf = 0;
    (void)param.getKey().drop_front().getAsInteger(10, leaf);
    int64_t columns = type.getShape().back();
    int64_t begin = first / columns;
    int64_t end = (first + count + columns - 1) / columns;
    if (begin * columns == first && end * columns == first + count) {
      readRows(values[leaf], begin, end - begin, out);
      return;
    }
    std::vector<float> rows(size_t((end - begin) * columns));
    readRows(values[leaf], begin, end - begin, rows.data());
    std::copy_n(rows.data() + first - begin * columns, count, out);
  }
  void release(tfm::ParamAttr) const override {}

  const void *tensor(const std::string &name) const {
    return tensors.at(name).data();
  }

private:
  const ReadWeight &readRows;
  std::vector<Value> values;
  std::map<std::string, qrt::Memory> tensors;
};

void Segment::run(const CalibrationTokens &tokens,
                  const std::function<const Activations &(Value)> &activations,
                  const ResolveWeight &resolve, const ReadWeight &read,
                  qrt::ThreadTeam &team, const std::atomic<bool> *cancelled,
                  const Activations &output) {
  Weights weights(*this, resolve, read, team.size());
  std::vector<const void *> pointers;
  for (const Slot &slot : slots)
    pointers.push_back(slot.table >= 0
                           ? activations(tables[size_t(slot.table)]).data()
                           : weights.tensor(slot.tensor));

  const qrt_variant &variant = kernels->variant(qrt::cpuLevel());
  const qrt_entry &entry = variant.entries[0];
  qrt::Memory arena(
      std::max<uint64_t>(64,
                         entry.arena_bytes + team.size() * entry.scratch_bytes),
      "the kernels' working memory", true);
  // Short sequences go together, long ones in pieces.
  int64_t length = tokens.length;
  int64_t together = std::max<int64_t>(1, kMaxTokens / length);
  auto capacity = uint32_t((length + 15) / 16 * 16);
  uint64_t cacheBytes =
      (capacity * kernels->table().kv_bytes_per_token + 63) / 64 * 64;
  qrt::Memory caches(std::max<uint64_t>(64, uint64_t(together) * cacheBytes),
                     "the calibration's KV cache", false);

  std::vector<int32_t> ids, positions, rows(kMaxTokens);
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<qrt_sequence> sequences;
  for (int64_t sample = 0; sample < tokens.samples; sample += together) {
    int64_t last = std::min(tokens.samples, sample + together);
    for (int64_t past = 0; past < length; past += kMaxTokens) {
      if (cancelled && *cancelled)
        throw Error("interrupted", "", "", qrt::ErrorKind::Cancelled);
      int64_t take = std::min(kMaxTokens, length - past);
      ids.clear();
      positions.clear();
      sequences.clear();
      for (int64_t s = sample; s < last; ++s) {
        sequences.push_back(
            {uint32_t(ids.size()), uint32_t(take), uint32_t(past), capacity,
             caches.data() + uint64_t(s - sample) * cacheBytes});
        for (int64_t i = past; i < past + take; ++i) {
          ids.push_back(readsIds ? tokens.ids[size_t(s * length + i)]
                                 : int32_t(s * length + i));
          positions.push_back(int32_t(i));
        }
      }
      qrt_step step = {};
      step.struct_size = sizeof(step);
      step.threads = team.size();
      step.tokens = uint32_t(ids.size());
      step.sequence_count = uint32_t(sequences.size());
      step.logit_count = step.tokens;
      step.token_ids = ids.data();
      step.positions = positions.data();
      step.sequences = sequences.data();
      step.logit_rows = rows.data();
      step.logits = output.data() + (sample * length + past) * output.columns();
      step.weights = pointers.data();
      step.arena = arena.data();
      step.barrier = [](void *barrier, uint32_t) {
        static_cast<qrt::SpinBarrier *>(barrier)->wait();
      };
      step.barrier_context = &team.barrier();
      team.run([&](uint32_t thread) { entry.run(&step, thread); });
    }
  }
}

} // namespace qcc
