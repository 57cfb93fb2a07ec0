// RUN: qcc-opt %s --split-input-file --fuse-stack-linears | FileCheck %s
// RUN: qcc-opt %s --split-input-file --fuse-stack-linears --remarks-filter=.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=remark:

// Everything that keeps linears apart; what the user could have expected is a
// remark with the reason. GEMMs in @model are stacked like those in blocks.

// CHECK-LABEL: module @differences
module @differences {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"q"> : tensor<64x64xbf16>
    %1 = qnt.convert %0 : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
    %2 = qnt.convert %0 : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <f16>>
    tfm.define "a" = %1 : !qnt.packed<64 by 64, <bf16>>
    tfm.define "b" = %1 : !qnt.packed<64 by 64, <bf16>>
    tfm.define "c" = %2 : !qnt.packed<64 by 64, <f16>>
    return
  }
  // CHECK-LABEL: func.func @model
  func.func @model(%step: !tfm.step, %x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
    %a = tfm.weight "a" : !qnt.packed<64 by 64, <bf16>>
    %b = tfm.weight "b" : !qnt.packed<64 by 64, <bf16>>
    %c = tfm.weight "c" : !qnt.packed<64 by 64, <f16>>
    // Another input, another format, an epilogue, other rows.
    // CHECK-COUNT-5: qnt.fused_gemm {{.*}} splits [64] :
    %0 = qnt.fused_gemm %x, %a splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    %1 = qnt.fused_gemm %y, %b splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    %2 = qnt.fused_gemm %x, %c splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f16>>) -> tensor<?x64xf32>
    %3 = qnt.fused_gemm %x, %b activation relu splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    %4 = qnt.fused_gemm %x, %b rows %step splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>, !tfm.step) -> tensor<?x64xf32>
    return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
  }
}

// -----

// CHECK-LABEL: module @in_model
module @in_model {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"q"> : tensor<64x64xbf16>
    %1 = qnt.convert %0 : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
    tfm.define "a" = %1 : !qnt.packed<64 by 64, <bf16>>
    // CHECK: tfm.define "a+b" = %{{.*}} : !qnt.packed<128 by 64, <bf16>>
    tfm.define "b" = %1 : !qnt.packed<64 by 64, <bf16>>
    return
  }
  // CHECK: func.func @model
  func.func @model(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
    // CHECK-NEXT: %[[W:.*]] = tfm.weight "a+b"
    // CHECK-NEXT: qnt.fused_gemm %{{.*}}, %[[W]] splits [64, 64] :
    %a = tfm.weight "a" : !qnt.packed<64 by 64, <bf16>>
    %0 = qnt.fused_gemm %x, %a splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    %b = tfm.weight "b" : !qnt.packed<64 by 64, <bf16>>
    %1 = qnt.fused_gemm %x, %b splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>) -> tensor<?x64xf32>
    return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-stacked | Category:fuse-stack-linears | Remark="a flattened block would cross from one weight into the next"
// CHECK: module @flattened
module @flattened {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"q"> : tensor<3x32xf32>
    %c, %s = qnt.quantize "bnb" %0 to <nf4, block = 64> : tensor<3x32xf32> -> tensor<3x32xi8>, tensor<2xf32>
    %1 = qnt.pack %c, %s : tensor<3x32xi8>, tensor<2xf32> -> !qnt.packed<3 by 32, <nf4, block = 64>>
    tfm.define "a" = %1 : !qnt.packed<3 by 32, <nf4, block = 64>>
    return
  }
  func.func @model(%x: tensor<?x32xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
    %a = tfm.weight "a" : !qnt.packed<3 by 32, <nf4, block = 64>>
    %0 = qnt.fused_gemm %x, %a splits [3] : (tensor<?x32xf32>, !qnt.packed<3 by 32, <nf4, block = 64>>) -> tensor<?x3xf32>
    %1 = qnt.fused_gemm %x, %a splits [3] : (tensor<?x32xf32>, !qnt.packed<3 by 32, <nf4, block = 64>>) -> tensor<?x3xf32>
    return %0, %1 : tensor<?x3xf32>, tensor<?x3xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-stacked | Category:fuse-stack-linears | Remark="biases are stored in different types"
// CHECK: module @biases
module @biases {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<16x64xf32>
    %1 = qnt.convert %0 : tensor<16x64xf32> -> !qnt.packed<16 by 64, <f32>>
    %2 = tfm.param <"checkpoint"::"a"> : tensor<16xf32>
    %3 = tfm.param <"checkpoint"::"b"> : tensor<16xbf16>
    %4 = qnt.convert %2 : tensor<16xf32> -> !qnt.packed<1 by 16, <f32>>
    %5 = qnt.convert %3 : tensor<16xbf16> -> !qnt.packed<1 by 16, <f32>>
    tfm.define "w" = %1 : !qnt.packed<16 by 64, <f32>>
    tfm.define "a" = %4 : !qnt.packed<1 by 16, <f32>>
    tfm.define "b" = %5 : !qnt.packed<1 by 16, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
    %w = tfm.weight "w" : !qnt.packed<16 by 64, <f32>>
    %a = tfm.weight "a" : !qnt.packed<1 by 16, <f32>>
    %b = tfm.weight "b" : !qnt.packed<1 by 16, <f32>>
    %0 = qnt.fused_gemm %x, %w bias %a splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>>) -> tensor<?x16xf32>
    %1 = qnt.fused_gemm %x, %w bias %b splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>>) -> tensor<?x16xf32>
    return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-stacked | Category:fuse-stack-linears | Remark="a bias is not made of floats"
// CHECK: module @bias_of_rows
module @bias_of_rows {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<16x64xf32>
    %1 = qnt.convert %0 : tensor<16x64xf32> -> !qnt.packed<16 by 64, <f32>>
    %2 = tfm.param <"checkpoint"::"a"> : tensor<16xf32>
    %3 = qnt.convert %2 : tensor<16xf32> -> !qnt.packed<1 by 16, <f32>>
    %4 = qnt.relayout %3 : !qnt.packed<1 by 16, <f32>> -> !qnt.packed<1 by 16, <f32>, layout = "rows">
    tfm.define "w" = %1 : !qnt.packed<16 by 64, <f32>>
    tfm.define "a" = %4 : !qnt.packed<1 by 16, <f32>, layout = "rows">
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
    %w = tfm.weight "w" : !qnt.packed<16 by 64, <f32>>
    %a = tfm.weight "a" : !qnt.packed<1 by 16, <f32>, layout = "rows">
    %0 = qnt.fused_gemm %x, %w bias %a splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>, layout = "rows">) -> tensor<?x16xf32>
    %1 = qnt.fused_gemm %x, %w bias %a splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>, layout = "rows">) -> tensor<?x16xf32>
    return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
  }
}

// -----

// REMARK: remark: [Missed] not-stacked | Category:fuse-stack-linears | Remark="a weight comes from no tfm.define"
// REMARK: remark: [Missed] not-stacked | Category:fuse-stack-linears | Remark="a bias comes from no tfm.define"
// CHECK: module @unknown
module @unknown {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<16x64xf32>
    %1 = qnt.convert %0 : tensor<16x64xf32> -> !qnt.packed<16 by 64, <f32>>
    tfm.define "w" = %1 : !qnt.packed<16 by 64, <f32>>
    return
  }
  // Nothing calls this block.
  func.func private @block(%x: tensor<?x64xf32>, %w: !qnt.packed<16 by 64, <f32>>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
    %0 = qnt.fused_gemm %x, %w splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>) -> tensor<?x16xf32>
    %1 = qnt.fused_gemm %x, %w splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>) -> tensor<?x16xf32>
    return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
  }
  func.func @model(%x: tensor<?x64xf32>, %b: !qnt.packed<1 by 16, <f32>>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
    %w = tfm.weight "w" : !qnt.packed<16 by 64, <f32>>
    %0 = qnt.fused_gemm %x, %w bias %b splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>>) -> tensor<?x16xf32>
    %1 = qnt.fused_gemm %x, %w bias %b splits [16] : (tensor<?x64xf32>, !qnt.packed<16 by 64, <f32>>, !qnt.packed<1 by 16, <f32>>) -> tensor<?x16xf32>
    return %0, %1 : tensor<?x16xf32>, tensor<?x16xf32>
  }
}
