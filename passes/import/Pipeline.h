//===- Pipeline.h - The import phase ----------------------------*- C++ -*-===//

#ifndef QCC_PASSES_IMPORT_PIPELINE_H
#define QCC_PASSES_IMPORT_PIPELINE_H

#include "passes/import/Passes.h"

#include "mlir/Pass/PassManager.h"

namespace qcc {

/// From what a frontend built to a checked, canonical program.
void buildImportPipeline(mlir::OpPassManager &pm);

/// Registers `--qcc-import`.
void registerImportPipeline();

} // namespace qcc

#endif // QCC_PASSES_IMPORT_PIPELINE_H
