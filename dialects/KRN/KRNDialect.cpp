//===- KRNDialect.cpp - Types and attributes of KRN -----------------------===//

#include "dialects/KRN/KRN.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc::krn;

#include "dialects/KRN/KRNDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/KRN/KRNAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/KRN/KRNTypes.cpp.inc"

void KRNDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/KRN/KRNTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/KRN/KRNAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/KRN/KRNOps.cpp.inc"
      >();
}

/// What GEMMs may read.
static bool isActivations(StringRef name) {
  return llvm::is_contained({"f32", "f16", "bf16", "i16", "i8"}, name);
}

LogicalResult TargetAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, StringRef activations,
                                 StringRef kv) {
  if (name.empty())
    return emitError() << "target_c1: the name is empty";
  if (!isActivations(activations))
    return emitError() << "target_c2: unknown activations '" << activations
                       << "' (f32, f16, bf16, i16, i8)";
  if (!llvm::is_contained({"f32", "f16", "bf16"}, kv))
    return emitError() << "target_c3: unknown kv element '" << kv
                       << "' (f32, f16, bf16)";
  return success();
}

LogicalResult BufferType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t columns, int64_t stride) {
  if (columns < 1)
    return emitError() << "buffer_c1: " << columns << " columns";
  if (stride && stride < columns)
    return emitError() << "buffer_c2: rows of " << columns
                       << " columns overlap at stride " << stride;
  return success();
}

LogicalResult StagedType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef activations, int64_t columns,
                                 int64_t group, int64_t bits) {
  if (!isActivations(activations) && activations != "split8")
    return emitError() << "staged_c1: unknown activations '" << activations
                       << "' (f32, f16, bf16, i16, i8, split8)";
  if (columns < 1)
    return emitError() << "staged_c2: " << columns << " columns";
  if (group < 0)
    return emitError() << "staged_c3: group " << group << " is negative";
  if (!llvm::is_contained({2, 3, 4, 8, 16, 32}, bits))
    return emitError() << "staged_c4: no code has " << bits << " bits";
  return success();
}
