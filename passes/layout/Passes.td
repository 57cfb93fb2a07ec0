//===- Passes.td - Passes of the layout phase --------------*- tablegen -*-===//

#ifndef QCC_PASSES_LAYOUT_PASSES_TD
#define QCC_PASSES_LAYOUT_PASSES_TD

include "mlir/Pass/PassBase.td"

def LayoutWeightsPass : Pass<"layout-weights", "::mlir::ModuleOp"> {
  let summary = "Decides how the bytes of each weight lie";
  let description = [{
    Weights that a GEMM reads get tiles of 16 rows ("t16",
    codegen/cpu/kernels/kernels.h); an embedding table that is not also the
    head, and all vectors, stay row-major ("rows").

    Input:
    ```mlir
    tfm.define "layers.0.q" = %0 : !qnt.packed<64 by 64, <int4, group = 32>>
    ```
    Output:
    ```mlir
    %1 = qnt.relayout %0 : !qnt.packed<64 by 64, <int4, group = 32>>
        -> !qnt.packed<64 by 64, <int4, group = 32>, layout = "t16">
    tfm.define "layers.0.q" = %1 : !qnt.packed<64 by 64, <int4, group = 32>, layout = "t16">
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"tiled", "tiled", "Weights in tiles">];
}

#endif // QCC_PASSES_LAYOUT_PASSES_TD
