// RUN: qcc-opt %s --fuse-stack-linears | FileCheck %s

// Two layers of one block: what is stacked in the block is stacked in @weights
// once a layer. q and k have biases, v has none; gate and up make a stack of
// their own, the gate first.

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %q = tfm.param <"checkpoint"::"q"> : tensor<64x64xbf16>
  %k = tfm.param <"checkpoint"::"k"> : tensor<32x64xbf16>
  %b = tfm.param <"checkpoint"::"qb"> : tensor<64xbf16>
  %c = tfm.param <"checkpoint"::"kb"> : tensor<32xbf16>
  %qp = qnt.convert %q : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
  %kp = qnt.convert %k : tensor<32x64xbf16> -> !qnt.packed<32 by 64, <bf16>>
  %bp = qnt.convert %b : tensor<64xbf16> -> !qnt.packed<1 by 64, <f32>>
  %cp = qnt.convert %c : tensor<32xbf16> -> !qnt.packed<1 by 32, <f32>>
  // CHECK-NOT: "layers.0.q"
  tfm.define "layers.0.q" = %qp of "l0.q_proj" : !qnt.packed<64 by 64, <bf16>>
  tfm.define "layers.0.k" = %kp of "l0.k_proj" : !qnt.packed<32 by 64, <bf16>>
  // CHECK: %[[QK:.*]] = qnt.stack_rows %{{.*}}, %{{.*}} : !qnt.packed<64 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>> -> !qnt.packed<96 by 64, <bf16>>
  // CHECK-NEXT: tfm.define "layers.0.q+k" = %[[QK]] modules ["l0.q_proj", "l0.k_proj"] : !qnt.packed<96 by 64, <bf16>>
  // CHECK-NEXT: tfm.define "layers.0.v"
  tfm.define "layers.0.v" = %kp of "l0.v_proj" : !qnt.packed<32 by 64, <bf16>>
  tfm.define "layers.0.q_bias" = %bp : !qnt.packed<1 by 64, <f32>>
  tfm.define "layers.0.k_bias" = %cp : !qnt.packed<1 by 32, <f32>>
  // CHECK-NEXT: %[[B:.*]] = tfm.concat_rows %{{.*}}, %{{.*}} : tensor<64xbf16>, tensor<32xbf16> -> tensor<96xbf16>
  // CHECK-NEXT: %[[BP:.*]] = qnt.convert %[[B]] : tensor<96xbf16> -> !qnt.packed<1 by 96, <f32>>
  // CHECK-NEXT: tfm.define "layers.0.q_bias+k_bias" = %[[BP]] : !qnt.packed<1 by 96, <f32>>
  tfm.define "layers.0.up" = %kp of "l0.up_proj" : !qnt.packed<32 by 64, <bf16>>
  tfm.define "layers.0.gate" = %kp of "l0.gate_proj" : !qnt.packed<32 by 64, <bf16>>
  // CHECK: tfm.define "layers.0.gate+up" = %{{.*}} modules ["l0.gate_proj", "l0.up_proj"] : !qnt.packed<64 by 64, <bf16>>
  tfm.define "layers.1.q" = %qp of "l1.q_proj" : !qnt.packed<64 by 64, <bf16>>
  tfm.define "layers.1.k" = %kp of "l1.k_proj" : !qnt.packed<32 by 64, <bf16>>
  // CHECK: tfm.define "layers.1.q+k" = %{{.*}} modules ["l1.q_proj", "l1.k_proj"]
  tfm.define "layers.1.v" = %kp of "l1.v_proj" : !qnt.packed<32 by 64, <bf16>>
  tfm.define "layers.1.q_bias" = %bp : !qnt.packed<1 by 64, <f32>>
  tfm.define "layers.1.k_bias" = %cp : !qnt.packed<1 by 32, <f32>>
  tfm.define "layers.1.up" = %kp of "l1.up_proj" : !qnt.packed<32 by 64, <bf16>>
  tfm.define "layers.1.gate" = %kp of "l1.gate_proj" : !qnt.packed<32 by 64, <bf16>>
  // CHECK: tfm.define "layers.1.gate+up"
  return
}

// CHECK-LABEL: func.func private @block
// CHECK-SAME: (%[[X:[^:]*]]: tensor<?x64xf32>, %[[QK:[^:]*]]: !qnt.packed<96 by 64, <bf16>>, %[[V:[^:]*]]: !qnt.packed<32 by 64, <bf16>>, %[[B:[^:]*]]: !qnt.packed<1 by 96, <f32>>, %[[GU:[^:]*]]: !qnt.packed<64 by 64, <bf16>>)
func.func private @block(%x: tensor<?x64xf32>, %q: !qnt.packed<64 by 64, <bf16>>, %k: !qnt.packed<32 by 64, <bf16>>, %v: !qnt.packed<32 by 64, <bf16>>,
    %qb: !qnt.packed<1 by 64, <f32>>, %kb: !qnt.packed<1 by 32, <f32>>, %up: !qnt.packed<32 by 64, <bf16>>, %gate: !qnt.packed<32 by 64, <bf16>>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[S:.*]]:2 = qnt.fused_gemm %[[X]], %[[QK]] bias %[[B]] splits [64, 32] :
  %0 = qnt.fused_gemm %x, %q bias %qb splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>, !qnt.packed<1 by 64, <f32>>) -> tensor<?x64xf32>
  %1 = qnt.fused_gemm %x, %k bias %kb splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<1 by 32, <f32>>) -> tensor<?x32xf32>
  // CHECK-NEXT: %[[VV:.*]] = qnt.fused_gemm %[[X]], %[[V]] splits [32] :
  %2 = qnt.fused_gemm %x, %v splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  // CHECK-NEXT: %[[G:.*]]:2 = qnt.fused_gemm %[[X]], %[[GU]] splits [32, 32] :
  %3 = qnt.fused_gemm %x, %up splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  %4 = qnt.fused_gemm %x, %gate splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x32xf32>
  // CHECK-NEXT: %[[A:.*]] = tfm.activation silu %[[G]]#0
  %5 = tfm.activation silu %4 : tensor<?x32xf32>
  // CHECK-NEXT: tfm.mul %[[A]], %[[G]]#1
  %6 = tfm.mul %5, %3 : tensor<?x32xf32>
  // CHECK-NEXT: tfm.add %[[S]]#1, %[[VV]]
  %7 = tfm.add %1, %2 : tensor<?x32xf32>
  // CHECK: return %[[S]]#0
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>)
func.func @model(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %q0 = tfm.weight "layers.0.q" : !qnt.packed<64 by 64, <bf16>>
  %k0 = tfm.weight "layers.0.k" : !qnt.packed<32 by 64, <bf16>>
  %v0 = tfm.weight "layers.0.v" : !qnt.packed<32 by 64, <bf16>>
  %b0 = tfm.weight "layers.0.q_bias" : !qnt.packed<1 by 64, <f32>>
  %c0 = tfm.weight "layers.0.k_bias" : !qnt.packed<1 by 32, <f32>>
  %u0 = tfm.weight "layers.0.up" : !qnt.packed<32 by 64, <bf16>>
  %g0 = tfm.weight "layers.0.gate" : !qnt.packed<32 by 64, <bf16>>
  // CHECK-NEXT: %[[V0:.*]] = tfm.weight "layers.0.v"
  // CHECK-NEXT: %[[QK0:.*]] = tfm.weight "layers.0.q+k"
  // CHECK-NEXT: %[[B0:.*]] = tfm.weight "layers.0.q_bias+k_bias"
  // CHECK-NEXT: %[[GU0:.*]] = tfm.weight "layers.0.gate+up"
  // CHECK-NEXT: %[[Y:.*]] = call @block(%[[X]], %[[QK0]], %[[V0]], %[[B0]], %[[GU0]])
  %0 = call @block(%x, %q0, %k0, %v0, %b0, %c0, %u0, %g0) : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 32, <f32>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x64xf32>
  %q1 = tfm.weight "layers.1.q" : !qnt.packed<64 by 64, <bf16>>
  %k1 = tfm.weight "layers.1.k" : !qnt.packed<32 by 64, <bf16>>
  %v1 = tfm.weight "layers.1.v" : !qnt.packed<32 by 64, <bf16>>
  %b1 = tfm.weight "layers.1.q_bias" : !qnt.packed<1 by 64, <f32>>
  %c1 = tfm.weight "layers.1.k_bias" : !qnt.packed<1 by 32, <f32>>
  %u1 = tfm.weight "layers.1.up" : !qnt.packed<32 by 64, <bf16>>
  %g1 = tfm.weight "layers.1.gate" : !qnt.packed<32 by 64, <bf16>>
  // CHECK: call @block(%[[Y]],
  %1 = call @block(%0, %q1, %k1, %v1, %b1, %c1, %u1, %g1) : (tensor<?x64xf32>, !qnt.packed<64 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 32, <f32>>, !qnt.packed<32 by 64, <bf16>>, !qnt.packed<32 by 64, <bf16>>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
