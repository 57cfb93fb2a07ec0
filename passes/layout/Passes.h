//===- Passes.h - Passes of the layout phase ---------------------*- C++ -*-===//

#ifndef QCC_PASSES_LAYOUT_PASSES_H
#define QCC_PASSES_LAYOUT_PASSES_H

#include "dialects/QNT/QNT.h"

#include "mlir/Pass/Pass.h"

namespace qcc {

#define GEN_PASS_DECL
#include "passes/layout/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/layout/Passes.h.inc"

} // namespace qcc

#endif // QCC_PASSES_LAYOUT_PASSES_H
