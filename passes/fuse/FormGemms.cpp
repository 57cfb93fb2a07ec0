//===- FormGemms.cpp - Makes a fused GEMM of every matrix product ---------===//
//
// From here on all weights are packed and all products are one operation, so
// that the other fusions look at one op only.
//
//===----------------------------------------------------------------------===//

#include "passes/fuse/Passes.h"
#include "passes/quantize/Utils.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

namespace qcc {

#define GEN_PASS_DEF_FORMGEMMSPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct FormGemms : qcc::impl::FormGemmsPassBase<FormGemms> {
  using Base::Base;

  void runOnOperation() override;

private:
  LogicalResult parseDtype();
  void packDefine(tfm::DefineOp define);
  /// Replaces `op` by a GEMM with nothing fused but what it says itself.
  qnt::FusedGemmOp form(Operation *op, Value input, Value weight, Value bias,
                        Value step, Value order, FloatAttr outlierThreshold);

  /// The format of unquantized matrices, if it is not the stored one.
  std::optional<qrt::Format> matrixFormat;
};

LogicalResult FormGemms::parseDtype() {
  matrixFormat.reset();
  if (dtype.empty())
    return success();
  qrt::Format format;
  if (dtype == "f16")
    format.code = qrt::Code::F16;
  else if (dtype == "bf16")
    format.code = qrt::Code::BF16;
  else if (dtype != "f32")
    return getOperation().emitError("form_gemms_c1: unknown dtype '")
           << dtype << "' (f32, f16, bf16)";
  matrixFormat = format;
  return success();
}

void FormGemms::packDefine(tfm::DefineOp define) {
  auto type = dyn_cast<RankedTensorType>(define.getValue().getType());
  if (!type)
    return;
  // Vectors (norms, biases, frequencies) weigh nothing: they are kept exact.
  qrt::Format format;
  if (type.getRank() == 2)
    format = matrixFormat.value_or(qnt::unscaledFormat(type.getElementType()));
  auto [rows, columns] = tfm::storedShape(type);
  OpBuilder b(define);
  auto packed = qnt::PackedType::get(
      &getContext(), rows, columns, qnt::FormatAttr::get(&getContext(), format),
      StringAttr());
  define.getValueMutable().assign(
      qnt::ConvertOp::create(b, define.getLoc(), packed, define.getValue()));
}

qnt::FusedGemmOp FormGemms::form(Operation *op, Value input, Value weight,
                                 Value bias, Value step, Value order,
                                 FloatAttr outlierThreshold) {
  OpBuilder b(op);
  Type result = op->getResult(0).getType();
  int64_t split = tfm::features(cast<RankedTensorType>(result));
  auto gemm = qnt::FusedGemmOp::create(
      b, op->getLoc(), TypeRange(result), input, weight, step, bias, order,
      split);
  if (outlierThreshold)
    gemm.setOutlierThresholdAttr(outlierThreshold);
  op->replaceAllUsesWith(gemm);
  ++formed;
  return gemm;
}

void FormGemms::runOnOperation() {
  ModuleOp module = getOperation();
  FailureOr<Program> program = Program::of(module);
  if (failed(program) || failed(parseDtype()))
    return signalPassFailure();
  for (auto &[name, define] : program->defines)
    packDefine(define);
  if (failed(propagateWeightTypes(module)))
    return signalPassFailure();

  WalkResult result = module.walk([&](Operation *op) {
    Value input, weight, bias, step, order;
    FloatAttr threshold;
    llvm::TypeSwitch<Operation *>(op)
        .Case<tfm::LinearOp, qnt::DequantGemmOp>([&](auto product) {
          input = product.getInput();
          weight = product.getWeight();
          bias = product.getBias();
          if (auto gemm = dyn_cast<qnt::DequantGemmOp>(op))
            order = gemm.getOrder();
        })
        .Case([&](qnt::OutlierGemmOp product) {
          input = product.getInput();
          weight = product.getWeight();
          bias = product.getBias();
          threshold = product.getThresholdAttr();
        })
        .Case([&](tfm::LogitsOp logits) {
          step = logits.getStep();
          input = logits.getInput();
          weight = logits.getWeight();
          bias = logits.getBias();
          threshold =
              logits->getAttrOfType<FloatAttr>(qnt::kOutlierThresholdAttrName);
        });
    if (!input)
      return WalkResult::advance();
    if (!isa<qnt::PackedType>(weight.getType())) {
      op->emitOpError("form_gemms_c2: the weight comes from no tfm.define");
      return WalkResult::interrupt();
    }
    qnt::FusedGemmOp gemm = 
        form(op, input, weight, bias, step, order, threshold);
    if (auto logits = dyn_cast<tfm::LogitsOp>(op)) {
      gemm.setMultiplierAttr(logits.getMultiplierAttr());
      gemm.setSoftCapAttr(logits.getSoftCapAttr());
    }
    op->erase();
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}

} // namespace
