//===- LayoutWeights.cpp - Decides how the bytes of each weight lie -------===//

#include "passes/layout/Passes.h"

#include "dialects/TFM/TFM.h"
#include "passes/quantize/Utils.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringSet.h"

#include <limits>
#include <numeric>

namespace qcc {

#define GEN_PASS_DEF_LAYOUTWEIGHTSPASS
#include "passes/layout/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// True if a GEMM reads `value` as its weight, in @model or in a block.
bool isGemmWeight(Value value, const SymbolTable &symbols) {
  return llvm::any_of(value.getUses(), [&](OpOperand &use) {
    if (auto gemm = dyn_cast<qnt::FusedGemmOp>(use.getOwner()))
      return gemm.getWeight() == value;
    auto call = dyn_cast<func::CallOp>(use.getOwner());
    if (!call)
      return false;
    auto block = symbols.lookup<func::FuncOp>(call.getCallee());
    return block && !block.isExternal() &&
           isGemmWeight(block.getArgument(use.getOperandNumber()), symbols);
  });
}

/// The format as it lies in memory: blocks over the flattened weight become
/// groups along the row, cut where a block crosses rows; where that leaves
/// groups of less than 8 elements, the dequantized weight as f32 (the same rule
/// as packedFormat() of compiler/quantize/Pack.h).
qrt::Format storedFormat(qrt::Format format, int64_t columns) {
  if (!format.flattened)
    return format;
  int64_t group = std::gcd(format.group, columns);
  if (group < 8)
    return {};
  // A nested scale is that of as many blocks as before.
  int64_t nested;
  if (llvm::MulOverflow(format.nested, format.group / group, nested) ||
      nested > std::numeric_limits<int32_t>::max())
    return {};
  format.nested = nested;
  format.flattened = false;
  format.group = group;
  return format;
}

struct LayoutWeights : qcc::impl::LayoutWeightsPassBase<LayoutWeights> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    auto weights = symbols.lookup<func::FuncOp>("weights");
    auto model = symbols.lookup<func::FuncOp>("model");
    if (!weights || !model) {
      module.emitError("has no @weights or no @model");
      return signalPassFailure();
    }
    llvm::StringSet<> gemmWeights;
    for (auto weight : model.getOps<tfm::WeightOp>())
      if (isGemmWeight(weight, symbols))
        gemmWeights.insert(weight.getName());

    for (auto define : weights.getOps<tfm::DefineOp>()) {
      auto type = dyn_cast<qnt::PackedType>(define.getValue().getType());
      if (!type) {
        define.emitOpError("is not packed: run fuse-form-gemms first");
        return signalPassFailure();
      }
      if (type.getLayout())
        continue;
      bool isTiled = gemmWeights.contains(define.getName());
      if (!isTiled && type.getFormat().getValue().isQuantized()) {
        define.emitOpError("is quantized to ")
            << type.getFormat() << " but no GEMM reads it";
        return signalPassFailure();
      }
      OpBuilder b(define);
      auto laidOut = qnt::PackedType::get(
          &getContext(), type.getRows(), type.getColumns(),
          qnt::FormatAttr::get(
              &getContext(),
              storedFormat(type.getFormat().getValue(), type.getColumns())),
          b.getStringAttr(isTiled ? "t16" : "rows"));
      define.getValueMutable().assign(qnt::RelayoutOp::create(
          b, define.getLoc(), laidOut, define.getValue()));
      tiled += isTiled;
    }
    if (failed(propagateWeightTypes(module)))
      signalPassFailure();
  }
};

} // namespace
