// RUN: qcc-opt %s --fuse-form-gemms | FileCheck %s --check-prefixes=CHECK,STORED
// RUN: qcc-opt %s --fuse-form-gemms=dtype=f32 | FileCheck %s --check-prefixes=CHECK,F32
// RUN: qcc-opt %s --fuse-form-gemms=dtype=f16 | FileCheck %s --check-prefixes=CHECK,F16
// RUN: qcc-opt %s --fuse-form-gemms=dtype=bf16 | FileCheck %s --check-prefixes=CHECK,BF16

// CHECK-LABEL: func.func @weights
func.func @weights() {
  // Matrices are packed as they are stored, or in the dtype.
  %0 = tfm.param <"checkpoint"::"m"> : tensor<64x64xbf16>
  // STORED: qnt.convert %{{.*}} : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
  // F32: qnt.convert %{{.*}} : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <f32>>
  // F16: qnt.convert %{{.*}} : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <f16>>
  // BF16: qnt.convert %{{.*}} : tensor<64x64xbf16> -> !qnt.packed<64 by 64, <bf16>>
  // CHECK-NEXT: tfm.define "m"
  tfm.define "m" = %0 of "m" : tensor<64x64xbf16>
  // f64 is stored as f32, f16 as f16.
  // STORED: -> !qnt.packed<64 by 64, <f32>>
  %1 = tfm.param <"checkpoint"::"d"> : tensor<64x64xf64>
  tfm.define "d" = %1 : tensor<64x64xf64>
  // STORED: -> !qnt.packed<64 by 64, <f16>>
  %2 = tfm.param <"checkpoint"::"h"> : tensor<64x64xf16>
  tfm.define "h" = %2 : tensor<64x64xf16>
  // Vectors are f32 in any case.
  %3 = tfm.param <"checkpoint"::"v"> : tensor<64xbf16>
  // CHECK: %[[V:.*]] = qnt.convert %{{.*}} : tensor<64xbf16> -> !qnt.packed<1 by 64, <f32>>
  // CHECK-NEXT: tfm.define "v" = %[[V]] : !qnt.packed<1 by 64, <f32>>
  tfm.define "v" = %3 : tensor<64xbf16>
  // What is packed stays.
  // CHECK: %[[Q:.*]] = qnt.pack
  // CHECK-NEXT: tfm.define "q" = %[[Q]]
  %c, %s = qnt.quantize "rtn" %0 to <int8, row> : tensor<64x64xbf16> -> tensor<64x64xi8>, tensor<64x1xf16>
  %q = qnt.pack %c, %s : tensor<64x64xi8>, tensor<64x1xf16> -> !qnt.packed<64 by 64, <int8, row>>
  tfm.define "q" = %q : !qnt.packed<64 by 64, <int8, row>>
  return
}

// CHECK-LABEL: func.func private @block
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32>, %[[M:[^:]*]]: !qnt.packed<64 by 64, <{{.*}}>>, %[[Q:[^:]*]]: !qnt.packed<64 by 64, <int8, row>>, %[[V:[^:]*]]: !qnt.packed<1 by 64, <f32>>
func.func private @block(%x: tensor<?x64xf32>, %m: tensor<64x64xbf16>, %q: !qnt.packed<64 by 64, <int8, row>>, %v: tensor<64xbf16>) -> tensor<?x64xf32> {
  // CHECK: %[[N:.*]] = tfm.rms_norm %[[X]], %[[V]]
  %0 = tfm.rms_norm %x, %v eps 1.0e-5 : tensor<?x64xf32>, tensor<64xbf16>
  // CHECK: %[[A:.*]] = qnt.fused_gemm %[[N]], %[[M]] bias %[[V]] splits [64] :
  %1 = tfm.linear %0, %m bias %v : tensor<?x64xf32>, tensor<64x64xbf16>, tensor<64xbf16> -> tensor<?x64xf32>
  // CHECK: qnt.fused_gemm %[[A]], %[[Q]] splits [64] :
  %2 = qnt.dequant_gemm %1, %q : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row>> -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
// CHECK-SAME: (%[[STEP:.*]]: !tfm.step)
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %m = tfm.weight "m" : tensor<64x64xbf16>
  %q = tfm.weight "q" : !qnt.packed<64 by 64, <int8, row>>
  %v = tfm.weight "v" : tensor<64xbf16>
  // CHECK: %[[E:.*]] = tfm.embedding %[[STEP]], %{{.*}} : !qnt.packed<64 by 64, <{{.*}}>> -> tensor<?x64xf32>
  %0 = tfm.embedding %step, %m : tensor<64x64xbf16> -> tensor<?x64xf32>
  %1 = call @block(%0, %m, %q, %v) : (tensor<?x64xf32>, tensor<64x64xbf16>, !qnt.packed<64 by 64, <int8, row>>, tensor<64xbf16>) -> tensor<?x64xf32>
  // The head is a GEMM of the rows that want logits.
  // CHECK: qnt.fused_gemm %{{.*}}, %{{.*}} rows %[[STEP]] splits [64] :
  %2 = tfm.logits %step, %1, %m : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}
