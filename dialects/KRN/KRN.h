//===- KRN.h - What one target does -----------------------------*- C++ -*-===//

#ifndef QCC_DIALECTS_KRN_KRN_H
#define QCC_DIALECTS_KRN_KRN_H

#include "dialects/QNT/QNT.h"

#include "mlir/IR/SymbolTable.h"

#include "dialects/KRN/KRNDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/KRN/KRNAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/KRN/KRNTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/KRN/KRNOps.h.inc"

namespace qcc::krn {

/// Whether one launch may do both: they multiply the same input with weights of
/// one format, whose scales are not nested (what is unnested lies in one place)
/// and whose outliers are not split off.
bool arePairable(GemmOp first, GemmOp second);

/// The buffer that a chain of views looks at.
mlir::Value rootOf(mlir::Value buffer);

} // namespace qcc::krn

#endif // QCC_DIALECTS_KRN_KRN_H
