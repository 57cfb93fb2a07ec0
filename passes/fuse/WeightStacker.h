//===- WeightStacker.h - Makes one weight of several ------------*- C++ -*-===//
//
// Blocks are shared by layers, so a weight of a block is an argument, and what
// it stands for is in the calls: one definition a layer. A fusion that makes
// one weight of several in a block makes one definition of several for every
// call.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_PASSES_FUSE_WEIGHTSTACKER_H
#define QCC_PASSES_FUSE_WEIGHTSTACKER_H

#include "passes/quantize/Utils.h"

#include "llvm/ADT/StringMap.h"

namespace qcc {

class WeightStacker {
public:
  /// Definitions of the weights of one call, in the order asked for.
  using Definitions = llvm::SmallVector<tfm::DefineOp>;
  /// Builds a value of `definitions` in @weights, behind all of them.
  using Build =
      llvm::function_ref<mlir::Value(mlir::OpBuilder &, const Definitions &)>;

  /// Emits an error if `module` has no @weights or no @model.
  static mlir::FailureOr<WeightStacker> of(mlir::ModuleOp module);

  /// For every call of `function`, what is passed as `weights`, arguments of
  /// it; in @model itself, for `weights` themselves. Fails silently if one is
  /// no `tfm.weight` with a definition or there are no calls.
  mlir::FailureOr<llvm::SmallVector<Definitions>>
  definitions(mlir::func::FuncOp function,
              llvm::ArrayRef<mlir::Value> weights) const;

  /// True if `weight` and all it stands for have `reader` as their only use.
  bool isOnlyReader(mlir::Operation *reader, mlir::func::FuncOp function,
                    mlir::Value weight) const;

  /// A weight of `type` in `function` for what `build` makes of the
  /// definitions of `weights`, for which definitions() has succeeded. Their
  /// names joined ("layers.0.q+k+v") are its name, their modules its modules.
  mlir::Value stack(mlir::func::FuncOp function,
                    llvm::ArrayRef<mlir::Value> weights, mlir::Type type,
                    Build build);

  /// Removes arguments and definitions that nothing reads any more.
  mlir::LogicalResult eraseUnused();

private:
  WeightStacker(mlir::ModuleOp module, Program program)
      : module(module), program(std::move(program)) {}

  llvm::SmallVector<mlir::func::CallOp>
  callsOf(mlir::func::FuncOp function) const;
  /// The operand that stands for `weight` in `call`.
  static mlir::Value operandFor(mlir::func::CallOp call, mlir::Value weight);
  tfm::DefineOp define(const Definitions &parts, Build build);

  mlir::ModuleOp module;
  Program program;
  /// What stack() has defined, by joined name.
  llvm::StringMap<tfm::DefineOp> made;
};

} // namespace qcc

#endif // QCC_PASSES_FUSE_WEIGHTSTACKER_H
