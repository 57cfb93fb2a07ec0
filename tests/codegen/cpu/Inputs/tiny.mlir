// A decoder of two layers, hidden size 64, 4 heads over 2 kv heads of 16, with a
// weight in each of several formats. Offsets are planned by hand.
//
// The tensor table: 0 embedding, 1 frequencies, then 7 a layer (norm, qkv, its
// bias, output projection, norm, gate and up, down), 16 final norm, 17 head.

!table = !qnt.packed<48 by 64, <f32>, layout = "rows">
!frequencies = !qnt.packed<1 by 8, <f32>, layout = "rows">
!norm = !qnt.packed<1 by 64, <f32>, layout = "rows">
!bias = !qnt.packed<1 by 128, <f32>, layout = "rows">
!qkv = !qnt.packed<128 by 64, <int4, group = 32>, layout = "t16">
!out = !qnt.packed<64 by 64, <bf16>, layout = "t16">
!gate_up = !qnt.packed<192 by 64, <int8, row>, layout = "t16">
!down = !qnt.packed<64 by 96, <nf4, group = 32>, layout = "t16">
!head = !qnt.packed<48 by 64, <f32>, layout = "t16">

!x = !krn.buffer<64>
!rope = !krn.buffer<16>
!fused = !krn.buffer<128>
!q = !krn.buffer<64, stride = 128>
!kv = !krn.buffer<32, stride = 128>
!gated = !krn.buffer<96>
!logits = !krn.buffer<48>

!s_qkv = !krn.staged<"i16", 64, group = 32, bits = 4>
!s_out = !krn.staged<"f32", 64, group = 0, bits = 16>
!s_gate_up = !krn.staged<"i16", 64, group = 64, bits = 8>
!s_down = !krn.staged<"f32", 96, group = 32, bits = 4>
!s_head = !krn.staged<"f32", 64, group = 0, bits = 32>

krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 512 {
  krn.entry @decode max_tokens 8 arena 11776 scratch 527360 {
    %x = krn.buffer at 0 : !x
    %rope = krn.buffer at 2048 : !rope
    %fused = krn.buffer at 2560 : !fused
    %attended = krn.buffer at 6656 : !x
    %gated = krn.buffer at 8704 : !gated
    %table = krn.weight 0 "embedding" : !table
    %frequencies = krn.weight 1 "frequencies" : !frequencies
    %final_norm = krn.weight 16 "final_norm" : !norm
    %head = krn.weight 17 "head" : !head
    krn.rope_table %frequencies to %rope : !frequencies, !rope
    krn.embed %table to %x {multiplier = 2.0 : f32} : !table, !x
    krn.barrier
    krn.repeat layers 2 from 0 weights [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] kv_offset 0 kv_stride 256 {
    ^bb0(%norm1: !norm, %qkv: !qkv, %bias: !bias, %out: !out, %norm2: !norm, %gate_up: !gate_up, %down: !down):
      %s0 = krn.staged_buffer private at 0 : !s_qkv
      krn.stage %x norm "rms"(%norm1) eps 1.0e-5 to %s0 : !x, !norm, !s_qkv
      krn.gemm "krn_gemv_int4_i16" %s0, %qkv bias %bias to %fused because "int4" : !s_qkv, !qkv, !bias, !fused
      krn.barrier
      %q = krn.view %fused[0] : !fused -> !q
      %k = krn.view %fused[64] : !fused -> !kv
      %v = krn.view %fused[96] : !fused -> !kv
      krn.rope_append %q, %k, %v table %rope into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !q, !kv, !kv, !rope
      krn.barrier
      krn.attention %q over !tfm.cache<2 by 16 by f32> heads 4 scale 0.25 to %attended : !q, !x
      krn.barrier
      %s1 = krn.staged_buffer private at 0 : !s_out
      krn.stage %attended to %s1 : !x, !s_out
      krn.gemm "krn_gemv_bf16_f32" %s1, %out residual %x to %x because "bf16" : !s_out, !out, !x, !x
      krn.barrier
      %s2 = krn.staged_buffer private at 0 : !s_gate_up
      krn.stage %x norm "rms"(%norm2) eps 1.0e-5 to %s2 : !x, !norm, !s_gate_up
      krn.gemm "krn_gemv_int8_i16" %s2, %gate_up activation silu glu to %gated because "int8" : !s_gate_up, !gate_up, !gated
      krn.barrier
      %s3 = krn.staged_buffer private at 0 : !s_down
      krn.stage %gated to %s3 : !gated, !s_down
      krn.gemm "krn_gemv_nf4_f32" %s3, %down residual %x to %x because "nf4" : !s_down, !down, !x, !x
      krn.barrier
    }
    %logits = krn.logits_buffer : !logits
    %s4 = krn.staged_buffer private at 0 : !s_head
    krn.stage %x norm "rms"(%final_norm) eps 1.0e-5 to %s4 {gather} : !x, !norm, !s_head
    krn.gemm "krn_gemv_f32_f32" %s4, %head to %logits because "f32" {gather} : !s_head, !head, !logits
  }

  krn.entry @batch max_tokens 24 arena 53760 scratch 524288 {
    %x = krn.buffer at 0 : !x
    %rope = krn.buffer at 6144 : !rope
    %fused = krn.buffer at 7680 : !fused
    %attended = krn.buffer at 19968 : !x
    %gated = krn.buffer at 26112 : !gated
    %table = krn.weight 0 "embedding" : !table
    %frequencies = krn.weight 1 "frequencies" : !frequencies
    %final_norm = krn.weight 16 "final_norm" : !norm
    %head = krn.weight 17 "head" : !head
    krn.rope_table %frequencies to %rope : !frequencies, !rope
    krn.embed %table to %x {multiplier = 2.0 : f32} : !table, !x
    krn.barrier
    krn.repeat layers 2 from 0 weights [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] kv_offset 0 kv_stride 256 {
    ^bb0(%norm1: !norm, %qkv: !qkv, %bias: !bias, %out: !out, %norm2: !norm, %gate_up: !gate_up, %down: !down):
      %s0 = krn.staged_buffer at 35328 : !s_qkv
      krn.stage %x norm "rms"(%norm1) eps 1.0e-5 to %s0 : !x, !norm, !s_qkv
      krn.barrier
      krn.gemm "krn_gemm_int4_i16" %s0, %qkv bias %bias to %fused because "int4" : !s_qkv, !qkv, !bias, !fused
      krn.barrier
      %q = krn.view %fused[0] : !fused -> !q
      %k = krn.view %fused[64] : !fused -> !kv
      %v = krn.view %fused[96] : !fused -> !kv
      krn.rope_append %q, %k, %v table %rope into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !q, !kv, !kv, !rope
      krn.barrier
      krn.attention %q over !tfm.cache<2 by 16 by f32> heads 4 scale 0.25 to %attended : !q, !x
      krn.barrier
      %s1 = krn.staged_buffer at 44544 : !s_out
      krn.stage %attended to %s1 : !x, !s_out
      krn.barrier
      krn.gemm "krn_gemm_bf16_f32" %s1, %out residual %x to %x because "bf16" : !s_out, !out, !x, !x
      krn.barrier
      %s2 = krn.staged_buffer at 35328 : !s_gate_up
      krn.stage %x norm "rms"(%norm2) eps 1.0e-5 to %s2 : !x, !norm, !s_gate_up
      krn.barrier
      krn.gemm "krn_gemm_int8_i16" %s2, %gate_up activation silu glu to %gated because "int8" : !s_gate_up, !gate_up, !gated
      krn.barrier
      %s3 = krn.staged_buffer at 44544 : !s_down
      krn.stage %gated to %s3 : !gated, !s_down
      krn.barrier
      krn.gemm "krn_gemm_nf4_f32" %s3, %down residual %x to %x because "nf4" : !s_down, !down, !x, !x
      krn.barrier
    }
    %logits = krn.logits_buffer : !logits
    %s4 = krn.staged_buffer at 35328 : !s_head
    krn.stage %x norm "rms"(%final_norm) eps 1.0e-5 to %s4 {gather} : !x, !norm, !s_head
    krn.barrier
    krn.gemm "krn_gemm_f32_f32" %s4, %head to %logits because "f32" {gather} : !s_head, !head, !logits
  }
}
