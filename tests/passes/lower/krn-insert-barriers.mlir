// RUN: qcc-opt %s --pass-pipeline='builtin.module(krn.program(krn-insert-barriers))' | FileCheck %s

krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 0 {
  // A shared hand-off needs a barrier.
  // CHECK-LABEL: krn.entry @shared
  // CHECK: krn.activation
  // CHECK-NEXT: krn.barrier
  // CHECK-NEXT: krn.activation
  krn.entry @shared max_tokens 8 {
    %a = krn.buffer : !krn.buffer<64>
    %b = krn.buffer : !krn.buffer<64>
    %c = krn.buffer : !krn.buffer<64>
    krn.activation relu %a to %b : !krn.buffer<64>, !krn.buffer<64>
    krn.activation relu %b to %c : !krn.buffer<64>, !krn.buffer<64>
  }
  // Overwriting what another phase reads needs one, too.
  // CHECK-LABEL: krn.entry @overwrite
  // CHECK: krn.activation
  // CHECK-NEXT: krn.barrier
  // CHECK-NEXT: krn.activation
  krn.entry @overwrite max_tokens 8 {
    %a = krn.buffer : !krn.buffer<64>
    %b = krn.buffer : !krn.buffer<64>
    %c = krn.buffer : !krn.buffer<64>
    krn.activation relu %a to %b : !krn.buffer<64>, !krn.buffer<64>
    krn.activation relu %c to %a : !krn.buffer<64>, !krn.buffer<64>
  }
  // What does not meet needs none.
  // CHECK-LABEL: krn.entry @apart
  // CHECK-NOT: krn.barrier
  krn.entry @apart max_tokens 8 {
    %a = krn.buffer : !krn.buffer<64>
    %b = krn.buffer : !krn.buffer<64>
    %c = krn.buffer : !krn.buffer<64>
    krn.activation relu %a to %b : !krn.buffer<64>, !krn.buffer<64>
    krn.activation relu %a to %c : !krn.buffer<64>, !krn.buffer<64>
  }
}
