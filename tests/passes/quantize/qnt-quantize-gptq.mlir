// RUN: qcc-opt %s --qnt-quantize-gptq="order=group-aware damp=0.05 true-sequential" | FileCheck %s
// RUN: qcc-opt %s --qnt-quantize-gptq="order=activation static-groups refine=2" | FileCheck %s --check-prefix=STATIC

// What is selected for gptq becomes an op that names the weight: the
// calibrator finds the inputs of its linear by that. Other methods' weights are
// left alone.

// CHECK-LABEL: func.func @weights
func.func @weights() {
  // CHECK: %[[W:.*]] = tfm.param <"checkpoint"::"0">
  %0 = tfm.param <"checkpoint"::"0"> : tensor<64x96xbf16>
  // CHECK-NEXT: %[[C:.*]], %[[S:.*]], %[[Z:.*]] = qnt.gptq "layers.0.q" %[[W]] to <int4, group = 64, zero> order "group-aware" damp 5.000000e-02 {mse, true_sequential} : tensor<64x96xbf16> -> tensor<64x96xi8>, tensor<64x2xf16>, tensor<64x2xi8>
  // STATIC: qnt.gptq "layers.0.q" %{{.*}} to <int4, group = 64, zero> order "activation" damp 1.000000e-02 {mse, qnt.refine = 2 : i64, static_groups}
  // CHECK-NEXT: %[[P:.*]] = qnt.pack %[[C]], %[[S]], %[[Z]]
  // CHECK-NEXT: tfm.define "layers.0.q" = %[[P]] of "q"
  tfm.define "layers.0.q" = %0 of "q" {qnt.scheme = #qnt.scheme<"gptq", <int4, group = 64, zero>, mse>} : tensor<64x96xbf16>
  %1 = tfm.param <"checkpoint"::"1"> : tensor<64x96xbf16>
  // CHECK: tfm.define "layers.0.k" = %{{.*}} : tensor<64x96xbf16>
  tfm.define "layers.0.k" = %1 of "k" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 64, zero>>} : tensor<64x96xbf16>
  return
}

// CHECK-LABEL: func.func @model
func.func @model(%x: tensor<?x96xf32>) -> tensor<?x64xf32> {
  // CHECK: tfm.weight "layers.0.q" : !qnt.packed<64 by 96, <int4, group = 64, zero>>
  %0 = tfm.weight "layers.0.q" : tensor<64x96xbf16>
  // CHECK: qnt.dequant_gemm
  %1 = tfm.linear %x, %0 : tensor<?x96xf32>, tensor<64x96xbf16> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
