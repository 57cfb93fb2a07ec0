//===- TFMTypes.td - Types of the transformer dialect ------*- tablegen -*-===//

#ifndef TFM_TYPES_TD
#define TFM_TYPES_TD

include "dialects/TFM/TFMDialect.td"
include "mlir/IR/AttrTypeBase.td"

class TFM_Type<string name, string typeMnemonic, list<Trait> traits = []>
    : TypeDef<TFM_Dialect, name, traits> {
  let mnemonic = typeMnemonic;
}

def TFM_StepType : TFM_Type<"Step", "step"> {
  let summary = "the tokens of one step";
  let description = [{
    Positions, bounds of the sequences, the KV cache of each and the rows that
    want logits. One program serves one sequence, a batch or a server.
  }];
}

def TFM_CacheType : TFM_Type<"Cache", "cache"> {
  let summary = "the KV cache of one layer";
  let description = [{
    Keys and values of `heads` kv heads of `dim` elements of type `element`.
    A `window` other than 0 says that only the last `window` positions are
    attended to. The capacity is set when a session is created.
    Example: `!tfm.cache<8 x 128 x f32, window = 4096>`.
  }];
  let parameters = (ins "int64_t":$heads, "int64_t":$dim, "::mlir::Type":$element,
                        DefaultValuedParameter<"int64_t", "0">:$window);
  let assemblyFormat = "`<` $heads `by` $dim `by` $element (`,` `window` `=` $window^)? `>`";
  let genVerifyDecl = 1;
}

#endif // TFM_TYPES_TD
