// RUN: qcc-opt %s --split-input-file --fuse-glu | FileCheck %s

// Two stacked halves: the stack is interleaved in place, and the gate comes
// first wherever it stood.

// CHECK-LABEL: module @stacked
module @stacked {
  // CHECK-LABEL: func.func @weights
  func.func @weights() {
    // CHECK: %[[U:.*]] = qnt.convert
    // CHECK: %[[G:.*]] = qnt.convert
    %0 = tfm.param <"checkpoint"::"u"> : tensor<32x64xf32>
    %u = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %1 = tfm.param <"checkpoint"::"g"> : tensor<32x64xf32>
    %g = qnt.convert %1 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    // CHECK: %[[S:.*]] = qnt.stack_rows %[[G]], %[[U]] interleave 16 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    // CHECK: tfm.define "0" = %[[S]]
    %2 = qnt.stack_rows %u, %g : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "0" = %2 : !qnt.packed<64 by 64, <f32>>
    // CHECK: qnt.stack_rows %[[G]], %[[U]] interleave 16
    %3 = qnt.stack_rows %u, %g : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "1" = %3 : !qnt.packed<64 by 64, <f32>>
    return
  }
  // CHECK-LABEL: func.func private @block
  // CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[N:[^:]*]]: tensor<64xf32>, %[[W:[^:]*]]: !qnt.packed
  func.func private @block(%x: tensor<?x64xf32>, %n: tensor<64xf32>, %w: !qnt.packed<64 by 64, <f32>>) -> tensor<?x32xf32> {
    // A prologue goes along.
    // CHECK-NEXT: %[[Y:.*]] = qnt.fused_gemm %[[X]], %[[W]] norm "rms"(%[[N]]) eps 9.99999974E-6 activation silu glu splits [32] {norm_offset = 1.000000e+00 : f32} :
    // CHECK-NEXT: return %[[Y]]
    %0:2 = qnt.fused_gemm %x, %w norm "rms" (%n) eps 1.0e-5 splits [32, 32] {norm_offset = 1.0 : f32} : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>, tensor<64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    %1 = tfm.activation silu %0#1 : tensor<?x32xf32>
    %2 = tfm.mul %0#0, %1 : tensor<?x32xf32>
    return %2 : tensor<?x32xf32>
  }
  func.func @model(%x: tensor<?x64xf32>, %n: tensor<64xf32>) -> tensor<?x32xf32> {
    %0 = tfm.weight "0" : !qnt.packed<64 by 64, <f32>>
    %1 = tfm.weight "1" : !qnt.packed<64 by 64, <f32>>
    %2 = call @block(%x, %n, %0) : (tensor<?x64xf32>, tensor<64xf32>, !qnt.packed<64 by 64, <f32>>) -> tensor<?x32xf32>
    %3 = call @block(%x, %n, %1) : (tensor<?x64xf32>, tensor<64xf32>, !qnt.packed<64 by 64, <f32>>) -> tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
}

// -----

// Two GEMMs, as they are where fuse-stack-linears was left out.

// CHECK-LABEL: module @separate
module @separate {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"u"> : tensor<32x64xf32>
    %u = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    %1 = tfm.param <"checkpoint"::"g"> : tensor<32x64xf32>
    %g = qnt.convert %1 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    // CHECK-NOT: tfm.define "layers.0.up"
    tfm.define "layers.0.up" = %u of "l0.up" : !qnt.packed<32 by 64, <f32>>
    tfm.define "layers.0.gate" = %g of "l0.gate" : !qnt.packed<32 by 64, <f32>>
    // CHECK: %[[S:.*]] = qnt.stack_rows %{{.*}}, %{{.*}} interleave 16 :
    // CHECK-NEXT: tfm.define "layers.0.gate+up" = %[[S]] modules ["l0.gate", "l0.up"]
    return
  }
  // CHECK-LABEL: func.func private @block
  // CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[W:[^:]*]]: !qnt.packed<64 by 64, <f32>>)
  func.func private @block(%x: tensor<?x64xf32>, %u: !qnt.packed<32 by 64, <f32>>, %g: !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32> {
    // CHECK-NEXT: qnt.fused_gemm %[[X]], %[[W]] activation gelu glu splits [32] :
    // CHECK-NEXT: return
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation gelu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    return %3 : tensor<?x32xf32>
  }
  func.func @model(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
    %u = tfm.weight "layers.0.up" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "layers.0.gate" : !qnt.packed<32 by 64, <f32>>
    // CHECK: %[[L:.*]] = tfm.weight "layers.0.gate+up"
    // CHECK: call @block(%{{.*}}, %[[L]])
    %0 = call @block(%x, %u, %g) : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  }
}

// -----

// Another block has stacked the same weights without interleaving them: that
// stack is left alone.

// CHECK-LABEL: module @stacked_elsewhere
module @stacked_elsewhere {
  func.func @weights() {
    %0 = tfm.param <"checkpoint"::"w"> : tensor<32x64xf32>
    %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>>
    tfm.define "l.up" = %1 : !qnt.packed<32 by 64, <f32>>
    tfm.define "l.gate" = %1 : !qnt.packed<32 by 64, <f32>>
    // CHECK: qnt.stack_rows %{{.*}}, %{{.*}} interleave 16 :
    // CHECK-NEXT: tfm.define "l.gate+up#2"
    // CHECK: qnt.stack_rows %{{.*}}, %{{[^ ]*}} :
    // CHECK-NEXT: tfm.define "l.gate+up"
    %2 = qnt.stack_rows %1, %1 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
    tfm.define "l.gate+up" = %2 : !qnt.packed<64 by 64, <f32>>
    return
  }
  func.func @model(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x64xf32>) {
    %u = tfm.weight "l.up" : !qnt.packed<32 by 64, <f32>>
    %g = tfm.weight "l.gate" : !qnt.packed<32 by 64, <f32>>
    %w = tfm.weight "l.gate+up" : !qnt.packed<64 by 64, <f32>>
    // CHECK: %[[W:.*]] = tfm.weight "l.gate+up#2"
    // CHECK: qnt.fused_gemm %{{.*}}, %[[W]] activation gelu glu splits [32] :
    %0 = qnt.fused_gemm %x, %u splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %1 = qnt.fused_gemm %x, %g splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
    %2 = tfm.activation gelu %1 : tensor<?x32xf32>
    %3 = tfm.mul %2, %0 : tensor<?x32xf32>
    %4 = qnt.fused_gemm %x, %w splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>) -> tensor<?x64xf32>
    return %3, %4 : tensor<?x32xf32>, tensor<?x64xf32>
  }
}
