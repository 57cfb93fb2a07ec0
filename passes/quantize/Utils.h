//===- Utils.h - What passes over weights share -----------------*- C++ -*-===//
//
// A program has its weights in three places: `tfm.define` in @weights gives a
// value a name, `tfm.weight` in @model reads it, and calls hand it to the
// arguments of blocks. Passes change the first and let these functions bring
// the other two up to date.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_PASSES_QUANTIZE_UTILS_H
#define QCC_PASSES_QUANTIZE_UTILS_H

#include "dialects/QNT/QNT.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

namespace qcc {

namespace qnt {
/// On qnt.gptq, an i64: sweeps of coordinate descent over codes and scales
/// after the last column; none without it.
inline constexpr llvm::StringLiteral kRefineAttrName = "qnt.refine";
} // namespace qnt

/// The functions and the weights of a program.
struct Program {
  mlir::func::FuncOp weights, model;
  /// The definition of each weight, in the order of @weights.
  llvm::MapVector<mlir::StringAttr, tfm::DefineOp> defines;

  /// Finds the parts of `module`. Emits an error if @weights or @model is
  /// missing or a name is defined twice.
  static mlir::FailureOr<Program> of(mlir::ModuleOp module);
};

/// The use of a weight by an operation other than a call, seen through calls.
/// `function` is where it stands.
void walkWeightUses(mlir::Value weight, const mlir::SymbolTable &symbols,
                    llvm::function_ref<void(mlir::OpOperand &)> visit);

/// Gives every `tfm.weight` the type of its definition and every block the
/// types that it is called with. Equal layers share a block as long as their
/// weights have the same types; where they now differ, each further
/// combination gets a clone `<block>_<n>`, in the order of the calls. Call it
/// after changing what `tfm.define` ops take. Emits an error for a weight
/// without definition and for a call of what is no block.
mlir::LogicalResult propagateWeightTypes(mlir::ModuleOp module);

/// Removes weights that nothing reads: `tfm.weight` without uses, definitions
/// that no `tfm.weight` names, and what only they needed in @weights.
mlir::LogicalResult eraseUnusedWeights(mlir::ModuleOp module);

/// Quantizes each definition whose `qnt.scheme` has this method and makes the
/// linears that read it `qnt.dequant_gemm`, or `qnt.outlier_gemm` with a
/// threshold. Returns how many there were.
mlir::FailureOr<int64_t>
quantizeSelected(mlir::ModuleOp module, llvm::StringRef method,
                 std::optional<float> outlierThreshold = std::nullopt);

/// Builds what quantizes the value of a definition: an op whose results are
/// codes, scales and, if `types` has them, zero points.
using BuildQuantize = llvm::function_ref<mlir::Operation *(
    mlir::OpBuilder &b, tfm::DefineOp define, qnt::SchemeAttr scheme,
    const qnt::UnpackedTypes &types)>;

/// The same with another op than qnt.quantize.
mlir::FailureOr<int64_t>
quantizeSelected(mlir::ModuleOp module, llvm::StringRef method,
                 BuildQuantize build,
                 std::optional<float> outlierThreshold = std::nullopt);

/// A scheme as text: "none", or method ":" format [":mse"], as "rtn:int4.g128"
/// or "bnb:nf4.b64". Null for "none"; emits an error at `loc` for what is no
/// scheme.
mlir::FailureOr<qnt::SchemeAttr> parseScheme(mlir::Location loc,
                                             llvm::StringRef text);

} // namespace qcc

#endif // QCC_PASSES_QUANTIZE_UTILS_H
