// RUN: qcc-opt %s --fuse-rope-attention | FileCheck %s

!c = !tfm.cache<2 by 16 by f32>
!q = tensor<?x64xf32>
!k = tensor<?x32xf32>
!f = !qnt.packed<1 by 8, <f32>>

// CHECK-LABEL: func.func private @rotated
// CHECK-SAME: (%[[STEP:[^:]*]]: !tfm.step, %[[C:[^:]*]]: !tfm.cache<2 by 16 by f32>, %[[Q:[^:]*]]: tensor<?x64xf32>, %[[K:[^:]*]]: tensor<?x32xf32>, %[[V:[^:]*]]: tensor<?x32xf32>, %[[F:[^:]*]]: !qnt.packed<1 by 8, <f32>>, %[[S:[^:]*]]: tensor<4xf32>)
func.func private @rotated(%step: !tfm.step, %c: !c, %q: !q, %k: !k, %v: !k, %f: !f, %s: tensor<4xf32>) -> !q {
  // CHECK-NEXT: %[[A:.*]] = qnt.rope_attention %[[STEP]], %[[C]], %[[Q]], %[[K]], %[[V]] frequencies %[[F]] slopes %[[S]] heads 4 rotary 16 scale 2.500000e-01 {attention_factor = 1.250000e+00 : f32, interleaved, soft_cap = 5.000000e+01 : f32} :
  // CHECK-NEXT: return %[[A]]
  %0 = tfm.rope %step, %q, %f heads 4 rotary 16 {interleaved, attention_factor = 1.25 : f32} : !q, !f
  %1 = tfm.rope %step, %k, %f heads 2 rotary 16 {interleaved, attention_factor = 1.25 : f32} : !k, !f
  %2 = tfm.attention %step, %c, %0, %1, %v slopes %s heads 4 scale 0.25 {soft_cap = 50.0 : f32} : !c, !q, !k, tensor<4xf32> -> !q
  return %2 : !q
}

// CHECK-LABEL: func.func private @normed
// CHECK-SAME: %[[NQ:[^:]*]]: tensor<16xf32>, %[[NK:[^:]*]]: tensor<16xf32>)
func.func private @normed(%step: !tfm.step, %c: !c, %q: !q, %k: !k, %v: !k, %f: !f, %nq: tensor<16xf32>, %nk: tensor<16xf32>) -> !q {
  // CHECK-NEXT: qnt.rope_attention {{.*}} q_norm %[[NQ]] k_norm %[[NK]] heads 4 rotary 16 scale 2.500000e-01 {eps = 9.99999974E-6 : f32, norm_offset = 1.000000e+00 : f32} :
  %0 = tfm.rms_norm %q, %nq eps 1.0e-5 {heads = 4 : i64, offset = 1.0 : f32} : !q, tensor<16xf32>
  %1 = tfm.rms_norm %k, %nk eps 1.0e-5 {heads = 2 : i64, offset = 1.0 : f32} : !k, tensor<16xf32>
  %2 = tfm.rope %step, %0, %f heads 4 rotary 16 : !q, !f
  %3 = tfm.rope %step, %1, %f heads 2 rotary 16 : !k, !f
  %4 = tfm.attention %step, %c, %2, %3, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %4 : !q
}

// Norms that differ stay in front; so does a norm of one side only.
// CHECK-LABEL: func.func private @normed_differently
func.func private @normed_differently(%step: !tfm.step, %c: !c, %q: !q, %k: !k, %v: !k, %f: !f, %n: tensor<16xf32>) -> !q {
  // CHECK: %[[Q:.*]] = tfm.rms_norm
  // CHECK: %[[K:.*]] = tfm.rms_norm
  // CHECK: qnt.rope_attention %{{.*}}, %{{.*}}, %[[Q]], %[[K]], %{{.*}} frequencies %{{[^ ]*}} heads 4
  %0 = tfm.rms_norm %q, %n eps 1.0e-5 {heads = 4 : i64} : !q, tensor<16xf32>
  %1 = tfm.rms_norm %k, %n eps 1.0e-6 {heads = 2 : i64} : !k, tensor<16xf32>
  %2 = tfm.rope %step, %0, %f heads 4 rotary 16 : !q, !f
  %3 = tfm.rope %step, %1, %f heads 2 rotary 16 : !k, !f
  %4 = tfm.attention %step, %c, %2, %3, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %4 : !q
}

// ALiBi models rotate nothing.
// CHECK-LABEL: func.func private @not_rotated
func.func private @not_rotated(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %a = tfm.attention %step, %c, %q, %k, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// One of the two is not enough.
// CHECK-LABEL: func.func private @key_not_rotated
func.func private @key_not_rotated(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %a = tfm.attention %step, %c, %q1, %k, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// Something else reads rotated k.
// CHECK-LABEL: func.func private @other_reader
func.func private @other_reader(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  %b = tfm.attention %step, %c, %q, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  %s = tfm.add %a, %b : !q
  return %s : !q
}

// q is rotated in place, so nothing else may read it.
// CHECK-LABEL: func.func private @read_before
func.func private @read_before(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  %s = tfm.add %a, %q : !q
  return %s : !q
}

// q and k are rotated by different frequencies.
// CHECK-LABEL: func.func private @other_frequencies
func.func private @other_frequencies(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f, %g: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %g heads 2 rotary 16 : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// A different number of dimensions.
// CHECK-LABEL: func.func private @other_rotary
func.func private @other_rotary(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f, %g: tensor<4xf32>) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %g heads 2 rotary 8 : !k, tensor<4xf32>
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// Different pairs.
// CHECK-LABEL: func.func private @other_pairs
func.func private @other_pairs(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 {interleaved} : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// Different factors.
// CHECK-LABEL: func.func private @other_factor
func.func private @other_factor(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 {attention_factor = 2.0 : f32} : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}

// Rotated in other heads than attended to.
// CHECK-LABEL: func.func private @other_heads
func.func private @other_heads(%step: !tfm.step, %c: !c, %x: !q, %q: !q, %k: !k, %v: !k, %f: !f) -> !q {
  // CHECK: tfm.attention
  %q1 = tfm.rope %step, %q, %f heads 2 rotary 16 : !q, !f
  %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 : !k, !f
  %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !c, !q, !k -> !q
  return %a : !q
}
