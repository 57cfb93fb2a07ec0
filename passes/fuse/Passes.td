//===- Passes.td - Passes of the fuse phase ----------------*- tablegen -*-===//

#ifndef QCC_PASSES_FUSE_PASSES_TD
#define QCC_PASSES_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FormGemmsPass : Pass<"fuse-form-gemms", "::mlir::ModuleOp"> {
  let summary = "Makes a qnt.fused_gemm of every matrix product";
  let description = [{
    `tfm.linear`, `qnt.dequant_gemm` and `tfm.logits` become `qnt.fused_gemm`.
    Weights that are not quantized are packed by `qnt.convert`: matrices in
    the stored type or in that of the option `dtype`, vectors in f32. The one
    pass of this phase that is not optional.

    Input:
    ```mlir
    tfm.define "w" = %0 : tensor<64x64xbf16>
    ...
    %y = tfm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
    ```
    Output:
    ```mlir
    %1 = qnt.convert %0 : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
    tfm.define "w" = %1 : !qnt.packed<64 by 64, <bf16>>
    ...
    %y = qnt.fused_gemm %x, %w splits [64]
        : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    ```
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"\"",
           "Type of unquantized matrices: f32, f16, bf16; empty for the stored one">,
  ];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"formed", "formed", "GEMMs formed">];
}

def StackLinearsPass : Pass<"fuse-stack-linears", "::mlir::ModuleOp"> {
  let summary = "Makes one GEMM of several that read the same rows";
  let description = [{
    `qnt.fused_gemm`s of one function with the same input and format, without
    norm and epilogue, become one with several results; their weights are
    stacked in `@weights`. q, k and v make one stack; the halves of a gated
    product another. Biases are concatenated. A stack that is not made is a
    remark with the reason.

    Input:
    ```mlir
    %q = qnt.fused_gemm %x, %wq splits [64] : ...
    %k = qnt.fused_gemm %x, %wk splits [32] : ...
    %v = qnt.fused_gemm %x, %wv splits [32] : ...
    ```
    Output:
    ```mlir
    %2 = qnt.stack_rows %q, %k, %v : ...
    tfm.define "layers.0.q+k+v" = %2 modules ["model.layers.0.self_attn.q_proj", ...] : ...
    ...
    %0:3 = qnt.fused_gemm %x, %wqkv splits [64, 32, 32] : ...
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"stacks", "stacks", "Stacks made">];
}

def GluPass : Pass<"fuse-glu", "::mlir::ModuleOp"> {
  let summary = "Folds a gated product into the GEMM of its halves";
  let description = [{
    activation(gate) * up, where gate and up are results of one stacked GEMM or
    of two GEMMs of the same rows, becomes the epilogue of one GEMM. Blocks of
    16 rows of the two weights alternate then. A product that stays is a
    remark with the reason.

    Input:
    ```mlir
    %0:2 = qnt.fused_gemm %x, %w splits [160, 160] : ...
    %1 = tfm.activation silu %0#0 : tensor<?x160xf32>
    %2 = tfm.mul %1, %0#1 : tensor<?x160xf32>
    ```
    Output:
    ```mlir
    %0 = qnt.fused_gemm %x, %w activation silu glu splits [160] : ...
    ```
    and in `@weights`
    ```mlir
    %1 = qnt.stack_rows %gate, %up interleave 16 : ...
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"folded", "folded", "Gated products folded">];
}

def NormPass : Pass<"fuse-norm", "::mlir::func::FuncOp"> {
  let summary = "Folds norms into the GEMMs that read them";
  let description = [{
    An RMS or layer norm of whole rows that only GEMMs read becomes the
    prologue of each of them.

    Input:
    ```mlir
    %0 = tfm.rms_norm %x, %n eps 1.0e-5 : ...
    %1 = qnt.fused_gemm %0, %w splits [64] : ...
    ```
    Output:
    ```mlir
    %0 = qnt.fused_gemm %x, %w norm "rms"(%n) eps 1.0e-5 splits [64] : ...
    ```
  }];
  let statistics = [Statistic<"folded", "folded", "Norms folded">];
}

def ActivationPass : Pass<"fuse-activation", "::mlir::func::FuncOp"> {
  let summary = "Folds activation functions into the GEMMs before them";
  let description = [{
    Input:
    ```mlir
    %0 = qnt.fused_gemm %x, %w splits [256] : ...
    %1 = tfm.activation gelu %0 : tensor<?x256xf32>
    ```
    Output:
    ```mlir
    %0 = qnt.fused_gemm %x, %w activation gelu splits [256] : ...
    ```
  }];
  let statistics = [Statistic<"folded", "folded", "Activations folded">];
}

def MapPass : Pass<"fuse-map", "::mlir::func::FuncOp"> {
  let summary = "Folds scales and soft caps into the GEMMs before them";
  let description = [{
    Input:
    ```mlir
    %0 = qnt.fused_gemm %x, %w splits [64] : ...
    %1 = tfm.map scale %0 by 2.2e-01 : tensor<?x64xf32>
    ```
    Output:
    ```mlir
    %0 = qnt.fused_gemm %x, %w splits [64] {multiplier = 2.2e-01 : f32} : ...
    ```
  }];
  let statistics = [Statistic<"folded", "folded", "Scales and soft caps folded">];
}

def ResidualPass : Pass<"fuse-residual", "::mlir::func::FuncOp"> {
  let summary = "Folds residual sums into the GEMMs before them";
  let description = [{
    A sum with the only result of a GEMM that nothing else reads becomes the
    GEMM's residual; where both sides are such, the later GEMM takes it.

    Input:
    ```mlir
    %0 = qnt.fused_gemm %y, %w splits [64] : ...
    %1 = tfm.add %x, %0 : tensor<?x64xf32>
    ```
    Output:
    ```mlir
    %0 = qnt.fused_gemm %y, %w residual %x splits [64] : ...
    ```
  }];
  let statistics = [Statistic<"folded", "folded", "Sums folded">];
}

def RopeAttentionPass : Pass<"fuse-rope-attention", "::mlir::func::FuncOp"> {
  let summary = "Folds norms and rotations of q and k into attention";
  let description = [{
    q and k that are rotated alike, and perhaps normed alike head by head, go
    into `qnt.rope_attention` as the projections leave them.

    Input:
    ```mlir
    %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : ...
    %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 : ...
    %a = tfm.attention %step, %cache, %q1, %k1, %v heads 4 scale 0.25 : ...
    ```
    Output:
    ```mlir
    %a = qnt.rope_attention %step, %cache, %q, %k, %v frequencies %f
        heads 4 rotary 16 scale 0.25 : ...
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"folded", "folded", "Attentions formed">];
}

#endif // QCC_PASSES_FUSE_PASSES_TD
