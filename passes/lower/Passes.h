//===- Passes.h - Passes of the lower phase ---------------------*- C++ -*-===//

#ifndef QCC_PASSES_LOWER_PASSES_H
#define QCC_PASSES_LOWER_PASSES_H

#include "dialects/KRN/KRN.h"

#include "mlir/Pass/Pass.h"

namespace qcc {

#define GEN_PASS_DECL
#include "passes/lower/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/lower/Passes.h.inc"

} // namespace qcc

#endif // QCC_PASSES_LOWER_PASSES_H
