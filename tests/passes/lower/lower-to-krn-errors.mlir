// RUN: qcc-opt %s --lower-to-krn --split-input-file --verify-diagnostics

// expected-error @below {{has no @model or no @weights}}
module {
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  tfm.define "embedding" = %0 : tensor<32x64xf32>
  return
}
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  // expected-error @below {{is not packed: run the fuse and layout phases first}}
  %e = tfm.weight "embedding" : tensor<32x64xf32>
  %x = tfm.embedding %step, %e : tensor<32x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <f32>, layout = "t16">
  return
}
func.func private @block(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.activation silu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  // expected-error @below {{takes activations that are read elsewhere, too}}
  %y = call @block(%c0, %x) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = tfm.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <f32>, layout = "t16">
  return
}
func.func private @block(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.activation silu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> tensor<?x64xf32>
  %c0 = tfm.layer_cache 0 : !tfm.cache<2 by 16 by f32>
  %y = call @block(%c0, %x) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-error @below {{does not take the cache of the next layer}}
  %z = call @block(%c0, %y) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

func.func @weights() {
  %0 = tfm.param <"checkpoint"::"e"> : tensor<32x64xf32>
  %1 = qnt.convert %0 : tensor<32x64xf32> -> !qnt.packed<32 by 64, <f32>, layout = "t16">
  tfm.define "embedding" = %1 : !qnt.packed<32 by 64, <f32>, layout = "t16">
  return
}
func.func private @block(%cache: !tfm.cache<2 by 16 by f32>, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = tfm.activation silu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
func.func @model(%step: !tfm.step) -> tensor<?x64xf32> {
  %e = tfm.weight "embedding" : !qnt.packed<32 by 64, <f32>, layout = "t16">
  %x = tfm.embedding %step, %e : !qnt.packed<32 by 64, <f32>, layout = "t16"> -> tensor<?x64xf32>
  // expected-error @below {{stands out of order: layers are numbered from 0 on}}
  %c1 = tfm.layer_cache 1 : !tfm.cache<2 by 16 by f32>
  %y = call @block(%c1, %x) : (!tfm.cache<2 by 16 by f32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
