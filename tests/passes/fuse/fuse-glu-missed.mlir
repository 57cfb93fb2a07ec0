// RUN: qcc-opt %s --split-input-file --fuse-glu | FileCheck %s
// RUN: qcc-opt %s --split-input-file --fuse-glu --remarks-filter=.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=remark:

// One module for each reason why a gated product stays; the reason is a remark.

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a half is used elsewhere"
// CHECK-LABEL: module @used_elsewhere
module @used_elsewhere {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    %4 = tfm.add %3, %0 : tensor<?x32xf32>
    return %4 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the halves are no multiple of 16 wide"
// CHECK-LABEL: module @width
module @width {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<24x64xf32>
    %1 = qnt.convert %0 : tensor<24x64xf32> -> !qnt.packed<24 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<24 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<24 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x24xf32> {
    %u = tfm.weight "u" : !qnt.packed<24 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<24 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [24] : (tensor<?x64xf32>, !qnt.packed<24 by 64, <f32>>) -> tensor<?x24xf32>
    %1 = qnt.fused_gemm %x, %g splits [24] : (tensor<?x64xf32>, !qnt.packed<24 by 64, <f32>>) -> tensor<?x24xf32>
    %2 = tfm.activation silu %1 : tensor<?x24xf32>
    %3 = tfm.mul %2, %0 : tensor<?x24xf32>
    return %3 : tensor<?x24xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a half has a bias"
// CHECK-LABEL: module @bias
module @bias {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %b: tensor<32xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g bias %b splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>, tensor<32xf32>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a half has an epilogue already"
// CHECK-LABEL: module @epilogue
module @epilogue {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u activation relu splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a flattened block would cross from one half into the other"
// CHECK-LABEL: module @flattened
module @flattened {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x33xf32>
    %c, %s = qnt.quantize "bnb" %0 to <nf4, block = 64> : tensor<64x33xf32> -> tensor<64x33xi8>, tensor<33xf32>
    %1 = qnt.pack %c, %s : tensor<64x33xi8>, tensor<33xf32> -> !qnt.packed<64 by 33, <nf4, block = 64>>
    tfm.define "u" = %1 : !qnt.packed<64 by 33, <nf4, block = 64>>
    tfm.define "g" = %1 : !qnt.packed<64 by 33, <nf4, block = 64>>
    return
  }
  func.func @model(%x: tensor<?x33xf32>, %y: tensor<?x33xf32>) -> tensor<?x64xf32> {
    %u = tfm.weight "u" : !qnt.packed<64 by 33, <nf4, block = 64>>
    %g = tfm.weight "g" : !qnt.packed<64 by 33, <nf4, block = 64>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [64] : (tensor<?x33xf32>, !qnt.packed<64 by 33, <nf4, block = 64>>) -> tensor<?x64xf32>
    %1 = qnt.fused_gemm %x, %g splits [64] : (tensor<?x33xf32>, !qnt.packed<64 by 33, <nf4, block = 64>>) -> tensor<?x64xf32>
    %2 = tfm.activation silu %1 : tensor<?x64xf32>
    %3 = tfm.mul %2, %0 : tensor<?x64xf32>
    return %3 : tensor<?x64xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the halves read different rows"
// CHECK-LABEL: module @other_rows
module @other_rows {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %y, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the halves read different rows"
// CHECK-LABEL: module @other_norm
module @other_norm {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %n: tensor<64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u norm "rms" (%n) eps 1.0e-5 splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>, tensor<64xf32>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the halves have different formats"
// CHECK-LABEL: module @other_format
module @other_format {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %2 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f16>>
    tfm.define "u" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "g" = %2 : !qnt.packed<32 by 64, <f16>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "u" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f16>>
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f16>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a weight comes from no tfm.define"
// CHECK-LABEL: module @unknown
module @unknown {
  func.func @weights() {
    return
  }
  // Nothing calls this block.
  func.func private @block(%x: tensor<?x64xf32>, %u: !qnt.packed<32 by 64, <f32>>, %g: !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32> {
    // CHECK: tfm.mul
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
  func.func @model() {
    return
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the gemm has other results than gate and up"
// CHECK-LABEL: module @three
module @three {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %2 = qnt.stack_rows %1, %1, %1 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<96 by 64, <f32>>
    tfm.define "w" = %2 : !qnt.packed<96 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %w = tfm.weight "w" : !qnt.packed<96 by 64, <f32>>
    // CHECK: tfm.mul
    %0:3 = qnt.fused_gemm %x, %w splits [32, 32, 32] : (tensor<?x64xf32>, !qnt.packed<96 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
    %1 = tfm.activation silu %0#0 : tensor<?x32xf32>
    %2 = tfm.mul %1, %0#1 : tensor<?x32xf32>
    return %2 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="something else reads the stacked weight"
// CHECK-LABEL: module @other_reader
module @other_reader {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %2 = qnt.stack_rows %1, %1 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "w" = %2 : !qnt.packed<64 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %w = tfm.weight "w" : !qnt.packed<64 by 64, <f32>>
    // CHECK: tfm.mul
    %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    %1 = tfm.activation silu %0#0 : tensor<?x32xf32>
    %2 = tfm.mul %1, %0#1 : tensor<?x32xf32>
    %3:2 = qnt.fused_gemm %x, %w activation relu splits [32, 32] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    return %2 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="the weight is no stack of two"
// CHECK-LABEL: module @no_stack
module @no_stack {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<64x64xf32>
    %2 = qnt.convert %0 : tensor<64x64xf32> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "w" = %2 : !qnt.packed<64 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %w = tfm.weight "w" : !qnt.packed<64 by 64, <f32>>
    // CHECK: tfm.mul
    %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    %1 = tfm.activation silu %0#0 : tensor<?x32xf32>
    %2 = tfm.mul %1, %0#1 : tensor<?x32xf32>
    return %2 : tensor<?x32xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-gated | Category:fuse-glu | Remark="a half is part of another stack"
// CHECK-LABEL: module @part_of_stack
module @part_of_stack {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %2 = qnt.stack_rows %1, %1 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "w" = %2 : !qnt.packed<64 by 64, <f32>>
    tfm.define "g" = %1 : !qnt.packed<32 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %w = tfm.weight "w" : !qnt.packed<64 by 64, <f32>>
    %g = tfm.weight "g" : !qnt.packed<32 by 64, <f32>>
    // CHECK: tfm.mul
    %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation silu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0#1 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}
