//===- BuildBlock.h - The function of a layer -------------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_BUILDBLOCK_H
#define QCC_FRONTENDS_ARCHITECTURES_BUILDBLOCK_H

#include "frontends/architectures/ModelSpec.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace qcc {

/// The weights of one layer by their roles ("q", "q_bias"), in the order of the
/// block's arguments; the rotary frequencies and ALiBi's slopes are among them.
struct LayerWeights {
  std::vector<std::pair<std::string, mlir::Value>> values;

  void add(llvm::StringRef role, mlir::Value value) {
    values.emplace_back(role.str(), value);
  }
  llvm::SmallVector<mlir::Type> types() const {
    llvm::SmallVector<mlir::Type> types;
    for (const auto &[role, value] : values)
      types.push_back(value.getType());
    return types;
  }
};

/// The norm of `x`, over each of `heads` slices of its rows. `bias` may be
/// null.
mlir::Value createNorm(mlir::OpBuilder &b, mlir::Location loc,
                       const NormSpec &norm, mlir::Value x, mlir::Value weight,
                       mlir::Value bias, int64_t heads = 1);

/// Adds the function (step, cache, activations, weights...) -> activations of
/// layers like `layer`.
mlir::func::FuncOp buildBlock(mlir::ModuleOp module, llvm::StringRef name,
                              const ModelSpec &spec, const LayerSpec &layer,
                              const LayerWeights &weights,
                              tfm::CacheType cache);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_BUILDBLOCK_H
