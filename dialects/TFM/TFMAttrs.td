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
    I32EnumAttrCase<"Tanh", 7, "tanh">,
    I32EnumAttrCase<"Relu2", 8, "relu2">,
    I32EnumAttrCase<"Relu6", 9, "relu6">,
    I32EnumAttrCase<"LeakyRelu", 10, "leaky_relu">,
    I32EnumAttrCase<"HardSwish", 11, "hardswish">,
    I32EnumAttrCase<"Mish", 12, "mish">,
    I32EnumAttrCase<"Gelu10", 13, "gelu_10">]> {
  let cppNamespace = "::qcc::tfm";
  let genSpecializedAttr = 0;
}
def TFM_ActivationAttr : EnumAttr<TFM_Dialect, TFM_Activation, "act"> {
  let assemblyFormat = "$value";
}

def TFM_MapKind : I32EnumAttr<"MapKind", "a function of one parameter", [
    I32EnumAttrCase<"Scale", 0, "scale">,
    I32EnumAttrCase<"SoftCap", 1, "soft_cap">,
    I32EnumAttrCase<"Clamp", 2, "clamp">]> {
  let cppNamespace = "::qcc::tfm";
  let genSpecializedAttr = 0;
}
def TFM_MapKindAttr : EnumAttr<TFM_Dialect, TFM_MapKind, "map_kind"> {
  let assemblyFormat = "$value";
}

def TFM_LengthScalingAttr : TFM_Attr<"LengthScaling", "length_scaling"> {
  let summary = "rotary frequencies that depend on the sequence's length";
  let description = [{
    There are two sets of frequencies, one after the other; the second serves
    sequences of L > `original` positions, those of the running call included.
    `<original = 4096>` is LongRoPE (Ding et al. 2024). With a factor,
    `<original = 4096, factor = 2.0 : f32>`, frequency i of n of the second set
    is multiplied by (factor L / original - factor + 1) to the power
    -i / (n - 1): dynamic NTK scaling.
  }];
  let parameters = (ins "int64_t":$original, OptionalParameter<"::mlir::FloatAttr">:$factor);
  let assemblyFormat = "`<` `original` `=` $original (`,` `factor` `=` $factor^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// 0 if there is none.
    float factor() const {
      return getFactor() ? float(getFactor().getValueAsDouble()) : 0.0f;
    }
  }];
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
