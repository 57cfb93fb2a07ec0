// RUN: qcc-opt %s --pass-pipeline='builtin.module(krn.program(krn-verify))' --split-input-file --verify-diagnostics

krn.program @cpu target <"cpu", activations = "i16", kv = "f32"> kv_bytes 0 {
  krn.entry @decode max_tokens 8 {
    // expected-error @below {{is not planned: run krn-plan-buffers first}}
    %a = krn.buffer : !krn.buffer<64>
  }
}
