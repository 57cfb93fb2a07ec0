// RUN: qcc-opt %s --pass-pipeline='builtin.module(krn.program(krn-plan-buffers,krn-verify))' | FileCheck %s

krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 0 {
  // %a and %c are never alive together: they share bytes. Eight rows of 64 f32
  // are 2048 bytes.
  // CHECK-LABEL: krn.entry @decode max_tokens 8 arena 4096
  // CHECK: krn.buffer at [[A:[0-9]+]] :
  // CHECK: krn.buffer at {{[0-9]+}} :
  // CHECK: krn.buffer at [[A]] :
  krn.entry @decode max_tokens 8 {
    %a = krn.buffer : !krn.buffer<64>
    krn.activation relu %a to %a : !krn.buffer<64>, !krn.buffer<64>
    %b = krn.buffer : !krn.buffer<64>
    krn.barrier
    krn.activation relu %a to %b : !krn.buffer<64>, !krn.buffer<64>
    krn.barrier
    %c = krn.buffer : !krn.buffer<64>
    krn.activation relu %b to %c : !krn.buffer<64>, !krn.buffer<64>
  }
}
