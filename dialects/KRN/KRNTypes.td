//===- KRNTypes.td - Buffers, targets ----------------------*- tablegen -*-===//

#ifndef KRN_TYPES_TD
#define KRN_TYPES_TD

include "dialects/KRN/KRNDialect.td"
include "mlir/IR/AttrTypeBase.td"

def KRN_TargetAttr : AttrDef<KRN_Dialect, "Target"> {
  let mnemonic = "target";
  let summary = "what passes must know about a target";
  let description = [{
    `#krn.target<"cpu", activations = "i16", kv = "f32">`. `activations` is
    what GEMMs over int codes read (`f32`, or `i16`: 16-bit fixed point in two
    int8 halves); other codes read f32. `kv` is the cache's element.
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$activations,
                        StringRefParameter<>:$kv);
  let genVerifyDecl = 1;
  let assemblyFormat = "`<` $name `,` `activations` `=` $activations `,` `kv` `=` $kv `>`";
}

def KRN_BufferType : TypeDef<KRN_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "f32 rows of activations, one a token of the step";
  let description = [{
    `!krn.buffer<576>`: rows of 576 elements; `!krn.buffer<192, stride = 960>`:
    a view of columns of wider rows.
  }];
  let parameters = (ins "int64_t":$columns, DefaultValuedParameter<"int64_t", "0">:$stride);
  let genVerifyDecl = 1;
  let assemblyFormat = "`<` $columns (`,` `stride` `=` $stride^)? `>`";
  let extraClassDeclaration = [{
    /// Elements between the starts of rows.
    int64_t rowStride() const { return getStride() ? getStride() : getColumns(); }
  }];
}

def KRN_StagedType : TypeDef<KRN_Dialect, "Staged"> {
  let mnemonic = "staged";
  let summary = "activations as a GEMM over some format reads them";
  let description = [{
    `!krn.staged<"i16", 576, group = 32, bits = 4>`: K, the weight's group
    (0: none) and code bits, which fix the padding
    (codegen/cpu/kernels/Layout.h). `split8` is LLM.int8's: rows of int8, and
    the columns that have outliers in float.
  }];
  let parameters = (ins StringRefParameter<>:$activations, "int64_t":$columns,
                        "int64_t":$group, "int64_t":$bits);
  let genVerifyDecl = 1;
  let assemblyFormat = "`<` $activations `,` $columns `,` `group` `=` $group `,` `bits` `=` $bits `>`";
}

#endif // KRN_TYPES_TD
