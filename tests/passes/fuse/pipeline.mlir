// RUN: qcc-opt %s --split-input-file --qcc-fuse | FileCheck %s
// RUN: qcc-opt %s --split-input-file --qcc-fuse=dtype=bf16 | FileCheck %s --check-prefix=DTYPE

// What is left of a block of Llama: three GEMMs of normed rows, attention and
// two GEMMs with residuals.

// CHECK-LABEL: module @llama
// DTYPE-LABEL: module @llama
module @llama {
  func.func @weights() {
    %v = tfm.param <"checkpoint"::"v"> : tensor<64xf32>
    tfm.define "attention_norm" = %v : tensor<64xf32>
    tfm.define "mlp_norm" = %v : tensor<64xf32>
    %f = tfm.param <"constant"::"f"> : tensor<8xf32>
    tfm.define "f" = %f : tensor<8xf32>
    %s = tfm.param <"checkpoint"::"s"> : tensor<64x64xf32>
    %k = tfm.param <"checkpoint"::"k"> : tensor<32x64xf32>
    %u = tfm.param <"checkpoint"::"u"> : tensor<96x64xf32>
    %d = tfm.param <"checkpoint"::"d"> : tensor<64x96xf32>
    // DTYPE: tfm.define "q+k+v" = %{{.*}} : !qnt.packed<128 by 64, <bf16>>
    tfm.define "q" = %s : tensor<64x64xf32>
    tfm.define "k" = %k : tensor<32x64xf32>
    tfm.define "v" = %k : tensor<32x64xf32>
    tfm.define "o" = %s : tensor<64x64xf32>
    tfm.define "up" = %u : tensor<96x64xf32>
    tfm.define "gate" = %u : tensor<96x64xf32>
    tfm.define "down" = %d : tensor<64x96xf32>
    return
  }
  // CHECK-LABEL: func.func private @block
  func.func private @block(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>, %f: tensor<8xf32>, %an: tensor<64xf32>,
      %wq: tensor<64x64xf32>, %wk: tensor<32x64xf32>, %wv: tensor<32x64xf32>, %wo: tensor<64x64xf32>, %mn: tensor<64xf32>,
      %wu: tensor<96x64xf32>, %wg: tensor<96x64xf32>, %wd: tensor<64x96xf32>) -> tensor<?x64xf32> {
    // CHECK-NEXT: %[[QKV:.*]]:3 = qnt.fused_gemm %[[X:.*]], %{{.*}} norm "rms"(%{{.*}}) eps 9.99999974E-6 splits [64, 32, 32] :
    // CHECK-NEXT: %[[A:.*]] = qnt.rope_attention %{{.*}}, %{{.*}}, %[[QKV]]#0, %[[QKV]]#1, %[[QKV]]#2 frequencies
    // CHECK-NEXT: %[[X1:.*]] = qnt.fused_gemm %[[A]], %{{.*}} residual %[[X]] splits [64] :
    // CHECK-NEXT: %[[M:.*]] = qnt.fused_gemm %[[X1]], %{{.*}} norm "rms"(%{{.*}}) eps 9.99999974E-6 activation silu glu splits [96] :
    // CHECK-NEXT: %[[X2:.*]] = qnt.fused_gemm %[[M]], %{{.*}} residual %[[X1]] splits [64] :
    // CHECK-NEXT: return %[[X2]]
    %n = tfm.rms_norm %x, %an eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>
    %q = tfm.linear %n, %wq : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %k = tfm.linear %n, %wk : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    %v = tfm.linear %n, %wv : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : tensor<?x64xf32>, tensor<8xf32>
    %k1 = tfm.rope %step, %k, %f heads 2 rotary 16 : tensor<?x32xf32>, tensor<8xf32>
    %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
    %o = tfm.linear %a, %wo : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %x1 = tfm.add %x, %o : tensor<?x64xf32>
    %m = tfm.rms_norm %x1, %mn eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>
    %u = tfm.linear %m, %wu : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
    %g = tfm.linear %m, %wg : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
    %h = tfm.activation silu %g : tensor<?x96xf32>
    %i = tfm.mul %h, %u : tensor<?x96xf32>
    %d = tfm.linear %i, %wd : tensor<?x96xf32>, tensor<64x96xf32> -> tensor<?x64xf32>
    %x2 = tfm.add %x1, %d : tensor<?x64xf32>
    return %x2 : tensor<?x64xf32>
  }
  func.func @model(%step: !tfm.step, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %c = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
    %f = tfm.weight "f" : tensor<8xf32>
    %an = tfm.weight "attention_norm" : tensor<64xf32>
    %mn = tfm.weight "mlp_norm" : tensor<64xf32>
    %wq = tfm.weight "q" : tensor<64x64xf32>
    %wk = tfm.weight "k" : tensor<32x64xf32>
    %wv = tfm.weight "v" : tensor<32x64xf32>
    %wo = tfm.weight "o" : tensor<64x64xf32>
    %wu = tfm.weight "up" : tensor<96x64xf32>
    %wg = tfm.weight "gate" : tensor<96x64xf32>
    %wd = tfm.weight "down" : tensor<64x96xf32>
    %0 = call @block(%step, %c, %x, %f, %an, %wq, %wk, %wv, %wo, %mn, %wu, %wg, %wd) : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<8xf32>, tensor<64xf32>, tensor<64x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>, tensor<64x64xf32>, tensor<64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32>) -> tensor<?x64xf32>
    return %0 : tensor<?x64xf32>
  }
}

// -----

// Falcon: attention and MLP read one norm; the projections of attention are a
// stack, the MLP's has its activation.

// CHECK-LABEL: module @falcon
module @falcon {
  func.func @weights() {
    %v = tfm.param <"checkpoint"::"v"> : tensor<64xf32>
    tfm.define "norm" = %v : tensor<64xf32>
    tfm.define "norm_bias" = %v : tensor<64xf32>
    %f = tfm.param <"constant"::"f"> : tensor<8xf32>
    tfm.define "f" = %f : tensor<8xf32>
    %s = tfm.param <"checkpoint"::"s"> : tensor<64x64xf32>
    %k = tfm.param <"checkpoint"::"k"> : tensor<16x64xf32>
    %u = tfm.param <"checkpoint"::"u"> : tensor<256x64xf32>
    %d = tfm.param <"checkpoint"::"d"> : tensor<64x256xf32>
    tfm.define "q" = %s : tensor<64x64xf32>
    tfm.define "k" = %k : tensor<16x64xf32>
    tfm.define "v" = %k : tensor<16x64xf32>
    tfm.define "o" = %s : tensor<64x64xf32>
    tfm.define "up" = %u : tensor<256x64xf32>
    tfm.define "down" = %d : tensor<64x256xf32>
    return
  }
  // CHECK-LABEL: func.func private @block
  func.func private @block(%step: !tfm.step, %c: !tfm.cache<1 by 16 by f32>, %x: tensor<?x64xf32>, %f: tensor<8xf32>, %nw: tensor<64xf32>, %nb: tensor<64xf32>,
      %wq: tensor<64x64xf32>, %wk: tensor<16x64xf32>, %wv: tensor<16x64xf32>, %wo: tensor<64x64xf32>, %wu: tensor<256x64xf32>, %wd: tensor<64x256xf32>) -> tensor<?x64xf32> {
    // CHECK-NEXT: %[[QKV:.*]]:3 = qnt.fused_gemm %[[X:.*]], %{{.*}} norm "layer"(%[[N:.*]], %[[B:.*]]) eps 9.99999974E-6 splits [64, 16, 16] :
    // CHECK-NEXT: %[[A:.*]] = qnt.rope_attention %{{.*}}, %{{.*}}, %[[QKV]]#0, %[[QKV]]#1, %[[QKV]]#2 frequencies
    // CHECK-NEXT: %[[X1:.*]] = qnt.fused_gemm %[[A]], %{{.*}} residual %[[X]] splits [64] :
    // CHECK-NEXT: %[[M:.*]] = qnt.fused_gemm %[[X]], %{{.*}} norm "layer"(%[[N]], %[[B]]) eps 9.99999974E-6 activation gelu splits [256] :
    // CHECK-NEXT: %[[X2:.*]] = qnt.fused_gemm %[[M]], %{{.*}} residual %[[X1]] splits [64] :
    // CHECK-NEXT: return %[[X2]]
    %n = tfm.layer_norm %x, %nw bias %nb eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
    %q = tfm.linear %n, %wq : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %k = tfm.linear %n, %wk : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
    %v = tfm.linear %n, %wv : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
    %q1 = tfm.rope %step, %q, %f heads 4 rotary 16 : tensor<?x64xf32>, tensor<8xf32>
    %k1 = tfm.rope %step, %k, %f heads 1 rotary 16 : tensor<?x16xf32>, tensor<8xf32>
    %a = tfm.attention %step, %c, %q1, %k1, %v heads 4 scale 0.25 : !tfm.cache<1 by 16 by f32>, tensor<?x64xf32>, tensor<?x16xf32> -> tensor<?x64xf32>
    %o = tfm.linear %a, %wo : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    %x1 = tfm.add %x, %o : tensor<?x64xf32>
    %u = tfm.linear %n, %wu : tensor<?x64xf32>, tensor<256x64xf32> -> tensor<?x256xf32>
    %h = tfm.activation gelu %u : tensor<?x256xf32>
    %d = tfm.linear %h, %wd : tensor<?x256xf32>, tensor<64x256xf32> -> tensor<?x64xf32>
    %x2 = tfm.add %x1, %d : tensor<?x64xf32>
    return %x2 : tensor<?x64xf32>
  }
  func.func @model(%step: !tfm.step, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    %c = tfm.layer_cache 0 : !tfm.cache<1 by 16 by f32>
    %f = tfm.weight "f" : tensor<8xf32>
    %nw = tfm.weight "norm" : tensor<64xf32>
    %nb = tfm.weight "norm_bias" : tensor<64xf32>
    %wq = tfm.weight "q" : tensor<64x64xf32>
    %wk = tfm.weight "k" : tensor<16x64xf32>
    %wv = tfm.weight "v" : tensor<16x64xf32>
    %wo = tfm.weight "o" : tensor<64x64xf32>
    %wu = tfm.weight "up" : tensor<256x64xf32>
    %wd = tfm.weight "down" : tensor<64x256xf32>
    %0 = call @block(%step, %c, %x, %f, %nw, %nb, %wq, %wk, %wv, %wo, %wu, %wd) : (!tfm.step, !tfm.cache<1 by 16 by f32>, tensor<?x64xf32>, tensor<8xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x64xf32>, tensor<256x64xf32>, tensor<64x256xf32>) -> tensor<?x64xf32>
    return %0 : tensor<?x64xf32>
  }
}
