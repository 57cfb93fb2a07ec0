// RUN: qcc-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{cache_c1: a cache of 0 heads of 16 elements is empty}}
func.func private @cache_c1(!tfm.cache<0 by 16 by f32>)

// -----

// expected-error @below {{cache_c2: elements are f32, f16 or bf16, not 'i8'}}
func.func private @cache_c2(!tfm.cache<2 by 16 by i8>)

// -----

// expected-error @below {{cache_c3: window -1 is negative}}
func.func private @cache_c3(!tfm.cache<2 by 16 by f32, window = -1>)

// -----

// Weights are static vectors and matrices of floats.
func.func @weights() {
  // expected-error @below {{result #0 must be static 1-D or 2-D tensor of floats, but got 'tensor<?x64xf32>'}}
  %0 = tfm.param <"checkpoint"::"w"> : tensor<?x64xf32>
  return
}

// -----

func.func private @weights_of_ints(%w: tensor<4x4xi8>) {
  // expected-error @below {{operand #0 must be weight, packed or not, but got 'tensor<4x4xi8>'}}
  tfm.define "w" = %w : tensor<4x4xi8>
  return
}

// -----

func.func private @activations(%x: tensor<?x4xf16>) {
  // expected-error @below {{operand #0 must be 2-D tensor of f32 with the tokens of the step first, but got 'tensor<?x4xf16>'}}
  %0 = tfm.add %x, %x : tensor<?x4xf16>
  return
}

// -----

func.func private @define_c1(%w: tensor<4xf32>) {
  // expected-error @below {{define_c1: the name is empty}}
  tfm.define "" = %w : tensor<4xf32>
  return
}

// -----

func.func private @slice_rows_c1(%w: tensor<128x64xf32>) {
  // expected-error @below {{slice_rows_c1: blocks of 48 rows do not divide the 128 rows}}
  %0 = tfm.slice_rows %w [0, 16 stride 48] : tensor<128x64xf32> -> tensor<48x64xf32>
  return
}

// -----

func.func private @slice_rows_c2(%w: tensor<128x64xf32>) {
  // expected-error @below {{slice_rows_c2: 64 rows from row 65 are not inside 128 rows}}
  %0 = tfm.slice_rows %w [65, 64] : tensor<128x64xf32> -> tensor<64x64xf32>
  return
}

// -----

func.func private @slice_rows_c2_overflow(%w: tensor<128x64xf32>) {
  // expected-error @below {{slice_rows_c2: 2 rows from row 9223372036854775807 are not inside 128 rows}}
  %0 = tfm.slice_rows %w [9223372036854775807, 2] : tensor<128x64xf32> -> tensor<2x64xf32>
  return
}

// -----

func.func private @slice_rows_c3(%w: tensor<128x64xf32>) {
  // expected-error @below {{slice_rows_c3: the result is 'tensor<16x64xf32>' where 'tensor<32x64xf32>' is left}}
  %0 = tfm.slice_rows %w [0, 16 stride 64] : tensor<128x64xf32> -> tensor<16x64xf32>
  return
}

// -----

func.func private @concat_rows_c1() {
  // expected-error @below {{concat_rows_c1: nothing to concatenate}}
  %0 = "tfm.concat_rows"() : () -> tensor<16x64xf32>
  return
}

// -----

func.func private @concat_rows_c2(%a: tensor<16x64xf32>, %b: tensor<16x32xf32>) {
  // expected-error @below {{concat_rows_c2: 'tensor<16x32xf32>' does not go under 'tensor<16x64xf32>'}}
  %0 = tfm.concat_rows %a, %b : tensor<16x64xf32>, tensor<16x32xf32> -> tensor<32x64xf32>
  return
}

// -----

func.func private @concat_rows_c3(%a: tensor<16x64xf32>) {
  // expected-error @below {{concat_rows_c3: the result is 'tensor<16x64xf32>' where the inputs make 'tensor<32x64xf32>'}}
  %0 = tfm.concat_rows %a, %a : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<16x64xf32>
  return
}

// -----

func.func private @transpose_c1(%a: tensor<16xf32>) {
  // expected-error @below {{transpose_c1: the input is a vector, not a matrix}}
  %0 = tfm.transpose %a : tensor<16xf32> -> tensor<16xf32>
  return
}

// -----

func.func private @transpose_c2(%a: tensor<16x64xf32>) {
  // expected-error @below {{transpose_c2: the result is 'tensor<16x64xf32>' where the transpose is 'tensor<64x16xf32>'}}
  %0 = tfm.transpose %a : tensor<16x64xf32> -> tensor<16x64xf32>
  return
}

// -----

func.func private @unpermute_rotary_c1(%a: tensor<12x64xf32>) {
  // expected-error @below {{unpermute_rotary_c1: 12 rows do not divide into 4 heads of an even number of rows}}
  %0 = tfm.unpermute_rotary %a heads 4 : tensor<12x64xf32>
  return
}

// -----

func.func private @embedding_c1(%step: !tfm.step, %w: tensor<320x32xf32>) {
  // expected-error @below {{embedding_c1: the table has 32 columns, the result 64 features}}
  %0 = tfm.embedding %step, %w : tensor<320x32xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @rms_norm_c1(%x: tensor<?x64xf32>, %w: tensor<16xf32>) {
  // expected-error @below {{rms_norm_c1: 64 features do not divide into 5 slices}}
  %0 = tfm.rms_norm %x, %w eps 1.0e-5 {heads = 5} : tensor<?x64xf32>, tensor<16xf32>
  return
}

// -----

func.func private @rms_norm_c2(%x: tensor<?x64xf32>, %w: tensor<48xf32>) {
  // expected-error @below {{rms_norm_c2: the weight has 48 elements where 16 are needed in one row}}
  %0 = tfm.rms_norm %x, %w eps 1.0e-5 {heads = 4} : tensor<?x64xf32>, tensor<48xf32>
  return
}

// -----

func.func private @rms_norm_c3(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{rms_norm_c3: eps -1.000000e+00 is no finite number from 0}}
  %0 = tfm.rms_norm %x, %w eps -1.0 : tensor<?x64xf32>, tensor<64xf32>
  return
}

// -----

// A matrix is no vector, even where the number of elements fits.
func.func private @layer_norm_c1(%x: tensor<?x64xf32>, %w: tensor<4x16xf32>) {
  // expected-error @below {{layer_norm_c1: the weight has 64 elements where 64 are needed in one row}}
  %0 = tfm.layer_norm %x, %w eps 1.0e-5 : tensor<?x64xf32>, tensor<4x16xf32>
  return
}

// -----

func.func private @layer_norm_c2(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<32xf32>) {
  // expected-error @below {{layer_norm_c2: the bias has 32 elements where 64 are needed in one row}}
  %0 = tfm.layer_norm %x, %w bias %b eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>, tensor<32xf32>
  return
}

// -----

func.func private @layer_norm_c3(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{layer_norm_c3: eps -1.000000e+00 is no finite number from 0}}
  %0 = tfm.layer_norm %x, %w eps -1.0 : tensor<?x64xf32>, tensor<64xf32>
  return
}

// -----

func.func private @linear_c1(%x: tensor<?x64xf32>, %w: tensor<32x48xf32>) {
  // expected-error @below {{linear_c1: the weight has 48 columns, the input 64 features}}
  %0 = tfm.linear %x, %w : tensor<?x64xf32>, tensor<32x48xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func private @linear_c2(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @below {{linear_c2: the weight has 32 rows, the result 48 features}}
  %0 = tfm.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x48xf32>
  return
}

// -----

func.func private @linear_c3(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>, %b: tensor<64xf32>) {
  // expected-error @below {{linear_c3: the bias has 64 elements where 32 are needed in one row}}
  %0 = tfm.linear %x, %w bias %b : tensor<?x64xf32>, tensor<32x64xf32>, tensor<64xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func private @linear_c4(%x: tensor<4x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @below {{linear_c4: input and result have different numbers of tokens}}
  %0 = tfm.linear %x, %w : tensor<4x64xf32>, tensor<32x64xf32> -> tensor<5x32xf32>
  return
}

// -----

func.func private @rope_c1(%step: !tfm.step, %x: tensor<?x64xf32>, %f: tensor<8xf32>) {
  // expected-error @below {{rope_c1: 64 features do not divide into 3 heads}}
  %0 = tfm.rope %step, %x, %f heads 3 rotary 16 : tensor<?x64xf32>, tensor<8xf32>
  return
}

// -----

func.func private @rope_c2(%step: !tfm.step, %x: tensor<?x64xf32>, %f: tensor<8xf32>) {
  // expected-error @below {{rope_c2: 18 rotary dimensions are not an even number from 2 to 16}}
  %0 = tfm.rope %step, %x, %f heads 4 rotary 18 : tensor<?x64xf32>, tensor<8xf32>
  return
}

// -----

func.func private @rope_c3(%step: !tfm.step, %x: tensor<?x64xf32>, %f: tensor<16xf32>) {
  // expected-error @below {{rope_c3: the frequency vector has 16 elements where 8 are needed in one row}}
  %0 = tfm.rope %step, %x, %f heads 4 rotary 16 : tensor<?x64xf32>, tensor<16xf32>
  return
}

// -----

func.func private @attention_c1(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>) {
  // expected-error @below {{attention_c1: 3 heads of 16 elements are not the query's 64 features}}
  %0 = tfm.attention %step, %c, %q, %k, %k heads 3 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @attention_c2(%step: !tfm.step, %c: !tfm.cache<4 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>) {
  // expected-error @below {{attention_c2: 4 kv heads of 16 elements are not the key's or value's 32 features}}
  %0 = tfm.attention %step, %c, %q, %k, %k heads 4 scale 0.25 : !tfm.cache<4 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @attention_c3(%step: !tfm.step, %c: !tfm.cache<3 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x48xf32>) {
  // expected-error @below {{attention_c3: 4 heads do not share 3 kv heads evenly}}
  %0 = tfm.attention %step, %c, %q, %k, %k heads 4 scale 0.25 : !tfm.cache<3 by 16 by f32>, tensor<?x64xf32>, tensor<?x48xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @attention_c4(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>) {
  // expected-error @below {{attention_c4: the result has 32 features, the query 64}}
  %0 = tfm.attention %step, %c, %q, %k, %k heads 4 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func private @attention_c5(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %s: tensor<2xf32>) {
  // expected-error @below {{attention_c5: slopes has 2 elements where 4 are needed in one row}}
  %0 = tfm.attention %step, %c, %q, %k, %k slopes %s heads 4 scale 0.25 : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32>, tensor<2xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @attention_c6(%step: !tfm.step, %c: !tfm.cache<2 by 16 by f32>, %q: tensor<?x64xf32>, %k: tensor<?x32xf32>) {
  // expected-error @below {{attention_c6: soft cap -5.000000e+01 is no finite number from 0}}
  %0 = tfm.attention %step, %c, %q, %k, %k heads 4 scale 0.25 {soft_cap = -50.0 : f32} : !tfm.cache<2 by 16 by f32>, tensor<?x64xf32>, tensor<?x32xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @logits_c1(%step: !tfm.step, %x: tensor<?x64xf32>, %w: tensor<320x32xf32>) {
  // expected-error @below {{logits_c1: the weight has 32 columns, the input 64 features}}
  %0 = tfm.logits %step, %x, %w : tensor<?x64xf32>, tensor<320x32xf32> -> tensor<?x320xf32>
  return
}

// -----

func.func private @logits_c2(%step: !tfm.step, %x: tensor<?x64xf32>, %w: tensor<320x64xf32>) {
  // expected-error @below {{logits_c2: the weight has 320 rows, the result 321 features}}
  %0 = tfm.logits %step, %x, %w : tensor<?x64xf32>, tensor<320x64xf32> -> tensor<?x321xf32>
  return
}

// -----

func.func private @logits_c3(%step: !tfm.step, %x: tensor<?x64xf32>, %w: tensor<320x64xf32>, %b: tensor<64xf32>) {
  // expected-error @below {{logits_c3: the bias has 64 elements where 320 are needed in one row}}
  %0 = tfm.logits %step, %x, %w bias %b : tensor<?x64xf32>, tensor<320x64xf32>, tensor<64xf32> -> tensor<?x320xf32>
  return
}

// -----

func.func private @logits_c4(%step: !tfm.step, %x: tensor<?x64xf32>, %w: tensor<320x64xf32>) {
  // expected-error @below {{logits_c4: soft cap -1.000000e+00 or multiplier is no finite number from 0}}
  %0 = tfm.logits %step, %x, %w {soft_cap = -1.0 : f32} : tensor<?x64xf32>, tensor<320x64xf32> -> tensor<?x320xf32>
  return
}

// -----

func.func private @map_c1(%x: tensor<?x64xf32>) {
  // expected-error @below {{map_c1: 0.000000e+00 is no clamp}}
  %0 = tfm.map clamp %x by 0.0 : tensor<?x64xf32>
  return
}

// -----

func.func private @embedding_c2(%step: !tfm.step, %w: tensor<320x64xf32>) {
  // expected-error @below {{embedding_c2: offset 2 is negative, or of no positions}}
  %0 = tfm.embedding %step, %w {offset = 2 : i64} : tensor<320x64xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func private @layer_norm_c4(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{layer_norm_c4: 64 features do not divide into 3 slices}}
  %0 = tfm.layer_norm %x, %w eps 1.0e-5 {heads = 3 : i64} : tensor<?x64xf32>, tensor<64xf32>
  return
}

// -----

func.func private @rope_c3_two_sets(%step: !tfm.step, %x: tensor<?x64xf32>, %f: tensor<8xf32>) {
  // expected-error @below {{rope_c3: the frequency vector has 8 elements where 16 are needed in one row}}
  %0 = tfm.rope %step, %x, %f heads 4 rotary 16 {length_scaling = #tfm.length_scaling<original = 8>} : tensor<?x64xf32>, tensor<8xf32>
  return
}

// -----

// expected-error @below {{length_scaling_c1: a length of 0}}
#scaling = #tfm.length_scaling<original = 0>

// -----

// expected-error @below {{length_scaling_c2: factor 5.000000e-01 is less than 1}}
#scaling = #tfm.length_scaling<original = 8, factor = 0.5 : f32>

// -----

func.func private @layer_norm_c5(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<16xf32>) {
  // expected-error @below {{layer_norm_c5: weight and bias are not both one for all slices, or both a part for each}}
  %0 = tfm.layer_norm %x, %w bias %b eps 1.0e-5 {heads = 4 : i64} : tensor<?x64xf32>, tensor<64xf32>, tensor<16xf32>
  return
}
