//===- TFMAttrs.td - Attributes of the transformer dialect -*- tablegen -*-===//

#ifndef TFM_ATTRS_TD
#define TFM_ATTRS_TD

include "dialects/TFM/TFMDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class TFM_Attr<string name, string attrMnemonic> : AttrDef<TFM_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def TFM_Activation : I32EnumAttr<"Activation", "an activation function", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"Silu", 1, "silu">,
    I32EnumAttrCase<"Gelu", 2, "gelu">,
    I32EnumAttrCase<"GeluTanh", 3, "gelu_tanh">,
    I32EnumAttrCase<"Relu", 4, "relu">,
    I32EnumAttrCase<"GeluQuick", 5, "gelu_quick">,
    I32EnumAttrCase<"Sigmoid", 6, "sigmoid">,
    I32EnumAttrCase<"Tanh", 7, "tanh">]> {
  let cppNamespace = "::qcc::tfm";
  let genSpecializedAttr = 0;
}
def TFM_ActivationAttr : EnumAttr<TFM_Dialect, TFM_Activation, "act"> {
  let assemblyFormat = "$value";
}

def TFM_ParamAttr : TFM_Attr<"Param", "param"> {
  let summary = "a tensor of a checkpoint, by scope and key";
  let description = [{
    `#tfm.param<"checkpoint"::"model.norm.weight">`. The scope says where
    the weight stream looks: `checkpoint` (the frontend's files), `random`
    (made from the seed) or `constant` (values that the frontend computed).
  }];
  let parameters = (ins StringRefParameter<>:$scope, StringRefParameter<>:$key);
  let assemblyFormat = "`<` $scope `` `:` `` `:` `` $key `>`";
}

def TFM_ModelAttr : TFM_Attr<"Model", "model"> {
  let summary = "facts about the model that the artifact records";
  let parameters = (ins StringRefParameter<>:$architecture, "int64_t":$vocabulary,
      "int64_t":$hidden, "int64_t":$layers, "int64_t":$heads, "int64_t":$kvHeads,
      "int64_t":$headDim, "int64_t":$intermediate, "int64_t":$contextLength);
  let assemblyFormat = [{
    `<` struct($architecture, $vocabulary, $hidden, $layers, $heads, $kvHeads, $headDim, $intermediate)
    `,` `context` `=` $contextLength `>`
  }];
}

#endif // TFM_ATTRS_TD
