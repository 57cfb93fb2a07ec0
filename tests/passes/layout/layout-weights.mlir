// RUN: qcc-opt %s --layout-weights | FileCheck %s

// What a GEMM reads is tiled, through a call as well; vectors and an embedding
// table of its own stay row-major. The program's types follow.

// CHECK-LABEL: func.func @weights
// CHECK: qnt.relayout {{.*}} -> !qnt.packed<32 by 64, <bf16>, layout = "rows">
// CHECK: tfm.define "embedding"
// CHECK: qnt.relayout {{.*}} -> !qnt.packed<64 by 64, <f32>, layout = "t16">
// CHECK: tfm.define "layers.0.o"
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xbf16>
  %1 = qnt.convert %0 : tensor<32x64xbf16> -> !qnt.packed<32 by 64, <bf16>>
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <bf16>>
  %2 = tfm.param <"checkpoint"::"o"> : tensor<64x64xf32>
  %3 = qnt.convert %2 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>>
  tfm.define "layers.0.o" = %3 : !qnt.packed<64 by 64, <f32>>
  return
}

// CHECK-LABEL: func.func private @block_0
// CHECK-SAME: !qnt.packed<64 by 64, <f32>, layout = "t16">
func.func private @block_0(%x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <f32>>) -> tensor<?x64xf32> {
  %0 = qnt.fused_gemm %x, %w splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
// CHECK: tfm.weight "embedding" : !qnt.packed<32 by 64, <bf16>, layout = "rows">
// CHECK: tfm.weight "layers.0.o" : !qnt.packed<64 by 64, <f32>, layout = "t16">
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <bf16>>
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <bf16>> -> tensor<?x64xf32>
  %w = tfm.weight "layers.0.o" : !qnt.packed<64 by 64, <f32>>
  %y = call @block_0(%x, %w) : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
