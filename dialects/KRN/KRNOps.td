//===- KRNOps.td - Phases ----------------------------------*- tablegen -*-===//

#ifndef KRN_OPS_TD
#define KRN_OPS_TD

include "dialects/KRN/KRNTypes.td"
include "dialects/QNT/QNTTypes.td"
include "dialects/TFM/TFMAttrs.td"
include "dialects/TFM/TFMTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class KRN_Op<string opMnemonic, list<Trait> traits = []>
    : Op<KRN_Dialect, opMnemonic, traits>;
/// A phase: reads and writes the buffers that are its operands; outputs last.
class KRN_Phase<string opMnemonic, list<Trait> traits = []>
    : KRN_Op<opMnemonic, traits>;

def KRN_ProgramOp : KRN_Op<"program", [Symbol, SymbolTable, NoTerminator, SingleBlock, IsolatedFromAbove]> {
  let summary = "all entries of one target";
  let description = [{
    ```mlir
    krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 2048 {
      krn.entry @decode max_tokens 8 arena 4096 scratch 8192 { ... }
    }
    ```
    `kv_bytes`: bytes a token of one sequence takes in all layers' caches.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, KRN_TargetAttr:$target, I64Attr:$kv_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `target` $target `kv_bytes` $kv_bytes attr-dict-with-keyword $body";
}

def KRN_EntryOp : KRN_Op<"entry", [Symbol, NoTerminator, SingleBlock, HasParent<"ProgramOp">]> {
  let summary = "the phases for up to max_tokens tokens";
  let description = [{
    `arena` and `scratch` (a thread) are bytes, 0 until `krn-plan-buffers`.
    `persistent`: one launch does all of it (CUDA), with a barrier of the grid
    for each `krn.barrier`; staged activations are private to a block.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$max_tokens,
                       UnitAttr:$persistent,
                       DefaultValuedAttr<I64Attr, "0">:$arena,
                       DefaultValuedAttr<I64Attr, "0">:$scratch);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `max_tokens` $max_tokens (`persistent` $persistent^)? (`arena` $arena^)? (`scratch` $scratch^)? attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def KRN_RepeatOp : KRN_Op<"repeat", [NoTerminator, SingleBlock]> {
  let summary = "phases for each of a run of layers";
  let description = [{
    ```mlir
    krn.repeat layers 30 from 0 weights [1, 2, 3, 4, ...] kv_offset 0 kv_stride 1536 {
    ^bb0(%norm: !qnt.packed<...>, %qkv: !qnt.packed<...>):
      ...
    }
    ```
    The block's arguments are the layer's weights; `weights` is the table
    [layers][arguments] of indices into the tensor table. The layer's cache
    begins (kv_offset + i * kv_stride) * capacity bytes into a sequence's.
  }];
  let arguments = (ins I64Attr:$layers, I64Attr:$first, DenseI64ArrayAttr:$weights,
                       I64Attr:$kv_offset, I64Attr:$kv_stride);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `layers` $layers `from` $first `weights` $weights `kv_offset` $kv_offset `kv_stride` $kv_stride attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def KRN_BarrierOp : KRN_Op<"barrier"> {
  let summary = "all threads have done what stands before";
  let assemblyFormat = "attr-dict";
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

def KRN_WeightOp : KRN_Op<"weight", [Pure]> {
  let summary = "a weight by its index in the tensor table";
  let arguments = (ins I64Attr:$index, StrAttr:$name);
  let results = (outs QNT_PackedType:$result);
  let assemblyFormat = "$index $name attr-dict `:` qualified(type($result))";
}

def KRN_BufferOp : KRN_Op<"buffer"> {
  let summary = "room for activations in the arena";
  let description = [{
    [max_tokens][columns] f32 at byte `offset` of the arena (-1: not planned
    yet). `%x = krn.buffer at 0 : !krn.buffer<576>`.
  }];
  let arguments = (ins DefaultValuedAttr<I64Attr, "-1">:$offset);
  let results = (outs KRN_BufferType:$result);
  let assemblyFormat = "(`at` $offset^)? attr-dict `:` qualified(type($result))";
}

def KRN_LogitsBufferOp : KRN_Op<"logits_buffer", [Pure]> {
  let summary = "the caller's logits";
  let results = (outs KRN_BufferType:$result);
  let assemblyFormat = "attr-dict `:` qualified(type($result))";
}

def KRN_OutputBufferOp : KRN_Op<"output_buffer", [Pure]> {
  let summary = "the caller's room for what a program without a head returns";
  let description = [{
    [tokens][columns] f32 where the step's logits point. The calibrator's
    programs end at the inputs of a linear.
  }];
  let results = (outs KRN_BufferType:$result);
  let assemblyFormat = "attr-dict `:` qualified(type($result))";
}

def KRN_StagedBufferOp : KRN_Op<"staged_buffer"> {
  let summary = "room for staged activations";
  let description = [{
    In the arena, or, with `private`, in each thread's scratch.
  }];
  let arguments = (ins DefaultValuedAttr<I64Attr, "-1">:$offset, UnitAttr:$private_);
  let results = (outs KRN_StagedType:$result);
  let assemblyFormat = "(`private` $private_^)? (`at` $offset^)? attr-dict `:` qualified(type($result))";
}

def KRN_ViewOp : KRN_Op<"view", [Pure]> {
  let summary = "columns of a buffer";
  let arguments = (ins KRN_BufferType:$input, I64Attr:$column);
  let results = (outs KRN_BufferType:$result);
  let assemblyFormat = "$input `[` $column `]` attr-dict `:` qualified(type($input)) `->` qualified(type($result))";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

def KRN_EmbedOp : KRN_Phase<"embed"> {
  let summary = "rows of the embedding table";
  let description = [{
    `multiplier` times the table's row of each token; with `positions`, the
    row of its position plus `offset`.
  }];
  let arguments = (ins QNT_PackedType:$table, KRN_BufferType:$output,
                       DefaultValuedAttr<F32Attr, "1.0">:$multiplier, UnitAttr:$positions,
                       DefaultValuedAttr<I64Attr, "0">:$offset);
  let assemblyFormat = "$table (`positions` $positions^)? `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_RopeTableOp : KRN_Phase<"rope_table"> {
  let summary = "cos and sin of every token's position, once a step";
  let description = [{
    [tokens][rotary / 2][2]: cos and sin of position times each frequency, times
    `attention_factor`. All layers read it. `length_scaling`: the frequencies
    depend on the length of the token's sequence.
  }];
  let arguments = (ins QNT_PackedType:$frequencies, KRN_BufferType:$output,
                       DefaultValuedAttr<F32Attr, "1.0">:$attention_factor,
                       OptionalAttr<TFM_LengthScalingAttr>:$length_scaling);
  let assemblyFormat = "$frequencies `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_FindOutliersOp : KRN_Phase<"find_outliers", [AttrSizedOperandSegments]> {
  let summary = "which columns of the activations have outliers";
  let description = [{
    Before a `krn.stage` of the same rows to the same buffer, which cannot know
    what other threads find in theirs. Columns with a magnitude of
    `outlier_threshold` or more in any row, after the norm.
  }];
  let arguments = (ins KRN_BufferType:$input, Optional<QNT_PackedType>:$norm_weight,
                       Optional<QNT_PackedType>:$norm_bias, KRN_StagedType:$output,
                       F32Attr:$outlier_threshold,
                       DefaultValuedAttr<StrAttr, "\"\"">:$norm,
                       DefaultValuedAttr<F32Attr, "0.0">:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$norm_offset, UnitAttr:$gather);
  let assemblyFormat = [{
    $input (`norm` $norm^ (`(` $norm_weight^ (`,` $norm_bias^)? `)`)? `eps` $eps)? `to` $output
    `threshold` $outlier_threshold attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

def KRN_StageOp : KRN_Phase<"stage", [AttrSizedOperandSegments]> {
  let summary = "activations, optionally normalized, in the form a GEMM reads";
  let description = [{
    With a private output every thread stages all rows for itself (no barrier
    before the GEMM); else the threads share the work. `gather`: of the rows
    that want logits only. `order`: element i is feature order[i] (f32 indices).
    Rows staged as `split8` have an `outlier_threshold` (0: no outliers), and
    `linears` says how many modules of the checkpoint read them, for the mean
    number of outlier columns.
  }];
  let arguments = (ins KRN_BufferType:$input, Optional<QNT_PackedType>:$norm_weight,
                       Optional<QNT_PackedType>:$norm_bias, Optional<QNT_PackedType>:$order,
                       KRN_StagedType:$output,
                       DefaultValuedAttr<StrAttr, "\"\"">:$norm,
                       DefaultValuedAttr<F32Attr, "0.0">:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$norm_offset, UnitAttr:$gather,
                       OptionalAttr<F32Attr>:$outlier_threshold,
                       DefaultValuedAttr<I64Attr, "0">:$linears);
  let assemblyFormat = [{
    $input (`norm` $norm^ (`(` $norm_weight^ (`,` $norm_bias^)? `)`)? `eps` $eps)? (`order` $order^)? `to` $output
    (`outliers` $outlier_threshold^ `of` $linears)? attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

def KRN_GemmOp : KRN_Phase<"gemm", [AttrSizedOperandSegments]> {
  let summary = "output = epilogue(staged W^T)";
  let description = [{
    `kernel` is the function that does it (codegen/cpu/kernels/kernels.h) and
    `reason` says in words why that one. `gather`: as many rows as want logits.
  }];
  let arguments = (ins KRN_StagedType:$input, QNT_PackedType:$weight,
                       Optional<QNT_PackedType>:$bias, Optional<KRN_BufferType>:$residual,
                       KRN_BufferType:$output, StrAttr:$kernel, StrAttr:$reason,
                       OptionalAttr<TFM_ActivationAttr>:$activation, UnitAttr:$glu, UnitAttr:$gather,
                       DefaultValuedAttr<F32Attr, "1.0">:$multiplier,
                       DefaultValuedAttr<F32Attr, "0.0">:$soft_cap);
  let assemblyFormat = [{
    $kernel $input `,` $weight (`bias` $bias^)? (`activation` `` $activation^)? (`glu` $glu^)? (`residual` $residual^)?
    `to` $output `because` $reason attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

def KRN_RopeAppendOp : KRN_Phase<"rope_append", [AttrSizedOperandSegments]> {
  let summary = "norms and rotates q (in place) and k, appends k and v";
  let description = [{
    `fused`: the attention that follows does it, without a barrier in between;
    q stays as it is.
  }];
  let arguments = (ins KRN_BufferType:$query, KRN_BufferType:$key, KRN_BufferType:$value,
                       Optional<KRN_BufferType>:$table, Optional<QNT_PackedType>:$q_norm,
                       Optional<QNT_PackedType>:$k_norm, TypeAttrOf<TFM_CacheType>:$cache,
                       I64Attr:$heads, DefaultValuedAttr<I64Attr, "0">:$rotary, UnitAttr:$interleaved,
                       DefaultValuedAttr<F32Attr, "0.0">:$eps, DefaultValuedAttr<F32Attr, "0.0">:$norm_offset,
                       UnitAttr:$fused);
  let assemblyFormat = [{
    (`fused` $fused^)? $query `,` $key `,` $value (`table` $table^)? (`q_norm` $q_norm^)? (`k_norm` $k_norm^)? `into` $cache
    `heads` $heads (`rotary` $rotary^)? attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

def KRN_AttentionOp : KRN_Phase<"attention"> {
  let summary = "causal attention over a layer's cache";
  let description = [{
    What `tfm.attention` says, for k and v that are in the cache already.
  }];
  let arguments = (ins KRN_BufferType:$query, Optional<QNT_PackedType>:$slopes, KRN_BufferType:$output,
                       TypeAttrOf<TFM_CacheType>:$cache, I64Attr:$heads, F32Attr:$scale,
                       DefaultValuedAttr<F32Attr, "0.0">:$soft_cap, UnitAttr:$bf16_bias);
  let assemblyFormat = [{
    $query `over` $cache (`slopes` $slopes^)? `heads` $heads `scale` $scale `to` $output attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

// What is left when fusion passes are left out.

def KRN_NormOp : KRN_Phase<"norm"> {
  let summary = "a norm that no GEMM took";
  let description = [{
    Of whole rows, or of `heads` equal slices of each; weight and bias are one
    for all slices or have a part for each.
  }];
  let arguments = (ins KRN_BufferType:$input, QNT_PackedType:$weight, Optional<QNT_PackedType>:$bias,
                       KRN_BufferType:$output, StrAttr:$norm, F32Attr:$eps,
                       DefaultValuedAttr<F32Attr, "0.0">:$norm_offset, DefaultValuedAttr<I64Attr, "1">:$heads);
  let assemblyFormat = "$norm $input `,` $weight (`bias` $bias^)? `eps` $eps `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_RopeOp : KRN_Phase<"rope"> {
  let summary = "a rotation that no attention took";
  let description = [{
    `table` is that of `krn.rope_table`.
  }];
  let arguments = (ins KRN_BufferType:$input, KRN_BufferType:$table, KRN_BufferType:$output,
                       I64Attr:$heads, I64Attr:$rotary, UnitAttr:$interleaved);
  let assemblyFormat = "$input `table` $table `heads` $heads `rotary` $rotary `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_ActivationOp : KRN_Phase<"activation"> {
  let summary = "an activation function that no GEMM took";
  let arguments = (ins TFM_ActivationAttr:$kind, KRN_BufferType:$input, KRN_BufferType:$output);
  let assemblyFormat = "`` $kind $input `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_MapOp : KRN_Phase<"map"> {
  let summary = "what `tfm.map` says, where no GEMM took it";
  let arguments = (ins TFM_MapKindAttr:$kind, KRN_BufferType:$input, F32Attr:$value, KRN_BufferType:$output);
  let assemblyFormat = "$kind $input `by` $value `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_MulOp : KRN_Phase<"mul"> {
  let summary = "element-wise product";
  let arguments = (ins KRN_BufferType:$lhs, KRN_BufferType:$rhs, KRN_BufferType:$output);
  let assemblyFormat = "$lhs `,` $rhs `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def KRN_AddOp : KRN_Phase<"add"> {
  let summary = "element-wise sum";
  let arguments = (ins KRN_BufferType:$lhs, KRN_BufferType:$rhs, KRN_BufferType:$output);
  let assemblyFormat = "$lhs `,` $rhs `to` $output attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

#endif // KRN_OPS_TD
