// RUN: qcc-opt %s --qnt-quantize-int8 --split-input-file --verify-diagnostics
// RUN: not qcc-opt %s --qnt-quantize-int8=threshold=-1 --split-input-file 2>&1 | FileCheck %s

// CHECK: quantize_int8_c1: the threshold -1{{.*}} is neither 0 (no outliers) nor positive and finite

module @selected_c2 {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
    // expected-error @below {{selected_c2: 'w' is a vector; only matrices are quantized}}
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"int8", <int8, row, scale = f32>>} : tensor<64xf32>
    return
  }
  func.func @model() {
    return
  }
}
