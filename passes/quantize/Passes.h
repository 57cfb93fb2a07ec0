//===- Passes.h - Passes of the quantize phase ------------------*- C++ -*-===//

#ifndef QCC_PASSES_QUANTIZE_PASSES_H
#define QCC_PASSES_QUANTIZE_PASSES_H

#include "dialects/QNT/QNT.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qcc {

#define GEN_PASS_DECL
#include "passes/quantize/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

#endif // QCC_PASSES_QUANTIZE_PASSES_H
