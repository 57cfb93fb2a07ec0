// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

// The facts that the artifact records stand on the module.
// CHECK: module attributes {tfm.model = #tfm.model<architecture = "llama", vocabulary = 320, hidden = 64, layers = 3, heads = 4, kvHeads = 2, headDim = 16, intermediate = 160, context = 128>}
module attributes {tfm.model = #tfm.model<architecture = "llama", vocabulary = 320, hidden = 64, layers = 3, heads = 4, kvHeads = 2, headDim = 16, intermediate = 160, context = 128>} {

// CHECK-LABEL: func.func @weights
func.func @weights() {
  // CHECK: %[[E:.*]] = tfm.param <"checkpoint"::"model.embed_tokens.weight"> : tensor<320x64xf32>
  %0 = tfm.param <"checkpoint"::"model.embed_tokens.weight"> : tensor<320x64xf32>
  // CHECK: tfm.define "embedding" = %[[E]] of "model.embed_tokens" : tensor<320x64xf32>
  tfm.define "embedding" = %0 of "model.embed_tokens" : tensor<320x64xf32>
  // CHECK: tfm.param <"constant"::"rope.frequencies"> : tensor<8xf32>
  %1 = tfm.param <"constant"::"rope.frequencies"> : tensor<8xf32>
  // CHECK: tfm.define "rope.frequencies" = %{{.*}} : tensor<8xf32>
  tfm.define "rope.frequencies" = %1 : tensor<8xf32>
  // CHECK: %[[QKV:.*]] = tfm.param <"random"::"qkv"> : tensor<128x64xbf16>
  %2 = tfm.param <"random"::"qkv"> : tensor<128x64xbf16>
  // CHECK: tfm.slice_rows %[[QKV]][32, 16 stride 64] : tensor<128x64xbf16> -> tensor<32x64xbf16>
  %3 = tfm.slice_rows %2 [32, 16 stride 64] : tensor<128x64xbf16> -> tensor<32x64xbf16>
  // CHECK: tfm.slice_rows %[[QKV]][32, 48] : tensor<128x64xbf16> -> tensor<48x64xbf16>
  %4 = tfm.slice_rows %2 [32, 48] : tensor<128x64xbf16> -> tensor<48x64xbf16>
  // CHECK: tfm.concat_rows %{{.*}}, %{{.*}} : tensor<32x64xbf16>, tensor<48x64xbf16> -> tensor<80x64xbf16>
  %5 = tfm.concat_rows %3, %4 : tensor<32x64xbf16>, tensor<48x64xbf16> -> tensor<80x64xbf16>
  // CHECK: tfm.transpose %{{.*}} : tensor<80x64xbf16> -> tensor<64x80xbf16>
  %6 = tfm.transpose %5 : tensor<80x64xbf16> -> tensor<64x80xbf16>
  // CHECK: tfm.unpermute_rotary %{{.*}} heads 4 : tensor<64x80xbf16>
  %7 = tfm.unpermute_rotary %6 heads 4 : tensor<64x80xbf16>
  // CHECK: tfm.define "x" = %{{.*}} of "a" modules ["a", "b"] : tensor<64x80xbf16>
  tfm.define "x" = %7 of "a" modules ["a", "b"] : tensor<64x80xbf16>
  return
}

// CHECK-LABEL: func.func private @block
// CHECK-SAME: !tfm.step, %{{.*}}: !tfm.cache<2 by 16 by f32>, %{{.*}}: !tfm.cache<1 by 64 by bf16, window = 4096>
func.func private @block(%step: !tfm.step, %cache: !tfm.cache<2 by 16 by f32>,
    %window: !tfm.cache<1 by 64 by bf16, window = 4096>,
    %x: tensor<?x64xf32>, %freq: tensor<8xf32>, %norm: tensor<64xf32>,
    %head_norm: tensor<16xf32>, %q: tensor<64x64xf32>, %k: tensor<32x64xf32>,
    %bias: tensor<32xf16>, %slopes: tensor<4xf32>) -> tensor<?x64xf32> {
  // CHECK: tfm.rms_norm %{{.*}}, %{{.*}} eps 9.99999997E-7 : tensor<?x64xf32>, tensor<64xf32>
  %0 = tfm.rms_norm %x, %norm eps 1.0e-6 : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: tfm.layer_norm %{{.*}}, %{{.*}} bias %{{.*}} eps 9.99999974E-6 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  %1 = tfm.layer_norm %0, %norm bias %norm eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  // CHECK: tfm.layer_norm %{{.*}}, %{{.*}} eps 9.99999974E-6 : tensor<?x64xf32>, tensor<64xf32>
  %2 = tfm.layer_norm %1, %norm eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: tfm.linear %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %3 = tfm.linear %2, %q : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  // CHECK: tfm.linear %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf16> -> tensor<?x32xf32>
  %4 = tfm.linear %2, %k bias %bias : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf16> -> tensor<?x32xf32>
  // CHECK: tfm.rms_norm %{{.*}}, %{{.*}} eps 0.000000e+00 {heads = 4 : i64, offset = 1.000000e+00 : f32} : tensor<?x64xf32>, tensor<16xf32>
  %5 = tfm.rms_norm %3, %head_norm eps 0.0 {heads = 4 : i64, offset = 1.0 : f32} : tensor<?x64xf32>, tensor<16xf32>
  // CHECK: tfm.rope %{{.*}}, %{{.*}}, %{{.*}} heads 4 rotary 16 : tensor<?x64xf32>, tensor<8xf32>
  %6 = tfm.rope %step, %5, %freq heads 4 rotary 16 : tensor<?x64xf32>, tensor<8xf32>
  // CHECK: tfm.rope %{{.*}}, %{{.*}}, %{{.*}} heads 2 rotary 16 {attention_factor = 1.250000e+00 : f32, interleaved} : tensor<?x32xf32>, tensor<8xf32>
  %7 = tfm.rope %step, %4, %freq heads 2 rotary 16 {attention_factor = 1.25 : f32, interleaved} : tensor<?x32xf32>, tensor<8xf32>
  // CHECK: tfm.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} heads 4 scale 2.500000e-01 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  %8 = tfm.attention %step, %cache, %6, %7, %4 heads 4 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  // CHECK: tfm.attention {{.*}} slopes %{{.*}} heads 4 scale 2.500000e-01 {soft_cap = 5.000000e+01 : f32} : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<4xf32> -> tensor<?x64xf32>
  %9 = tfm.attention %step, %cache, %6, %7, %4 slopes %slopes heads 4 scale 0.25 {soft_cap = 50.0 : f32} : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<4xf32> -> tensor<?x64xf32>
  // CHECK: tfm.activation silu %{{.*}} : tensor<?x64xf32>
  %10 = tfm.activation silu %8 : tensor<?x64xf32>
  // CHECK: tfm.mul %{{.*}}, %{{.*}} : tensor<?x64xf32>
  %11 = tfm.mul %10, %9 : tensor<?x64xf32>
  // CHECK: tfm.add %{{.*}}, %{{.*}} : tensor<?x64xf32>
  %12 = tfm.add %x, %11 : tensor<?x64xf32>
  return %12 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func private @activations
func.func private @activations(%x: tensor<?x64xf32>) {
  // CHECK: tfm.activation none
  %0 = tfm.activation none %x : tensor<?x64xf32>
  // CHECK: tfm.activation gelu %
  %1 = tfm.activation gelu %x : tensor<?x64xf32>
  // CHECK: tfm.activation gelu_tanh
  %2 = tfm.activation gelu_tanh %x : tensor<?x64xf32>
  // CHECK: tfm.activation relu
  %3 = tfm.activation relu %x : tensor<?x64xf32>
  // CHECK: tfm.activation gelu_quick
  %4 = tfm.activation gelu_quick %x : tensor<?x64xf32>
  // CHECK: tfm.activation sigmoid
  %5 = tfm.activation sigmoid %x : tensor<?x64xf32>
  // CHECK: tfm.activation tanh
  %6 = tfm.activation tanh %x : tensor<?x64xf32>
  // CHECK: tfm.activation relu2
  %7 = tfm.activation relu2 %x : tensor<?x64xf32>
  // CHECK: tfm.activation mish
  %8 = tfm.activation mish %x : tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func private @maps
func.func private @maps(%x: tensor<?x64xf32>) {
  // CHECK: tfm.map scale %{{.*}} by 5.000000e-01 : tensor<?x64xf32>
  %0 = tfm.map scale %x by 0.5 : tensor<?x64xf32>
  // CHECK: tfm.map soft_cap %{{.*}} by 3.000000e+01 : tensor<?x64xf32>
  %1 = tfm.map soft_cap %x by 30.0 : tensor<?x64xf32>
  // CHECK: tfm.map clamp %{{.*}} by 8.000000e+00 : tensor<?x64xf32>
  %2 = tfm.map clamp %x by 8.0 : tensor<?x64xf32>
  return
}

// Norms of slices, with one weight or with a part for each; offsets; rotation
// that depends on the length.
// CHECK-LABEL: func.func private @slices
func.func private @slices(%step: !tfm.step, %x: tensor<?x64xf32>, %one: tensor<16xf32>, %each: tensor<64xf32>, %f: tensor<16xf32>) {
  // CHECK: tfm.layer_norm %{{.*}}, %{{.*}} bias %{{.*}} eps 9.99999974E-6 {heads = 4 : i64, offset = 1.000000e+00 : f32}
  %0 = tfm.layer_norm %x, %one bias %one eps 1.0e-5 {heads = 4 : i64, offset = 1.0 : f32} : tensor<?x64xf32>, tensor<16xf32>, tensor<16xf32>
  // CHECK: tfm.layer_norm %{{.*}}, %{{.*}} eps 9.99999974E-6 {heads = 4 : i64} : tensor<?x64xf32>, tensor<64xf32>
  %1 = tfm.layer_norm %x, %each eps 1.0e-5 {heads = 4 : i64} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: tfm.rms_norm %{{.*}}, %{{.*}} eps 9.99999974E-6 {heads = 4 : i64} : tensor<?x64xf32>, tensor<64xf32>
  %2 = tfm.rms_norm %x, %each eps 1.0e-5 {heads = 4 : i64} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: tfm.rope {{.*}} heads 4 rotary 16 {length_scaling = #tfm.length_scaling<original = 8>}
  %3 = tfm.rope %step, %x, %f heads 4 rotary 16 {length_scaling = #tfm.length_scaling<original = 8>} : tensor<?x64xf32>, tensor<16xf32>
  // CHECK: tfm.rope {{.*}} {length_scaling = #tfm.length_scaling<original = 8, factor = 2.000000e+00 : f32>}
  %4 = tfm.rope %step, %x, %f heads 4 rotary 16 {length_scaling = #tfm.length_scaling<original = 8, factor = 2.0 : f32>} : tensor<?x64xf32>, tensor<16xf32>
  return
}

// CHECK-LABEL: func.func @model
func.func @model(%step: !tfm.step) -> tensor<?x320xf32> {
  // CHECK: %[[TABLE:.*]] = tfm.weight "embedding" : tensor<320x64xf32>
  %0 = tfm.weight "embedding" : tensor<320x64xf32>
  // CHECK: tfm.embedding %{{.*}}, %[[TABLE]] : tensor<320x64xf32> -> tensor<?x64xf32>
  %1 = tfm.embedding %step, %0 : tensor<320x64xf32> -> tensor<?x64xf32>
  // CHECK: tfm.embedding %{{.*}}, %[[TABLE]] {multiplier = 8.000000e+00 : f32}
  %2 = tfm.embedding %step, %0 {multiplier = 8.0 : f32} : tensor<320x64xf32> -> tensor<?x64xf32>
  // CHECK: tfm.embedding %{{.*}}, %[[TABLE]] positions {offset = 2 : i64}
  %9 = tfm.embedding %step, %0 positions {offset = 2 : i64} : tensor<320x64xf32> -> tensor<?x64xf32>
  // CHECK: tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  %3 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  // CHECK: tfm.logits %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<320x64xf32> -> tensor<?x320xf32>
  %4 = tfm.logits %step, %1, %0 : tensor<?x64xf32>, tensor<320x64xf32> -> tensor<?x320xf32>
  %5 = tfm.param <"checkpoint"::"head.bias"> : tensor<320xf64>
  // CHECK: tfm.logits %{{.*}}, %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x64xf32>, tensor<320x64xf32>, tensor<320xf64> -> tensor<?x320xf32>
  %6 = tfm.logits %step, %2, %0 bias %5 : tensor<?x64xf32>, tensor<320x64xf32>, tensor<320xf64> -> tensor<?x320xf32>
  // CHECK: tfm.logits {{.*}} {multiplier = 2.500000e-01 : f32, soft_cap = 3.000000e+01 : f32}
  %7 = tfm.logits %step, %2, %0 {multiplier = 0.25 : f32, soft_cap = 30.0 : f32} : tensor<?x64xf32>, tensor<320x64xf32> -> tensor<?x320xf32>
  return %4 : tensor<?x320xf32>
}
}
