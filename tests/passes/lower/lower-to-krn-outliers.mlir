// RUN: qcc-opt %s --lower-to-krn | FileCheck %s
// RUN: qcc-opt %s --lower-to-krn="target=cuda token" | FileCheck %s --check-prefix=CUDA
// RUN: qcc-opt %s --lower-to-krn --krn-insert-barriers --krn-plan-buffers --krn-verify | FileCheck %s --check-prefix=BARRIER

// Who stages all rows finds their outliers by itself; where threads share the
// rows, a phase of its own comes before.

// CHECK: krn.entry @decode
// CHECK-NOT: krn.find_outliers
// CHECK: krn.stage %{{.*}} to %[[S:.*]] outliers 6.000000e+00 of 1
// CHECK: krn.gemm "krn_gemv_int8_split8" %[[S]]
// CHECK: krn.entry @batch
// CHECK: krn.find_outliers %[[X:.*]] to %[[S:.*]] threshold 6.000000e+00
// CHECK-NEXT: krn.stage %[[X]] to %[[S]] outliers 6.000000e+00 of 1
// CHECK: krn.gemm "krn_gemm_int8_split8" %[[S]]

// CUDA-NOT: @persistent
// CUDA: krn.entry @token
// CUDA-NOT: krn.find_outliers
// CUDA: krn.gemm "gemv_int8_split8"
// CUDA: krn.entry @decode
// CUDA: krn.find_outliers
// CUDA: krn.gemm "gemv_int8_split8"

// BARRIER: krn.entry @batch
// BARRIER: krn.find_outliers
// BARRIER-NEXT: krn.barrier
// BARRIER-NEXT: krn.stage
// BARRIER-NEXT: krn.barrier
// BARRIER-NEXT: krn.gemm
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %2 = tfm.param <"checkpoint"::"o0"> : tensor<64x64xf32>
  %c, %s = qnt.quantize "int8" %2 to <int8, row, scale = f32> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x1xf32>
  %3 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf32> -> !qnt.packed<64 by 64, <int8, row, scale = f32>>
  %4 = qnt.relayout %3 : !qnt.packed<64 by 64, <int8, row, scale = f32>> -> !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">
  tfm.define "layers.0.o" = %4 : !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">
  return
}

func.func private @block_0(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">) -> tensor<?x64xf32> {
  %0 = qnt.fused_gemm %x, %w residual %x splits [64] outliers 6.0 : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

func.func @model(%step: !tfm.step) -> tensor<?x32xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  %w0 = tfm.weight "layers.0.o" : !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">
  %y = call @block_0(%c0, %x, %w0) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>, layout = "t16">) -> tensor<?x64xf32>
  %l = qnt.fused_gemm %y, %e rows %step splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>, layout = "t16">, !tfm.step) -> tensor<?x32xf32>
  return %l : tensor<?x32xf32>
}
