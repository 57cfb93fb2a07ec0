// RUN: qcc-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @stack_of_one
// CHECK-SAME: (%[[W:.*]]: !qnt.packed<32 by 64, <int8, row>>)
func.func @stack_of_one(%w: !qnt.packed<32 by 64, <int8, row>>) -> !qnt.packed<32 by 64, <int8, row>> {
  %0 = qnt.stack_rows %w : !qnt.packed<32 by 64, <int8, row>> -> !qnt.packed<32 by 64, <int8, row>>
  // CHECK-NEXT: return %[[W]]
  return %0 : !qnt.packed<32 by 64, <int8, row>>
}

// CHECK-LABEL: func.func @relayout_of_the_same
// CHECK-SAME: (%[[W:.*]]: !qnt.packed<32 by 64, <f32>, layout = "t16">)
func.func @relayout_of_the_same(%w: !qnt.packed<32 by 64, <f32>, layout = "t16">) -> !qnt.packed<32 by 64, <f32>, layout = "t16"> {
  %0 = qnt.relayout %w : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  // CHECK-NEXT: return %[[W]]
  return %0 : !qnt.packed<32 by 64, <f32>, layout = "t16">
}

// CHECK-LABEL: func.func @relayout_stays
func.func @relayout_stays(%w: !qnt.packed<32 by 64, <f32>>) -> !qnt.packed<32 by 64, <f32>, layout = "t16"> {
  // CHECK: qnt.relayout
  %0 = qnt.relayout %w : !qnt.packed<32 by 64, <f32>> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  return %0 : !qnt.packed<32 by 64, <f32>, layout = "t16">
}

// Attention writes the cache: it stays, although nothing reads its result.
// CHECK-LABEL: func.func @attention_stays
func.func @attention_stays(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %f: tensor<8xf32>, %w: !qnt.packed<32 by 64, <f32>>) {
  // CHECK-NEXT: qnt.rope_attention
  %0 = qnt.rope_attention %step, %c, %q, %k, %k frequencies %f heads 4 rotary 16 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<8xf32>) -> tensor<?x64xf32>
  %1 = qnt.fused_gemm %q, %w splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 64, <f32>>) -> tensor<?x32xf32>
  // CHECK-NEXT: return
  return
}
