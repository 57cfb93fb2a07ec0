//===- QuantizeBnb.cpp - Quantizes weights as bitsandbytes does ---------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

namespace qcc {

#define GEN_PASS_DEF_QUANTIZEBNBPASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;

namespace {

struct QuantizeBnb : qcc::impl::QuantizeBnbPassBase<QuantizeBnb> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<int64_t> count = qcc::quantizeSelected(getOperation(), "bnb");
    if (failed(count))
      return signalPassFailure();
    quantized += *count;
  }
};

} // namespace
