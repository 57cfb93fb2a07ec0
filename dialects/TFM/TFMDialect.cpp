//===- TFMDialect.cpp - Types and attributes of TFM -----------------------===//

#include "dialects/TFM/TFM.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc::tfm;

#include "dialects/TFM/TFMDialect.cpp.inc"
#include "dialects/TFM/TFMEnums.cpp.inc"
#include "dialects/TFM/TFMInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/TFM/TFMAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/TFM/TFMTypes.cpp.inc"

void TFMDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/TFM/TFMTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/TFM/TFMAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/TFM/TFMOps.cpp.inc"
      >();
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t heads, int64_t dim, Type element,
                                int64_t window) {
  if (heads < 1 || dim < 1)
    return emitError() << "cache_c1: a cache of " << heads << " heads of "
                       << dim << " elements is empty";
  if (!isa<Float32Type, Float16Type, BFloat16Type>(element))
    return emitError() << "cache_c2: elements are f32, f16 or bf16, not "
                       << element;
  if (window < 0)
    return emitError() << "cache_c3: window " << window << " is negative";
  return success();
}

LogicalResult
LengthScalingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                          int64_t original, FloatAttr factor) {
  if (original < 1)
    return emitError() << "length_scaling_c1: a length of " << original;
  if (factor && !(factor.getValueAsDouble() >= 1))
    return emitError() << "length_scaling_c2: factor "
                       << factor.getValueAsDouble() << " is less than 1";
  return success();
}
