// RUN: not qcc-opt %s --qnt-quantize-gptq="order=random" 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not qcc-opt %s --qnt-quantize-gptq="damp=1.5" 2>&1 | FileCheck %s --check-prefix=DAMP
// RUN: not qcc-opt %s --qnt-quantize-gptq="refine=-1" 2>&1 | FileCheck %s --check-prefix=REFINE
// RUN: not qcc-opt %s --qnt-quantize-gptq 2>&1 | FileCheck %s --check-prefix=VECTOR

// ORDER: error: order 'random' is none of natural, activation and group-aware
// DAMP: error: a damping of 1.500000e+00 is not between 0 and 1
// REFINE: error: sweeps to refine: -1 is negative
// VECTOR: error: {{.*}}selected_c2: 'w' is a vector; only matrices are quantized

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"w"> : tensor<64xf32>
  tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"gptq", <int8, row>>} : tensor<64xf32>
  return
}
func.func @model() {
  return
}
