// RUN: qcc-opt %s --pass-pipeline='builtin.module(krn.program(krn-schedule,krn-insert-barriers))' | FileCheck %s

!w = !qnt.packed<64 by 64, <bf16>, layout = "t16">
!s = !krn.staged<"bf16", 64, group = 0, bits = 16>
!b = !krn.buffer<64>
!qkv = !krn.buffer<192>
!view = !krn.buffer<64, stride = 192>
!w3 = !qnt.packed<192 by 64, <bf16>, layout = "t16">

krn.program @cuda target <"cuda", activations = "i16", kv = "f16"> kv_bytes 0 {
  // A parallel block: the MLP's first GEMM goes before the attention, and the
  // MLP's result is added first, since the attention's comes later. Two
  // barriers are left.
  // CHECK-LABEL: krn.entry @parallel max_tokens 1 persistent
  // CHECK: krn.stage %[[X:.+]] to %[[S0:.+]] :
  // CHECK-NEXT: krn.gemm "qkv" %[[S0]]
  // CHECK-NEXT: krn.gemm "up" %[[S0]], {{.*}} to %[[U:.+]] because
  // CHECK-NEXT: krn.barrier
  // CHECK-NEXT: krn.rope_append fused
  // CHECK-NEXT: krn.attention {{.*}} to %[[A:.+]] :
  // CHECK-NEXT: krn.stage %[[U]] to %[[S2:.+]] :
  // CHECK-NEXT: krn.gemm "down" %[[S2]], {{.*}} residual %[[X]] to %[[T:.+]] because
  // CHECK-NEXT: krn.barrier
  // CHECK-NEXT: krn.stage %[[A]] to %[[S1:.+]] :
  // CHECK-NEXT: krn.gemm "dense" %[[S1]], {{.*}} residual %[[T]] to %[[Y:.+]] because
  // CHECK-NEXT: }
  krn.entry @parallel max_tokens 1 persistent {
    %w = krn.weight 0 "w" : !w
    %w3 = krn.weight 1 "w3" : !w3
    %x = krn.buffer : !b
    %s0 = krn.staged_buffer private : !s
    krn.stage %x to %s0 : !b, !s
    %qkv = krn.buffer : !qkv
    krn.gemm "qkv" %s0, %w3 to %qkv because "" : !s, !w3, !qkv
    %q = krn.view %qkv[0] : !qkv -> !view
    %k = krn.view %qkv[64] : !qkv -> !view
    %v = krn.view %qkv[128] : !qkv -> !view
    krn.rope_append fused %q, %k, %v into !tfm.cache<1 by 64 by f16> heads 1 : !view, !view, !view
    %a = krn.buffer : !b
    krn.attention %q over !tfm.cache<1 by 64 by f16> heads 1 scale 1.0 to %a : !view, !b
    %s1 = krn.staged_buffer private : !s
    krn.stage %a to %s1 : !b, !s
    %t = krn.buffer : !b
    krn.gemm "dense" %s1, %w residual %x to %t because "" : !s, !w, !b, !b
    %u = krn.buffer : !b
    krn.gemm "up" %s0, %w to %u because "" : !s, !w, !b
    %s2 = krn.staged_buffer private : !s
    krn.stage %u to %s2 : !b, !s
    %y = krn.buffer : !b
    krn.gemm "down" %s2, %w residual %t to %y because "" : !s, !w, !b, !b
  }

  // What other activations replaced in between is staged again.
  // CHECK-LABEL: krn.entry @again max_tokens 1 persistent
  // CHECK: krn.gemm "first"
  // CHECK: krn.attention
  // CHECK: krn.stage
  // CHECK: krn.gemm "last"
  krn.entry @again max_tokens 1 persistent {
    %w = krn.weight 0 "w" : !w
    %x = krn.buffer : !b
    %s0 = krn.staged_buffer private : !s
    krn.stage %x to %s0 : !b, !s
    %q = krn.buffer : !b
    krn.gemm "first" %s0, %w to %q because "" : !s, !w, !b
    krn.rope_append fused %q, %q, %q into !tfm.cache<1 by 64 by f16> heads 1 : !b, !b, !b
    %a = krn.buffer : !b
    krn.attention %q over !tfm.cache<1 by 64 by f16> heads 1 scale 1.0 to %a : !b, !b
    krn.gemm "last" %s0, %w residual %a to %a because "" : !s, !w, !b, !b
  }

  // Entries of separate kernels stay as they are.
  // CHECK-LABEL: krn.entry @kernels max_tokens 8
  // CHECK: krn.activation relu %[[A0:.+]] to %[[B0:.+]] :
  // CHECK: krn.activation relu %[[B0]]
  // CHECK: krn.activation relu %[[A0]]
  krn.entry @kernels max_tokens 8 {
    %a = krn.buffer : !b
    %b = krn.buffer : !b
    %c = krn.buffer : !b
    %d = krn.buffer : !b
    krn.activation relu %a to %b : !b, !b
    krn.activation relu %b to %c : !b, !b
    krn.activation relu %a to %d : !b, !b
  }
}
