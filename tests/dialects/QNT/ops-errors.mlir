// RUN: qcc-opt %s --split-input-file --verify-diagnostics

// The grammar of formats.

// expected-error @below {{unknown code 'int5'}}
func.func private @unknown_code() attributes {f = #qnt.format<int5, group = 32>}

// -----

// expected-error @below {{unknown part 'size' of a format (group, block, row, zero, scale, absmax)}}
func.func private @unknown_part() attributes {f = #qnt.format<int4, size = 32>}

// -----

// expected-error @below {{unknown scale type 'f64'}}
func.func private @unknown_scale_type() attributes {f = #qnt.format<int4, group = 32, scale = f64>}

// -----

// expected-error @below {{format_c2: int4 needs a group of 1 to 2147483647 elements or -1 for the whole row, not 0}}
func.func private @format_c2() attributes {f = #qnt.format<int4>}

// -----

// expected-error @below {{format_c2: bf16 has no groups, but a group of 32 is given}}
func.func private @format_c2_unscaled() attributes {f = #qnt.format<bf16, group = 32>}

// -----

// expected-error @below {{format_c3: only nf4 and fp4 have flattened blocks, of 1 or more elements; not int4 with 64}}
func.func private @format_c3() attributes {f = #qnt.format<int4, block = 64>}

// -----

// expected-error @below {{format_c4: nf4 has no zero points}}
func.func private @format_c4() attributes {f = #qnt.format<nf4, block = 64, zero>}

// -----

// expected-error @below {{format_c5: f32 has no scales, not f16}}
func.func private @format_c5() attributes {f = #qnt.format<f32, scale = f16>}

// -----

// expected-error @below {{format_c6: only nf4 and fp4 have nested scales, not int4}}
func.func private @format_c6() attributes {f = #qnt.format<int4, group = 64, absmax = u8/256>}

// -----

// expected-error @below {{format_c6: scales of type u8 in nested blocks of 0; u8 has blocks of 1 to 2147483647, no other type has them}}
func.func private @format_c6_zero() attributes {f = #qnt.format<nf4, block = 64, absmax = u8/0>}

// -----

// expected-error @below {{unknown type of nested scales 'u4' (u8)}}
func.func private @format_nested_type() attributes {f = #qnt.format<nf4, block = 64, absmax = u4/256>}

// -----

// expected-error @below {{packed_c1: a weight of 0 by 64 elements is empty or too large}}
func.func private @packed_c1(!qnt.packed<0 by 64, <f32>>)

// -----

// expected-error @below {{packed_c1: a weight of 4611686018427387904 by 64 elements is empty or too large}}
func.func private @packed_c1_overflow(!qnt.packed<4611686018427387904 by 64, <f32>>)

// -----

// expected-error @below {{packed_c2: unknown layout "t32" (t16, rows)}}
func.func private @packed_c2(!qnt.packed<64 by 64, <f32>, layout = "t32">)

// -----

// expected-error @below {{scheme_c1: unknown method 'awq' (rtn, gptq, bnb, int8)}}
func.func private @scheme_c1() attributes {qnt.scheme = #qnt.scheme<"awq", <int4, group = 32>>}

// -----

// expected-error @below {{scheme_c2: rtn makes int codes, not nf4.b64}}
func.func private @scheme_c2() attributes {qnt.scheme = #qnt.scheme<"rtn", <nf4, block = 64>>}

// -----

// expected-error @below {{scheme_c2: bnb makes nf4 and fp4, not int4.g32}}
func.func private @scheme_c2_bnb() attributes {qnt.scheme = #qnt.scheme<"bnb", <int4, group = 32>>}

// -----

// expected-error @below {{scheme_c2: int8 makes int8.row.sf32, not int8.row}}
func.func private @scheme_c2_int8() attributes {qnt.scheme = #qnt.scheme<"int8", <int8, row>>}

// -----

// expected-error @below {{scheme_c3: int8 does not search scales: mse goes with rtn and gptq}}
func.func private @scheme_c3_int8() attributes {qnt.scheme = #qnt.scheme<"int8", <int8, row, scale = f32>, mse>}

// -----

// expected-error @below {{scheme_c3: bnb does not search scales: mse goes with rtn and gptq}}
func.func private @scheme_c3() attributes {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>, mse>}

// -----

// expected-error @below {{scheme_c4: bnb nests the scales of flattened blocks by 256, not as in nf4.b64.d128}}
func.func private @scheme_c4() attributes {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64, absmax = u8/128>>}

// -----

// expected-error @below {{expected 'mse'}}
func.func private @scheme_flag() attributes {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>, sym>}

// -----

func.func private @quantize_scheme(%w: tensor<64x64xf32>) {
  // expected-error @below {{scheme_c2: rtn makes int codes, not f32}}
  %c, %s = qnt.quantize "rtn" %w to <f32> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @quantize_c1(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c1: codes are 'tensor<64x32xi8>' where the format has 'tensor<64x64xi8>'}}
  %c, %s = qnt.quantize "rtn" %w to <int4, group = 32> : tensor<64x64xf32> -> tensor<64x32xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @quantize_c2(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c2: scales are 'tensor<64x2xf32>' where the format has 'tensor<64x2xf16>'}}
  %c, %s = qnt.quantize "rtn" %w to <int4, group = 32> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf32>
  return
}

// -----

func.func private @quantize_c3_nested(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c3: nested scales are missing for format nf4.b64.d256}}
  %c, %s = qnt.quantize "bnb" %w to <nf4, block = 64, absmax = u8/256> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64xi8>
  return
}

// -----

func.func private @quantize_c3_nested_count(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c3: nested scales are 'tensor<1xf32>' where the format has 'tensor<2xf32>'}}
  %c, %s, %n = qnt.quantize "bnb" %w to <nf4, block = 64, absmax = u8/256> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64xi8>, tensor<1xf32>
  return
}

// -----

func.func private @quantize_c3(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c3: zero points are missing for format int4.g32.z}}
  %c, %s = qnt.quantize "rtn" %w to <int4, group = 32, zero> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @quantize_c3_given(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c3: zero points are given, but not in format int4.g32}}
  %c, %s, %z = qnt.quantize "rtn" %w to <int4, group = 32> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>, tensor<64x2xi8>
  return
}

// -----

func.func private @quantize_c3_shape(%w: tensor<64x64xf32>) {
  // expected-error @below {{quantize_c3: zero points are 'tensor<64x1xi8>' where the format has 'tensor<64x2xi8>'}}
  %c, %s, %z = qnt.quantize "rtn" %w to <int4, group = 32, zero> : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>, tensor<64x1xi8>
  return
}

// -----

func.func private @quantize_c4(%w: tensor<64xf32>) {
  // expected-error @below {{quantize_c4: the input is a vector, not a matrix}}
  %c, %s = qnt.quantize "rtn" %w to <int4, group = 32> : tensor<64xf32> -> tensor<1x64xi8>, tensor<1x2xf16>
  return
}

// -----

func.func private @pack_c1(%c: tensor<64x32xi8>, %s: tensor<64x2xf16>) {
  // expected-error @below {{pack_c1: codes are 'tensor<64x32xi8>' where the format has 'tensor<64x64xi8>'}}
  %0 = qnt.pack %c, %s : tensor<64x32xi8>, tensor<64x2xf16> -> !qnt.packed<64 by 64, <int4, group = 32>>
  return
}

// -----

func.func private @pack_c2(%c: tensor<64x64xi8>, %s: tensor<128xf32>) {
  // expected-error @below {{pack_c2: scales are 'tensor<128xf32>' where the format has 'tensor<64xf32>'}}
  %0 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<128xf32> -> !qnt.packed<64 by 64, <nf4, block = 64>>
  return
}

// -----

func.func private @pack_c3(%c: tensor<64x64xi8>, %s: tensor<64x1xf16>) {
  // expected-error @below {{pack_c3: zero points are missing for format int8.row.z}}
  %0 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf16> -> !qnt.packed<64 by 64, <int8, row, zero>>
  return
}

// -----

func.func private @pack_c4(%c: tensor<64x64xi8>, %s: tensor<64x1xf16>) {
  // expected-error @below {{pack_c4: format bf16 has no scales: use qnt.convert}}
  %0 = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf16> -> !qnt.packed<64 by 64, <bf16>>
  return
}

// -----

func.func private @convert_c1(%w: tensor<64x64xf32>) {
  // expected-error @below {{convert_c1: format int8.row has scales: use qnt.quantize}}
  %0 = qnt.convert %w : tensor<64x64xf32> -> !qnt.packed<64 by 64, <int8, row>>
  return
}

// -----

// A vector is a matrix of one row.
func.func private @convert_c2(%w: tensor<64xf32>) {
  // expected-error @below {{convert_c2: the result is 64 by 1, the input 1 by 64}}
  %0 = qnt.convert %w : tensor<64xf32> -> !qnt.packed<64 by 1, <f32>>
  return
}

// -----

func.func private @stack_rows_c1() {
  // expected-error @below {{stack_rows_c1: nothing to stack}}
  %0 = "qnt.stack_rows"() : () -> !qnt.packed<64 by 64, <f32>>
  return
}

// -----

func.func private @stack_rows_c2(%a: !qnt.packed<32 by 64, <f32>>, %b: !qnt.packed<32 by 64, <f16>>) {
  // expected-error @below {{stack_rows_c2: '!qnt.packed<32 by 64, <f16>>' does not go into '!qnt.packed<64 by 64, <f32>>'}}
  %0 = qnt.stack_rows %a, %b : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f16>> -> !qnt.packed<64 by 64, <f32>>
  return
}

// -----

func.func private @stack_rows_c3(%a: !qnt.packed<3 by 32, <nf4, block = 64>>) {
  // expected-error @below {{stack_rows_c3: blocks of 64 elements do not end with 3 rows of 32}}
  %0 = qnt.stack_rows %a, %a : !qnt.packed<3 by 32, <nf4, block = 64>>, !qnt.packed<3 by 32, <nf4, block = 64>> -> !qnt.packed<6 by 32, <nf4, block = 64>>
  return
}

// -----

func.func private @stack_rows_c3_interleaved(%a: !qnt.packed<128 by 33, <nf4, block = 64>>) {
  // expected-error @below {{stack_rows_c3: blocks of 64 elements do not end with 16 rows of 33}}
  %0 = qnt.stack_rows %a, %a interleave 16 : !qnt.packed<128 by 33, <nf4, block = 64>>, !qnt.packed<128 by 33, <nf4, block = 64>> -> !qnt.packed<256 by 33, <nf4, block = 64>>
  return
}

// -----

func.func private @stack_rows_c6(%a: !qnt.packed<24 by 64, <nf4, block = 64, absmax = u8/256>>) {
  // expected-error @below {{stack_rows_c6: with nested scales, parts have a multiple of 16 rows, not 24}}
  %0 = qnt.stack_rows %a, %a : !qnt.packed<24 by 64, <nf4, block = 64, absmax = u8/256>>, !qnt.packed<24 by 64, <nf4, block = 64, absmax = u8/256>> -> !qnt.packed<48 by 64, <nf4, block = 64, absmax = u8/256>>
  return
}

// -----

func.func private @stack_rows_c4(%a: !qnt.packed<32 by 64, <f32>>) {
  // expected-error @below {{stack_rows_c4: the inputs have 64 rows, the result 96}}
  %0 = qnt.stack_rows %a, %a : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<96 by 64, <f32>>
  return
}

// -----

func.func private @stack_rows_c5(%a: !qnt.packed<24 by 64, <f32>>) {
  // expected-error @below {{stack_rows_c5: blocks of 16 rows interleave two inputs of a multiple of as many rows each}}
  %0 = qnt.stack_rows %a, %a interleave 16 : !qnt.packed<24 by 64, <f32>>, !qnt.packed<24 by 64, <f32>> -> !qnt.packed<48 by 64, <f32>>
  return
}

// -----

func.func private @stack_rows_c5_negative(%a: !qnt.packed<32 by 64, <f32>>) {
  // expected-error @below {{stack_rows_c5: blocks of -16 rows interleave}}
  %0 = qnt.stack_rows %a, %a interleave -16 : !qnt.packed<32 by 64, <f32>>, !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 64, <f32>>
  return
}

// -----

func.func private @relayout_c1(%a: !qnt.packed<32 by 64, <f32>>) {
  // expected-error @below {{relayout_c1: '!qnt.packed<64 by 32, <f32>, layout = "t16">' is not the same weight as '!qnt.packed<32 by 64, <f32>>'}}
  %0 = qnt.relayout %a : !qnt.packed<32 by 64, <f32>> -> !qnt.packed<64 by 32, <f32>, layout = "t16">
  return
}

// -----

func.func private @relayout_c2(%a: !qnt.packed<32 by 64, <f32>>) {
  // expected-error @below {{relayout_c2: the result has no layout}}
  %0 = qnt.relayout %a : !qnt.packed<32 by 64, <f32>> -> !qnt.packed<32 by 64, <f32>>
  return
}

// -----

func.func private @outlier_gemm_c1(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 48, <int8, row, scale = f32>>) {
  // expected-error @below {{outlier_gemm_c1: the weight has 48 columns, the input 64 features}}
  %0 = qnt.outlier_gemm %x, %w threshold 6.0 : tensor<?x64xf32>, !qnt.packed<32 by 48, <int8, row, scale = f32>> -> tensor<?x32xf32>
  return
}

// -----

func.func private @outlier_gemm_c5(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 64, <int8, group = 32>>) {
  // expected-error @below {{outlier_gemm_c5: outliers are split off from rows of int8 without zero points, not int8.g32}}
  %0 = qnt.outlier_gemm %x, %w threshold 6.0 : tensor<?x64xf32>, !qnt.packed<32 by 64, <int8, group = 32>> -> tensor<?x32xf32>
  return
}

// -----

func.func private @outlier_gemm_c6(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 64, <int8, row, scale = f32>>) {
  // expected-error @below {{outlier_gemm_c6: the threshold -1.000000e+00 is neither 0 (no outliers) nor positive and finite}}
  %0 = qnt.outlier_gemm %x, %w threshold -1.0 : tensor<?x64xf32>, !qnt.packed<32 by 64, <int8, row, scale = f32>> -> tensor<?x32xf32>
  return
}

// -----

func.func private @fused_gemm_outliers_c5(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 64, <int4, row>>) {
  // expected-error @below {{fused_gemm_outliers_c5: outliers are split off from rows of int8 without zero points, not int4.row}}
  %0 = qnt.fused_gemm %x, %w splits [32] outliers 6.0 : (tensor<?x64xf32>, !qnt.packed<32 by 64, <int4, row>>) -> tensor<?x32xf32>
  return
}

// -----

func.func private @dequant_gemm_c1(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 48, <int8, row>>) {
  // expected-error @below {{dequant_gemm_c1: the weight has 48 columns, the input 64 features}}
  %0 = qnt.dequant_gemm %x, %w : tensor<?x64xf32>, !qnt.packed<32 by 48, <int8, row>> -> tensor<?x32xf32>
  return
}

// -----

func.func private @dequant_gemm_c2(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 64, <int8, row>>) {
  // expected-error @below {{dequant_gemm_c2: the weight has 32 rows, the result 48 features}}
  %0 = qnt.dequant_gemm %x, %w : tensor<?x64xf32>, !qnt.packed<32 by 64, <int8, row>> -> tensor<?x48xf32>
  return
}

// -----

func.func private @dequant_gemm_c3(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 64, <int8, row>>, %b: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{dequant_gemm_c3: the bias has 64 elements where 32 are needed in one row}}
  %0 = qnt.dequant_gemm %x, %w bias %b : tensor<?x64xf32>, !qnt.packed<32 by 64, <int8, row>>, !qnt.packed<1 by 64, <f32>> -> tensor<?x32xf32>
  return
}

// -----

func.func private @fused_gemm_c1(%x: tensor<?x64xf32>, %w: !qnt.packed<32 by 48, <f32>>) {
  // expected-error @below {{fused_gemm_c1: the weight has 48 columns, the input 64 features}}
  %0 = qnt.fused_gemm %x, %w splits [32] : (tensor<?x64xf32>, !qnt.packed<32 by 48, <f32>>) -> tensor<?x32xf32>
  return
}

// -----

func.func private @fused_gemm_c2(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c2: glu needs an activation and a multiple of 32 rows, not 48}}
  %0 = qnt.fused_gemm %x, %w activation silu glu splits [24] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>) -> tensor<?x24xf32>
  return
}

// -----

func.func private @fused_gemm_c3(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c3: the splits do not add up to 48}}
  %0:2 = qnt.fused_gemm %x, %w splits [32, 8] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>) -> (tensor<?x32xf32>, tensor<?x8xf32>)
  return
}

// -----

func.func private @fused_gemm_c3_negative(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c3: the splits do not add up to 48}}
  %0:2 = qnt.fused_gemm %x, %w splits [64, -16] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>) -> (tensor<?x64xf32>, tensor<?x16xf32>)
  return
}

// -----

func.func private @fused_gemm_c4(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c4: 2 splits, but 1 results}}
  %0 = qnt.fused_gemm %x, %w splits [32, 16] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>) -> tensor<?x48xf32>
  return
}

// -----

func.func private @fused_gemm_c4_width(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c4: a result is 'tensor<?x48xf32>' where the split is 32}}
  %0:2 = qnt.fused_gemm %x, %w splits [32, 16] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>) -> (tensor<?x48xf32>, tensor<?x16xf32>)
  return
}

// -----

func.func private @fused_gemm_c5(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>, %n: tensor<64xf32>) {
  // expected-error @below {{fused_gemm_c5: unknown norm 'batch' (rms, layer)}}
  %0 = qnt.fused_gemm %x, %w norm "batch" (%n) eps 1.0e-5 splits [48] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>, tensor<64xf32>) -> tensor<?x48xf32>
  return
}

// -----

func.func private @fused_gemm_c5_bias(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>, %n: tensor<64xf32>) {
  // expected-error @below {{fused_gemm_c5: a norm has a weight, and only a layer norm a bias}}
  %0 = qnt.fused_gemm %x, %w norm "rms" (%n, %n) eps 1.0e-5 splits [48] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>, tensor<64xf32>, tensor<64xf32>) -> tensor<?x48xf32>
  return
}

// -----

func.func private @fused_gemm_c6(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>, %n: tensor<48xf32>) {
  // expected-error @below {{fused_gemm_c6: the norm has 48 elements where 64 are needed in one row}}
  %0 = qnt.fused_gemm %x, %w norm "rms" (%n) eps 1.0e-5 splits [48] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>, tensor<48xf32>) -> tensor<?x48xf32>
  return
}

// -----

func.func private @fused_gemm_c7(%x: tensor<?x64xf32>, %w: !qnt.packed<48 by 64, <f32>>, %b: tensor<64xf32>) {
  // expected-error @below {{fused_gemm_c7: the bias has 64 elements where 48 are needed in one row}}
  %0 = qnt.fused_gemm %x, %w bias %b splits [48] : (tensor<?x64xf32>, !qnt.packed<48 by 64, <f32>>, tensor<64xf32>) -> tensor<?x48xf32>
  return
}

// -----

func.func private @fused_gemm_c8(%step: !tfm.step, %x: tensor<?x64xf32>, %w: !qnt.packed<64 by 64, <f32>>) {
  // expected-error @below {{fused_gemm_c8: a residual goes with one result of its type, for all rows}}
  %0 = qnt.fused_gemm %x, %w rows %step residual %x splits [64] : (tensor<?x64xf32>, !qnt.packed<64 by 64, <f32>>, !tfm.step, tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// -----

// What attention and rotation share with tfm.attention and tfm.rope is tested
// there, number by number; here, that both are asked.
func.func private @rope_attention_c1(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %f: tensor<8xf32>) {
  // expected-error @below {{rope_attention_c1: 8 heads of 16 elements are not the query's 64 features}}
  %0 = qnt.rope_attention %step, %c, %q, %k, %k frequencies %f heads 8 rotary 16 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<8xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func private @rope_attention_rope_c3(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %f: tensor<8xf32>) {
  // expected-error @below {{rope_attention_rope_c3: the frequency vector has 8 elements where 4 are needed in one row}}
  %0 = qnt.rope_attention %step, %c, %q, %k, %k frequencies %f heads 4 rotary 8 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<8xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func private @rope_attention_c7(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %f: tensor<8xf32>, %n: tensor<16xf32>) {
  // expected-error @below {{rope_attention_c7: q and k are normalized both or neither}}
  %0 = qnt.rope_attention %step, %c, %q, %k, %k frequencies %f k_norm %n heads 4 rotary 16 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<8xf32>, tensor<16xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func private @rope_attention_c8(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %f: tensor<8xf32>, %n: tensor<64xf32>) {
  // expected-error @below {{rope_attention_c8: a head's norm has 64 elements where 16 are needed in one row}}
  %0 = qnt.rope_attention %step, %c, %q, %k, %k frequencies %f q_norm %n k_norm %n heads 4 rotary 16 scale 0.25 : (!tfm.step, !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<8xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func private @gptq_scheme(%w: tensor<64x64xf32>) {
  // expected-error @below {{scheme_c2: gptq makes int codes, not nf4.b64}}
  %c, %s = qnt.gptq "w" %w to <nf4, block = 64> order "natural" damp 0.01 : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64xf32>
  return
}

// -----

func.func private @gptq_c3(%w: tensor<64x64xf32>) {
  // expected-error @below {{gptq_c3: zero points are missing for format int4.g32.z}}
  %c, %s = qnt.gptq "w" %w to <int4, group = 32, zero> order "natural" damp 0.01 : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @gptq_c4(%w: tensor<64xf32>) {
  // expected-error @below {{gptq_c4: the input is a vector, not a matrix}}
  %c, %s = qnt.gptq "w" %w to <int4, group = 32> order "natural" damp 0.01 : tensor<64xf32> -> tensor<64xi8>, tensor<2xf16>
  return
}

// -----

func.func private @gptq_c5(%w: tensor<64x64xf32>) {
  // expected-error @below {{gptq_c5: unknown order 'reverse' (natural, activation, group-aware)}}
  %c, %s = qnt.gptq "w" %w to <int4, group = 32> order "reverse" damp 0.01 : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @gptq_c7(%w: tensor<64x64xf32>) {
  // expected-error @below {{gptq_c7: columns are given for activation order without static groups, and only there}}
  %c, %s = qnt.gptq "w" %w to <int4, group = 32> order "activation" damp 0.01 : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @gptq_c7_size(%w: tensor<64x64xf32>) {
  %o = qnt.activation_order "w" : tensor<32xf32>
  // expected-error @below {{gptq_c7: the order has 32 elements where 64 are needed in one row}}
  %c, %s = qnt.gptq "w" %w columns %o to <int4, group = 32> order "activation" damp 0.01 : tensor<64x64xf32>, tensor<32xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}

// -----

func.func private @activation_order_c1() {
  // expected-error @below {{activation_order_c1: 'tensor<4x4xf32>' is no vector of f32}}
  %o = qnt.activation_order "w" : tensor<4x4xf32>
  return
}

// -----

func.func private @gptq_c6(%w: tensor<64x64xf32>) {
  // expected-error @below {{gptq_c6: a damping of 2.000000e+00 is not between 0 and 1}}
  %c, %s = qnt.gptq "w" %w to <int4, group = 32> order "natural" damp 2.0 : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
  return
}
