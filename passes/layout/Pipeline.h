//===- Pipeline.h - The layout phase ----------------------------*- C++ -*-===//

#ifndef QCC_PASSES_LAYOUT_PIPELINE_H
#define QCC_PASSES_LAYOUT_PIPELINE_H

#include "passes/layout/Passes.h"

#include "mlir/Pass/PassManager.h"

namespace qcc {

/// From a fused program to one whose weights lie as the target reads them.
void buildLayoutPipeline(mlir::OpPassManager &pm);

} // namespace qcc

#endif // QCC_PASSES_LAYOUT_PIPELINE_H
