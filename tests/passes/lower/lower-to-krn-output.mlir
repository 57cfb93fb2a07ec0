// RUN: qcc-opt %s --lower-to-krn="activations=f32 only-prefill prefill=128" | FileCheck %s

// A program without a head, as the calibrator makes them: what it returns goes
// to the caller's buffer, attention in @model gets a repeat of its own, which
// says where the cache lies, and there is one entry.

// CHECK: krn.program @cpu target <"cpu", activations = "f32", kv = "f32"> kv_bytes 512
// CHECK: krn.entry @prefill max_tokens 128
// CHECK: %[[OUT:.+]] = krn.output_buffer : !krn.buffer<64>
// CHECK: krn.embed
// CHECK: krn.repeat layers 1 from 0 weights [] kv_offset 0 kv_stride 0
// CHECK-NEXT: krn.rope_append
// CHECK-NEXT: krn.attention {{.*}} to %[[OUT]]
// CHECK-NOT: krn.entry
func.func @weights() {
  %0 = tfm.param <"calibration"::"x0"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "rows">
  tfm.define "x0" = %1 : !qnt.packed<32 by 64, <f32>, layout = "rows">
  return
}

func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "x0" : !qnt.packed<32 by 64, <f32>, layout = "rows">
  %q = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "rows"> -> tensor<?x64xf32>
  %k = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "rows"> -> tensor<?x64xf32>
  %v = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "rows"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 32 by f32>
  %y = tfm.attention %step, %c0, %q, %k, %v heads 2 scale 0.176776695 : !tfm.cache<2 by 32 by f32>, tensor<?x64xf32>, tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
