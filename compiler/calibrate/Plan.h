//===- Plan.h - How a layer is calibrated -----------------------*- C++ -*-===//

#ifndef QCC_COMPILER_CALIBRATE_PLAN_H
#define QCC_COMPILER_CALIBRATE_PLAN_H

#include "mlir/IR/Block.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/ArrayRef.h"

#include <vector>

namespace qcc {

/// True for activations, which have a row for each token of a step.
bool isActivation(mlir::Value value);

/// True for linears and attention, which cost more than all else.
bool isProduct(mlir::Operation *op);

/// One value that is computed and kept for all tokens.
struct PlanStep {
  mlir::Value target;
  /// The ops (qnt.dequant_gemm, tfm.logits) that multiply `target` by a weight
  /// that is quantized.
  std::vector<mlir::Operation *> readers;
};

/// Cuts a straight run of ops so that every product is computed once: at the
/// inputs of quantized linears, where a value that a product went into is used
/// more than once, and at `result`. `given` are the activations that are there
/// at the start. Steps stand in the order of the program.
std::vector<PlanStep> planSteps(mlir::Block &block,
                                llvm::ArrayRef<mlir::Value> given,
                                mlir::Value result);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_PLAN_H
