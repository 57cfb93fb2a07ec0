//===- TFMTypes.td - Types of the transformer dialect ------*- tablegen -*-===//

#ifndef TFM_TYPES_TD
#define TFM_TYPES_TD

include "dialects/TFM/TFMDialect.td"
include "dialects/TFM/TFMInterfaces.td"
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
    Example: `!tfm.cache<8 by 128 by f32, window = 4096>`.
  }];
  let parameters = (ins "int64_t":$heads, "int64_t":$dim, "::mlir::Type":$element,
                        DefaultValuedParameter<"int64_t", "0">:$window);
  let assemblyFormat = "`<` $heads `by` $dim `by` $element (`,` `window` `=` $window^)? `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// What operands may be
//===----------------------------------------------------------------------===//

/// Activations: [tokens, features] of f32.
def TFM_Activations : Type<
    And<[RankedTensorOf<[F32]>.predicate, HasAnyRankOfPred<[2]>]>,
    "2-D tensor of f32 with the tokens of the step first",
    "::mlir::RankedTensorType">;
/// Weights: 1-D or 2-D, [outputs, inputs] as PyTorch's nn.Linear.
def TFM_Weight : Type<
    And<[RankedTensorOf<[F32, F16, BF16, F64]>.predicate,
         HasAnyRankOfPred<[1, 2]>, HasStaticShapePred]>,
    "static 1-D or 2-D tensor of floats", "::mlir::RankedTensorType">;
/// Any stored value: a weight, or one that a pass has packed.
def TFM_Stored : Type<
    Or<[TFM_Weight.predicate,
        CPred<"::llvm::isa<::qcc::tfm::StoredTypeInterface>($_self)">]>,
    "weight, packed or not">;

#endif // TFM_TYPES_TD
