// RUN: qcc-opt %s --layout-weights --split-input-file --verify-diagnostics

// expected-error @below {{has no @weights or no @model}}
module {
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xbf16>
  // expected-error @below {{is not packed: run fuse-form-gemms first}}
  tfm.define "embedding" = %0 : tensor<32x64xbf16>
  return
}
func.func @model(%step: !tfm.step) {
  return
}
