// RUN: qcc-opt %s --lower-to-krn | FileCheck %s

// Two calls of one block are a repeat over a table of weights; the block's
// result lies where its input lay. Few tokens: each thread stages for itself.

// CHECK: krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 512
// CHECK: krn.entry @decode max_tokens 8
// CHECK: %[[X:.+]] = krn.buffer : !krn.buffer<64>
// CHECK: krn.embed {{.*}} to %[[X]]
// CHECK: krn.repeat layers 2 from 0 weights [1, 2]
// CHECK: krn.staged_buffer private
// CHECK: krn.stage %[[X]]
// CHECK: krn.gemm "krn_gemv_f32_f32" {{.*}} residual %[[X]] to %[[X]]
// CHECK: krn.stage %[[X]] {{.*}}gather
// CHECK: krn.gemm {{.*}}gather
// CHECK: krn.entry @batch max_tokens 64
// CHECK-NOT: private
// CHECK: krn.gemm "krn_gemm_f32_f32"
// CHECK: krn.entry @prefill max_tokens 512
// CHECK-NOT: func.func @model
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %2 = tfm.param <"checkpoint"::"o0"> : tensor<64x64xf32>
  %3 = qnt.convert %2 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>, layout = "t16">
  tfm.define "layers.0.o" = %3 : !qnt.packed<64 by 64, <f32>, layout = "t16">
  %4 = tfm.param <"checkpoint"::"o1"> : tensor<64x64xf32>
  %5 = qnt.convert %4 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>, layout = "t16">
  tfm.define "layers.1.o" = %5 : !qnt.packed<64 by 64, <f32>, layout = "t16">
  return
}

func.func private @block_0(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <f32>, layout = "t16">) -> tensor<?x64xf32> {
  %0 = qnt.fused_gemm %x, %w residual %x splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>, layout = "t16">, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

func.func @model(%step: !tfm.step) -> tensor<?x32xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  %w0 = tfm.weight "layers.0.o" : !qnt.packed<64 by 64, <f32>, layout = "t16">
  %y = call @block_0(%c0, %x, %w0) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>, layout = "t16">) -> tensor<?x64xf32>
  %c1 = tfm.layer_cache 1 : !tfm.cache<2 by 16 by f32>
  %w1 = tfm.weight "layers.1.o" : !qnt.packed<64 by 64, <f32>, layout = "t16">
  %z = call @block_0(%c1, %y, %w1) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>, layout = "t16">) -> tensor<?x64xf32>
  %l = qnt.fused_gemm %z, %e rows %step splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>, layout = "t16">, !tfm.step) -> tensor<?x32xf32>
  return %l : tensor<?x32xf32>
}
