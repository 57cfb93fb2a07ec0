//===- Passes.h - Passes of the import phase --------------------*- C++ -*-===//

#ifndef QCC_PASSES_IMPORT_PASSES_H
#define QCC_PASSES_IMPORT_PASSES_H

#include "dialects/TFM/TFM.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qcc {

#define GEN_PASS_DECL
#include "passes/import/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/import/Passes.h.inc"

} // namespace qcc

#endif // QCC_PASSES_IMPORT_PASSES_H
