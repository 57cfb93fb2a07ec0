// RUN: qcc-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{target_c1: the name is empty}}
krn.program @p target <"", activations = "i16", kv = "f32"> kv_bytes 0 {
}

// -----

// expected-error @below {{target_c2: unknown activations 'i4' (f32, f16, bf16, i16, i8)}}
krn.program @p target <"cpu", activations = "i4", kv = "f32"> kv_bytes 0 {
}

// -----

// expected-error @below {{target_c3: unknown kv element 'i8' (f32, f16, bf16)}}
krn.program @p target <"cpu", activations = "i16", kv = "i8"> kv_bytes 0 {
}

// -----

// expected-error @below {{buffer_c1: 0 columns}}
func.func private @buffer_c1(!krn.buffer<0>)

// -----

// expected-error @below {{buffer_c2: rows of 64 columns overlap at stride 32}}
func.func private @buffer_c2(!krn.buffer<64, stride = 32>)

// -----

// expected-error @below {{staged_c1: unknown activations 'i4' (f32, f16, bf16, i16, i8, split8)}}
func.func private @staged_c1(!krn.staged<"i4", 64, group = 32, bits = 4>)

// -----

// expected-error @below {{staged_c2: 0 columns}}
func.func private @staged_c2(!krn.staged<"i16", 0, group = 32, bits = 4>)

// -----

// expected-error @below {{staged_c3: group -1 is negative}}
func.func private @staged_c3(!krn.staged<"i16", 64, group = -1, bits = 4>)

// -----

// expected-error @below {{staged_c4: no code has 5 bits}}
func.func private @staged_c4(!krn.staged<"i16", 64, group = 32, bits = 5>)

// -----

module {
  // expected-error @below {{expects parent op 'krn.program'}}
  krn.entry @e max_tokens 8 {
  }
}

// -----

krn.program @entry_c1 target <"cpu", activations = "i16", kv = "f32"> kv_bytes 0 {
  // expected-error @below {{entry_c1: a step of 0 tokens}}
  krn.entry @e max_tokens 0 {
  }
}

// -----

krn.program @entry_c2 target <"cpu", activations = "i16", kv = "f32"> kv_bytes 0 {
  // expected-error @below {{entry_c2: arena or scratch is negative}}
  krn.entry @e max_tokens 8 arena -64 {
  }
}

// -----

func.func private @repeat_c1() {
  // expected-error @below {{repeat_c1: 0 layers from layer 0}}
  krn.repeat layers 0 from 0 weights [] kv_offset 0 kv_stride 0 {
  }
  return
}

// -----

func.func private @repeat_c2() {
  // expected-error @below {{repeat_c2: an argument is '!krn.buffer<64>', not a packed weight}}
  krn.repeat layers 1 from 0 weights [0] kv_offset 0 kv_stride 0 {
  ^bb0(%x: !krn.buffer<64>):
    krn.barrier
  }
  return
}

// -----

func.func private @repeat_c3() {
  // expected-error @below {{repeat_c3: the table has 1 weights; 2 layers of 1 need 2}}
  krn.repeat layers 2 from 0 weights [0] kv_offset 0 kv_stride 0 {
  ^bb0(%w: !qnt.packed<64 by 64, <f32>>):
    krn.barrier
  }
  return
}

// -----

func.func private @repeat_c4() {
  // expected-error @below {{repeat_c4: weight index -1}}
  krn.repeat layers 2 from 0 weights [0, -1] kv_offset 0 kv_stride 0 {
  ^bb0(%w: !qnt.packed<64 by 64, <f32>>):
    krn.barrier
  }
  return
}

// -----

func.func private @repeat_c5() {
  // expected-error @below {{repeat_c5: kv_offset or kv_stride is negative}}
  krn.repeat layers 1 from 0 weights [] kv_offset -8 kv_stride 0 {
  }
  return
}

// -----

func.func private @view_c1(%x: !krn.buffer<64>) {
  // expected-error @below {{view_c1: 32 columns from column 48 are not inside 64}}
  %0 = krn.view %x[48] : !krn.buffer<64> -> !krn.buffer<32, stride = 64>
  return
}

// -----

func.func private @view_c1_overflow(%x: !krn.buffer<64>) {
  // expected-error @below {{view_c1: 32 columns from column 9223372036854775807 are not inside 64}}
  %0 = krn.view %x[9223372036854775807] : !krn.buffer<64> -> !krn.buffer<32, stride = 64>
  return
}

// -----

func.func private @view_c2(%x: !krn.buffer<64>) {
  // expected-error @below {{view_c2: the stride is 32 where the input's is 64}}
  %0 = krn.view %x[0] : !krn.buffer<64> -> !krn.buffer<32>
  return
}

// -----

func.func private @embed_c1(%w: !qnt.packed<64 by 64, <f32>>, %x: !krn.buffer<32>) {
  // expected-error @below {{embed_c1: the output has 32 columns where 64 are needed}}
  krn.embed %w to %x : !qnt.packed<64 by 64, <f32>>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_table_c1(%f: !qnt.packed<1 by 8, <f32>>, %x: !krn.buffer<8>) {
  // expected-error @below {{rope_table_c1: the output has 8 columns where 16 are needed}}
  krn.rope_table %f to %x : !qnt.packed<1 by 8, <f32>>, !krn.buffer<8>
  return
}

// -----

func.func private @stage_c5(%x: !krn.buffer<64>, %s: !krn.staged<"split8", 64, group = 64, bits = 8>) {
  // expected-error @below {{stage_c5: split8, and nothing else, has an outlier threshold, not split8}}
  krn.stage %x to %s : !krn.buffer<64>, !krn.staged<"split8", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @stage_c5_i16(%x: !krn.buffer<64>, %s: !krn.staged<"i16", 64, group = 64, bits = 8>) {
  // expected-error @below {{stage_c5: split8, and nothing else, has an outlier threshold, not i16}}
  krn.stage %x to %s outliers 6.0 of 1 : !krn.buffer<64>, !krn.staged<"i16", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @stage_c6(%x: !krn.buffer<64>, %s: !krn.staged<"split8", 64, group = 64, bits = 8>) {
  // expected-error @below {{stage_c6: the threshold -1.000000e+00 is neither 0 nor positive}}
  krn.stage %x to %s outliers -1.0 of 1 : !krn.buffer<64>, !krn.staged<"split8", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @find_outliers_c1(%x: !krn.buffer<32>, %s: !krn.staged<"split8", 64, group = 64, bits = 8>) {
  // expected-error @below {{find_outliers_c1: the input has 32 columns, the output 64}}
  krn.find_outliers %x to %s threshold 6.0 : !krn.buffer<32>, !krn.staged<"split8", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @find_outliers_c4(%x: !krn.buffer<64>, %s: !krn.staged<"i16", 64, group = 64, bits = 8>) {
  // expected-error @below {{find_outliers_c4: split8 has outliers, not i16}}
  krn.find_outliers %x to %s threshold 6.0 : !krn.buffer<64>, !krn.staged<"i16", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @find_outliers_c5(%x: !krn.buffer<64>, %s: !krn.staged<"split8", 64, group = 64, bits = 8>) {
  // expected-error @below {{find_outliers_c5: the threshold 0.000000e+00 is not positive}}
  krn.find_outliers %x to %s threshold 0.0 : !krn.buffer<64>, !krn.staged<"split8", 64, group = 64, bits = 8>
  return
}

// -----

func.func private @stage_c1(%x: !krn.buffer<32>, %s: !krn.staged<"f32", 64, group = 0, bits = 32>) {
  // expected-error @below {{stage_c1: the input has 32 columns, the output 64}}
  krn.stage %x to %s : !krn.buffer<32>, !krn.staged<"f32", 64, group = 0, bits = 32>
  return
}

// -----

func.func private @stage_c2(%x: !krn.buffer<64>, %s: !krn.staged<"f32", 64, group = 0, bits = 32>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{stage_c2: unknown norm 'batch' (rms, layer)}}
  krn.stage %x norm "batch" (%n) eps 1.0e-5 to %s : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !krn.staged<"f32", 64, group = 0, bits = 32>
  return
}

// -----

func.func private @stage_c2_bias(%x: !krn.buffer<64>, %s: !krn.staged<"f32", 64, group = 0, bits = 32>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{stage_c2: a norm has a weight, and only a layer norm a bias}}
  krn.stage %x norm "rms" (%n, %n) eps 1.0e-5 to %s : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 64, <f32>>, !krn.staged<"f32", 64, group = 0, bits = 32>
  return
}

// -----

func.func private @stage_c3(%x: !krn.buffer<64>, %s: !krn.staged<"f32", 64, group = 0, bits = 32>, %n: !qnt.packed<64 by 64, <f32>>) {
  // expected-error @below {{stage_c3: the norm has 4096 elements where 64 are needed in one row}}
  krn.stage %x norm "rms" (%n) eps 1.0e-5 to %s : !krn.buffer<64>, !qnt.packed<64 by 64, <f32>>, !krn.staged<"f32", 64, group = 0, bits = 32>
  return
}

// -----

func.func private @gemm_c1(%s: !krn.staged<"f32", 32, group = 0, bits = 32>, %w: !qnt.packed<64 by 64, <f32>>, %y: !krn.buffer<64>) {
  // expected-error @below {{gemm_c1: the weight has 64 columns, the input 32}}
  krn.gemm "k" %s, %w  to %y because "" : !krn.staged<"f32", 32, group = 0, bits = 32>, !qnt.packed<64 by 64, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @gemm_c2(%s: !krn.staged<"f32", 64, group = 0, bits = 32>, %w: !qnt.packed<48 by 64, <f32>>, %y: !krn.buffer<24>) {
  // expected-error @below {{gemm_c2: glu needs an activation and a multiple of 32 rows, not 48}}
  krn.gemm "k" %s, %w activation silu glu to %y because "" : !krn.staged<"f32", 64, group = 0, bits = 32>, !qnt.packed<48 by 64, <f32>>, !krn.buffer<24>
  return
}

// -----

func.func private @gemm_c3(%s: !krn.staged<"f32", 64, group = 0, bits = 32>, %w: !qnt.packed<64 by 64, <f32>>, %y: !krn.buffer<32>) {
  // expected-error @below {{gemm_c3: the product has 64 columns, the output 32}}
  krn.gemm "k" %s, %w  to %y because "" : !krn.staged<"f32", 64, group = 0, bits = 32>, !qnt.packed<64 by 64, <f32>>, !krn.buffer<32>
  return
}

// -----

func.func private @gemm_c4(%s: !krn.staged<"f32", 64, group = 0, bits = 32>, %w: !qnt.packed<64 by 64, <f32>>, %y: !krn.buffer<64>, %b: !qnt.packed<1 by 32, <f32>>) {
  // expected-error @below {{gemm_c4: the bias has 32 elements where 64 are needed in one row}}
  krn.gemm "k" %s, %w bias %b to %y because "" : !krn.staged<"f32", 64, group = 0, bits = 32>, !qnt.packed<64 by 64, <f32>>, !qnt.packed<1 by 32, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @gemm_c5(%s: !krn.staged<"f32", 64, group = 0, bits = 32>, %w: !qnt.packed<64 by 64, <f32>>, %y: !krn.buffer<64>, %r: !krn.buffer<32>) {
  // expected-error @below {{gemm_c5: the product has 64 columns, the residual 32}}
  krn.gemm "k" %s, %w residual %r to %y because "" : !krn.staged<"f32", 64, group = 0, bits = 32>, !qnt.packed<64 by 64, <f32>>, !krn.buffer<32>, !krn.buffer<64>
  return
}

// -----

func.func private @rope_append_c1(%q: !krn.buffer<64>, %k: !krn.buffer<32>) {
  // expected-error @below {{rope_append_c1: 3 heads do not share 2 kv heads evenly}}
  krn.rope_append %q, %k, %k into !tfm.cache<2 by 16 by f32> heads 3 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_append_c2(%q: !krn.buffer<64>, %k: !krn.buffer<32>) {
  // expected-error @below {{rope_append_c2: the value has 64 columns where 32 are needed}}
  krn.rope_append %q, %k, %q into !tfm.cache<2 by 16 by f32> heads 4 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<64>
  return
}

// -----

func.func private @rope_append_c2_key(%q: !krn.buffer<64>, %k: !krn.buffer<32>) {
  // expected-error @below {{rope_append_c2: the key has 64 columns where 32 are needed}}
  krn.rope_append %q, %q, %k into !tfm.cache<2 by 16 by f32> heads 4 : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_append_c2_query(%q: !krn.buffer<64>, %k: !krn.buffer<32>) {
  // expected-error @below {{rope_append_c2: the query has 32 columns where 64 are needed}}
  krn.rope_append %k, %k, %k into !tfm.cache<2 by 16 by f32> heads 4 : !krn.buffer<32>, !krn.buffer<32>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_append_c3(%q: !krn.buffer<64>, %k: !krn.buffer<32>) {
  // expected-error @below {{rope_append_c3: 16 rotary dimensions are not an even number up to 16, with a table unless it is 0}}
  krn.rope_append %q, %k, %k into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_append_c4(%q: !krn.buffer<64>, %k: !krn.buffer<32>, %t: !krn.buffer<16>) {
  // expected-error @below {{rope_append_c4: the table has 16 columns where 8 are needed}}
  krn.rope_append %q, %k, %k table %t into !tfm.cache<2 by 16 by f32> heads 4 rotary 8 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>, !krn.buffer<16>
  return
}

// -----

func.func private @rope_append_c5(%q: !krn.buffer<64>, %k: !krn.buffer<32>, %t: !krn.buffer<16>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{rope_append_c5: q and k are normalized both or neither}}
  krn.rope_append %q, %k, %k table %t k_norm %n into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>, !krn.buffer<16>, !qnt.packed<1 by 64, <f32>>
  return
}

// -----

func.func private @rope_append_c6(%q: !krn.buffer<64>, %k: !krn.buffer<32>, %t: !krn.buffer<16>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{rope_append_c6: a head's norm has 64 elements where 16 are needed in one row}}
  krn.rope_append %q, %k, %k table %t q_norm %n k_norm %n into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<32>, !krn.buffer<16>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 64, <f32>>
  return
}

// -----

func.func private @attention_c1(%q: !krn.buffer<64>) {
  // expected-error @below {{attention_c1: 3 heads do not share 2 kv heads evenly}}
  krn.attention %q over !tfm.cache<2 by 16 by f32> heads 3 scale 0.25 to %q : !krn.buffer<64>, !krn.buffer<64>
  return
}

// -----

func.func private @attention_c2(%q: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{attention_c2: the output has 32 columns where 64 are needed}}
  krn.attention %q over !tfm.cache<2 by 16 by f32> heads 4 scale 0.25 to %y : !krn.buffer<64>, !krn.buffer<32>
  return
}

// -----

func.func private @attention_c2_query(%q: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{attention_c2: the query has 32 columns where 64 are needed}}
  krn.attention %y over !tfm.cache<2 by 16 by f32> heads 4 scale 0.25 to %q : !krn.buffer<32>, !krn.buffer<64>
  return
}

// -----

func.func private @attention_c3(%q: !krn.buffer<64>, %s: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{attention_c3: slopes has 64 elements where 4 are needed in one row}}
  krn.attention %q over !tfm.cache<2 by 16 by f32> slopes %s heads 4 scale 0.25 to %q : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @norm_c1(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{norm_c1: unknown norm 'batch' (rms, layer)}}
  krn.norm "batch" %x, %n eps 1.0e-5 to %x : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @norm_c2(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{norm_c2: only a layer norm has a bias}}
  krn.norm "rms" %x, %n bias %n eps 1.0e-5 to %x : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 64, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @norm_c3(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 64, <f32>>) {
  // expected-error @below {{norm_c3: 64 columns do not divide into 5 slices}}
  krn.norm "rms" %x, %n eps 1.0e-5 to %x {heads = 5 : i64} : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @norm_c4(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 48, <f32>>) {
  // expected-error @below {{norm_c4: the norm has 48 elements where 16 are needed in one row}}
  krn.norm "rms" %x, %n eps 1.0e-5 to %x {heads = 4 : i64} : !krn.buffer<64>, !qnt.packed<1 by 48, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @norm_c5(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 64, <f32>>, %y: !krn.buffer<32>) {
  // expected-error @below {{norm_c5: the output has 32 columns where 64 are needed}}
  krn.norm "rms" %x, %n eps 1.0e-5 to %y : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !krn.buffer<32>
  return
}

// -----

func.func private @rope_c1(%x: !krn.buffer<64>, %t: !krn.buffer<16>) {
  // expected-error @below {{rope_c1: 64 columns do not divide into 3 heads}}
  krn.rope %x table %t heads 3 rotary 16 to %x : !krn.buffer<64>, !krn.buffer<16>, !krn.buffer<64>
  return
}

// -----

func.func private @rope_c2(%x: !krn.buffer<64>, %t: !krn.buffer<16>) {
  // expected-error @below {{rope_c2: 15 rotary dimensions are not an even number from 2 to 16}}
  krn.rope %x table %t heads 4 rotary 15 to %x : !krn.buffer<64>, !krn.buffer<16>, !krn.buffer<64>
  return
}

// -----

func.func private @rope_c3(%x: !krn.buffer<64>, %t: !krn.buffer<16>) {
  // expected-error @below {{rope_c3: the table has 16 columns where 8 are needed}}
  krn.rope %x table %t heads 4 rotary 8 to %x : !krn.buffer<64>, !krn.buffer<16>, !krn.buffer<64>
  return
}

// -----

func.func private @rope_c4(%x: !krn.buffer<64>, %t: !krn.buffer<16>, %y: !krn.buffer<32>) {
  // expected-error @below {{rope_c4: the output has 32 columns where 64 are needed}}
  krn.rope %x table %t heads 4 rotary 16 to %y : !krn.buffer<64>, !krn.buffer<16>, !krn.buffer<32>
  return
}

// -----

func.func private @activation_c1(%x: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{activation_c1: the output has 32 columns where 64 are needed}}
  krn.activation relu %x to %y : !krn.buffer<64>, !krn.buffer<32>
  return
}

// -----

func.func private @mul_c1(%x: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{mul_c1: the right side has 32 columns where 64 are needed}}
  krn.mul %x, %y to %x : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<64>
  return
}

// -----

func.func private @mul_c2(%x: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{mul_c2: the output has 32 columns where 64 are needed}}
  krn.mul %x, %x to %y : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<32>
  return
}

// -----

func.func private @add_c1(%x: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{add_c1: the right side has 32 columns where 64 are needed}}
  krn.add %x, %y to %x : !krn.buffer<64>, !krn.buffer<32>, !krn.buffer<64>
  return
}

// -----

func.func private @add_c2(%x: !krn.buffer<64>, %y: !krn.buffer<32>) {
  // expected-error @below {{add_c2: the output has 32 columns where 64 are needed}}
  krn.add %x, %x to %y : !krn.buffer<64>, !krn.buffer<64>, !krn.buffer<32>
  return
}

// -----

func.func private @norm_c6(%x: !krn.buffer<64>, %n: !qnt.packed<1 by 64, <f32>>, %b: !qnt.packed<1 by 16, <f32>>) {
  // expected-error @below {{norm_c6: weight and bias are not both one for all slices, or both a part for each}}
  krn.norm "layer" %x, %n bias %b eps 1.0e-5 to %x {heads = 4 : i64} : !krn.buffer<64>, !qnt.packed<1 by 64, <f32>>, !qnt.packed<1 by 16, <f32>>, !krn.buffer<64>
  return
}

// -----

func.func private @map_c2(%x: !krn.buffer<64>) {
  // expected-error @below {{map_c2: 0.000000e+00 is no soft_cap}}
  krn.map soft_cap %x by 0.0 to %x : !krn.buffer<64>, !krn.buffer<64>
  return
}
