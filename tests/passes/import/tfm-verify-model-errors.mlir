// RUN: qcc-opt %s --tfm-verify-model --split-input-file --verify-diagnostics

// expected-error @below {{program_c1: the module has no @weights}}
module @program_c1 {
  func.func @model(%step: !tfm.step) {
    return
  }
}

// -----

// expected-error @below {{program_c1: the module has no @model}}
module @program_c1_model {
  func.func @weights() {
    return
  }
  func.func private @model(%step: !tfm.step)
}

// -----

module @program_c2 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-note @below {{the first time here}}
    tfm.define "w" = %0 : tensor<64xf32>
    // expected-error @below {{program_c2: 'w' is defined twice}}
    tfm.define "w" = %0 : tensor<64xf32>
    return
  }
  func.func @model(%step: !tfm.step) {
    return
  }
}

// -----

module @program_c3 {
  func.func @weights() {
    return
  }
  func.func @model(%step: !tfm.step) {
    // expected-error @below {{program_c3: 'w' is not defined in @weights}}
    %0 = tfm.weight "w" : tensor<64xf32>
    return
  }
}

// -----

module @program_c4 {
  func.func @weights() {
    return
  }
  func.func private @block_0(!tfm.step)
  func.func @model(%step: !tfm.step) {
    // expected-error @below {{program_c4: @block_0 is no block with 1 arguments}}
    call @block_0(%step) : (!tfm.step) -> ()
    return
  }
}

// -----

module @program_c5 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-note @below {{defined here}}
    tfm.define "w" = %0 : tensor<64xf32>
    return
  }
  func.func @model(%step: !tfm.step) {
    // expected-error @below {{program_c5: 'w' is 'tensor<32xf32>', but defined as 'tensor<64xf32>'}}
    %0 = tfm.weight "w" : tensor<32xf32>
    return
  }
}

// -----

module @program_c6 {
  func.func @weights() {
    return
  }
  func.func private @block_0(%c: !tfm.cache<2 by 16 by f32>) {
    return
  }
  func.func @model(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>) {
    // expected-error @below {{program_c6: the cache is no layer's}}
    call @block_0(%c) : (!tfm.cache<2 by 16 by f32>) -> ()
    return
  }
}

// -----

module @program_c7 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    tfm.define "w" = %0 : tensor<64xf32>
    return
  }
  func.func private @block_0() {
    // expected-error @below {{program_c7: stands in @block_0, not in @model}}
    %0 = tfm.weight "w" : tensor<64xf32>
    return
  }
  func.func @model(%step: !tfm.step) {
    call @block_0() : () -> ()
    return
  }
}

// -----

module @program_c8 {
  func.func @weights() {
    return
  }
  func.func @model(%step: !tfm.step) {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-error @below {{program_c8: stands in @model, not in @weights}}
    tfm.define "w" = %0 : tensor<64xf32>
    return
  }
}
