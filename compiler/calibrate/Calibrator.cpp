//===- Calibrator.cpp - Finds what qnt.gptq needs to know -----------------===//

#include "compiler/calibrate/Calibrator.h"

#include "compiler/calibrate/Backend.h"
#include "compiler/calibrate/Plan.h"
#include "compiler/quantize/FiniteCheck.h"
#include "compiler/quantize/Parallel.h"
#include "dialects/QNT/QNT.h"
#include "passes/quantize/Utils.h"
#include "runtime/executor/Memory.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/DenseMap.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>

using namespace mlir;
using qrt::Error;

namespace qcc {

namespace {

/// What calibrates the value of a definition; null if nothing does.
qnt::GptqOp gptqOf(tfm::DefineOp define) {
  auto pack =
      define ? define.getValue().getDefiningOp<qnt::PackOp>() : qnt::PackOp();
  return pack ? pack.getCodes().getDefiningOp<qnt::GptqOp>() : qnt::GptqOp();
}

int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

/// Rows of the program's weights as f32: quantized ones as they are quantized,
/// or, with `original`, those that are being calibrated as they were.
class WeightReader {
public:
  explicit WeightReader(const ParameterReader &parameters)
      : parameters(parameters) {}

  void read(Value value, bool original, int64_t first, int64_t rows,
            float *out) {
    if (original)
      if (auto pack = value.getDefiningOp<qnt::PackOp>())
        if (auto gptq = pack.getCodes().getDefiningOp<qnt::GptqOp>())
          value = gptq.getInput();
    if (isa<RankedTensorType>(value.getType())) {
      find(floats, value, [&] {
        return makeFloatSource(value, parameters);
      }).read(first, rows, out);
      return;
    }
    PackedSource &source = find(packed, value, [&] {
      auto made = makePackedSource(value, parameters, "a layer's weight");
      made->prepare([](int64_t count, const auto &work) {
        for (int64_t i = 0; i < count; ++i)
          work(i);
      });
      return made;
    });
    const qrt::Format &format = source.format();
    if (!format.isQuantized()) {
      source.read(first, rows, out, nullptr, nullptr, nullptr);
      return;
    }
    qrt::PackedWeight weight{format, rows, source.columns(), {}, {}, {}};
    weight.codes.resize(size_t(rows * source.columns()));
    weight.scales.resize(size_t(rows * format.groupsPerRow(source.columns())));
    weight.zeros.resize(format.zero ? weight.scales.size() : 0);
    std::vector<uint8_t> scaleCodes(format.nested ? weight.scales.size() : 0);
    source.read(first, rows, nullptr, weight.codes.data(), weight.scales.data(),
                format.nested ? scaleCodes.data() : weight.zeros.data());
    if (format.nested)
      unnestScales(source, first, scaleCodes, weight);
    qrt::dequantize(weight, out);
    unpermute(value, rows, source.columns(), out);
  }

  /// Forgets everything: the next layer has other weights.
  void clear() {
    floats.clear();
    packed.clear();
    orders.clear();
  }

private:
  /// Gives `weight`, rows from `first` on, the scales that the codes of nested
  /// ones stand for.
  static void unnestScales(const PackedSource &source, int64_t first,
                           const std::vector<uint8_t> &scaleCodes,
                           qrt::PackedWeight &weight) {
    NestedPlane nested = source.nestedScales();
    int64_t groups = weight.format.groupsPerRow(source.columns());
    for (size_t i = 0; i < scaleCodes.size(); ++i) {
      int64_t row = first + int64_t(i) / groups;
      int64_t group = row % 16 * groups + int64_t(i) % groups;
      const NestedPlane::Tile &tile = nested.tiles[size_t(row / 16)];
      size_t block = size_t((tile.origin + group) / weight.format.nested);
      weight.scales[i] =
          qrt::dynamicMap()[scaleCodes[i]] * nested.scales[block] + tile.offset;
    }
    weight.format.nested = 0;
    weight.format.scale = qrt::ScaleType::F32;
  }

  /// Puts columns that are stored in another order back into their places.
  void unpermute(Value value, int64_t rows, int64_t columns, float *out) {
    auto pack = value.getDefiningOp<qnt::PackOp>();
    auto gptq =
        pack ? pack.getCodes().getDefiningOp<qnt::GptqOp>() : qnt::GptqOp();
    if (!gptq || !gptq.getColumns())
      return;
    const std::vector<int32_t> &order = orderOf(gptq.getName().str());
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(out + r * columns, columns, row.data());
      for (int64_t i = 0; i < columns; ++i)
        out[r * columns + order[size_t(i)]] = row[size_t(i)];
    }
  }
  const std::vector<int32_t> &orderOf(const std::string &name) {
    std::lock_guard<std::mutex> lock(mutex);
    auto [it, isNew] = orders.try_emplace(name);
    if (isNew)
      it->second = parameters.calibrated(name)->order;
    return it->second;
  }

  template <class Source, class Make>
  Source &find(std::map<void *, std::unique_ptr<Source>> &sources, Value value,
               Make make) {
    std::lock_guard<std::mutex> lock(mutex);
    std::unique_ptr<Source> &source = sources[value.getAsOpaquePointer()];
    if (!source)
      source = make();
    return *source;
  }

  const ParameterReader &parameters;
  std::mutex mutex;
  std::map<void *, std::unique_ptr<FloatSource>> floats;
  std::map<void *, std::unique_ptr<PackedSource>> packed;
  std::map<std::string, std::vector<int32_t>> orders;
};

/// A run of ops with its steps and the segments that compute them, compiled
/// when first needed; layers that share a function share it.
struct Plan {
  std::vector<PlanStep> steps;
  std::vector<std::unique_ptr<CompiledSegment>> segments;
};

class Calibrator {
public:
  Calibrator(ModuleOp module, const ParameterReader &base,
             const CalibrationTokens &tokens, CalibrationState &state,
             CalibrationBackend &backend, const CalibrateOptions &options)
      : module(module), symbols(module), tokens(tokens), state(state),
        backend(backend), options(options), parameters(base, state),
        reader(parameters) {
    FailureOr<Program> found = Program::of(module);
    if (failed(found))
      throw Error("the calibrator found no program");
    program = *found;
    for (auto call : program.model.getOps<func::CallOp>())
      calls.push_back(call);
    for (auto &[name, define] : program.defines)
      if (qnt::GptqOp gptq = gptqOf(define))
        totalElements += elementsOf(gptq);
  }

  void run();

private:
  static int64_t elementsOf(qnt::GptqOp gptq) {
    return gptq.getInput().getType().getNumElements();
  }
  tfm::DefineOp defineOf(Value weight) const {
    auto op = weight.getDefiningOp<tfm::WeightOp>();
    return op ? program.defines.lookup(op.getNameAttr()) : tfm::DefineOp();
  }
  /// The definition of a leaf of the layer that runs: an argument of its
  /// function is what the call passes.
  tfm::DefineOp definitionOf(Value leaf) const {
    if (auto argument = dyn_cast<BlockArgument>(leaf); argument && call) {
      func::CallOp current = call;
      return defineOf(current.getOperand(argument.getArgNumber()));
    }
    return defineOf(leaf);
  }
  static Value weightOf(Operation *reader) {
    if (auto gemm = dyn_cast<qnt::DequantGemmOp>(reader))
      return gemm.getWeight();
    return cast<tfm::LogitsOp>(reader).getWeight();
  }
  /// Runs the steps of a layer. Each key of `kept` is there at the start; at
  /// the end, `result` (if there is one) is.
  void runLayer(Plan &plan, Value result);
  void runSteps(Plan &plan, Value result, bool original, bool calibrates);
  void compute(Plan &plan, size_t step, Value result, bool original,
               HessianSum *hessian);
  /// Forgets what no step from `next` on needs, and that is not `result`.
  void dropDead(const Plan &plan, size_t next, Value result);
  SmallVector<Value> keptValues() const {
    return llvm::to_vector(llvm::make_first_range(kept));
  }
  /// The weights to calibrate of what reads a step's target.
  std::vector<qnt::GptqOp> gptqReaders(const PlanStep &step) const;
  void calibrateReaders(ArrayRef<qnt::GptqOp> targets, HessianSum &hessian);
  void quantize(qnt::GptqOp gptq, const HessianSum &hessian,
                std::map<int64_t, std::unique_ptr<FactoredHessian>> &factors);

  ModuleOp module;
  SymbolTable symbols;
  const CalibrationTokens &tokens;
  CalibrationState &state;
  CalibrationBackend &backend;
  const CalibrateOptions &options;
  CalibratedParameters parameters;
  WeightReader reader;
  Program program;
  SmallVector<func::CallOp> calls;
  llvm::DenseMap<Operation *, Plan> plans;
  /// Of layers that are only computed again: one step, what they return.
  llvm::DenseMap<Operation *, Plan> replays;
  int64_t totalElements = 0, doneElements = 0;

  func::CallOp call; ///< of the layer that runs
  KeptValues kept;
};

void Calibrator::compute(Plan &plan, size_t step, Value result, bool original,
                         HessianSum *hessian) {
  Value target = plan.steps[step].target;
  if (auto it = kept.find(target); it != kept.end()) {
    if (hessian)
      backend.add(*hessian, *it->second);
    return;
  }
  // What is kept here can differ from layer to layer only with the room.
  std::unique_ptr<CompiledSegment> &segment = plan.segments[step];
  SmallVector<Value> inputs = keptInputs(target, keptValues());
  if (segment && inputs != SmallVector<Value>(segment->segment.inputs()))
    segment.reset();
  if (!segment)
    segment = backend.compile(target, inputs);
  const Segment &code = segment->segment;
  std::unique_ptr<KeptValue> output;
  KeptValue *into = nullptr;
  if (target == result && backend.runsInPlace() && kept.size() > 0 &&
      kept.front().second->columns() == code.columns())
    into = kept.front().second.get();
  else if (target == result || backend.keeps(code))
    into = (output = backend.makeValue(code.columns())).get();
  if (!into && !hessian)
    return;
  ResolveWeight resolve = [&](Value leaf) -> Value {
    tfm::DefineOp define = definitionOf(leaf);
    if (!define)
      throw Error("the calibrator found no definition of a weight");
    return define.getValue();
  };
  ReadWeight read = [&](Value value, int64_t first, int64_t rows, float *out) {
    reader.read(value, original, first, rows, out);
  };
  backend.run(*segment, {kept, resolve, read}, into, hessian);
  if (output)
    kept[target] = std::move(output);
  else if (into) {
    std::unique_ptr<KeptValue> replaced = std::move(kept.front().second);
    kept.clear();
    kept[target] = std::move(replaced);
  }
}

void Calibrator::dropDead(const Plan &plan, size_t next, Value result) {
  SmallVector<Value> values = keptValues();
  llvm::DenseSet<Value> needed = {result};
  for (size_t i = next; i < plan.steps.size(); ++i) {
    Value target = plan.steps[i].target;
    if (kept.contains(target))
      needed.insert(target);
    else
      needed.insert_range(keptInputs(target, values));
  }
  kept.remove_if([&](auto &entry) { return !needed.contains(entry.first); });
}

void Calibrator::quantize(
    qnt::GptqOp gptq, const HessianSum &hessian,
    std::map<int64_t, std::unique_ptr<FactoredHessian>> &factors) {
  auto start = std::chrono::steady_clock::now();
  auto type = cast<RankedTensorType>(gptq.getInput().getType());
  int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  const qrt::Format &format = gptq.getFormat().getValue();
  std::string name = gptq.getName().str();

  GptqOptions how;
  how.order = gptq.getOrder() == "activation"    ? ColumnOrder::Activation
              : gptq.getOrder() == "group-aware" ? ColumnOrder::GroupAware
                                                 : ColumnOrder::Natural;
  how.staticGroups = gptq.getStaticGroups();
  how.damp = gptq.getDamp().convertToDouble();
  how.scales.mse = gptq.getMse();
  if (auto sweeps = gptq->getAttrOfType<IntegerAttr>(qnt::kRefineAttrName))
    how.refineSweeps = sweeps.getInt();
  how.threads = options.threads;
  how.cancelled = options.cancelled;
  std::unique_ptr<FactoredHessian> &factored =
      factors[format.groupSize(columns)];
  if (!factored) {
    CalibrationClock clock(backend.times, &CalibrationTimes::factors);
    factored = backend.factor(hessian, format.groupSize(columns), how);
  }
  const GptqFactor &factor = factored->factor();

  float *w = backend.weightRoom(rows * columns).data();
  std::optional<CalibrationClock> clock(std::in_place, backend.times,
                                        &CalibrationTimes::weights);
  auto source = makeFloatSource(gptq.getInput(), parameters);
  constexpr int64_t kStripe = 64;
  parallelFor(options.threads, (rows + kStripe - 1) / kStripe, [&](int64_t i) {
    int64_t first = i * kStripe, count = std::min(kStripe, rows - first);
    source->read(first, count, w + first * columns);
    checkFinite(w + first * columns, count, columns, name, first);
  });
  clock.emplace(backend.times, &CalibrationTimes::quantization);
  GptqResult result =
      backend.quantize(w, rows, columns, format, *factored, how);
  clock.reset();

  CalibratedWeight weight;
  weight.format = format;
  weight.rows = rows;
  weight.columns = columns;
  weight.codes = std::move(result.codes);
  weight.scales = std::move(result.scales);
  weight.zeros = std::move(result.zeros);
  weight.statistics = result.statistics;
  weight.damp = factor.damp;
  if (storesPermuted(how))
    weight.order = factor.order;
  weight.note = factor.note;
  weight.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  state.add(name, std::move(weight));
  doneElements += rows * columns;
  if (options.progress)
    options.progress(double(doneElements) / double(totalElements), name,
                     result.statistics.relativeError());
}

std::vector<qnt::GptqOp> Calibrator::gptqReaders(const PlanStep &step) const {
  std::vector<qnt::GptqOp> found;
  for (Operation *op : step.readers)
    if (qnt::GptqOp gptq = gptqOf(definitionOf(weightOf(op))))
      found.push_back(gptq);
  return found;
}

void Calibrator::calibrateReaders(ArrayRef<qnt::GptqOp> targets,
                                  HessianSum &hessian) {
  hessian.scale(2.0 / double(tokens.samples));
  std::map<int64_t, std::unique_ptr<FactoredHessian>> factors; // by group size
  for (qnt::GptqOp gptq : targets)
    quantize(gptq, hessian, factors);
}

void Calibrator::runSteps(Plan &plan, Value result, bool original,
                          bool calibrates) {
  size_t count = plan.steps.size();
  // Behind the last linear, the Hessians do not need what the layer returns.
  while (count > 0 && !result && plan.steps[count - 1].readers.empty())
    --count;
  for (size_t i = 0; i < count; ++i) {
    std::vector<qnt::GptqOp> targets;
    std::unique_ptr<HessianSum> hessian;
    if (calibrates)
      targets = gptqReaders(plan.steps[i]);
    {
      CalibrationClock clock(backend.times, &CalibrationTimes::activations);
      if (!targets.empty())
        hessian = backend.makeHessian(columnsOf(plan.steps[i].target));
      compute(plan, i, result, original, hessian.get());
    }
    if (hessian)
      calibrateReaders(targets, *hessian);
    dropDead(plan, i + 1, result);
  }
}

void Calibrator::runLayer(Plan &plan, Value result) {
  plan.segments.resize(plan.steps.size());
  bool sequential = true;
  for (const PlanStep &step : plan.steps)
    for (qnt::GptqOp gptq : gptqReaders(step))
      sequential &= gptq.getTrueSequential();
  if (sequential)
    return runSteps(plan, result, /*original=*/false, /*calibrates=*/true);
  // First all Hessians, of the layer as it was; then what it gives now.
  KeptValues given;
  for (auto &[value, activations] : kept)
    given[value] = backend.copy(*activations);
  runSteps(plan, Value(), /*original=*/true, /*calibrates=*/true);
  kept = std::move(given);
  if (result)
    runSteps(plan, result, /*original=*/false, /*calibrates=*/false);
}

void Calibrator::run() {
  if (calls.empty())
    throw Error("the calibrator found no layers");
  // The head is a layer of its own if it is calibrated.
  Value headInput;
  for (auto logits : program.model.getOps<tfm::LogitsOp>())
    if (gptqOf(defineOf(logits.getWeight())))
      headInput = logits.getInput();
  int64_t layers = calibrationLayers(module);

  for (const auto &[name, report] : state.reports())
    doneElements += report.rows * report.columns;
  if (state.finished() == layers)
    return;
  Value at; // what `kept` holds between layers
  int64_t start = backend.storesActivations() ? state.finished() : 0;
  for (int64_t layer = start; layer < layers; ++layer) {
    bool isHead = layer == int64_t(calls.size());
    call = isHead ? func::CallOp() : calls[size_t(layer)];
    Value operand, argument;
    func::FuncOp function;
    if (isHead) {
      operand = argument = func::CallOp(calls.back()).getResult(0);
    } else {
      function = symbols.lookup<func::FuncOp>(call.getCallee());
      for (Value value : call.getOperands())
        if (isActivation(value)) {
          if (operand)
            throw Error("the calibrator knows no layer of two inputs");
          operand = value;
        }
      for (BlockArgument value : function.getArguments())
        if (isActivation(value))
          argument = value;
    }
    if (!operand)
      throw Error("the calibrator found a layer without input");
    if (layer == 0) {
      Plan first;
      first.steps.push_back({operand, {}});
      first.segments.resize(1);
      kept.clear();
      func::CallOp none;
      std::swap(call, none);
      compute(first, 0, operand, false, nullptr);
      std::swap(call, none);
    } else if (!at) {
      kept[operand] = backend.makeValue(columnsOf(operand));
      state.loadActivations(*backend.stored(*kept[operand]));
    } else if (at != operand) {
      throw Error("the calibrator knows no ops between layers");
    }

    // Inside the layer its input goes by the argument's name.
    std::unique_ptr<KeptValue> input = std::move(kept[operand]);
    kept.clear();
    kept[argument] = std::move(input);
    bool isLast = layer + 1 == layers;
    Value result;
    Block *block =
        isHead ? headInput.getParentBlock() : &function.getBody().front();
    if (!isHead && !isLast)
      result = block->getTerminator()->getOperand(0);
    Operation *key =
        isHead ? program.model.getOperation() : function.getOperation();
    bool isReplay = layer < state.finished();
    Plan &plan = (isReplay ? replays : plans)[key];
    if (plan.steps.empty()) {
      if (isReplay) {
        plan.steps.push_back({result, {}});
      } else if (isHead) {
        PlanStep step = {headInput, {}};
        for (Operation *user : headInput.getUsers())
          if (isa<tfm::LogitsOp>(user))
            step.readers.push_back(user);
        plan.steps.push_back(std::move(step));
      } else {
        plan.steps =
            planSteps(*block, argument, block->getTerminator()->getOperand(0));
      }
    }
    runLayer(plan, result);
    reader.clear();
    if (result) {
      std::unique_ptr<KeptValue> output = std::move(kept[result]);
      kept.clear();
      at = call.getResult(0);
      kept[at] = std::move(output);
    }
    if (isReplay)
      continue;
    CalibrationClock clock(backend.times, &CalibrationTimes::state);
    state.finishLayer(result ? backend.stored(*kept[at]) : nullptr);
  }
  CalibrationClock clock(backend.times, &CalibrationTimes::state);
  state.wait();
}

} // namespace

bool needsCalibration(ModuleOp module) {
  return module.walk([](qnt::GptqOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

int64_t calibrationLayers(ModuleOp module) {
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return 0;
  auto isCalibrated = [&](Value operand) {
    auto weight = operand.getDefiningOp<tfm::WeightOp>();
    return weight && gptqOf(program->defines.lookup(weight.getNameAttr()));
  };
  int64_t layers = 0, layer = 0;
  for (auto call : program->model.getOps<func::CallOp>()) {
    ++layer;
    if (llvm::any_of(call.getOperands(), isCalibrated))
      layers = layer;
  }
  for (auto logits : program->model.getOps<tfm::LogitsOp>())
    if (isCalibrated(logits.getWeight()))
      layers = layer + 1;
  return layers;
}

CalibrationTimes calibrate(ModuleOp module, const ParameterReader &parameters,
                           const CalibrationTokens &tokens,
                           CalibrationState &state,
                           const CalibrateOptions &options) {
  std::unique_ptr<CalibrationBackend> backend =
      options.gpu
          ? makeCudaBackend(tokens, options.threads, options.cancelled,
                            *options.gpu, options.activationMemory)
          : makeCpuBackend(
                tokens, options.threads, options.cancelled, state.path(),
                options.activationMemory.value_or(qrt::physicalMemory() / 2));
  Calibrator(module, parameters, tokens, state, *backend, options).run();
  return backend->times;
}

} // namespace qcc
