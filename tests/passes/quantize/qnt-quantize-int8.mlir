// RUN: qcc-opt %s --qnt-quantize-int8 | FileCheck %s
// RUN: qcc-opt %s --qnt-quantize-int8=threshold=0 | FileCheck %s --check-prefix=NONE

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"q"> : tensor<64x96xbf16>
  // CHECK: %[[C:.*]], %[[S:.*]] = qnt.quantize "int8" %{{.*}} to <int8, row, scale = f32> : tensor<64x96xbf16> -> tensor<64x96xi8>, tensor<64x1xf32>
  // CHECK-NEXT: %[[P:.*]] = qnt.pack %[[C]], %[[S]] : tensor<64x96xi8>, tensor<64x1xf32> -> !qnt.packed<64 by 96, <int8, row, scale = f32>>
  // CHECK-NEXT: tfm.define "q" = %[[P]]
  tfm.define "q" = %0 {qnt.scheme = #qnt.scheme<"int8", <int8, row, scale = f32>>} : tensor<64x96xbf16>
  // What another method is selected for stays.
  %1 = tfm.param <"checkpoint"::"v"> : tensor<96x64xbf16>
  // CHECK: tfm.define "v" = %{{.*}} : tensor<96x64xbf16>
  tfm.define "v" = %1 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : tensor<96x64xbf16>
  return
}

// CHECK-LABEL: func.func @model
func.func @model(%step: !tfm.step, %x: tensor<?x96xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = tfm.weight "q" : tensor<64x96xbf16>
  // CHECK: qnt.outlier_gemm %{{.*}}, %{{.*}} threshold 6.000000e+00 : tensor<?x96xf32>, !qnt.packed<64 by 96, <int8, row, scale = f32>> -> tensor<?x64xf32>
  // NONE: qnt.outlier_gemm %{{.*}}, %{{.*}} threshold 0.000000e+00
  %1 = tfm.linear %x, %0 : tensor<?x96xf32>, tensor<64x96xbf16> -> tensor<?x64xf32>
  %2 = tfm.weight "v" : tensor<96x64xbf16>
  // CHECK: tfm.linear
  %3 = tfm.linear %1, %2 : tensor<?x64xf32>, tensor<96x64xbf16> -> tensor<?x96xf32>
  // The head keeps its op, which says which rows it wants.
  // CHECK: tfm.logits {{.*}} {qnt.outlier_threshold = 6.000000e+00 : f32} : tensor<?x96xf32>, !qnt.packed<64 by 96, <int8, row, scale = f32>>
  %4 = tfm.logits %step, %3, %0 : tensor<?x96xf32>, tensor<64x96xbf16> -> tensor<?x64xf32>
  return %1, %4 : tensor<?x64xf32>, tensor<?x64xf32>
}
