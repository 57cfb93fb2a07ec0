// RUN: qcc-opt %s --qnt-select="lm-head=rtn:int4.g32" --split-input-file --verify-diagnostics

module @select_c3 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"e"> : tensor<64x64xf32>
    tfm.define "embedding" = %0 : tensor<64x64xf32>
    tfm.define "lm_head" = %0 : tensor<64x64xf32>
    return
  }
  func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
    // expected-error @below {{select_c3: 'embedding' is also the head, but 'lm_head' is defined already}}
    %0 = tfm.weight "embedding" : tensor<64x64xf32>
    %1 = tfm.embedding %step, %0 : tensor<64x64xf32> -> tensor<?x64xf32>
    %2 = tfm.logits %step, %1, %0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    return %2 : tensor<?x64xf32>
  }
}

// -----

module @program_c3 {
  func.func @weights() {
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    // expected-error @below {{program_c3: 'w' is not defined in @weights}}
    %0 = tfm.weight "w" : tensor<64x64xf32>
    %1 = tfm.linear %x, %0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    return %1 : tensor<?x64xf32>
  }
}
