//===- QuantizeRtn.cpp - Rounds weights to the nearest code -------------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

namespace qcc {

#define GEN_PASS_DEF_QUANTIZERTNPASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;

namespace {

struct QuantizeRtn : qcc::impl::QuantizeRtnPassBase<QuantizeRtn> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<int64_t> count = qcc::quantizeSelected(getOperation(), "rtn");
    if (failed(count))
      return signalPassFailure();
    quantized += *count;
  }
};

} // namespace
