//===- Pipeline.cpp - The fuse phase --------------------------------------===//

#include "passes/fuse/Pipeline.h"

#include "mlir/Pass/PassRegistry.h"

namespace qcc {

void buildFusePipeline(mlir::OpPassManager &pm, const FuseOptions &options) {
  pm.addPass(createFormGemmsPass({std::string(options.dtype)}));
  // Before norms are folded: what is stacked reads one normed value.
  pm.addPass(createStackLinearsPass());
  // Before activations are folded: a gate's is part of the product.
  pm.addPass(createGluPass());
  auto &functions = pm.nest<mlir::func::FuncOp>();
  functions.addPass(createRopeAttentionPass());
  functions.addPass(createNormPass());
  functions.addPass(createActivationPass());
  // Before residuals, which are added last.
  functions.addPass(createMapPass());
  functions.addPass(createResidualPass());
}

void registerFusePipeline() {
  mlir::PassPipelineRegistration<FuseOptions>(
      "qcc-fuse", "The fuse phase: stack weights, fold what surrounds GEMMs",
      buildFusePipeline);
}

} // namespace qcc
