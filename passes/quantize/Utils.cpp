//===- Utils.cpp - Changing the types of weights --------------------------===//

#include "passes/quantize/Utils.h"

#include "dialects/TFM/TFM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace qcc {

/// Gives the arguments of `block` (and its signature) the types `types`.
static void retypeArguments(func::FuncOp block, ArrayRef<Type> types) {
  for (auto [argument, type] : llvm::zip(block.getArguments(), types))
    argument.setType(type);
  block.setFunctionType(FunctionType::get(
      block.getContext(), types, block.getFunctionType().getResults()));
}

LogicalResult propagateWeightTypes(ModuleOp module) {
  SymbolTable symbols(module);
  auto weights = symbols.lookup<func::FuncOp>("weights");
  auto model = symbols.lookup<func::FuncOp>("model");
  if (!weights || !model)
    return module.emitError("has no @weights or no @model");

  llvm::StringMap<Type> types;
  for (auto define : weights.getOps<tfm::DefineOp>())
    types[define.getName()] = define.getValue().getType();
  for (auto weight : model.getOps<tfm::WeightOp>()) {
    auto it = types.find(weight.getName());
    if (it == types.end())
      return weight.emitOpError("names '")
             << weight.getName() << "', which @weights does not define";
    weight.getResult().setType(it->second);
  }

  // Calls by callee, and within a callee by the types they pass, in order.
  using Calls = SmallVector<func::CallOp>;
  llvm::MapVector<StringAttr, SmallVector<std::pair<SmallVector<Type>, Calls>>>
      callees;
  for (auto call : model.getOps<func::CallOp>()) {
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
    if (!block || block.isExternal())
      return variants.front().second.front().emitOpError("calls '")
             << name.getValue() << "', which is no block of this module";
    if (block.getNumArguments() != variants.front().first.size())
      return block.emitOpError("takes ")
             << block.getNumArguments() << " arguments, its callers pass "
             << variants.front().first.size();
    for (auto &[operands, calls] : llvm::drop_begin(variants)) {
      func::FuncOp clone = block.clone();
      symbols.insert(clone, std::next(block->getIterator()));
      retypeArguments(clone, operands);
      for (func::CallOp call : calls)
        call.setCallee(clone.getName());
    }
    retypeArguments(block, variants.front().first);
  }
  return success();
}

} // namespace qcc
