//===- QuantizeInt8.cpp - Quantizes weights as LLM.int8 does --------------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

#include <cmath>

namespace qcc {

#define GEN_PASS_DEF_QUANTIZEINT8PASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;

namespace {

struct QuantizeInt8 : qcc::impl::QuantizeInt8PassBase<QuantizeInt8> {
  using Base::Base;

  void runOnOperation() override {
    if (!(threshold >= 0) || !std::isfinite(double(threshold))) {
      getOperation().emitError("quantize_int8_c1: the threshold ")
          << double(threshold)
          << " is neither 0 (no outliers) nor positive and finite";
      return signalPassFailure();
    }
    FailureOr<int64_t> count =
        qcc::quantizeSelected(getOperation(), "int8", float(threshold));
    if (failed(count))
      return signalPassFailure();
    quantized += *count;
  }
};

} // namespace
