// RUN: qcc-opt %s --pass-pipeline='builtin.module(krn.program(krn-pair-gemms))' | FileCheck %s

!w = !qnt.packed<64 by 64, <bf16>, layout = "t16">
!s = !krn.staged<"bf16", 64, group = 0, bits = 16>
!b = !krn.buffer<64>
!nested = !qnt.packed<64 by 64, <nf4, block = 64, absmax = u8/256>, layout = "t16">
!i16 = !krn.staged<"i16", 64, group = 64, bits = 4>

krn.program @cuda target <"cuda", activations = "i16", kv = "f16"> kv_bytes 0 {
  // The second GEMM of an input follows the first, and its room with a view
  // goes before both; the stage of its result stays.
  // CHECK-LABEL: krn.entry @parallel max_tokens 64
  // CHECK: %[[WIDE:.+]] = krn.buffer : !krn.buffer<128>
  // CHECK-NEXT: %[[U:.+]] = krn.view %[[WIDE]][64]
  // CHECK-NEXT: krn.gemm "qkv" %[[S:.+]], %{{.+}} to
  // CHECK-NEXT: krn.gemm "up" %[[S]], %{{.+}} to %[[U]]
  // CHECK: krn.attention
  // CHECK: krn.gemm "dense"
  // CHECK: krn.stage %[[U]]
  krn.entry @parallel max_tokens 64 {
    %w = krn.weight 0 "w" : !w
    %x = krn.buffer : !b
    %s = krn.staged_buffer : !s
    krn.stage %x to %s : !b, !s
    %q = krn.buffer : !b
    krn.gemm "qkv" %s, %w to %q because "" : !s, !w, !b
    %a = krn.buffer : !b
    krn.attention %q over !tfm.cache<1 by 64 by f16> heads 1 scale 1.0 to %a : !b, !b
    %s1 = krn.staged_buffer : !s
    krn.stage %a to %s1 : !b, !s
    %t = krn.buffer : !b
    krn.gemm "dense" %s1, %w residual %x to %t because "" : !s, !w, !b, !b
    %wide = krn.buffer : !krn.buffer<128>
    %u = krn.view %wide[64] : !krn.buffer<128> -> !krn.buffer<64, stride = 128>
    krn.gemm "up" %s, %w to %u because "" : !s, !w, !krn.buffer<64, stride = 128>
    %s2 = krn.staged_buffer : !s
    krn.stage %u to %s2 : !krn.buffer<64, stride = 128>, !s
  }

  // A phase in between reads what the second one writes.
  // CHECK-LABEL: krn.entry @conflict max_tokens 64
  // CHECK: krn.gemm "first"
  // CHECK: krn.add
  // CHECK: krn.gemm "second"
  krn.entry @conflict max_tokens 64 {
    %w = krn.weight 0 "w" : !w
    %x = krn.buffer : !b
    %s = krn.staged_buffer : !s
    krn.stage %x to %s : !b, !s
    %y = krn.buffer : !b
    krn.gemm "first" %s, %w to %y because "" : !s, !w, !b
    krn.add %y, %x to %y : !b, !b, !b
    krn.gemm "second" %s, %w to %x because "" : !s, !w, !b
  }

  // Nested scales are written in front of each GEMM, to one place.
  // CHECK-LABEL: krn.entry @nested max_tokens 64
  // CHECK: krn.gemm "first"
  // CHECK: krn.add
  // CHECK: krn.gemm "second"
  krn.entry @nested max_tokens 64 {
    %w = krn.weight 0 "w" : !nested
    %x = krn.buffer : !b
    %s = krn.staged_buffer : !i16
    krn.stage %x to %s : !b, !i16
    %y = krn.buffer : !b
    krn.gemm "first" %s, %w to %y because "" : !i16, !nested, !b
    krn.add %y, %x to %y : !b, !b, !b
    %z = krn.buffer : !b
    krn.gemm "second" %s, %w to %z because "" : !i16, !nested, !b
  }

  // Prompts take launches of their own.
  // CHECK-LABEL: krn.entry @prefill max_tokens 512
  // CHECK: krn.gemm "first"
  // CHECK: krn.add
  // CHECK: krn.gemm "second"
  krn.entry @prefill max_tokens 512 {
    %w = krn.weight 0 "w" : !w
    %x = krn.buffer : !b
    %s = krn.staged_buffer : !s
    krn.stage %x to %s : !b, !s
    %y = krn.buffer : !b
    krn.gemm "first" %s, %w to %y because "" : !s, !w, !b
    krn.add %y, %x to %y : !b, !b, !b
    %z = krn.buffer : !b
    krn.gemm "second" %s, %w to %z because "" : !s, !w, !b
  }
}
