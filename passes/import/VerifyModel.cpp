//===- VerifyModel.cpp - Checks that a module is a program ----------------===//
//
// Later phases rely on what is checked here: they look at uses of weights
// through one level of calls, from @model.
//
//===----------------------------------------------------------------------===//

#include "passes/import/Passes.h"
#include "passes/quantize/Utils.h"

namespace qcc {

#define GEN_PASS_DEF_VERIFYMODELPASS
#include "passes/import/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct VerifyModel : qcc::impl::VerifyModelPassBase<VerifyModel> {
  using Base::Base;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(verify()))
      signalPassFailure();
  }

private:
  LogicalResult verify();
  LogicalResult verifyWeight(tfm::WeightOp weight, const Program &program);
  LogicalResult verifyCall(func::CallOp call, const SymbolTable &symbols);
};

LogicalResult VerifyModel::verifyWeight(tfm::WeightOp weight,
                                        const Program &program) {
  tfm::DefineOp define = program.defines.lookup(weight.getNameAttr());
  if (!define)
    return weight.emitOpError("program_c3: '")
           << weight.getName() << "' is not defined in @weights";
  if (define.getValue().getType() == weight.getType())
    return success();
  InFlightDiagnostic diagnostic = weight.emitOpError("program_c5: '")
                                  << weight.getName() << "' is "
                                  << weight.getType() << ", but defined as "
                                  << define.getValue().getType();
  diagnostic.attachNote(define.getLoc()) << "defined here";
  return diagnostic;
}

LogicalResult VerifyModel::verifyCall(func::CallOp call,
                                      const SymbolTable &symbols) {
  auto block = symbols.lookup<func::FuncOp>(call.getCallee());
  if (!block || block.isExternal())
    return call.emitOpError("program_c4: @")
           << call.getCallee() << " is no block with " << call.getNumOperands()
           << " arguments";
  for (Value operand : call.getOperands()) {
    Type type = operand.getType();
    bool isLayer = isa<tfm::CacheType>(type);
    if (isLayer && !operand.getDefiningOp<tfm::LayerCacheOp>())
      return call.emitOpError("program_c6: the cache is no layer's");
  }
  return success();
}

LogicalResult VerifyModel::verify() {
  ModuleOp module = getOperation();
  FailureOr<Program> program = Program::of(module);
  if (failed(program))
    return failure();
  SymbolTable symbols(module);
  for (auto function : module.getOps<func::FuncOp>()) {
    WalkResult result = function.walk([&](Operation *op) {
      bool inModel = function == program->model;
      LogicalResult checked = success();
      if (auto weight = dyn_cast<tfm::WeightOp>(op); weight && inModel)
        checked = verifyWeight(weight, *program);
      else if (auto call = dyn_cast<func::CallOp>(op); call && inModel)
        checked = verifyCall(call, symbols);
      else if (isa<tfm::WeightOp, func::CallOp, tfm::LogitsOp,
                   tfm::LayerCacheOp>(op) &&
               !inModel)
        checked = op->emitOpError("program_c7: stands in @")
                  << function.getName() << ", not in @model";
      else if (isa<tfm::DefineOp>(op) && function != program->weights)
        checked = op->emitOpError("program_c8: stands in @")
                  << function.getName() << ", not in @weights";
      return failed(checked) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return failure();
  }
  return success();
}

} // namespace
