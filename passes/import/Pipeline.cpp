//===- Pipeline.cpp - The import phase ------------------------------------===//

#include "passes/import/Pipeline.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace qcc {

void buildImportPipeline(mlir::OpPassManager &pm) {
  // First: a frontend's mistake is reported as that, not two phases later.
  pm.addPass(createVerifyModelPass());
  pm.addPass(mlir::createCanonicalizerPass());
}

void registerImportPipeline() {
  mlir::PassPipelineRegistration<>("qcc-import",
                                   "The import phase: verify, canonicalize",
                                   buildImportPipeline);
}

} // namespace qcc
