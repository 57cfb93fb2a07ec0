//===- QNTTypes.td - Packed weights ------------------------*- tablegen -*-===//

#ifndef QNT_TYPES_TD
#define QNT_TYPES_TD

include "dialects/QNT/QNTAttrs.td"
include "dialects/TFM/TFMInterfaces.td"

def QNT_PackedType : TypeDef<QNT_Dialect, "Packed",
    [DeclareTypeInterfaceMethods<TFM_StoredTypeInterface>]> {
  let mnemonic = "packed";
  let summary = "a weight in a format, before or after layout";
  let description = [{
    `!qnt.packed<64 by 128, #qnt.format<int4, group = 128>>`: rows, columns and
    format of a weight. `layout` is empty until the layout phase says how the
    bytes lie: `"t16"` (tiles of 16 rows, codegen/cpu/kernels/kernels.h) or
    `"rows"` (plain row-major).
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$columns,
                        "::qcc::qnt::FormatAttr":$format,
                        OptionalParameter<"::mlir::StringAttr">:$layout);
  let assemblyFormat = "`<` $rows `by` $columns `,` $format (`,` `layout` `=` $layout^)? `>`";
  let genVerifyDecl = 1;
}

#endif // QNT_TYPES_TD
