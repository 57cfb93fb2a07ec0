//===- QNT.h - Formats and what is done to weights --------------*- C++ -*-===//

#ifndef QCC_DIALECTS_QNT_QNT_H
#define QCC_DIALECTS_QNT_QNT_H

#include "dialects/TFM/TFM.h"
#include "runtime/formats/Format.h"

#include "llvm/ADT/Hashing.h"

namespace qrt {
/// Lets attributes that hold a format be uniqued.
inline llvm::hash_code hash_value(const Format &format) {
  return llvm::hash_combine(format.code, format.group, format.flattened,
                            format.zero, format.scale, format.nested);
}
} // namespace qrt

#include "dialects/QNT/QNTDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/QNT/QNTAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/QNT/QNTTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/QNT/QNTOps.h.inc"

namespace qcc::qnt {

/// The discardable attribute of `tfm.define` that `qnt-select` sets: a
/// SchemeAttr.
inline constexpr llvm::StringLiteral kSchemeAttrName = "qnt.scheme";

/// The discardable attribute (f32) of a `tfm.logits` whose weight
/// `qnt-quantize-int8` quantized: what `qnt.outlier_gemm` says of a linear.
inline constexpr llvm::StringLiteral kOutlierThresholdAttrName =
    "qnt.outlier_threshold";

/// The unscaled format of a float type (f32, f16 or bf16; f64 is stored as
/// f32).
qrt::Format unscaledFormat(mlir::Type element);

/// The type of codes, scales and zero points of a [rows, columns] weight in a
/// quantized format, before packing. `zeros` are the zero points, or the nested
/// scales with their offset as the last element, or null.
struct UnpackedTypes {
  mlir::RankedTensorType codes, scales, zeros;
};
UnpackedTypes unpackedTypes(mlir::MLIRContext *context,
                            const qrt::Format &format, int64_t rows,
                            int64_t columns);

/// Why `method` (rtn, bnb, int8) cannot produce `format`, as "scheme_c1: ...";
/// empty if it can.
std::string schemeViolation(llvm::StringRef method, const qrt::Format &format,
                            bool mse);

} // namespace qcc::qnt

#endif // QCC_DIALECTS_QNT_QNT_H
