// RUN: qcc-opt %s --qnt-quantize-bnb --split-input-file --verify-diagnostics

// The messages are those of qnt-quantize-rtn; here, that this pass asks.
module @selected_c2 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-error @below {{selected_c2: 'w' is a vector; only matrices are quantized}}
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} : tensor<64xf32>
    return
  }
  func.func @model() {
    return
  }
}
