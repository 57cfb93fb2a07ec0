// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

// CHECK-LABEL: func.func private @formats
func.func private @formats(
  // CHECK-SAME: !qnt.packed<64 by 256, <int4, group = 128>>
  !qnt.packed<64 by 256, <int4, group = 128>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <int4, group = 128, zero, scale = f32>>
  !qnt.packed<64 by 256, #qnt.format<int4, group = 128, zero, scale = f32>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <nf4, block = 64>, layout = "t16">
  !qnt.packed<64 by 256, <nf4, block = 64>, layout = "t16">,
  // CHECK-SAME: !qnt.packed<64 by 256, <fp4, group = 64, scale = bf16>>
  !qnt.packed<64 by 256, <fp4, group = 64, scale = bf16>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <int8, row>>
  !qnt.packed<64 by 256, <int8, row>>,
  // The parts may come in any order; the default scale is left out.
  // CHECK-SAME: !qnt.packed<64 by 256, <int3, group = 32, zero>>
  !qnt.packed<64 by 256, <int3, scale = f16, zero, group = 32>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <int2, row, scale = f32>>
  !qnt.packed<64 by 256, <int2, row, scale = f32>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <f32>, layout = "rows">
  !qnt.packed<64 by 256, <f32>, layout = "rows">,
  // CHECK-SAME: !qnt.packed<1 by 256, <f16>>
  !qnt.packed<1 by 256, <f16>>,
  // CHECK-SAME: !qnt.packed<64 by 256, <bf16>>
  !qnt.packed<64 by 256, <bf16>>)

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"w"> : tensor<64x256xbf16>
  // CHECK: tfm.define "w" = %{{.*}} of "m" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 128>, mse>} : tensor<64x256xbf16>
  tfm.define "w" = %0 of "m" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 128>, mse>} : tensor<64x256xbf16>
  // CHECK: tfm.define "v" = %{{.*}} {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} : tensor<64x256xbf16>
  tfm.define "v" = %0 {qnt.scheme = #qnt.scheme<"bnb", #qnt.format<nf4, block = 64>>} : tensor<64x256xbf16>

  // CHECK: %[[C:.*]], %[[S:.*]] = qnt.quantize "rtn" %{{.*}} to <int4, group = 128> : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
  %c, %s = qnt.quantize "rtn" %0 to <int4, group = 128> : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
  // CHECK: %[[P:.*]] = qnt.pack %[[C]], %[[S]] : tensor<64x256xi8>, tensor<64x2xf16> -> !qnt.packed<64 by 256, <int4, group = 128>>
  %p = qnt.pack %c, %s : tensor<64x256xi8>, tensor<64x2xf16> -> !qnt.packed<64 by 256, <int4, group = 128>>
  // A ragged last group has a scale of its own; zero points have the shape of scales.
  // CHECK: qnt.quantize "rtn" %{{.*}} to <int4, group = 100, zero> {mse} : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x3xf16>, tensor<64x3xi8>
  %c1, %s1, %z1 = qnt.quantize "rtn" %0 to <int4, group = 100, zero> {mse} : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x3xf16>, tensor<64x3xi8>
  // CHECK: qnt.pack %{{.*}}, %{{.*}}, %{{.*}} : tensor<64x256xi8>, tensor<64x3xf16>, tensor<64x3xi8> -> !qnt.packed<64 by 256, <int4, group = 100, zero>>
  %p1 = qnt.pack %c1, %s1, %z1 : tensor<64x256xi8>, tensor<64x3xf16>, tensor<64x3xi8> -> !qnt.packed<64 by 256, <int4, group = 100, zero>>
  // Flattened blocks are numbered through the whole weight.
  // CHECK: qnt.gptq "layers.0.q" %{{.*}} to <int4, group = 128> order "activation" damp 1.000000e-02 {static_groups} : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
  %c9, %s9 = qnt.gptq "layers.0.q" %0 to <int4, group = 128> order "activation" damp 0.01 {static_groups} : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<64x2xf16>
  // CHECK: qnt.quantize "bnb" %{{.*}} to <nf4, block = 64> : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<256xf32>
  %c2, %s2 = qnt.quantize "bnb" %0 to <nf4, block = 64> : tensor<64x256xbf16> -> tensor<64x256xi8>, tensor<256xf32>
  // CHECK: qnt.convert %{{.*}} : tensor<64x256xbf16> -> !qnt.packed<64 by 256, <f32>>
  %f = qnt.convert %0 : tensor<64x256xbf16> -> !qnt.packed<64 by 256, <f32>>
  // CHECK: qnt.stack_rows %{{.*}}, %{{.*}} interleave 16 : !qnt.packed<64 by 256, <int4, group = 128>>, !qnt.packed<64 by 256, <int4, group = 128>> -> !qnt.packed<128 by 256, <int4, group = 128>>
  %g = qnt.stack_rows %p, %p interleave 16 : !qnt.packed<64 by 256, <int4, group = 128>>, !qnt.packed<64 by 256, <int4, group = 128>> -> !qnt.packed<128 by 256, <int4, group = 128>>
  // CHECK: qnt.stack_rows %{{.*}}, %{{.*}}, %{{.*}} : !qnt
  %h = qnt.stack_rows %p, %g, %p : !qnt.packed<64 by 256, <int4, group = 128>>, !qnt.packed<128 by 256, <int4, group = 128>>, !qnt.packed<64 by 256, <int4, group = 128>> -> !qnt.packed<256 by 256, <int4, group = 128>>
  // CHECK: qnt.relayout %{{.*}} : !qnt.packed<256 by 256, <int4, group = 128>> -> !qnt.packed<256 by 256, <int4, group = 128>, layout = "t16">
  %i = qnt.relayout %h : !qnt.packed<256 by 256, <int4, group = 128>> -> !qnt.packed<256 by 256, <int4, group = 128>, layout = "t16">
  return
}

// CHECK-LABEL: func.func private @program
func.func private @program(%step: !tfm.step, %cache: !tfm.cache<2 by 16 by f32>,
    %x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <int4, group = 32>>,
    %gu: !qnt.packed<192 by 64, <int4, group = 32>>,
    %w8: !qnt.packed<64 by 64, <int8, row, scale = f32>>,
    %kv: !qnt.packed<32 by 64, <int4, group = 32>>,
    %v64: !qnt.packed<1 by 64, <f32>>, %v16: tensor<16xf32>,
    %freq: !qnt.packed<1 by 8, <f32>>, %slopes: tensor<4xf32>) {
  // CHECK: qnt.dequant_gemm %{{.*}}, %{{.*}} : tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>> -> tensor<?x64xf32>
  %0 = qnt.dequant_gemm %x, %w : tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>> -> tensor<?x64xf32>
  // CHECK: qnt.dequant_gemm %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>, !qnt.packed<1 by 64, <f32>> -> tensor<?x64xf32>
  %1 = qnt.dequant_gemm %x, %w bias %v64 : tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>, !qnt.packed<1 by 64, <f32>> -> tensor<?x64xf32>
  // CHECK: qnt.outlier_gemm %{{.*}}, %{{.*}} bias %{{.*}} threshold 6.000000e+00 : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>>, !qnt.packed<1 by 64, <f32>> -> tensor<?x64xf32>
  %o = qnt.outlier_gemm %x, %w8 bias %v64 threshold 6.0 : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>>, !qnt.packed<1 by 64, <f32>> -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} splits [64] outliers 6.000000e+00 : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>>) -> tensor<?x64xf32>
  %of = qnt.fused_gemm %x, %w8 splits [64] outliers 6.0 : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>>) -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>) -> tensor<?x64xf32>
  %2 = qnt.fused_gemm %x, %w splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>) -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} rows %{{.*}} norm "rms"(%{{.*}}) eps 9.99999974E-6 splits [64] {norm_offset = 1.000000e+00 : f32} :
  %3 = qnt.fused_gemm %x, %w rows %step norm "rms" (%v64) eps 1.0e-5 splits [64] {norm_offset = 1.0 : f32} : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>, !tfm.step, !qnt.packed<1 by 64, <f32>>) -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} norm "layer"(%{{.*}}, %{{.*}}) eps 9.99999974E-6 bias %{{.*}} activation gelu residual %{{.*}} splits [64] :
  %4 = qnt.fused_gemm %x, %w norm "layer" (%v64, %v64) eps 1.0e-5 bias %v64 activation gelu residual %x splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 64, <f32>>, tensor<?x64xf32>) -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} activation silu glu splits [96] :
  %5 = qnt.fused_gemm %x, %gu activation silu glu splits [96] : (tensor<?x64xf32>, !qnt.packed<192 by 64, <int4, group = 32>>) -> tensor<?x96xf32>
  // CHECK: %{{.*}}:3 = qnt.fused_gemm %{{.*}}, %{{.*}} splits [128, 32, 32] : (tensor<?x64xf32>, !qnt.packed<192 by 64, <int4, group = 32>>) -> (tensor<?x128xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
  %6:3 = qnt.fused_gemm %x, %gu splits [128, 32, 32] : (tensor<?x64xf32>, !qnt.packed<192 by 64, <int4, group = 32>>) -> (tensor<?x128xf32>, tensor<?x32xf32>, tensor<?x32xf32>)
  // CHECK: qnt.rope_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} frequencies %{{.*}} heads 4 rotary 16 scale 2.500000e-01 :
  %7 = qnt.rope_attention %step, %cache, %x, %6#1, %6#2 frequencies %freq heads 4 rotary 16 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, !qnt.packed<1 by 8, <f32>>) -> tensor<?x64xf32>
  // CHECK: qnt.rope_attention {{.*}} frequencies %{{.*}} q_norm %{{.*}} k_norm %{{.*}} slopes %{{.*}} heads 4 rotary 16 scale 2.500000e-01 {eps = 9.99999974E-6 : f32, interleaved, norm_offset = 1.000000e+00 : f32, soft_cap = 3.000000e+01 : f32} :
  %8 = qnt.rope_attention %step, %cache, %x, %6#1, %6#2 frequencies %freq q_norm %v16 k_norm %v16 slopes %slopes heads 4 rotary 16 scale 0.25 {interleaved, eps = 1.0e-5 : f32, norm_offset = 1.0 : f32, soft_cap = 30.0 : f32} : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, !qnt.packed<1 by 8, <f32>>, tensor<16xf32>, tensor<16xf32>, tensor<4xf32>) -> tensor<?x64xf32>
  return
}
