// RUN: qcc-opt %s --qnt-quantize-gptq="order=activation" | FileCheck %s

// In activation order the stored columns are permuted. Linears that read the
// same inputs share the order; it is a weight that every layer passes to its
// block.

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"q"> : tensor<64x96xf32>
  // CHECK: %[[O:.*]] = qnt.activation_order "layers.0.q" : tensor<96xf32>
  // CHECK-NEXT: tfm.define "layers.0.q.order" = %[[O]] : tensor<96xf32>
  // CHECK-NEXT: qnt.gptq "layers.0.q" %{{.*}} columns %[[O]] to <int4, group = 32> order "activation"
  tfm.define "layers.0.q" = %0 of "q" {qnt.scheme = #qnt.scheme<"gptq", <int4, group = 32>>} : tensor<64x96xf32>
  %1 = tfm.param <"checkpoint"::"k"> : tensor<64x96xf32>
  // CHECK-NOT: qnt.activation_order
  // CHECK: qnt.gptq "layers.0.k" %{{.*}} columns %[[O]] to
  tfm.define "layers.0.k" = %1 of "k" {qnt.scheme = #qnt.scheme<"gptq", <int4, group = 32>>} : tensor<64x96xf32>
  return
}

// CHECK-LABEL: func.func private @block
// CHECK-SAME: %[[ORDER:[a-z0-9]*]]: tensor<96xf32>)
func.func private @block(%x: tensor<?x96xf32>, %q: tensor<64x96xf32>, %k: tensor<64x96xf32>) -> tensor<?x64xf32> {
  // CHECK: qnt.dequant_gemm %{{.*}}, %{{.*}} order %[[ORDER]] :
  %0 = tfm.linear %x, %q : tensor<?x96xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  // CHECK: qnt.dequant_gemm %{{.*}}, %{{.*}} order %[[ORDER]] :
  %1 = tfm.linear %x, %k : tensor<?x96xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
  %2 = tfm.add %0, %1 : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
func.func @model(%x: tensor<?x96xf32>) -> tensor<?x64xf32> {
  %q = tfm.weight "layers.0.q" : tensor<64x96xf32>
  %k = tfm.weight "layers.0.k" : tensor<64x96xf32>
  // CHECK: %[[W:.*]] = tfm.weight "layers.0.q.order" : tensor<96xf32>
  // CHECK: call @block(%{{.*}}, %{{.*}}, %{{.*}}, %[[W]])
  %0 = call @block(%x, %q, %k) : (tensor<?x96xf32>, tensor<64x96xf32>, tensor<64x96xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
