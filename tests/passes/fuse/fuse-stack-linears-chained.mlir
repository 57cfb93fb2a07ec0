// RUN: qcc-opt %s --fuse-stack-linears | FileCheck %s

// A stack may read what an earlier stack of the same function has replaced.

func.func @weights() {
  %a = tfm.param <"checkpoint"::"a"> : tensor<64x64xbf16>
  %ap = qnt.convert %a : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
  tfm.define "a" = %ap of "a" : !qnt.packed<64 by 64, <bf16>>
  %b = tfm.param <"checkpoint"::"b"> : tensor<64x64xbf16>
  %bp = qnt.convert %b : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
  tfm.define "b" = %bp of "b" : !qnt.packed<64 by 64, <bf16>>
  %c = tfm.param <"checkpoint"::"c"> : tensor<32x64xbf16>
  %cp = qnt.convert %c : tensor<32x64xbf16> -> !qnt.packed<32 by 64, <bf16>>
  tfm.define "c" = %cp of "c" : !qnt.packed<32 by 64, <bf16>>
  %d = tfm.param <"checkpoint"::"d"> : tensor<32x64xbf16>
  %dp = qnt.convert %d : tensor<32x64xbf16> -> !qnt.packed<32 by 64, <bf16>>
  tfm.define "d" = %dp of "d" : !qnt.packed<32 by 64, <bf16>>
  return
}

// CHECK-LABEL: func.func private @block
// CHECK: %[[A:.*]]:2 = qnt.fused_gemm %{{.*}} splits [64, 64] :
// CHECK-NEXT: qnt.fused_gemm %[[A]]#0, %{{.*}} splits [32, 32] :
func.func private @block(%x: tensor<?x64xf32>, %a: !qnt.packed<64 by 64, <bf16>>, %b: !qnt.packed<64 by 64, <bf16>>, %c: !qnt.packed<32 by 64, <bf16>>, %d: !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32> {
  %0 = qnt.fused_gemm %x, %a splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
  %1 = qnt.fused_gemm %x, %b splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
  %2 = qnt.fused_gemm %0, %c splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  %3 = qnt.fused_gemm %0, %d splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  %4 = tfm.add %2, %3 : tensor<?x32xf32>
  return %4 : tensor<?x32xf32>
}

func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  %a = tfm.weight "a" : !qnt.packed<64 by 64, <bf16>>
  %b = tfm.weight "b" : !qnt.packed<64 by 64, <bf16>>
  %c = tfm.weight "c" : !qnt.packed<32 by 64, <bf16>>
  %d = tfm.weight "d" : !qnt.packed<32 by 64, <bf16>>
  %0 = call @block(%x, %a, %b, %c, %d) : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>, !qnt.packed<64 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
