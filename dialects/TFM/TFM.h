//===- TFM.h - The transformer dialect --------------------------*- C++ -*-===//
//
// A decoder-only transformer as its paper describes it: types, attributes and
// operations. TFMOps.td says what each means, Rationale.md why it is so.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_DIALECTS_TFM_TFM_H
#define QCC_DIALECTS_TFM_TFM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/TFM/TFMDialect.h.inc"
#include "dialects/TFM/TFMEnums.h.inc"
#include "dialects/TFM/TFMInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/TFM/TFMAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/TFM/TFMTypes.h.inc"

namespace qcc::tfm {

/// A weight as a matrix: [outputs, inputs]; a vector is one row.
struct StoredShape {
  int64_t rows = 0;
  int64_t columns = 0;
};

/// The shape of a stored weight: a static tensor of one or two dimensions or
/// a StoredTypeInterface, which is what the ops' operand constraints admit.
StoredShape storedShape(mlir::Type type);

/// The features of activations, [tokens, features].
inline int64_t features(mlir::RankedTensorType activations) {
  return activations.getDimSize(1);
}

/// Checks a product x W^T + bias: `constraint`_c1 the inputs, _c2 the outputs,
/// _c3 the bias (may be null). Emits on `op` what does not fit.
mlir::LogicalResult verifyProduct(mlir::Operation *op,
                                  llvm::StringRef constraint,
                                  mlir::RankedTensorType input,
                                  mlir::Type weight, mlir::Value bias,
                                  mlir::RankedTensorType result);

/// Checks that a stored weight is a vector of `size` elements; `what` names it
/// in the message ("norm_c2: weight").
mlir::LogicalResult verifyVector(mlir::Operation *op, llvm::StringRef what,
                                 mlir::Type type, int64_t size);

/// Checks what attention asks of its operands, fused or not: `constraint`_c1
/// to _c6. `slopes` may be null.
mlir::LogicalResult
verifyAttention(mlir::Operation *op, llvm::StringRef constraint,
                CacheType cache, mlir::RankedTensorType query,
                mlir::RankedTensorType key, mlir::RankedTensorType value,
                mlir::RankedTensorType result, mlir::Value slopes,
                int64_t heads, float softCap);

/// Checks heads, rotary dimensions and frequencies: `constraint`_c1 to _c3.
mlir::LogicalResult verifyRope(mlir::Operation *op, llvm::StringRef constraint,
                               int64_t features, int64_t heads, int64_t rotary,
                               mlir::Type frequencies,
                               LengthScalingAttr lengthScaling);

/// Checks the weight or bias of a norm over `heads` slices of `features`
/// elements: one for all slices, or a part for each.
mlir::LogicalResult verifyNormVector(mlir::Operation *op, llvm::StringRef what,
                                     mlir::Type type, int64_t features,
                                     int64_t heads);

} // namespace qcc::tfm

#define GET_OP_CLASSES
#include "dialects/TFM/TFMOps.h.inc"

#endif // QCC_DIALECTS_TFM_TFM_H
