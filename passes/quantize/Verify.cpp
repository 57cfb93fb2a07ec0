//===- Verify.cpp - Checks that what was selected is quantized ------------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

namespace qcc {

#define GEN_PASS_DEF_VERIFYQUANTIZEDPASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// A definition with a scheme is packed in its format.
LogicalResult checkDefine(tfm::DefineOp define) {
  auto scheme = define->getAttrOfType<qnt::SchemeAttr>(qnt::kSchemeAttrName);
  if (!scheme)
    return success();
  auto packed = dyn_cast<qnt::PackedType>(define.getValue().getType());
  if (!packed)
    return define.emitOpError("quantized_c1: '")
           << define.getName() << "' is selected for " << scheme.getMethod()
           << " but not quantized";
  if (packed.getFormat() != scheme.getFormat())
    return define.emitOpError("quantized_c2: '")
           << define.getName() << "' is "
           << packed.getFormat().getValue().mangled()
           << " where the scheme says "
           << scheme.getFormat().getValue().mangled();
  return success();
}

/// Readers that have not followed a weight's change of type.
LogicalResult checkReader(Operation *op) {
  if (auto linear = dyn_cast<tfm::LinearOp>(op))
    if (isa<qnt::PackedType>(linear.getWeight().getType()))
      return linear.emitOpError("quantized_c4: reads a packed weight; that is "
                                "qnt.dequant_gemm's");
  if (auto embedding = dyn_cast<tfm::EmbeddingOp>(op)) {
    auto packed = dyn_cast<qnt::PackedType>(embedding.getTable().getType());
    if (packed && packed.getFormat().getValue().isQuantized())
      return embedding.emitOpError("quantized_c5: the table is ")
             << packed.getFormat().getValue().mangled()
             << "; tables are not quantized";
  }
  return success();
}

struct VerifyQuantized : qcc::impl::VerifyQuantizedPassBase<VerifyQuantized> {
  using Base::Base;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    FailureOr<Program> program = Program::of(getOperation());
    if (failed(program))
      return signalPassFailure();
    for (auto &[name, define] : program->defines)
      if (failed(checkDefine(define)))
        return signalPassFailure();
    for (auto weight : program->model.getOps<tfm::WeightOp>()) {
      tfm::DefineOp define = program->defines.lookup(weight.getNameAttr());
      if (define && define.getValue().getType() == weight.getType())
        continue;
      InFlightDiagnostic diagnostic = weight.emitOpError("quantized_c3: '")
                                      << weight.getName() << "' is "
                                      << weight.getType();
      if (define)
        diagnostic.attachNote(define.getLoc())
            << "defined as " << define.getValue().getType();
      else
        diagnostic << ", but not defined";
      return signalPassFailure();
    }
    WalkResult result = getOperation().walk([](Operation *op) {
      return failed(checkReader(op)) ? WalkResult::interrupt()
                                     : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
