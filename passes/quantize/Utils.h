//===- Utils.h - Changing the types of weights ------------------*- C++ -*-===//

#ifndef QCC_PASSES_QUANTIZE_UTILS_H
#define QCC_PASSES_QUANTIZE_UTILS_H

#include "mlir/IR/BuiltinOps.h"

namespace qcc {

/// Carries the types that `@weights` defines through the program: to each
/// `tfm.weight` of `@model` and, through calls, to the arguments of blocks.
/// Layers share a block as long as their weights have the same types; where
/// they now differ, each further combination gets a clone `<block>_<n>`.
/// Call it after changing what `tfm.define` ops take. Fails with a diagnostic
/// if a `tfm.weight` names nothing that is defined or a callee is missing.
mlir::LogicalResult propagateWeightTypes(mlir::ModuleOp module);

} // namespace qcc

#endif // QCC_PASSES_QUANTIZE_UTILS_H
