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

#endif // QCC_PASSES_FUSE_PASSES_TD
