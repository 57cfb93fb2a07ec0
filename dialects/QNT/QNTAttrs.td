//===- QNTAttrs.td - Formats, schemes, layouts -------------*- tablegen -*-===//

#ifndef QNT_ATTRS_TD
#define QNT_ATTRS_TD

include "dialects/QNT/QNTDialect.td"
include "mlir/IR/AttrTypeBase.td"

class QNT_Attr<string name, string attrMnemonic> : AttrDef<QNT_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def QNT_FormatAttr : QNT_Attr<"Format", "format"> {
  let summary = "how a packed weight is stored";
  let description = [{
    The IR form of `qrt::Format` (runtime/formats/Format.h):
    `#qnt.format<int4, group = 128, zero>`, `#qnt.format<nf4, block = 64>`,
    `#qnt.format<int8, row>`, `#qnt.format<bf16>`; `scale = f32` where the
    scale's type is not the code's default, `absmax = u8/256` where scales are
    8-bit codes with a nested scale for every 256 of them. docs/formats.md has the
    constraints that the verifier names.
  }];
  let parameters = (ins "::qrt::Format":$value);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def QNT_SchemeAttr : QNT_Attr<"Scheme", "scheme"> {
  let summary = "what to do to a linear: a method and its format";
  let description = [{
    `#qnt.scheme<"rtn", #qnt.format<int4, group = 128>>`. Methods: `rtn`,
    `gptq`, `bnb`, `int8`. `qnt-select` puts it on the `tfm.define` of each
    selected linear.
  }];
  let parameters = (ins StringRefParameter<>:$method, "::qcc::qnt::FormatAttr":$format,
                        DefaultValuedParameter<"bool", "false">:$mse);
  let assemblyFormat = "`<` $method `,` $format `` custom<MseFlag>($mse) `` `>`";
  let genVerifyDecl = 1;
}

#endif // QNT_ATTRS_TD
