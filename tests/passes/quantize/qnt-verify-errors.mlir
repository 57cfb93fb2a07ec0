// RUN: qcc-opt %s --qnt-verify --split-input-file --verify-diagnostics

module @quantized_c1 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    // expected-error @below {{quantized_c1: 'w' is selected for rtn but not quantized}}
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : tensor<64x64xf32>
    return
  }
  func.func @model() {
    return
  }
}

// -----

module @quantized_c2 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    %1 = qnt.convert %0 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f16>>
    // expected-error @below {{quantized_c2: 'w' is f16 where the scheme says int8.row}}
    tfm.define "w" = %1 {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} : !qnt.packed<64 by 64, <f16>>
    return
  }
  func.func @model() {
    return
  }
}

// -----

module @quantized_c3 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    // expected-note @below {{defined as 'tensor<64x64xf32>'}}
    tfm.define "w" = %0 : tensor<64x64xf32>
    return
  }
  func.func @model() {
    // expected-error @below {{quantized_c3: 'w' is 'tensor<64x64xf16>'}}
    %0 = tfm.weight "w" : tensor<64x64xf16>
    return
  }
}

// -----

module @quantized_c3_undefined {
  func.func @weights() {
    return
  }
  func.func @model() {
    // expected-error @below {{quantized_c3: 'w' is 'tensor<64x64xf16>', but not defined}}
    %0 = tfm.weight "w" : tensor<64x64xf16>
    return
  }
}

// -----

module @quantized_c4 {
  func.func @weights() {
    return
  }
  func.func private @block(%x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <int8, row>>) {
    // expected-error @below {{quantized_c4: reads a packed weight; that is qnt.dequant_gemm's}}
    %0 = tfm.linear %x, %w : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row>> -> tensor<?x64xf32>
    return
  }
  func.func @model() {
    return
  }
}

// -----

module @quantized_c5 {
  func.func @weights() {
    return
  }
  func.func private @block(%step: !tfm.step, %w: !qnt.packed<64 by 64, <int8, row>>) {
    // expected-error @below {{quantized_c5: the table is int8.row; tables are not quantized}}
    %0 = tfm.embedding %step, %w : !qnt.packed<64 by 64, <int8, row>> -> tensor<?x64xf32>
    return
  }
  func.func @model() {
    return
  }
}
