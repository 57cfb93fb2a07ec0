// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

// CHECK: krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 768 {
krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 768 {
  // CHECK: krn.entry @empty max_tokens 8 {
  krn.entry @empty max_tokens 8 {
  }
  // CHECK: krn.entry @decode max_tokens 8 arena 4096 scratch 8192 {
  krn.entry @decode max_tokens 8 arena 4096 scratch 8192 {
    // CHECK: %[[TABLE:.*]] = krn.weight 0 "embedding" : !qnt.packed<320 by 64, <bf16>, layout = "rows">
    %table = krn.weight 0 "embedding" : !qnt.packed<320 by 64, <bf16>, layout = "rows">
    %freq = krn.weight 1 "rope.frequencies" : !qnt.packed<1 by 8, <f32>, layout = "rows">
    // CHECK: %[[X:.*]] = krn.buffer at 0 : !krn.buffer<64>
    %x = krn.buffer at 0 : !krn.buffer<64>
    // CHECK: %[[SIN:.*]] = krn.buffer : !krn.buffer<16>
    %rope = krn.buffer : !krn.buffer<16>
    // CHECK: krn.embed %[[TABLE]] to %[[X]] : !qnt.packed<320 by 64, <bf16>, layout = "rows">, !krn.buffer<64>
    krn.embed %table to %x : !qnt.packed<320 by 64, <bf16>, layout = "rows">, !krn.buffer<64>
    // CHECK: krn.embed %{{.*}} to %{{.*}} {multiplier = 8.000000e+00 : f32} :
    krn.embed %table to %x {multiplier = 8.0 : f32} : !qnt.packed<320 by 64, <bf16>, layout = "rows">, !krn.buffer<64>
    // CHECK: krn.rope_table %{{.*}} to %[[SIN]] :
    krn.rope_table %freq to %rope : !qnt.packed<1 by 8, <f32>, layout = "rows">, !krn.buffer<16>
    // CHECK: krn.barrier
    krn.barrier
    // CHECK: krn.repeat layers 2 from 0 weights [2, 3, 4, 5] kv_offset 0 kv_stride 256 {
    // CHECK-NEXT: ^bb0(%[[N:.*]]: !qnt.packed<1 by 64, <f32>, layout = "rows">, %[[W:.*]]: !qnt.packed<128 by 64, <int4, group = 32>, layout = "t16">):
    krn.repeat layers 2 from 0 weights [2, 3, 4, 5] kv_offset 0 kv_stride 256 {
    ^bb0(%n: !qnt.packed<1 by 64, <f32>, layout = "rows">, %w: !qnt.packed<128 by 64, <int4, group = 32>, layout = "t16">):
      // CHECK: %[[S:.*]] = krn.staged_buffer private at 64 : !krn.staged<"i16", 64, group = 32, bits = 4>
      %s = krn.staged_buffer private at 64 : !krn.staged<"i16", 64, group = 32, bits = 4>
      // CHECK: krn.staged_buffer : !krn.staged<"f32", 64, group = 0, bits = 16>
      %t = krn.staged_buffer : !krn.staged<"f32", 64, group = 0, bits = 16>
      // CHECK: krn.stage %[[X]] norm "rms"(%[[N]]) eps 9.99999974E-6 to %[[S]] :
      krn.stage %x norm "rms" (%n) eps 1.0e-5 to %s : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>, layout = "rows">, !krn.staged<"i16", 64, group = 32, bits = 4>
      // CHECK: krn.stage %[[X]] norm "layer"(%[[N]], %[[N]]) eps 9.99999974E-6 to %[[S]] {gather} :
      krn.stage %x norm "layer" (%n, %n) eps 1.0e-5 to %s {gather} : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>, layout = "rows">, !qnt.packed<1 by 64, <f32>, layout = "rows">, !krn.staged<"i16", 64, group = 32, bits = 4>
      // CHECK: krn.stage %[[X]] to %
      krn.stage %x to %t : !krn.buffer<64>, !krn.staged<"f32", 64, group = 0, bits = 16>
      // CHECK: %[[QKV:.*]] = krn.buffer at 1024 : !krn.buffer<128>
      %qkv = krn.buffer at 1024 : !krn.buffer<128>
      // CHECK: krn.gemm "krn_gemv_int4_i16" %[[S]], %[[W]] to %[[QKV]] because "few tokens" :
      krn.gemm "krn_gemv_int4_i16" %s, %w to %qkv because "few tokens" : !krn.staged<"i16", 64, group = 32, bits = 4>, !qnt.packed<128 by 64, <int4, group = 32>, layout = "t16">, !krn.buffer<128>
      // CHECK: krn.gemm "krn_gemv_int4_i16" %[[S]], %[[W]] activation silu glu residual %[[X]] to %[[X]] because "few tokens" :
      krn.gemm "krn_gemv_int4_i16" %s, %w activation silu glu residual %x to %x because "few tokens" : !krn.staged<"i16", 64, group = 32, bits = 4>, !qnt.packed<128 by 64, <int4, group = 32>, layout = "t16">, !krn.buffer<64>, !krn.buffer<64>
      // CHECK: krn.view %[[QKV]][0] : !krn.buffer<128> -> !krn.buffer<64, stride = 128>
      %q = krn.view %qkv[0] : !krn.buffer<128> -> !krn.buffer<64, stride = 128>
      %k = krn.view %qkv[64] : !krn.buffer<128> -> !krn.buffer<32, stride = 128>
      %v = krn.view %qkv[96] : !krn.buffer<128> -> !krn.buffer<32, stride = 128>
      // CHECK: krn.rope_append %{{.*}}, %{{.*}}, %{{.*}} table %[[SIN]] into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 :
      krn.rope_append %q, %k, %v table %rope into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !krn.buffer<64, stride = 128>, !krn.buffer<32, stride = 128>, !krn.buffer<32, stride = 128>, !krn.buffer<16>
      // CHECK: krn.rope_append %{{.*}}, %{{.*}}, %{{.*}} into !tfm.cache<2 by 16 by f32> heads 4 :
      krn.rope_append %q, %k, %v into !tfm.cache<2 by 16 by f32> heads 4 : !krn.buffer<64, stride = 128>, !krn.buffer<32, stride = 128>, !krn.buffer<32, stride = 128>
      %y = krn.buffer at 2048 : !krn.buffer<64>
      // CHECK: krn.attention %{{.*}} over !tfm.cache<2 by 16 by f32> heads 4 scale 2.500000e-01 to %{{.*}} :
      krn.attention %q over !tfm.cache<2 by 16 by f32> heads 4 scale 0.25 to %y : !krn.buffer<64, stride = 128>, !krn.buffer<64>
      // CHECK: krn.norm "rms" %{{.*}}, %[[N]] eps 9.99999974E-6 to %{{.*}} :
      krn.norm "rms" %y, %n eps 1.0e-5 to %y : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>, layout = "rows">, !krn.buffer<64>
      // CHECK: krn.norm "layer" %{{.*}}, %[[N]] bias %[[N]] eps 9.99999974E-6 to %{{.*}} :
      krn.norm "layer" %y, %n bias %n eps 1.0e-5 to %y : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>, layout = "rows">, !qnt.packed<1 by 64, <f32>, layout = "rows">, !krn.buffer<64>
      // CHECK: krn.rope %{{.*}} table %[[SIN]] heads 4 rotary 16 to %{{.*}} :
      krn.rope %y table %rope heads 4 rotary 16 to %x : !krn.buffer<64>, !krn.buffer<16>, !krn.buffer<64>
      // CHECK: krn.activation gelu %{{.*}} to %{{.*}} :
      krn.activation gelu %y to %x : !krn.buffer<64>, !krn.buffer<64>
      // CHECK: krn.map clamp %{{.*}} by 8.000000e+00 to %{{.*}} : !krn.buffer<64>, !krn.buffer<64>
      krn.map clamp %y by 8.0 to %x : !krn.buffer<64>, !krn.buffer<64>
      // CHECK: krn.mul %{{.*}}, %{{.*}} to %{{.*}} : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<64>
      krn.mul %x, %y to %y : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<64>
      // CHECK: krn.add %{{.*}}, %{{.*}} to %{{.*}} : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<64>
      krn.add %x, %y to %x : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<64>
    }
    %slopes = krn.weight 6 "slopes" : !qnt.packed<1 by 4, <f32>, layout = "rows">
    %norm = krn.weight 7 "q_norm" : !qnt.packed<1 by 16, <f32>, layout = "rows">
    %bias = krn.weight 8 "bias" : !qnt.packed<1 by 320, <f32>, layout = "rows">
    %kv = krn.buffer : !krn.buffer<32>
    // CHECK: krn.rope_append {{.*}} table %{{.*}} q_norm %{{.*}} k_norm %{{.*}} into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 {eps = 9.99999974E-6 : f32, interleaved, norm_offset = 1.000000e+00 : f32} :
    krn.rope_append %x, %kv, %kv table %rope q_norm %norm k_norm %norm into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 {eps = 1.0e-5 : f32, interleaved, norm_offset = 1.0 : f32} : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>, !krn.buffer<16>, !qnt.packed<1 by 16, <f32>, layout = "rows">, !qnt.packed<1 by 16, <f32>, layout = "rows">
    // CHECK: krn.attention %{{.*}} over !tfm.cache<2 by 16 by f32, window = 64> slopes %{{.*}} heads 4 scale 2.500000e-01 to %{{.*}} {soft_cap = 5.000000e+01 : f32} :
    krn.attention %x over !tfm.cache<2 by 16 by f32, window = 64> slopes %slopes heads 4 scale 0.25 to %x {soft_cap = 50.0 : f32} : !krn.buffer<64>, !qnt.packed<1 by 4, <f32>, layout = "rows">, !krn.buffer<64>
    %head = krn.staged_buffer : !krn.staged<"f32", 64, group = 0, bits = 16>
    // CHECK: krn.logits_buffer : !krn.buffer<320>
    %logits = krn.logits_buffer : !krn.buffer<320>
    // CHECK: krn.gemm "krn_gemv_bf16_f32" %{{.*}}, %{{.*}} bias %{{.*}} to %{{.*}} because "" {gather} :
    krn.gemm "krn_gemv_bf16_f32" %head, %table bias %bias to %logits because "" {gather} : !krn.staged<"f32", 64, group = 0, bits = 16>, !qnt.packed<320 by 64, <bf16>, layout = "rows">, !qnt.packed<1 by 320, <f32>, layout = "rows">, !krn.buffer<320>
  }
}
