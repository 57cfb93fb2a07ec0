//===- Pipeline.h - The lower phase -----------------------------*- C++ -*-===//

#ifndef QCC_PASSES_LOWER_PIPELINE_H
#define QCC_PASSES_LOWER_PIPELINE_H

#include "passes/lower/Passes.h"

#include "mlir/Pass/PassManager.h"

namespace qcc {

/// From a laid-out program to programs whose phases and buffers are all
/// decided, one for each of `targets`.
void buildLowerPipeline(mlir::OpPassManager &pm,
                        mlir::ArrayRef<LowerToKRNPassOptions> targets);

} // namespace qcc

#endif // QCC_PASSES_LOWER_PIPELINE_H
