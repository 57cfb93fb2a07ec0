// RUN: qcc-opt %s --qnt-select="default=rtn:int4.g32" | FileCheck %s --check-prefixes=CHECK,DEFAULT
// RUN: qcc-opt %s --qnt-select="default=rtn:int4.g32 lm-head=rtn:int8.row:mse" | FileCheck %s --check-prefixes=CHECK,HEAD
// RUN: qcc-opt %s --pass-pipeline='builtin.module(qnt-select{rules={layers\.[0-9]{1,2}\.(gate|up)$=bnb:nf4.b64,gate=none,.*=rtn:int8.row} lm-head=none})' | FileCheck %s --check-prefixes=CHECK,RULES
// RUN: qcc-opt %s --qnt-select | FileCheck %s --check-prefixes=CHECK,NONE
// RUN: qcc-opt %s --qnt-select="rules=gate=none default=rtn:int4.g32" --remarks-filter=.* 2>&1 | FileCheck %s --check-prefix=REMARK

// What stays is a remark, with the reason.
// REMARK-DAG: remark: [Missed] kept | Category:qnt-select | Remark="keeps 'model.layers.0.gate': rule 'gate' says none"
// REMARK-DAG: remark: [Missed] kept | Category:qnt-select | Remark="keeps 'lm_head': the head is kept unless lm-head or a rule selects it"

// CHECK-LABEL: func.func @weights
func.func @weights() {
  %0 = tfm.param <"checkpoint"::"model.embed.weight"> : tensor<320x64xbf16>
  // The embedding stays as it is, whatever the head becomes.
  // CHECK: tfm.define "embedding" = %[[TABLE:.*]] of "model.embed" : tensor<320x64xbf16>
  tfm.define "embedding" = %0 of "model.embed" : tensor<320x64xbf16>
  // Vectors are no linears, even if a rule would match them.
  // CHECK: tfm.define "norm" = %{{.*}} of "model.layers.0.norm" : tensor<64xbf16>
  %1 = tfm.param <"checkpoint"::"norm"> : tensor<64xbf16>
  tfm.define "norm" = %1 of "model.layers.0.norm" : tensor<64xbf16>
  %2 = tfm.param <"checkpoint"::"gate"> : tensor<64x64xbf16>
  // DEFAULT: tfm.define "gate" = %{{.*}} of "model.layers.0.gate" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>>} :
  // HEAD: tfm.define "gate" = %{{.*}} of "model.layers.0.gate" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>>} :
  // The first rule that matches counts.
  // RULES: tfm.define "gate" = %{{.*}} of "model.layers.0.gate" {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} :
  // NONE: tfm.define "gate" = %{{.*}} of "model.layers.0.gate" : tensor
  tfm.define "gate" = %2 of "model.layers.0.gate" : tensor<64x64xbf16>
  %3 = tfm.param <"checkpoint"::"down"> : tensor<64x64xbf16>
  // DEFAULT: tfm.define "down" = %{{.*}} of "model.layers.0.down" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>>} :
  // HEAD: tfm.define "down" = %{{.*}} of "model.layers.0.down" {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>>} :
  // RULES: tfm.define "down" = %{{.*}} of "model.layers.0.down" {qnt.scheme = #qnt.scheme<"rtn", <int8, row>>} :
  // NONE: tfm.define "down" = %{{.*}} of "model.layers.0.down" : tensor
  tfm.define "down" = %3 of "model.layers.0.down" : tensor<64x64xbf16>
  // A tied head that is selected gets a definition of its own.
  // DEFAULT-NOT: "lm_head"
  // HEAD: tfm.define "lm_head" = %[[TABLE]] of "lm_head" {qnt.scheme = #qnt.scheme<"rtn", <int8, row>, mse>} : tensor<320x64xbf16>
  // RULES-NOT: "lm_head"
  // NONE-NOT: qnt.scheme
  return
}

func.func private @block_0(%x: tensor<?x64xf32>, %norm: tensor<64xbf16>, %gate: tensor<64x64xbf16>, %down: tensor<64x64xbf16>) -> tensor<?x64xf32> {
  %0 = tfm.rms_norm %x, %norm eps 1.0e-5 : tensor<?x64xf32>, tensor<64xbf16>
  %1 = tfm.linear %0, %gate : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %2 = tfm.linear %1, %down : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @model
func.func @model(%step: !tfm.step) -> tensor<?x320xf32> {
  // HEAD: %[[E:.*]] = tfm.weight "embedding"
  // HEAD: %[[H:.*]] = tfm.weight "lm_head"
  // HEAD: tfm.embedding %{{.*}}, %[[E]]
  // HEAD: tfm.logits %{{.*}}, %{{.*}}, %[[H]]
  %e = tfm.weight "embedding" : tensor<320x64xbf16>
  %x = tfm.embedding %step, %e : tensor<320x64xbf16> -> tensor<?x64xf32>
  %n = tfm.weight "norm" : tensor<64xbf16>
  %g = tfm.weight "gate" : tensor<64x64xbf16>
  %d = tfm.weight "down" : tensor<64x64xbf16>
  %y = call @block_0(%x, %n, %g, %d) : (tensor<?x64xf32>, tensor<64xbf16>, tensor<64x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32>
  %l = tfm.logits %step, %y, %e : tensor<?x64xf32>, tensor<320x64xbf16> -> tensor<?x320xf32>
  return %l : tensor<?x320xf32>
}
