//===- Pipeline.cpp - The fuse phase --------------------------------------===//

#include "passes/fuse/Pipeline.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace qcc {

void buildFusePipeline(mlir::OpPassManager &pm, const FuseOptions &options) {
  pm.addPass(createFormGemmsPass({std::string(options.dtype)}));
}

void registerFusePipeline() {
  mlir::PassPipelineRegistration<FuseOptions>(
      "qcc-fuse", "The fuse phase: stack weights, fold what surrounds GEMMs",
      buildFusePipeline);
}

} // namespace qcc
