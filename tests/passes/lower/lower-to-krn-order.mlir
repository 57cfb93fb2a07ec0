// RUN: qcc-opt %s --lower-to-krn="only-prefill" | FileCheck %s
// RUN: qcc-opt %s --lower-to-krn="only-prefill target=cuda" | FileCheck %s

// A weight whose columns are stored in activation order reads activations that
// are staged in that order. One that reads the same activations in their own
// order does not share them.

// CHECK: krn.entry @prefill
// CHECK: %[[O:.+]] = krn.weight 2 "order"
// CHECK: krn.stage %{{.*}} order %[[O]] to %[[S:.+]] :
// CHECK: krn.gemm {{.*}} %[[S]]
// CHECK: krn.stage
// CHECK-NOT: order
// CHECK: krn.gemm
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<64x64xf32>
  %1 = qnt.convert %0 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>, layout = "rows">
  tfm.define "embedding" = %1 : !qnt.packed<64 by 64, <f32>, layout = "rows">
  %2 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
  %3 = qnt.convert %2 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>, layout = "t16">
  tfm.define "w" = %3 : !qnt.packed<64 by 64, <f32>, layout = "t16">
  %4 = tfm.param <"checkpoint"::"o"> : tensor<64xf32>
  %5 = qnt.convert %4 : tensor<64xf32> -> !qnt.packed<1 by 64, <f32>, layout = "rows">
  tfm.define "order" = %5 : !qnt.packed<1 by 64, <f32>, layout = "rows">
  return
}

func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<64 by 64, <f32>, layout = "rows">
  %w = tfm.weight "w" : !qnt.packed<64 by 64, <f32>, layout = "t16">
  %o = tfm.weight "order" : !qnt.packed<1 by 64, <f32>, layout = "rows">
  %x = tfm.embedding %step, %e : !qnt.packed<64 by 64, <f32>, layout = "rows"> -> tensor<?x64xf32>
  %y = qnt.fused_gemm %x, %w order %o splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>, layout = "t16">, !qnt.packed<1 by 64, <f32>, layout = "rows">) -> tensor<?x64xf32>
  %z = qnt.fused_gemm %x, %w residual %y splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>, layout = "t16">, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
