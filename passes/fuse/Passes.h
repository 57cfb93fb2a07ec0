//===- Passes.h - Passes of the fuse phase ----------------------*- C++ -*-===//

#ifndef QCC_PASSES_FUSE_PASSES_H
#define QCC_PASSES_FUSE_PASSES_H

#include "dialects/QNT/QNT.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qcc {

#define GEN_PASS_DECL
#include "passes/fuse/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

#endif // QCC_PASSES_FUSE_PASSES_H
