// RUN: qcc-opt %s --pass-pipeline='builtin.module(qcc-quantize{default=rtn:int8.row lm-head=rtn:int8.row rules={layers\.[0-9]{1,2}\.(q|k)$=rtn:int4.g32,down=bnb:nf4.b64}})' --dump-pass-pipeline -o /dev/null 2>&1 | FileCheck %s
// RUN: qcc-opt %s --pass-pipeline='builtin.module(qnt-select{default=rtn:int8.row lm-head=rtn:int8.row rules={layers\.[0-9]{1,2}\.(q|k)$=rtn:int4.g32,down=bnb:nf4.b64}},qnt-quantize-rtn,qnt-quantize-bnb,qnt-quantize-int8,qnt-verify)' | FileCheck %s --check-prefix=IR

// What a pipeline is printed as can be given back: the options of the phase are
// those of its passes. Methods may be mixed.

// CHECK: builtin.module(
// CHECK: qnt-select{default=rtn:int8.row lm-head=rtn:int8.row rules={layers\.[0-9]{1,2}\.(q|k)$=rtn:int4.g32,down=bnb:nf4.b64}},
// CHECK-NEXT: qnt-quantize-rtn,
// CHECK-NEXT: qnt-quantize-bnb,
// CHECK-NEXT: qnt-quantize-gptq{damp=1.000000e-02 order=natural refine=0 static-groups=false true-sequential=false},
// CHECK-NEXT: qnt-quantize-int8{{.*}},
// CHECK-NEXT: qnt-verify

// IR-DAG: tfm.define "q" = %{{.*}} : !qnt.packed<64 by 64, <int4, group = 32>>
// IR-DAG: tfm.define "o" = %{{.*}} : !qnt.packed<64 by 64, <int8, row>>
// IR-DAG: tfm.define "down" = %{{.*}} : !qnt.packed<64 by 64, <nf4, block = 64>>
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"0"> : tensor<64x64xf32>
  tfm.define "q" = %0 of "layers.0.q" : tensor<64x64xf32>
  tfm.define "o" = %0 of "layers.0.o" : tensor<64x64xf32>
  tfm.define "down" = %0 of "layers.0.down" : tensor<64x64xf32>
  return
}
func.func @model(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.weight "q" : tensor<64x64xf32>
  %1 = tfm.weight "o" : tensor<64x64xf32>
  %2 = tfm.weight "down" : tensor<64x64xf32>
  %3 = tfm.linear %x, %0 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %4 = tfm.linear %3, %1 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %5 = tfm.linear %4, %2 : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %5 : tensor<?x64xf32>
}
