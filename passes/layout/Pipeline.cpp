//===- Pipeline.cpp - The layout phase ------------------------------------===//

#include "passes/layout/Pipeline.h"

namespace qcc {

void buildLayoutPipeline(mlir::OpPassManager &pm) {
  pm.addPass(createLayoutWeightsPass());
}

} // namespace qcc
