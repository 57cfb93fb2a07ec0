// RUN: qcc-opt %s --qnt-quantize-bnb | FileCheck %s

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"q"> : tensor<64x96xbf16>
  // Blocks run over the whole weight: 64 * 96 / 64 of them.
  // CHECK: %[[C:.*]], %[[S:.*]] = qnt.quantize "bnb" %{{.*}} to <nf4, block = 64> : tensor<64x96xbf16> -> tensor<64x96xi8>, tensor<96xf32>
  // CHECK-NEXT: %[[P:.*]] = qnt.pack %[[C]], %[[S]] : tensor<64x96xi8>, tensor<96xf32> -> !qnt.packed<64 by 96, <nf4, block = 64>>
  // CHECK-NEXT: tfm.define "q" = %[[P]]
  tfm.define "q" = %0 {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} : tensor<64x96xbf16>
  %1 = tfm.param <"checkpoint"::"k"> : tensor<3x33xbf16>
  // A short last block has a scale, too.
  // CHECK: qnt.quantize "bnb" %{{.*}} to <fp4, block = 64> : tensor<3x33xbf16> -> tensor<3x33xi8>, tensor<2xf32>
  tfm.define "k" = %1 {qnt.scheme = #qnt.scheme<"bnb", <fp4, block = 64>>} : tensor<3x33xbf16>
  %3 = tfm.param <"checkpoint"::"o"> : tensor<64x320xbf16>
  // 320 scales are codes; two nested scales and the offset.
  // CHECK: %[[C:.*]], %[[S:.*]], %[[N:.*]] = qnt.quantize "bnb" %{{.*}} to <nf4, block = 64, absmax = u8/256> : tensor<64x320xbf16> -> tensor<64x320xi8>, tensor<320xi8>, tensor<3xf32>
  // CHECK-NEXT: qnt.pack %[[C]], %[[S]], %[[N]] : tensor<64x320xi8>, tensor<320xi8>, tensor<3xf32> -> !qnt.packed<64 by 320, <nf4, block = 64, absmax = u8/256>>
  tfm.define "o" = %3 {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64, absmax = u8/256>>} : tensor<64x320xbf16>
  %2 = tfm.param <"checkpoint"::"v"> : tensor<64x96xbf16>
  // CHECK: tfm.define "v" = %{{.*}} : tensor<64x96xbf16>
  tfm.define "v" = %2 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : tensor<64x96xbf16>
  return
}

// CHECK-LABEL: func.func @model
func.func @model(%step: !tfm.step, %x: tensor<?x96xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[Q:.*]] = tfm.weight "q" : !qnt.packed<64 by 96, <nf4, block = 64>>
  %0 = tfm.weight "q" : tensor<64x96xbf16>
  // The head keeps its op: it says which rows it wants.
  // CHECK: tfm.logits %{{.*}}, %{{.*}}, %[[Q]] : tensor<?x96xf32>, !qnt.packed<64 by 96, <nf4, block = 64>> -> tensor<?x64xf32>
  %1 = tfm.logits %step, %x, %0 : tensor<?x96xf32>, tensor<64x96xbf16> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
