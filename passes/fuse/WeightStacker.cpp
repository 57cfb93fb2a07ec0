//===- WeightStacker.cpp - Makes one weight of several --------------------===//

#include "passes/fuse/WeightStacker.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace qcc {

FailureOr<WeightStacker> WeightStacker::of(ModuleOp module) {
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return failure();
  return WeightStacker(module, std::move(*program));
}

SmallVector<func::CallOp> WeightStacker::callsOf(func::FuncOp function) const {
  func::FuncOp model = program.model;
  SmallVector<func::CallOp> calls;
  for (auto call : model.getOps<func::CallOp>())
    if (call.getCallee() == function.getName())
      calls.push_back(call);
  return calls;
}

Value WeightStacker::operandFor(func::CallOp call, Value weight) {
  return call.getOperand(cast<BlockArgument>(weight).getArgNumber());
}

FailureOr<SmallVector<WeightStacker::Definitions>>
WeightStacker::definitions(func::FuncOp function,
                           ArrayRef<Value> weights) const {
  auto definitionsOf = [&](auto valueOf) -> FailureOr<Definitions> {
    Definitions parts;
    for (Value value : weights) {
      auto weight = valueOf(value).template getDefiningOp<tfm::WeightOp>();
      tfm::DefineOp define = weight
                                 ? program.defines.lookup(weight.getNameAttr())
                                 : tfm::DefineOp();
      if (!define)
        return failure();
      parts.push_back(define);
    }
    return parts;
  };
  SmallVector<Definitions> all;
  if (function == program.model) {
    FailureOr<Definitions> parts =
        definitionsOf([](Value value) { return value; });
    if (failed(parts))
      return failure();
    all.push_back(*parts);
    return all;
  }
  if (!llvm::all_of(weights, llvm::IsaPred<BlockArgument>))
    return failure();
  for (func::CallOp call : callsOf(function)) {
    FailureOr<Definitions> parts =
        definitionsOf([&](Value value) { return operandFor(call, value); });
    if (failed(parts))
      return failure();
    all.push_back(*parts);
  }
  if (all.empty())
    return failure();
  return all;
}

bool WeightStacker::isOnlyReader(Operation *reader, func::FuncOp function,
                                 Value weight) const {
  if (!llvm::hasSingleElement(weight.getUses()))
    return false;
  FailureOr<SmallVector<Definitions>> all = definitions(function, weight);
  if (failed(all))
    return false;
  llvm::SmallPtrSet<Operation *, 8> ours;
  for (Definitions &parts : *all)
    ours.insert(parts.front());
  func::FuncOp model = program.model;
  for (auto read : model.getOps<tfm::WeightOp>()) {
    if (!ours.contains(program.defines.lookup(read.getNameAttr())))
      continue;
    for (OpOperand &use : read->getUses()) {
      if (use.getOwner() == reader)
        continue;
      auto call = dyn_cast<func::CallOp>(use.getOwner());
      if (!call || call.getCallee() != function.getName() ||
          operandFor(call, weight) != use.get() ||
          llvm::count(call.getOperands(), use.get()) != 1)
        return false;
    }
  }
  return true;
}

/// "layers.0.q+k+v" of "layers.0.q", "layers.0.k" and "layers.0.v"; whole
/// names are joined where what stands before the last dot differs.
static std::string joinNames(ArrayRef<tfm::DefineOp> parts) {
  auto nameOf = [](tfm::DefineOp define) { return define.getName(); };
  std::string joined = nameOf(parts.front()).str();
  StringRef layer = nameOf(parts.front()).rsplit('.').first;
  bool sameLayer = llvm::all_of(parts, [&](tfm::DefineOp define) {
    return nameOf(define).contains('.') &&
           nameOf(define).rsplit('.').first == layer;
  });
  for (tfm::DefineOp define : parts.drop_front()) {
    StringRef name = nameOf(define);
    joined += '+';
    joined += sameLayer ? name.rsplit('.').second : name;
  }
  return joined;
}

tfm::DefineOp WeightStacker::define(const Definitions &parts, Build build) {
  OpBuilder b(module.getContext());
  std::string joined = joinNames(parts);
  if (tfm::DefineOp known = made.lookup(joined))
    return known;
  // An earlier pass may have stacked the same weights in another way.
  StringAttr name = b.getStringAttr(joined);
  for (int i = 2; program.defines.contains(name); ++i)
    name = b.getStringAttr(joined + "#" + Twine(i));
  SmallVector<Attribute> modules;
  tfm::DefineOp last = parts.front();
  SmallVector<Location> locations;
  for (tfm::DefineOp part : parts) {
    if (ArrayAttr several = part.getModulesAttr())
      llvm::append_range(modules, several);
    else if (StringAttr one = part.getModuleAttr())
      modules.push_back(one);
    if (last->isBeforeInBlock(part))
      last = part;
    locations.push_back(part.getLoc());
  }
  b.setInsertionPointAfter(last);
  Value value = build(b, parts);
  auto define = tfm::DefineOp::create(
      b, b.getFusedLoc(locations), name, value, /*module=*/StringAttr(),
      modules.empty() ? ArrayAttr() : b.getArrayAttr(modules));
  program.defines[name] = define;
  made[joined] = define;
  return define;
}

Value WeightStacker::stack(func::FuncOp function, ArrayRef<Value> weights,
                           Type type, Build build) {
  SmallVector<Definitions> all = *definitions(function, weights);
  auto read = [&](OpBuilder b, Location loc, const Definitions &parts) {
    return tfm::WeightOp::create(b, loc, type, define(parts, build).getName());
  };
  if (function == program.model)
    return read(OpBuilder::atBlockBegin(&function.getBody().front()),
                weights.front().getLoc(), all.front());

  unsigned index = cast<BlockArgument>(weights.front()).getArgNumber();
  for (auto [call, parts] : llvm::zip(callsOf(function), all))
    call->insertOperands(
        index, read(OpBuilder(call), call.getLoc(), parts)->getResults());
  (void)function.insertArgument(index, type, {}, weights.front().getLoc());
  return function.getArgument(index);
}

LogicalResult WeightStacker::eraseUnused() {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function == program.model || function.isExternal())
      continue;
    SmallVector<func::CallOp> calls = callsOf(function);
    if (calls.empty())
      continue;
    for (unsigned i = function.getNumArguments(); i-- > 0;) {
      BlockArgument argument = function.getArgument(i);
      bool isWeight = isa<tfm::StoredTypeInterface>(argument.getType());
      if (!isWeight || !argument.use_empty())
        continue;
      if (failed(function.eraseArgument(i)))
        return failure();
      for (func::CallOp call : calls)
        call->eraseOperand(i);
    }
  }
  return eraseUnusedWeights(module);
}

} // namespace qcc
