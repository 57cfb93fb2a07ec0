// RUN: qcc-opt %s --fuse-residual | FileCheck %s

!x = tensor<?x64xf32>
!w = !qnt.packed<64 by 64, <f32>>

// CHECK-LABEL: func.func private @both_sides
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>,
func.func private @both_sides(%x: !x, %w: !w) -> (!x, !x) {
  // CHECK-NEXT: %[[A:.*]] = qnt.fused_gemm %[[X]], %{{.*}} residual %[[X]] splits [64] :
  // CHECK-NEXT: %[[B:.*]] = qnt.fused_gemm %[[X]], %{{.*}} activation relu residual %[[X]] splits [64] :
  // CHECK-NEXT: return %[[A]], %[[B]]
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.add %x, %0 : !x
  %2 = qnt.fused_gemm %x, %w activation relu splits [64] : (!x, !w) -> !x
  %3 = tfm.add %2, %x : !x
  return %1, %3 : !x, !x
}

// Falcon's parallel block: x + attention + mlp.
// CHECK-LABEL: func.func private @parallel
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[W:[^:]*]]: !qnt.packed<64 by 64, <f32>>, %[[V:[^:]*]]:
func.func private @parallel(%x: !x, %w: !w, %v: !w) -> !x {
  // CHECK-NEXT: %[[A:.*]] = qnt.fused_gemm %[[X]], %[[W]] residual %[[X]] splits [64] :
  // CHECK-NEXT: %[[B:.*]] = qnt.fused_gemm %[[X]], %[[V]] residual %[[A]] splits [64] :
  // CHECK-NEXT: return %[[B]]
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = qnt.fused_gemm %x, %v splits [64] : (!x, !w) -> !x
  %2 = tfm.add %x, %0 : !x
  %3 = tfm.add %2, %1 : !x
  return %3 : !x
}

// Of two GEMMs the later one takes the sum, also from the left.
// CHECK-LABEL: func.func private @later
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[W:[^:]*]]: !qnt.packed<64 by 64, <f32>>, %[[V:[^:]*]]:
func.func private @later(%x: !x, %w: !w, %v: !w) -> !x {
  // CHECK-NEXT: %[[A:.*]] = qnt.fused_gemm %[[X]], %[[W]] splits [64] :
  // CHECK-NEXT: qnt.fused_gemm %[[X]], %[[V]] residual %[[A]] splits [64] :
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = qnt.fused_gemm %x, %v splits [64] : (!x, !w) -> !x
  %2 = tfm.add %1, %0 : !x
  return %2 : !x
}

// The residual is computed after the GEMM: the GEMM moves behind it.
// CHECK-LABEL: func.func private @moves
func.func private @moves(%x: !x, %w: !w) -> !x {
  // CHECK-NEXT: %[[A:.*]] = tfm.activation relu
  // CHECK-NEXT: qnt.fused_gemm %{{.*}}, %{{.*}} residual %[[A]] splits [64] :
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.activation relu %x : !x
  %2 = tfm.add %1, %0 : !x
  return %2 : !x
}

// CHECK-LABEL: func.func private @no_gemm
func.func private @no_gemm(%x: !x) -> !x {
  // CHECK: tfm.add
  %0 = tfm.add %x, %x : !x
  return %0 : !x
}

// CHECK-LABEL: func.func private @other_reader
func.func private @other_reader(%x: !x, %w: !w) -> (!x, !x) {
  // CHECK: tfm.add
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.add %x, %0 : !x
  return %0, %1 : !x, !x
}

// CHECK-LABEL: func.func private @twice_the_same
func.func private @twice_the_same(%x: !x, %w: !w) -> !x {
  // CHECK: tfm.add
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.add %0, %0 : !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @residual_already
func.func private @residual_already(%x: !x, %w: !w) -> !x {
  // CHECK: tfm.add
  %0 = qnt.fused_gemm %x, %w residual %x splits [64] : (!x, !w, !x) -> !x
  %1 = tfm.add %0, %x : !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @several_results
func.func private @several_results(%x: tensor<?x32xf32>, %w: !qnt.packed<64 by 32, <f32>>) -> tensor<?x32xf32> {
  // CHECK: tfm.add
  %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (tensor<?x32xf32>, !qnt.packed<64 by 32, <f32>>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  %1 = tfm.add %0#0, %x : tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// The head has other rows than its input.
// CHECK-LABEL: func.func private @head
func.func private @head(%step: !tfm.step, %x: !x, %w: !w) -> !x {
  // CHECK: tfm.add
  %0 = qnt.fused_gemm %x, %w rows %step splits [64] : (!x, !w, !tfm.step) -> !x
  %1 = tfm.add %0, %x : !x
  return %1 : !x
}
