//===- TFMOps.td - Operations of the transformer dialect ---*- tablegen -*-===//

#ifndef TFM_OPS_TD
#define TFM_OPS_TD

include "dialects/TFM/TFMAttrs.td"
include "dialects/TFM/TFMTypes.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class TFM_Op<string opMnemonic, list<Trait> traits = []>
    : Op<TFM_Dialect, opMnemonic, traits>;

//===----------------------------------------------------------------------===//
// @weights: what happens to weights
//===----------------------------------------------------------------------===//

def TFM_ParamOp : TFM_Op<"param", [Pure]> {
  let summary = "a tensor of the checkpoint";
  let description = [{
    ```mlir
    %0 = tfm.param <"checkpoint"::"model.norm.weight"> : tensor<64xbf16>
    ```
    The type is that of the stored tensor. No bytes are in the IR: the weight
    stream reads them when it executes `@weights`.
  }];
  let arguments = (ins TFM_ParamAttr:$source);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = "$source attr-dict `:` type($result)";
}

def TFM_SliceRowsOp : TFM_Op<"slice_rows", [Pure]> {
  let summary = "some rows of a weight (or elements of a vector)";
  let description = [{
    Rows `offset .. offset + result rows` of each block of `stride` rows;
    without a stride, of the whole. Splits fused QKV matrices:
    ```mlir
    %k = tfm.slice_rows %qkv [32, 48] : tensor<128x64xbf16> -> tensor<32x64xbf16>
    ```
    takes rows 32..79; with `[32, 16 stride 64]`, rows 32..47 of each block
    of 64 rows.
  }];
  let arguments = (ins TFM_Weight:$input, I64Attr:$offset, I64Attr:$size,
                       DefaultValuedAttr<I64Attr, "0">:$stride);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = [{
    $input `[` $offset `,` $size (`stride` $stride^)? `]` attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def TFM_ConcatRowsOp : TFM_Op<"concat_rows", [Pure]> {
  let summary = "weights one under the other";
  let arguments = (ins Variadic<TFM_Weight>:$inputs);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = "$inputs attr-dict `:` type($inputs) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def TFM_TransposeOp : TFM_Op<"transpose", [Pure]> {
  let summary = "a weight stored as [inputs, outputs] (GPT-2's Conv1D)";
  let arguments = (ins TFM_Weight:$input);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def TFM_UnpermuteRotaryOp : TFM_Op<"unpermute_rotary", [Pure, SameOperandsAndResultType]> {
  let summary = "undoes the row order that GGUF gives rotary projections";
  let description = [{
    GGUF stores the rows of each head of q and k of Llama models as pairs
    (i, i + d/2) next to each other; this puts them back into halves: row
    2 * i + j of a head becomes row j * d/2 + i, d = rows / heads.
  }];
  let arguments = (ins TFM_Weight:$input, I64Attr:$heads);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = "$input `heads` $heads attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def TFM_DefineOp : TFM_Op<"define"> {
  let summary = "names a value of @weights so that the program can use it";
  let description = [{
    ```mlir
    tfm.define "layers.0.q" = %0 of "model.layers.0.self_attn.q_proj" : tensor<64x64xbf16>
    ```
    `module` is the checkpoint's own module, for selection, logs and tools;
    `modules` are all of them where the value is made of several. One name is
    defined once.
  }];
  let arguments = (ins StrAttr:$name, TFM_Stored:$value, OptionalAttr<StrAttr>:$module,
                       OptionalAttr<StrArrayAttr>:$modules);
  let assemblyFormat = [{
    $name `=` $value (`of` $module^)? (`modules` $modules^)? attr-dict `:` type($value)
  }];
  let builders = [OpBuilder<(ins "::mlir::StringAttr":$name, "::mlir::Value":$value,
                                 "::mlir::StringAttr":$module),
      [{ build($_builder, $_state, name, value, module, ::mlir::ArrayAttr()); }]>];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

def TFM_WeightOp : TFM_Op<"weight", [Pure]> {
  let summary = "a weight that @weights defines";
  let description = [{
    `%w = tfm.weight "layers.0.q" : tensor<64x64xbf16>`; the type is that of
    the `tfm.define` of the same name.
  }];
  let arguments = (ins StrAttr:$name);
  let results = (outs TFM_Stored:$result);
  let assemblyFormat = "$name attr-dict `:` type($result)";
}

def TFM_LayerCacheOp : TFM_Op<"layer_cache", [Pure]> {
  let summary = "the KV cache of a layer";
  let arguments = (ins I64Attr:$layer);
  let results = (outs TFM_CacheType:$result);
  let assemblyFormat = "$layer attr-dict `:` qualified(type($result))";
}

def TFM_EmbeddingOp : TFM_Op<"embedding", [Pure]> {
  let summary = "rows of the embedding table";
  let description = [{
    The row of each token, times `multiplier`; with `positions`, the row of its
    position plus `offset` (learned positions).
    ```mlir
    %0 = tfm.embedding %step, %table : tensor<320x64xf32> -> tensor<?x64xf32>
    %1 = tfm.embedding %step, %wpe positions {offset = 2 : i64} : tensor<130x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins TFM_StepType:$step, TFM_Stored:$table,
                       DefaultValuedAttr<F32Attr, "1.0">:$multiplier, UnitAttr:$positions,
                       DefaultValuedAttr<I64Attr, "0">:$offset);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "$step `,` $table (`positions` $positions^)? attr-dict `:` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def TFM_RMSNormOp : TFM_Op<"rms_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "root-mean-square normalization (Zhang and Sennrich 2019)";
  let description = [{
    x / sqrt(mean(x^2) + eps) * (offset + weight), over each row, or over each
    of `heads` equal slices of it when `heads` is not 1 (q and k norms; the
    weight then has features / heads elements, or features: a part a slice).
  }];
  let arguments = (ins TFM_Activations:$input, TFM_Stored:$weight, F32Attr:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$offset,
                       DefaultValuedAttr<I64Attr, "1">:$heads);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "$input `,` $weight `eps` $eps attr-dict `:` type($input) `,` type($weight)";
  let hasVerifier = 1;
}

def TFM_LayerNormOp : TFM_Op<"layer_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "layer normalization (Ba et al. 2016)";
  let description = [{
    (x - mean(x)) / sqrt(variance(x) + eps) * (offset + weight) + bias, over
    rows or slices of them, as `tfm.rms_norm` says.
  }];
  let arguments = (ins TFM_Activations:$input, TFM_Stored:$weight,
                       Optional<TFM_Stored>:$bias, F32Attr:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$offset,
                       DefaultValuedAttr<I64Attr, "1">:$heads);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? `eps` $eps attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)?
  }];
  let hasVerifier = 1;
}

def TFM_LinearOp : TFM_Op<"linear", [Pure]> {
  let summary = "x W^T + b";
  let arguments = (ins TFM_Activations:$input, TFM_Stored:$weight,
                       Optional<TFM_Stored>:$bias);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def TFM_RopeOp : TFM_Op<"rope", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "rotary position embedding (Su et al. 2021)";
  let description = [{
    Rotates the first `rotary` dimensions of each of `heads` heads by the
    angles position * frequencies[i]; pairs are (i, i + rotary/2), or
    (2i, 2i + 1) with `interleaved`. All scaling kinds are in the frequencies
    (f32 [rotary/2], a weight of scope `constant`) and in
    `attention_factor`, which multiplies cos and sin; those that depend on the
    length of the sequence also in `length_scaling`.
  }];
  let arguments = (ins TFM_StepType:$step, TFM_Activations:$input,
                       TFM_Stored:$frequencies, I64Attr:$heads, I64Attr:$rotary,
                       UnitAttr:$interleaved,
                       DefaultValuedAttr<F32Attr, "1.0">:$attention_factor,
                       OptionalAttr<TFM_LengthScalingAttr>:$length_scaling);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $step `,` $input `,` $frequencies `heads` $heads `rotary` $rotary attr-dict `:` type($input) `,` type($frequencies)
  }];
  let hasVerifier = 1;
}

def TFM_AttentionOp : TFM_Op<"attention",
    [MemoryEffects<[MemRead, MemWrite]>, AllTypesMatch<["key", "value"]>]> {
  let summary = "appends k and v to the cache and attends to it, causally";
  let description = [{
    softmax(scale * q k^T) v over the positions of each token's own sequence
    up to its own (the last `window` of the cache's type, if that is not 0).
    q is [tokens, heads * dim], k and v are [tokens, kv_heads * dim]; heads
    share kv heads in consecutive groups (GQA, MQA). `soft_cap` c > 0 makes
    scores c * tanh(s / c). `slopes`: ALiBi (Press et al. 2022), one a head;
    with `bf16_bias` the product of slope and absolute position is rounded to
    bf16 before the scale is applied to it as well, as Falcon's is.
  }];
  let arguments = (ins TFM_StepType:$step, TFM_CacheType:$cache, TFM_Activations:$query,
                       TFM_Activations:$key, TFM_Activations:$value,
                       Optional<TFM_Stored>:$slopes, I64Attr:$heads, F32Attr:$scale,
                       DefaultValuedAttr<F32Attr, "0.0">:$soft_cap, UnitAttr:$bf16_bias);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $step `,` $cache `,` $query `,` $key `,` $value (`slopes` $slopes^)? `heads` $heads `scale` $scale attr-dict
    `:` qualified(type($cache)) `,` type($query) `,` type($key) (`,` type($slopes)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def TFM_ActivationOp : TFM_Op<"activation", [Pure, SameOperandsAndResultType]> {
  let summary = "an activation function, element by element";
  let arguments = (ins TFM_ActivationAttr:$kind, TFM_Activations:$input);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "`` $kind $input attr-dict `:` type($result)";
  let hasFolder = 1;
}

def TFM_MapOp : TFM_Op<"map", [Pure, SameOperandsAndResultType]> {
  let summary = "a function of one parameter, element by element";
  let description = [{
    `scale`: x * value (residual multipliers). `soft_cap`: value * tanh(x /
    value). `clamp`: x limited to [-value, value] (OLMo's clip_qkv).
    ```mlir
    %0 = tfm.map scale %x by 2.2e-01 : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins TFM_MapKindAttr:$kind, TFM_Activations:$input, F32Attr:$value);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "$kind $input `by` $value attr-dict `:` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def TFM_MulOp : TFM_Op<"mul", [Pure, Commutative, SameOperandsAndResultType]> {
  let summary = "element-wise product";
  let arguments = (ins TFM_Activations:$lhs, TFM_Activations:$rhs);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def TFM_AddOp : TFM_Op<"add", [Pure, Commutative, SameOperandsAndResultType]> {
  let summary = "element-wise sum";
  let arguments = (ins TFM_Activations:$lhs, TFM_Activations:$rhs);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def TFM_LogitsOp : TFM_Op<"logits", [Pure]> {
  let summary = "the head, on the rows that want logits";
  let description = [{
    Gathers the rows of the step that want logits, then x W^T (+ b), times
    `multiplier`, then, if `soft_cap` c > 0, c * tanh(x / c). The result has as
    many rows as the step wants.
  }];
  let arguments = (ins TFM_StepType:$step, TFM_Activations:$input, TFM_Stored:$weight,
                       Optional<TFM_Stored>:$bias,
                       DefaultValuedAttr<F32Attr, "1.0">:$multiplier,
                       DefaultValuedAttr<F32Attr, "0.0">:$soft_cap);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $step `,` $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // TFM_OPS_TD
