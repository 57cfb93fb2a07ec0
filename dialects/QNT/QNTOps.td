//===- QNTOps.td - Operations on formats -------------------*- tablegen -*-===//

#ifndef QNT_OPS_TD
#define QNT_OPS_TD

include "dialects/QNT/QNTTypes.td"
include "dialects/TFM/TFMAttrs.td"
include "dialects/TFM/TFMTypes.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class QNT_Op<string opMnemonic, list<Trait> traits = []>
    : Op<QNT_Dialect, opMnemonic, traits>;

//===----------------------------------------------------------------------===//
// @weights
//===----------------------------------------------------------------------===//

def QNT_QuantizeOp : QNT_Op<"quantize", [Pure]> {
  let summary = "codes, scales and zero points of a weight";
  let description = [{
    ```mlir
    %codes, %scales = qnt.quantize "rtn" %w to <int4, group = 128>
        : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
    ```
    Codes are logical (one i8 an element); scales are [rows, groups], or
    [blocks] where blocks are flattened; zero points (i8, present for formats
    with `zero`) are shaped like scales. Where scales are nested (`absmax =
    u8/256`), they are i8 and the third result has the nested scales, f32, and
    their offset as its last element. Vectors of several results keep room
    for what later schemes add (order).
  }];
  let arguments = (ins StrAttr:$method, TFM_Weight:$input, QNT_FormatAttr:$format, UnitAttr:$mse);
  let results = (outs AnyRankedTensor:$codes, AnyRankedTensor:$scales, Optional<AnyRankedTensor>:$zeros);
  let assemblyFormat = [{
    $method $input `to` $format attr-dict `:` type($input) `->` type(results)
  }];
  let hasVerifier = 1;
}

def QNT_ActivationOrderOp : QNT_Op<"activation_order", [Pure]> {
  let summary = "the columns of a linear's weights by falling activation";
  let description = [{
    ```mlir
    %order = qnt.activation_order "layers.0.q" : tensor<256xf32>
    ```
    Indices, as f32, of the inputs that the linear of weight `name` (its
    `tfm.define`) reads, those with the largest second moment on the calibration
    data first. All linears that read the same inputs share one.
  }];
  let arguments = (ins StrAttr:$name);
  let results = (outs TFM_Weight:$result);
  let assemblyFormat = "$name attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def QNT_GptqOp : QNT_Op<"gptq", [Pure]> {
  let summary = "codes, scales and zero points of a weight, by GPTQ";
  let description = [{
    ```mlir
    %codes, %scales = qnt.gptq "layers.0.q" %w to <int4, group = 128> order "group-aware" damp 0.01
        : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
    ```
    What comes out depends on the inputs that the linear of `name` (its
    `tfm.define`) gets on the calibration data; the calibrator finds it and
    hands it to the weight stream. `order`: `natural`, `activation` (columns
    by falling activation) or `group-aware` (the same for groups and within
    them). `static_groups`: scales are found before the first column is
    quantized. `true_sequential`: the inputs come from modules of the same
    layer that are quantized already.

    Columns are stored in the weight's own order, with one exception: in
    `activation` order without static groups they are stored as they are
    quantized, because groups are runs of that order. Then `columns` gives the
    order, and so does the `order` of the GEMM that reads the weight.
  }];
  let arguments = (ins StrAttr:$name, TFM_Weight:$input, Optional<TFM_Weight>:$columns,
                       QNT_FormatAttr:$format,
                       DefaultValuedAttr<StrAttr, "\"natural\"">:$order, F64Attr:$damp,
                       UnitAttr:$mse, UnitAttr:$static_groups, UnitAttr:$true_sequential);
  let results = (outs AnyRankedTensor:$codes, AnyRankedTensor:$scales, Optional<AnyRankedTensor>:$zeros);
  let assemblyFormat = [{
    $name $input (`columns` $columns^)? `to` $format `order` $order `damp` $damp attr-dict
    `:` type($input) (`,` type($columns)^)? `->` type(results)
  }];
  let hasVerifier = 1;
}

def QNT_PackOp : QNT_Op<"pack", [Pure]> {
  let summary = "one packed weight of codes, scales and zero points";
  let arguments = (ins AnyRankedTensor:$codes, AnyRankedTensor:$scales, Optional<AnyRankedTensor>:$zeros);
  let results = (outs QNT_PackedType:$result);
  let assemblyFormat = "$codes `,` $scales (`,` $zeros^)? attr-dict `:` type(operands) `->` qualified(type($result))";
  let hasVerifier = 1;
}

def QNT_ConvertOp : QNT_Op<"convert", [Pure]> {
  let summary = "an unquantized weight in an unscaled format (f32, f16, bf16)";
  let arguments = (ins TFM_Weight:$input);
  let results = (outs QNT_PackedType:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` qualified(type($result))";
  let hasVerifier = 1;
}

def QNT_StackRowsOp : QNT_Op<"stack_rows", [Pure]> {
  let summary = "packed weights of one format, one under the other";
  let description = [{
    With `interleave = 16`, rows alternate in blocks of 16 (gate, up, gate,
    ...): the order that a gated epilogue reads.
  }];
  let arguments = (ins Variadic<QNT_PackedType>:$inputs, DefaultValuedAttr<I64Attr, "0">:$interleave);
  let results = (outs QNT_PackedType:$result);
  let assemblyFormat = "$inputs (`interleave` $interleave^)? attr-dict `:` qualified(type($inputs)) `->` qualified(type($result))";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def QNT_RelayoutOp : QNT_Op<"relayout", [Pure]> {
  let summary = "the same weight with its bytes in a target's layout";
  let arguments = (ins QNT_PackedType:$input);
  let results = (outs QNT_PackedType:$result);
  let assemblyFormat = "$input attr-dict `:` qualified(type($input)) `->` qualified(type($result))";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

def QNT_DequantGemmOp : QNT_Op<"dequant_gemm", [Pure, AttrSizedOperandSegments]> {
  let summary = "x dequantize(W)^T + b: what replaces tfm.linear";
  let description = [{
    With `order`, column i of the weight multiplies feature order[i] of the
    input.
  }];
  let arguments = (ins TFM_Activations:$input, QNT_PackedType:$weight, Optional<TFM_Stored>:$bias,
                       Optional<TFM_Stored>:$order);
  let results = (outs TFM_Activations:$result);
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$input,
                                 "::mlir::Value":$weight, "::mlir::Value":$bias),
      [{ build($_builder, $_state, result, input, weight, bias, ::mlir::Value()); }]>];
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? (`order` $order^)? attr-dict
    `:` type($input) `,` qualified(type($weight)) (`,` type($bias)^)? (`order` type($order)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def QNT_OutlierGemmOp : QNT_Op<"outlier_gemm", [Pure]> {
  let summary = "LLM.int8: a product of int8 rows, and of outlier columns in float";
  let description = [{
    ```mlir
    %y = qnt.outlier_gemm %x, %w threshold 6.0 : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>> -> tensor<?x64xf32>
    ```
    x dequantize(W)^T + b as in arXiv 2208.07339: columns of x in which some
    row of the step has a magnitude of `threshold` or more multiply in float;
    the rest of each row is rounded to int8 with one scale a row, and
    multiplies the codes exactly. Which columns those are is found while the
    program runs. A threshold of 0: none are.
  }];
  let arguments = (ins TFM_Activations:$input, QNT_PackedType:$weight, Optional<TFM_Stored>:$bias, F32Attr:$threshold);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? `threshold` $threshold attr-dict `:` type($input) `,` qualified(type($weight)) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def QNT_FusedGemmOp : QNT_Op<"fused_gemm", [Pure, AttrSizedOperandSegments]> {
  let summary = "a GEMM with what the fuse phase folded into it";
  let description = [{
    Prologue: rows that want logits (`step` present), then the norm
    (`norm` = "rms" or "layer", norm_weight, norm_bias, eps), then, with
    `order`, its features in that order: column i of the weight multiplies
    feature order[i]. Epilogue, in this
    order: + bias, activation, gated product (`glu`: even blocks of 16 rows are
    gates), times `multiplier`, `soft_cap` as `tfm.logits` has it, + residual. `splits` are the widths of the results, which are
    consecutive columns of the product. Formed by `fuse-form-gemms` of
    `tfm.linear`, `qnt.dequant_gemm`, `qnt.outlier_gemm` and `tfm.logits`; lowered to `krn.gemm`.
    Weights are packed (unquantized ones by `qnt.convert`). With
    `outlier_threshold`, the product is that of `qnt.outlier_gemm`.
  }];
  let arguments = (ins TFM_Activations:$input, QNT_PackedType:$weight,
                       Optional<TFM_StepType>:$step,
                       Optional<TFM_Stored>:$norm_weight, Optional<TFM_Stored>:$norm_bias,
                       Optional<TFM_Stored>:$bias, Optional<TFM_Activations>:$residual,
                       Optional<TFM_Stored>:$order,
                       DefaultValuedAttr<StrAttr, "\"\"">:$norm,
                       DefaultValuedAttr<F32Attr, "0.0">:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$norm_offset,
                       OptionalAttr<TFM_ActivationAttr>:$activation,
                       UnitAttr:$glu,
                       DenseI64ArrayAttr:$splits,
                       DefaultValuedAttr<F32Attr, "1.0">:$multiplier,
                       DefaultValuedAttr<F32Attr, "0.0">:$soft_cap,
                       OptionalAttr<F32Attr>:$outlier_threshold);
  let results = (outs Variadic<TFM_Activations>:$results);
  let builders = [
    /// A product with nothing fused.
    OpBuilder<(ins "::mlir::TypeRange":$results, "::mlir::Value":$input, "::mlir::Value":$weight,
                   "::mlir::Value":$step, "::mlir::Value":$bias, "::mlir::Value":$order,
                   "::llvm::ArrayRef<int64_t>":$splits)>];
  let assemblyFormat = [{
    $input `,` $weight (`rows` $step^)?
    (`norm` $norm^ (`(` $norm_weight^ (`,` $norm_bias^)? `)`)? `eps` $eps)? (`order` $order^)?
    (`bias` $bias^)? (`activation` `` $activation^)? (`glu` $glu^)? (`residual` $residual^)?
    `splits` $splits (`outliers` $outlier_threshold^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def QNT_RopeAttentionOp : QNT_Op<"rope_attention",
    [MemoryEffects<[MemRead, MemWrite]>, AttrSizedOperandSegments]> {
  let summary = "attention with the norms and rotations of q and k folded in";
  let description = [{
    q and k as the projections leave them: RMS norm of each head (`q_norm`,
    `k_norm`, eps, norm_offset) if there, then rotation, then `tfm.attention`.
    Formed by `fuse-rope-attention`; lowered to `krn.rope_append` and
    `krn.attention`.
  }];
  let arguments = (ins TFM_StepType:$step, TFM_CacheType:$cache, TFM_Activations:$query,
                       TFM_Activations:$key, TFM_Activations:$value,
                       TFM_Stored:$frequencies,
                       Optional<TFM_Stored>:$q_norm, Optional<TFM_Stored>:$k_norm,
                       Optional<TFM_Stored>:$slopes,
                       I64Attr:$heads, I64Attr:$rotary, UnitAttr:$interleaved,
                       DefaultValuedAttr<F32Attr, "1.0">:$attention_factor,
                       DefaultValuedAttr<F32Attr, "0.0">:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$norm_offset,
                       F32Attr:$scale, DefaultValuedAttr<F32Attr, "0.0">:$soft_cap,
                       OptionalAttr<TFM_LengthScalingAttr>:$length_scaling);
  let results = (outs TFM_Activations:$result);
  let assemblyFormat = [{
    $step `,` $cache `,` $query `,` $key `,` $value `frequencies` $frequencies
    (`q_norm` $q_norm^)? (`k_norm` $k_norm^)? (`slopes` $slopes^)?
    `heads` $heads `rotary` $rotary `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // QNT_OPS_TD
