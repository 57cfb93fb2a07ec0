// RUN: qcc-opt %s --tfm-verify-model | FileCheck %s
// RUN: qcc-opt %s --qcc-import | FileCheck %s --check-prefix=IMPORT

// A program that keeps all rules comes out as it went in; the phase also makes
// it canonical.

// CHECK-LABEL: func.func @weights
// CHECK: tfm.transpose
// CHECK: tfm.transpose
// IMPORT-LABEL: func.func @weights
// IMPORT-NOT: tfm.transpose
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
  %1 = tfm.transpose %0 : tensor<64x64xf32> -> tensor<64x64xf32>
  %2 = tfm.transpose %1 : tensor<64x64xf32> -> tensor<64x64xf32>
  tfm.define "w" = %2 : tensor<64x64xf32>
  return
}
func.func private @block_0(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
// CHECK-LABEL: func.func @model
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %0 = tfm.weight "w" : tensor<64x64xf32>
  %1 = tfm.embedding %step, %0 : tensor<64x64xf32> -> tensor<?x64xf32>
  %2 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  // CHECK: call @block_0
  %3 = call @block_0(%2, %1, %0) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // CHECK: tfm.logits
  %4 = tfm.logits %step, %3, %0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %4 : tensor<?x64xf32>
}
