//===- Plan.cpp - How a layer is calibrated -------------------------------===//

#include "compiler/calibrate/Plan.h"

#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace qcc {

bool isActivation(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.isDynamicDim(0);
}

/// The activations that `op` multiplies by a quantized weight; null if none.
static Value calibratedInput(Operation *op) {
  if (auto gemm = dyn_cast<qnt::DequantGemmOp>(op))
    return gemm.getInput();
  if (auto logits = dyn_cast<tfm::LogitsOp>(op);
      logits && isa<qnt::PackedType>(logits.getWeight().getType()))
    return logits.getInput();
  return {};
}

bool isProduct(Operation *op) {
  return isa<tfm::LinearOp, qnt::DequantGemmOp, qnt::OutlierGemmOp,
             tfm::AttentionOp>(op);
}

std::vector<PlanStep> planSteps(Block &block, ArrayRef<Value> given,
                                Value result) {
  llvm::DenseSet<Value> kept(given.begin(), given.end());
  llvm::DenseMap<Value, std::vector<Operation *>> readers;
  for (Operation &op : block)
    if (Value input = calibratedInput(&op))
      readers[input].push_back(&op);

  // Values that a product of this run went into.
  llvm::DenseSet<Value> costly;
  std::vector<PlanStep> steps;
  auto add = [&](Value value) {
    auto it = readers.find(value);
    steps.push_back(
        {value, it == readers.end() ? std::vector<Operation *>() : it->second});
    kept.insert(value);
  };
  for (Value value : given)
    if (readers.contains(value))
      add(value);
  for (Operation &op : block) {
    bool costs = isProduct(&op) || llvm::any_of(op.getOperands(), [&](Value v) {
                   return costly.contains(v);
                 });
    for (Value value : op.getResults()) {
      if (costs)
        costly.insert(value);
      bool isShared = costs && !value.hasOneUse() && !value.use_empty();
      if (!kept.contains(value) &&
          (readers.contains(value) || isShared || value == result))
        add(value);
    }
  }
  return steps;
}

} // namespace qcc
