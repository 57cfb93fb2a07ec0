// RUN: qcc-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @transpose_of_transpose
// CHECK-SAME: (%[[W:.*]]: tensor<16x64xf32>)
func.func @transpose_of_transpose(%w: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %0 = tfm.transpose %w : tensor<16x64xf32> -> tensor<64x16xf32>
  %1 = tfm.transpose %0 : tensor<64x16xf32> -> tensor<16x64xf32>
  // CHECK-NEXT: return %[[W]]
  return %1 : tensor<16x64xf32>
}

// CHECK-LABEL: func.func @activation_none
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>)
func.func @activation_none(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.activation none %x : tensor<?x64xf32>
  // CHECK-NEXT: return %[[X]]
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @activation_stays
func.func @activation_stays(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: tfm.activation relu
  %0 = tfm.activation relu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @slice_of_all
// CHECK-SAME: (%[[W:.*]]: tensor<16x64xf32>)
func.func @slice_of_all(%w: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %0 = tfm.slice_rows %w [0, 16] : tensor<16x64xf32> -> tensor<16x64xf32>
  // CHECK-NEXT: return %[[W]]
  return %0 : tensor<16x64xf32>
}

// CHECK-LABEL: func.func @slice_of_slice
// CHECK-SAME: (%[[W:.*]]: tensor<64x8xf32>)
func.func @slice_of_slice(%w: tensor<64x8xf32>) -> tensor<4x8xf32> {
  %0 = tfm.slice_rows %w [16, 32] : tensor<64x8xf32> -> tensor<32x8xf32>
  %1 = tfm.slice_rows %0 [8, 4] : tensor<32x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: %[[S:.*]] = tfm.slice_rows %[[W]][24, 4] : tensor<64x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: return %[[S]]
  return %1 : tensor<4x8xf32>
}

// A slice of each block is no slice of the whole.
// CHECK-LABEL: func.func @slice_of_strided_slice
func.func @slice_of_strided_slice(%w: tensor<64x8xf32>) -> tensor<4x8xf32> {
  // CHECK: tfm.slice_rows %{{.*}}[4, 8 stride 16]
  %0 = tfm.slice_rows %w [4, 8 stride 16] : tensor<64x8xf32> -> tensor<32x8xf32>
  // CHECK: tfm.slice_rows %{{.*}}[8, 4]
  %1 = tfm.slice_rows %0 [8, 4] : tensor<32x8xf32> -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @slice_of_concat
// CHECK-SAME: %[[B:[^:]*]]: tensor<24x8xf32>
func.func @slice_of_concat(%a: tensor<16x8xf32>, %b: tensor<24x8xf32>) -> (tensor<24x8xf32>, tensor<4x8xf32>) {
  %0 = tfm.concat_rows %a, %b : tensor<16x8xf32>, tensor<24x8xf32> -> tensor<40x8xf32>
  %1 = tfm.slice_rows %0 [16, 24] : tensor<40x8xf32> -> tensor<24x8xf32>
  %2 = tfm.slice_rows %0 [20, 4] : tensor<40x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: %[[S:.*]] = tfm.slice_rows %[[B]][4, 4] : tensor<24x8xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: return %[[B]], %[[S]]
  return %1, %2 : tensor<24x8xf32>, tensor<4x8xf32>
}

// CHECK-LABEL: func.func @slice_of_two_inputs
func.func @slice_of_two_inputs(%a: tensor<16x8xf32>, %b: tensor<24x8xf32>) -> tensor<4x8xf32> {
  // CHECK: %[[C:.*]] = tfm.concat_rows
  %0 = tfm.concat_rows %a, %b : tensor<16x8xf32>, tensor<24x8xf32> -> tensor<40x8xf32>
  // CHECK: tfm.slice_rows %[[C]][14, 4]
  %1 = tfm.slice_rows %0 [14, 4] : tensor<40x8xf32> -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @strided_slice_of_concat
func.func @strided_slice_of_concat(%a: tensor<16x8xf32>) -> tensor<8x8xf32> {
  // CHECK: tfm.concat_rows
  %0 = tfm.concat_rows %a, %a : tensor<16x8xf32>, tensor<16x8xf32> -> tensor<32x8xf32>
  // CHECK: tfm.slice_rows %{{.*}}[0, 4 stride 16]
  %1 = tfm.slice_rows %0 [0, 4 stride 16] : tensor<32x8xf32> -> tensor<8x8xf32>
  return %1 : tensor<8x8xf32>
}

// CHECK-LABEL: func.func @concat_of_one
// CHECK-SAME: (%[[W:.*]]: tensor<16xf32>)
func.func @concat_of_one(%w: tensor<16xf32>) -> tensor<16xf32> {
  %0 = tfm.concat_rows %w : tensor<16xf32> -> tensor<16xf32>
  // CHECK-NEXT: return %[[W]]
  return %0 : tensor<16xf32>
}

// CHECK-LABEL: func.func @concat_of_concat
// CHECK-SAME: (%[[A:[^:]*]]: tensor<16xf32>, %[[B:[^:]*]]: tensor<8xf32>)
func.func @concat_of_concat(%a: tensor<16xf32>, %b: tensor<8xf32>) -> tensor<40xf32> {
  %0 = tfm.concat_rows %a, %b : tensor<16xf32>, tensor<8xf32> -> tensor<24xf32>
  %1 = tfm.concat_rows %0, %a : tensor<24xf32>, tensor<16xf32> -> tensor<40xf32>
  // CHECK-NEXT: tfm.concat_rows %[[A]], %[[B]], %[[A]] : tensor<16xf32>, tensor<8xf32>, tensor<16xf32> -> tensor<40xf32>
  return %1 : tensor<40xf32>
}

// Definitions are what the weight stream executes; they stay.
// CHECK-LABEL: func.func @weights
func.func @weights() {
  // CHECK-NEXT: %[[W:.*]] = tfm.param <"checkpoint"::"w"> : tensor<16xf32>
  %0 = tfm.param <"checkpoint"::"w"> : tensor<16xf32>
  // CHECK-NOT: unused
  %1 = tfm.param <"checkpoint"::"unused"> : tensor<16xf32>
  // CHECK-NEXT: tfm.define "w" = %[[W]]
  tfm.define "w" = %0 : tensor<16xf32>
  return
}

// Attention writes the cache: it stays, although nothing reads its result.
// CHECK-LABEL: func.func @attention_stays
func.func @attention_stays(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>) {
  // CHECK: tfm.attention
  %0 = tfm.attention %step, %c, %q, %k, %k heads 4 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  // CHECK-NOT: tfm.add
  %1 = tfm.add %q, %q : tensor<?x64xf32>
  return
}
