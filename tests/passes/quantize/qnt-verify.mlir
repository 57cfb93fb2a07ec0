// RUN: qcc-opt %s --qnt-verify | FileCheck %s
// RUN: qcc-opt %s --qcc-quantize | FileCheck %s

// CHECK: tfm.define "w"
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
  %c, %s = qnt.quantize "rtn" %0 to <int8, row> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x1xf16>
  %1 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf16> -> !qnt.packed<64 by 64, <int8, row>>
  tfm.define "w" = %1 : !qnt.packed<64 by 64, <int8, row>>
  tfm.define "table" = %0 : tensor<64x64xf32>
  return
}
// CHECK: qnt.dequant_gemm
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %0 = tfm.weight "table" : tensor<64x64xf32>
  %1 = tfm.embedding %step, %0 : tensor<64x64xf32> -> tensor<?x64xf32>
  %2 = tfm.weight "w" : !qnt.packed<64 by 64, <int8, row>>
  %3 = qnt.dequant_gemm %1, %2 : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row>> -> tensor<?x64xf32>
  return %3 : tensor<?x64xf32>
}
