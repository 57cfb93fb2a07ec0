// RUN: qcc-opt %s --fuse-norm | FileCheck %s

!x = tensor<?x64xf32>
!w = !qnt.packed<64 by 64, <f32>>
!v = !qnt.packed<1 by 64, <f32>>

// Each reader of the norm does it again.
// CHECK-LABEL: func.func private @rms
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[W:[^:]*]]: !qnt.packed<64 by 64, <f32>>, %[[N:[^:]*]]: !qnt.packed<1 by 64, <f32>>)
func.func private @rms(%x: !x, %w: !w, %n: !v) -> (!x, !x) {
  // CHECK-NEXT: qnt.fused_gemm %[[X]], %[[W]] norm "rms"(%[[N]]) eps 9.99999974E-6 splits [64] {norm_offset = 1.000000e+00 : f32} :
  // CHECK-NEXT: qnt.fused_gemm %[[X]], %[[W]] norm "rms"(%[[N]]) eps 9.99999974E-6 bias %[[N]] splits [64] {norm_offset = 1.000000e+00 : f32} :
  // CHECK-NEXT: return
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 {offset = 1.0 : f32} : !x, !v
  %1 = qnt.fused_gemm %0, %w splits [64] : (!x, !w) -> !x
  %2 = qnt.fused_gemm %0, %w bias %n splits [64] : (!x, !w, !v) -> !x
  return %1, %2 : !x, !x
}

// CHECK-LABEL: func.func private @layer
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[W:[^:]*]]: !qnt.packed<64 by 64, <f32>>, %[[N:[^:]*]]: !qnt.packed<1 by 64, <f32>>, %[[B:[^:]*]]:
func.func private @layer(%x: !x, %w: !w, %n: !v, %b: !v) -> !x {
  // CHECK-NEXT: qnt.fused_gemm %[[X]], %[[W]] norm "layer"(%[[N]], %[[B]]) eps 9.99999974E-6 splits [64] :
  // CHECK-NEXT: return
  %0 = tfm.layer_norm %x, %n bias %b eps 1.0e-5 : !x, !v, !v
  %1 = qnt.fused_gemm %0, %w splits [64] : (!x, !w) -> !x
  return %1 : !x
}

// CHECK-LABEL: func.func private @layer_without_bias
func.func private @layer_without_bias(%x: !x, %w: !w, %n: !v) -> !x {
  // CHECK-NEXT: qnt.fused_gemm %{{.*}}, %{{.*}} norm "layer"(%{{[^,]*}}) eps 9.99999974E-6 splits [64] :
  %0 = tfm.layer_norm %x, %n eps 1.0e-5 : !x, !v
  %1 = qnt.fused_gemm %0, %w splits [64] : (!x, !w) -> !x
  return %1 : !x
}

// The head's norm is of the rows that want logits only.
// CHECK-LABEL: func.func private @head
// CHECK-SAME: (%[[STEP:[^:]*]]: !tfm.step, %[[X:[^:]*]]:
func.func private @head(%step: !tfm.step, %x: !x, %w: !w, %n: !v) -> !x {
  // CHECK-NEXT: qnt.fused_gemm %[[X]], %{{.*}} rows %[[STEP]] norm "rms"
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 : !x, !v
  %1 = qnt.fused_gemm %0, %w rows %step splits [64] : (!x, !w, !tfm.step) -> !x
  return %1 : !x
}

// Norms of heads belong to attention.
// CHECK-LABEL: func.func private @heads
func.func private @heads(%x: !x, %w: !w, %n: tensor<16xf32>) -> !x {
  // CHECK: tfm.rms_norm
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 {heads = 4 : i64} : !x, tensor<16xf32>
  %1 = qnt.fused_gemm %0, %w splits [64] : (!x, !w) -> !x
  return %1 : !x
}

// Something else reads the norm.
// CHECK-LABEL: func.func private @other_reader
func.func private @other_reader(%x: !x, %w: !w, %n: !v) -> (!x, !x) {
  // CHECK: tfm.rms_norm
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 : !x, !v
  %1 = qnt.fused_gemm %0, %w splits [64] : (!x, !w) -> !x
  %2 = tfm.add %0, %1 : !x
  return %1, %2 : !x, !x
}

// A residual is no input.
// CHECK-LABEL: func.func private @residual
func.func private @residual(%x: !x, %w: !w, %n: !v) -> !x {
  // CHECK: tfm.rms_norm
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 : !x, !v
  %1 = qnt.fused_gemm %0, %w residual %0 splits [64] : (!x, !w, !x) -> !x
  return %1 : !x
}

// A GEMM normalizes once.
// CHECK-LABEL: func.func private @two_norms
func.func private @two_norms(%x: !x, %w: !w, %n: !v) -> !x {
  // CHECK: tfm.rms_norm
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} norm "layer"
  %0 = tfm.rms_norm %x, %n eps 1.0e-5 : !x, !v
  %1 = tfm.layer_norm %0, %n eps 1.0e-5 : !x, !v
  %2 = qnt.fused_gemm %1, %w splits [64] : (!x, !w) -> !x
  return %2 : !x
}
