// RUN: qcc-opt %s --lower-to-krn --split-input-file --verify-diagnostics

// expected-error @below {{has no @model or no @weights}}
module {
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  tfm.define "embedding" = %0 : tensor<32x64xf32>
  return
}
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  // expected-error @below {{is not packed: run the fuse and layout phases first}}
  %e = tfm.weight "embedding" : tensor<32x64xf32>
  %x = tfm.embedding %step, %e : tensor<32x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}
