// RUN: qcc-opt %s --qnt-quantize-rtn | FileCheck %s

// Two layers share a block as long as their weights have the same types. Here
// the first layer's q has zero points, the second's has none, and the third is
// like the first; what is selected for another method is left alone.

// CHECK-LABEL: func.func @weights
func.func @weights() {
  // CHECK: %[[W0:.*]] = tfm.param <"checkpoint"::"0">
  %0 = tfm.param <"checkpoint"::"0"> : tensor<64x96xbf16>
  // CHECK-NEXT: %[[C0:.*]], %[[S0:.*]], %[[Z0:.*]] = qnt.quantize "rtn" %[[W0]] to <int4, group = 64, zero> {mse} : tensor<64x96xbf16> -> tensor<64x96xi8>, tensor<64x2xf16>, tensor<64x2xi8>
  // CHECK-NEXT: %[[P0:.*]] = qnt.pack %[[C0]], %[[S0]], %[[Z0]]
  // CHECK-NEXT: tfm.define "0" = %[[P0]] of "q0" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 64, zero>, mse>} : !qnt.packed<64 by 96, <int4, group = 64, zero>>
  tfm.define "0" = %0 of "q0" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 64, zero>, mse>} : tensor<64x96xbf16>
  %1 = tfm.param <"checkpoint"::"1"> : tensor<64x96xbf16>
  // CHECK: %[[C1:.*]], %[[S1:.*]] = qnt.quantize "rtn" %{{.*}} to <int8, row> : tensor<64x96xbf16> -> tensor<64x96xi8>, tensor<64x1xf16>
  // CHECK-NEXT: %[[P1:.*]] = qnt.pack %[[C1]], %[[S1]] :
  // CHECK-NEXT: tfm.define "1" = %[[P1]]
  tfm.define "1" = %1 of "q1" {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : tensor<64x96xbf16>
  %2 = tfm.param <"checkpoint"::"2"> : tensor<64x96xbf16>
  // CHECK: tfm.define "2" = %{{.*}} : !qnt.packed<64 by 96, <int4, group = 64, zero>>
  tfm.define "2" = %2 of "q2" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 64, zero>>} : tensor<64x96xbf16>
  %3 = tfm.param <"checkpoint"::"3"> : tensor<64x96xbf16>
  // CHECK: tfm.define "3" = %{{.*}} : tensor<64x96xbf16>
  tfm.define "3" = %3 of "q3" {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} : tensor<64x96xbf16>
  return
}

// CHECK-LABEL: func.func private @block
// CHECK-SAME: %[[W:[^:]*]]: !qnt.packed<64 by 96, <int4, group = 64, zero>>
// CHECK: qnt.dequant_gemm %{{.*}}, %[[W]] : tensor<?x96xf32>, !qnt.packed<64 by 96, <int4, group = 64, zero>> -> tensor<?x64xf32>
// CHECK-LABEL: func.func private @block_0
// CHECK-SAME: %[[W:[^:]*]]: !qnt.packed<64 by 96, <int8, row>>
// CHECK: qnt.dequant_gemm %{{.*}}, %[[W]] :
// CHECK-LABEL: func.func private @block_1
// CHECK-SAME: %[[W:[^:]*]]: tensor<64x96xbf16>
// CHECK: tfm.linear %{{.*}}, %[[W]] :
func.func private @block(%x: tensor<?x96xf32>, %w: tensor<64x96xbf16>) -> tensor<?x64xf32> {
  %0 = tfm.linear %x, %w : tensor<?x96xf32>, tensor<64x96xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
func.func @model(%x: tensor<?x96xf32>) -> tensor<?x64xf32> {
  // CHECK: tfm.weight "0" : !qnt.packed<64 by 96, <int4, group = 64, zero>>
  %0 = tfm.weight "0" : tensor<64x96xbf16>
  %1 = tfm.weight "1" : tensor<64x96xbf16>
  %2 = tfm.weight "2" : tensor<64x96xbf16>
  %3 = tfm.weight "3" : tensor<64x96xbf16>
  // CHECK: call @block(
  %4 = call @block(%x, %0) : (tensor<?x96xf32>, tensor<64x96xbf16>) -> tensor<?x64xf32>
  // CHECK: call @block_0(
  %5 = call @block(%x, %1) : (tensor<?x96xf32>, tensor<64x96xbf16>) -> tensor<?x64xf32>
  // CHECK: call @block(
  %6 = call @block(%x, %2) : (tensor<?x96xf32>, tensor<64x96xbf16>) -> tensor<?x64xf32>
  // CHECK: call @block_1(
  %7 = call @block(%x, %3) : (tensor<?x96xf32>, tensor<64x96xbf16>) -> tensor<?x64xf32>
  // CHECK: qnt.dequant_gemm %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x96xf32>, !qnt.packed<64 by 96, <int8, row>>, tensor<64xf32>
  %b = tfm.param <"constant"::"b"> : tensor<64xf32>
  %8 = tfm.linear %x, %1 bias %b : tensor<?x96xf32>, tensor<64x96xbf16>, tensor<64xf32> -> tensor<?x64xf32>
  return %8 : tensor<?x64xf32>
}
