// RUN: qcc-opt %s --fuse-form-gemms=dtype=f64 --split-input-file --verify-diagnostics
// RUN: not qcc-opt %s --fuse-form-gemms --split-input-file 2>&1 | FileCheck %s

// expected-error @below {{form_gemms_c1: unknown dtype 'f64' (f32, f16, bf16)}}
module @form_gemms_c1 {
  func.func @weights() {
    return
  }
  func.func @model(%step: !tfm.step) {
    return
  }
}

// -----

// expected-error @below {{form_gemms_c1}}
module @form_gemms_c2 {
  func.func @weights() {
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) {
    // CHECK: 'tfm.linear' op form_gemms_c2: the weight comes from no tfm.define
    %0 = tfm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    return
  }
}
