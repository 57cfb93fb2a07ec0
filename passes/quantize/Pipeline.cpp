//===- Pipeline.cpp - The quantize phase ----------------------------------===//

#include "passes/quantize/Pipeline.h"

#include "mlir/Pass/PassRegistry.h"

namespace qcc {

void buildQuantizePipeline(mlir::OpPassManager &pm,
                           const QuantizeOptions &options) {
  SelectPassOptions select;
  select.rules.assign(options.rules.begin(), options.rules.end());
  select.defaultScheme = options.defaultScheme;
  select.lmHead = options.lmHead;
  pm.addPass(createSelectPass(select));
  // One pass a method; each takes what is selected for it, so that a table of
  // rules may mix them.
  pm.addPass(createQuantizeRtnPass());
  pm.addPass(createQuantizeBnbPass());
  QuantizeGptqPassOptions gptq;
  gptq.order = options.order;
  gptq.staticGroups = options.staticGroups;
  gptq.damp = options.damp;
  gptq.trueSequential = options.trueSequential;
  gptq.refine = options.refine;
  pm.addPass(createQuantizeGptqPass(gptq));
  QuantizeInt8PassOptions int8;
  int8.threshold = options.outlierThreshold;
  pm.addPass(createQuantizeInt8Pass(int8));
  pm.addPass(createVerifyQuantizedPass());
}

void registerQuantizePipeline() {
  mlir::PassPipelineRegistration<QuantizeOptions>(
      "qcc-quantize", "The quantize phase: select, quantize, verify",
      buildQuantizePipeline);
}

} // namespace qcc
