// RUN: qcc-opt %s --fuse-map | FileCheck %s

!x = tensor<?x64xf32>
!w = !qnt.packed<64 by 64, <f32>>

// Granite's residual multiplier; two scales are one.
// CHECK-LABEL: func.func private @scale
func.func private @scale(%x: !x, %w: !w) -> !x {
  // CHECK-NEXT: %[[Y:.*]] = qnt.fused_gemm %{{.*}}, %{{.*}} splits [64] {multiplier = 2.500000e-01 : f32} :
  // CHECK-NEXT: return %[[Y]]
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.map scale %0 by 0.5 : !x
  %2 = tfm.map scale %1 by 0.5 : !x
  return %2 : !x
}

// CHECK-LABEL: func.func private @soft_cap
func.func private @soft_cap(%x: !x, %w: !w) -> !x {
  // CHECK-NEXT: qnt.fused_gemm %{{.*}}, %{{.*}} splits [64] {soft_cap = 3.000000e+01 : f32} :
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.map soft_cap %0 by 30.0 : !x
  return %1 : !x
}

// What is scaled after the cap stays.
// CHECK-LABEL: func.func private @after_soft_cap
func.func private @after_soft_cap(%x: !x, %w: !w) -> !x {
  // CHECK: tfm.map scale
  %0 = qnt.fused_gemm %x, %w splits [64] {soft_cap = 3.0 : f32} : (!x, !w) -> !x
  %1 = tfm.map scale %0 by 0.5 : !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @clamp
func.func private @clamp(%x: !x, %w: !w) -> !x {
  // CHECK: tfm.map clamp
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.map clamp %0 by 8.0 : !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @no_gemm
func.func private @no_gemm(%x: !x) -> !x {
  // CHECK: tfm.map scale
  %0 = tfm.map scale %x by 0.5 : !x
  return %0 : !x
}

// CHECK-LABEL: func.func private @several_results
func.func private @several_results(%x: !x, %w: !w) -> tensor<?x32xf32> {
  // CHECK: tfm.map scale
  %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (!x, !w) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  %1 = tfm.map scale %0#0 by 0.5 : tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// CHECK-LABEL: func.func private @other_reader
func.func private @other_reader(%x: !x, %w: !w) -> (!x, !x) {
  // CHECK: tfm.map scale
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.map scale %0 by 0.5 : !x
  return %0, %1 : !x, !x
}

// CHECK-LABEL: func.func private @after_residual
func.func private @after_residual(%x: !x, %w: !w) -> !x {
  // CHECK: tfm.map scale
  %0 = qnt.fused_gemm %x, %w residual %x splits [64] : (!x, !w, !x) -> !x
  %1 = tfm.map scale %0 by 0.5 : !x
  return %1 : !x
}
