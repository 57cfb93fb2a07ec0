// RUN: qcc-opt %s --lower-to-krn="target=cuda" | FileCheck %s

// Integers and table codes of as many bits want their activations in different
// orders on CUDA: they share no staged input.

// CHECK: krn.entry @decode
// CHECK: krn.stage
// CHECK: krn.gemm "gemv_int4"
// CHECK: krn.stage
// CHECK: krn.gemm "gemv_nf4"
// CHECK: krn.entry @batch
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xbf16>
  %1 = qnt.convert %0 : tensor<32x64xbf16> -> !qnt.packed<32 by 64, <bf16>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <bf16>, layout = "t16">
  %2 = tfm.param <"checkpoint"::"a"> : tensor<64x64xbf16>
  %c, %s = qnt.quantize "rtn" %2 to <int4, group = 64> : tensor<64x64xbf16> -> tensor<64x64xi8>, tensor<64x1xf16>
  %3 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf16> -> !qnt.packed<64 by 64, <int4, group = 64>>
  %4 = qnt.relayout %3 : !qnt.packed<64 by 64, <int4, group = 64>> -> !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">
  tfm.define "layers.0.a" = %4 : !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">
  %d, %t = qnt.quantize "bnb" %2 to <nf4, block = 64> : tensor<64x64xbf16> -> tensor<64x64xi8>, tensor<64xf32>
  %5 = qnt.pack %d, %t : tensor<64x64xi8>, tensor<64xf32> -> !qnt.packed<64 by 64, <nf4, block = 64>>
  %6 = qnt.relayout %5 : !qnt.packed<64 by 64, <nf4, block = 64>> -> !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">
  tfm.define "layers.0.b" = %6 : !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">
  return
}

func.func private @block_0(%cache: !tfm.cache<2 by 16 by f16>, %x: tensor<?x64xf32>, %a: !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">, %b: !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">) -> tensor<?x64xf32> {
  %0 = qnt.fused_gemm %x, %a residual %x splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">, tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = qnt.fused_gemm %x, %b residual %0 splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

func.func @model(%step: !tfm.step) -> tensor<?x32xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <bf16>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <bf16>, layout = "t16"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f16>
  %a = tfm.weight "layers.0.a" : !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">
  %b = tfm.weight "layers.0.b" : !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">
  %y = call @block_0(%c0, %x, %a, %b) : (!tfm.cache<2 by 16 by f16>, tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 64>, layout = "t16">, !qnt.packed<64 by 64, <nf4, block = 64>, layout = "t16">) -> tensor<?x64xf32>
  %l = qnt.fused_gemm %y, %e rows %step splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>, layout = "t16">, !tfm.step) -> tensor<?x32xf32>
  return %l : tensor<?x32xf32>
}
