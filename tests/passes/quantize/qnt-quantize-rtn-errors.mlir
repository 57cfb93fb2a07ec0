// RUN: qcc-opt %s --qnt-quantize-rtn --split-input-file --verify-diagnostics

module @selected_c1 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    %1 = qnt.convert %0 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>>
    // expected-error @below {{selected_c1: 'w' is packed already}}
    tfm.define "w" = %1 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : !qnt.packed<64 by 64, <f32>>
    return
  }
  func.func @model() {
    return
  }
}

// -----

module @selected_c2 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-error @below {{selected_c2: 'w' is a vector; only matrices are quantized}}
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : tensor<64xf32>
    return
  }
  func.func @model() {
    return
  }
}

// -----

module @program_c3 {
  func.func @weights() {
    return
  }
  func.func @model() {
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
  func.func private @block(!tfm.step)
  func.func @model(%step: !tfm.step) {
    // expected-error @below {{program_c4: @block is no block with 1 arguments}}
    call @block(%step) : (!tfm.step) -> ()
    return
  }
}

// -----

// A group that is longer than a row is the row.
// expected-warning @below {{1 of 1 weights have fewer columns than a group of 128: a whole row is their group}}
module @long_groups {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"rtn", <int8, group = 128>>} : tensor<64x64xf32>
    return
  }
  func.func @model() {
    return
  }
}
