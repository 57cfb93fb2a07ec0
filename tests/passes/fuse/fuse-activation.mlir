// RUN: qcc-opt %s --fuse-activation | FileCheck %s

!x = tensor<?x64xf32>
!w = !qnt.packed<64 by 64, <f32>>

// CHECK-LABEL: func.func private @single
func.func private @single(%x: !x, %w: !w) -> !x {
  // CHECK-NEXT: %[[Y:.*]] = qnt.fused_gemm %{{.*}}, %{{.*}} activation gelu splits [64] :
  // CHECK-NEXT: return %[[Y]]
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.activation gelu %0 : !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @no_gemm
func.func private @no_gemm(%x: !x) -> !x {
  // CHECK: tfm.activation
  %0 = tfm.activation gelu %x : !x
  return %0 : !x
}

// CHECK-LABEL: func.func private @several_results
func.func private @several_results(%x: !x, %w: !w) -> tensor<?x32xf32> {
  // CHECK: tfm.activation
  %0:2 = qnt.fused_gemm %x, %w splits [32, 32] : (!x, !w) -> (tensor<?x32xf32>, tensor<?x32xf32>)
  %1 = tfm.activation gelu %0#0 : tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// CHECK-LABEL: func.func private @other_reader
func.func private @other_reader(%x: !x, %w: !w) -> (!x, !x) {
  // CHECK: tfm.activation
  %0 = qnt.fused_gemm %x, %w splits [64] : (!x, !w) -> !x
  %1 = tfm.activation gelu %0 : !x
  return %0, %1 : !x, !x
}

// The residual comes after the activation, so one behind it cannot go in.
// CHECK-LABEL: func.func private @epilogue
func.func private @epilogue(%x: !x, %w: !w) -> (!x, !x) {
  // CHECK: tfm.activation gelu
  %0 = qnt.fused_gemm %x, %w residual %x splits [64] : (!x, !w, !x) -> !x
  %1 = tfm.activation gelu %0 : !x
  // CHECK: tfm.activation gelu
  %2 = qnt.fused_gemm %x, %w activation relu splits [64] : (!x, !w) -> !x
  %3 = tfm.activation gelu %2 : !x
  return %1, %3 : !x, !x
}
