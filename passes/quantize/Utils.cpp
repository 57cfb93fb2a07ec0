//===- Utils.cpp - What passes over weights share -------------------------===//

#include "passes/quantize/Utils.h"

#include "runtime/support/Error.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace qcc {

FailureOr<Program> Program::of(ModuleOp module) {
  Program program;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    if (function.getName() == "weights")
      program.weights = function;
    else if (function.getName() == "model")
      program.model = function;
  }
  if (!program.weights || !program.model)
    return module.emitError("program_c1: the module has no @")
           << (program.weights ? "model" : "weights");
  for (auto define : program.weights.getOps<tfm::DefineOp>()) {
    auto [it, inserted] =
        program.defines.insert({define.getNameAttr(), define});
    if (inserted)
      continue;
    InFlightDiagnostic diagnostic = define.emitOpError("program_c2: '")
                                    << define.getName() << "' is defined twice";
    diagnostic.attachNote(it->second.getLoc()) << "the first time here";
    return diagnostic;
  }
  return program;
}

void walkWeightUses(Value weight, const SymbolTable &symbols,
                    llvm::function_ref<void(OpOperand &)> visit) {
  for (OpOperand &use : weight.getUses()) {
    auto call = dyn_cast<func::CallOp>(use.getOwner());
    if (!call) {
      visit(use);
      continue;
    }
    auto block = symbols.lookup<func::FuncOp>(call.getCallee());
    // Calls stand in @model only, so this ends after one step.
    if (block && !block.isExternal() && block != call->getParentOp())
      walkWeightUses(block.getArgument(use.getOperandNumber()), symbols, visit);
  }
}

/// Gives the arguments of `block` (and its signature) the types `types`.
static void retypeArguments(func::FuncOp block, ArrayRef<Type> types) {
  for (auto [argument, type] : llvm::zip(block.getArguments(), types))
    argument.setType(type);
  block.setFunctionType(FunctionType::get(
      block.getContext(), types, block.getFunctionType().getResults()));
}

LogicalResult propagateWeightTypes(ModuleOp module) {
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return failure();
  for (auto weight : program->model.getOps<tfm::WeightOp>()) {
    tfm::DefineOp define = program->defines.lookup(weight.getNameAttr());
    if (!define)
      return weight.emitOpError("program_c3: '")
             << weight.getName() << "' is not defined in @weights";
    weight.getResult().setType(define.getValue().getType());
  }

  // Calls by callee, and within a callee by the types they pass, in order.
  SymbolTable symbols(module);
  using Calls = SmallVector<func::CallOp>;
  llvm::MapVector<StringAttr, SmallVector<std::pair<SmallVector<Type>, Calls>>>
      callees;
  for (auto call : program->model.getOps<func::CallOp>()) {
    auto block = symbols.lookup<func::FuncOp>(call.getCallee());
    if (!block || block.isExternal() ||
        block.getNumArguments() != call.getNumOperands())
      return call.emitOpError("program_c4: @")
             << call.getCallee() << " is no block with "
             << call.getNumOperands() << " arguments";
    auto &variants = callees[call.getCalleeAttr().getAttr()];
    SmallVector<Type> operands(call.getOperandTypes());
    auto *it = llvm::find_if(
        variants, [&](auto &variant) { return variant.first == operands; });
    if (it == variants.end())
      it = &variants.emplace_back(operands, Calls());
    it->second.push_back(call);
  }
  for (auto &[name, variants] : callees) {
    auto block = symbols.lookup<func::FuncOp>(name);
    func::FuncOp last = block;
    for (auto &[operands, calls] : llvm::drop_begin(variants)) {
      func::FuncOp clone = block.clone();
      symbols.insert(clone, std::next(last->getIterator()));
      last = clone;
      retypeArguments(clone, operands);
      for (func::CallOp call : calls)
        call.setCallee(clone.getName());
    }
    retypeArguments(block, variants.front().first);
  }
  return success();
}

LogicalResult eraseUnusedWeights(ModuleOp module) {
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return failure();
  llvm::StringSet<> used;
  for (auto weight :
       llvm::make_early_inc_range(program->model.getOps<tfm::WeightOp>())) {
    if (weight->use_empty())
      weight.erase();
    else
      used.insert(weight.getName());
  }
  for (auto &[name, define] : program->defines)
    if (!used.contains(name))
      define.erase();
  // Uses come after definitions, so one sweep from the end sees all.
  SmallVector<Operation *> operations;
  for (Operation &op : program->weights.getBody().front().without_terminator())
    operations.push_back(&op);
  for (Operation *op : llvm::reverse(operations))
    if (isOpTriviallyDead(op))
      op->erase();
  return success();
}

//===----------------------------------------------------------------------===//
// Schemes
//===----------------------------------------------------------------------===//

FailureOr<qnt::SchemeAttr> parseScheme(Location loc, StringRef text) {
  if (text == "none")
    return qnt::SchemeAttr();
  auto [method, rest] = text.split(':');
  auto [mangled, option] = rest.split(':');
  if (rest.contains(':') && option != "mse")
    return emitError(loc) << "scheme '" << text << "': unknown option '"
                          << option << "' (mse)";
  if (mangled.empty())
    return emitError(loc) << "scheme '" << text
                          << "' is neither none nor spelled like rtn:int4.g128";
  qrt::Format format;
  try {
    format = qrt::Format::parse(std::string_view(mangled));
  } catch (const qrt::Error &error) {
    return emitError(loc) << "scheme '" << text << "': " << error.what();
  }
  bool mse = !option.empty();
  std::string broken = qnt::schemeViolation(method, format, mse);
  if (!broken.empty())
    return emitError(loc) << "scheme '" << text << "': " << broken;
  MLIRContext *context = loc.getContext();
  return qnt::SchemeAttr::get(context, method,
                              qnt::FormatAttr::get(context, format), mse);
}

/// Codes, scales and zero points of the value of `define`, packed again.
static LogicalResult quantizeDefine(tfm::DefineOp define,
                                    qnt::SchemeAttr scheme,
                                    BuildQuantize build) {
  auto type = dyn_cast<RankedTensorType>(define.getValue().getType());
  if (!type)
    return define.emitOpError("selected_c1: '")
           << define.getName() << "' is packed already";
  if (type.getRank() != 2)
    return define.emitOpError("selected_c2: '")
           << define.getName() << "' is a vector; only matrices are quantized";
  int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  OpBuilder b(define);
  Location loc = define.getLoc();
  qnt::FormatAttr format = scheme.getFormat();
  qnt::UnpackedTypes types =
      qnt::unpackedTypes(b.getContext(), format.getValue(), rows, columns);
  Operation *quantize = build(b, define, scheme, types);
  auto packed =
      qnt::PackedType::get(b.getContext(), rows, columns, format, StringAttr());
  Value zeros = types.zeros ? quantize->getResult(2) : Value();
  define.getValueMutable().assign(qnt::PackOp::create(
      b, loc, packed, quantize->getResult(0), quantize->getResult(1), zeros));
  return success();
}

/// Marks every `tfm.logits` that reads one of `defines`.
static void markLogits(Program &program, const SymbolTable &symbols,
                       const llvm::StringSet<> &defines, FloatAttr threshold) {
  for (auto weight : program.model.getOps<tfm::WeightOp>())
    if (defines.contains(weight.getName()))
      walkWeightUses(weight, symbols, [&](OpOperand &use) {
        if (isa<tfm::LogitsOp>(use.getOwner()))
          use.getOwner()->setAttr(qnt::kOutlierThresholdAttrName, threshold);
      });
}

FailureOr<int64_t> quantizeSelected(ModuleOp module, StringRef method,
                                    std::optional<float> outlierThreshold) {
  return quantizeSelected(
      module, method,
      [](OpBuilder &b, tfm::DefineOp define, qnt::SchemeAttr scheme,
         const qnt::UnpackedTypes &types) -> Operation * {
        return qnt::QuantizeOp::create(
            b, define.getLoc(), types.codes, types.scales, types.zeros,
            b.getStringAttr(scheme.getMethod()), define.getValue(),
            scheme.getFormat(), scheme.getMse() ? b.getUnitAttr() : UnitAttr());
      },
      outlierThreshold);
}

FailureOr<int64_t> quantizeSelected(ModuleOp module, StringRef method,
                                    BuildQuantize build,
                                    std::optional<float> outlierThreshold) {
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return failure();
  int64_t quantized = 0, shortRows = 0, group = 0;
  llvm::StringSet<> names;
  for (auto &[name, define] : program->defines) {
    auto scheme = define->getAttrOfType<qnt::SchemeAttr>(qnt::kSchemeAttrName);
    if (!scheme || scheme.getMethod() != method)
      continue;
    if (failed(quantizeDefine(define, scheme, build)))
      return failure();
    names.insert(name.getValue());
    ++quantized;
    const qrt::Format &format = scheme.getFormat().getValue();
    auto packed = cast<qnt::PackedType>(define.getValue().getType());
    if (!format.flattened && format.group > packed.getColumns()) {
      ++shortRows;
      group = format.group;
    }
  }
  if (shortRows)
    emitWarning(module.getLoc())
        << shortRows << " of " << quantized
        << " weights have fewer columns than a group of " << group
        << ": a whole row is their group";
  if (failed(propagateWeightTypes(module)))
    return failure();
  FloatAttr threshold;
  if (outlierThreshold) {
    threshold = Builder(module.getContext()).getF32FloatAttr(*outlierThreshold);
    markLogits(*program, SymbolTable(module), names, threshold);
  }
  module.walk([&](tfm::LinearOp linear) {
    if (!isa<qnt::PackedType>(linear.getWeight().getType()))
      return;
    OpBuilder b(linear);
    Location loc = linear.getLoc();
    Type type = linear.getResult().getType();
    Value gemm;
    if (threshold)
      gemm = qnt::OutlierGemmOp::create(b, loc, type, linear.getInput(),
                                        linear.getWeight(), linear.getBias(),
                                        threshold);
    else
      gemm = qnt::DequantGemmOp::create(b, loc, type, linear.getInput(),
                                        linear.getWeight(), linear.getBias());
    linear.getResult().replaceAllUsesWith(gemm);
    linear.erase();
  });
  return quantized;
}

} // namespace qcc
