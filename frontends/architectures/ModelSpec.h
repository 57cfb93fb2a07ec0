//===- ModelSpec.h - What differs between decoder-only models ---*- C++ -*-===//
//
// An architecture is a function from a config.json to a ModelSpec; one builder
// (BuildModel.h) makes the TFM program of it. Nothing about an architecture is
// known below this folder. docs/architectures.md says how to add one.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H
#define QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H

#include "dialects/TFM/TFM.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// A normalization.
struct NormSpec {
  enum Kind { RMS, Layer } kind = RMS;
  float eps = 1e-5f;
  float offset = 0; ///< added to the weight (Gemma: 1)
  bool bias = false;
  bool weight = true; ///< false: no parameters at all (OLMo)
};

/// Norms of q and k, before the rotation.
struct QkNormSpec {
  enum Span {
    None,
    Head,     ///< of each head, with one weight of head size
    EachHead, ///< of each head, with its own row of a [heads, head size] weight
    EachModule, ///< the same, a module a head: "{head}" in the name
    Row,        ///< of all heads together
  } span = None;
  NormSpec norm;
  std::string query, key; ///< modules
};

/// A linear layer: a checkpoint module, or some rows of a fused one.
struct Projection {
  std::string module;  ///< "model.layers.{}.mlp.up_proj"; empty: absent
  int64_t outputs = 0; ///< rows of the result
  int64_t inputs = 0;
  bool bias = false;
  /// Rows of the checkpoint's tensor, if it holds more than these: `sliceSize`
  /// rows from `sliceOffset` on, of each block of `sliceStride` rows (0: of
  /// the whole).
  int64_t storedRows = 0; ///< 0: outputs
  int64_t sliceOffset = 0, sliceSize = 0, sliceStride = 0;
  bool transposed = false; ///< stored as [inputs, outputs] (GPT-2's Conv1D)

  bool isFused() const { return storedRows != 0; }
};

/// Rotary embedding: all scaling kinds are in the frequencies.
struct RopeSpec {
  int64_t rotary = 0; ///< dimensions of a head that rotate, even
  bool interleaved = false;
  /// [rotary / 2], or with `original` two sets of them, as
  /// `#tfm.length_scaling` says.
  std::vector<float> frequencies;
  float attentionFactor = 1;
  int64_t original = 0; ///< 0: the length does not matter
  float factor = 0;     ///< of dynamic NTK scaling; 0: none
};

/// What layers of one model may differ in.
struct LayerSpec {
  int64_t window = 0; ///< 0: no window
  int rope = 0;       ///< an index into ModelSpec::ropes, or kNoRope
  float scale = 1;    ///< of the attention's scores

  static constexpr int kNoRope = -1;
};

/// A decoder-only transformer. In module names "{}" stands for the layer.
/// An empty module name means that there is no such thing.
struct ModelSpec {
  std::string architecture;
  /// What may be missing in front of the checkpoint's names ("transformer.").
  std::string basePrefix;
  int64_t vocabulary = 0, hidden = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0, intermediate = 0;
  int64_t context = 0; ///< positions the model was made for; 0: not said
  std::vector<LayerSpec> layers;

  // Before the layers.
  std::string embedding;
  float embeddingMultiplier = 1;
  int64_t embeddingSize = 0;       ///< columns of the table; 0: hidden
  std::string embeddingProjection; ///< from embeddingSize to hidden
  std::string positions;           ///< learned: [context + offset, hidden]
  int64_t positionOffset = 0;
  std::string embeddingNorm;

  // A layer: x + attention(attentionNorm(x)), then the same with the MLP. All
  // norms of whole rows are of one kind.
  NormSpec norm;
  std::string attentionNorm;    ///< of what attention reads
  std::string attentionOutNorm; ///< of what it makes, before the sum
  std::string attentionSumNorm; ///< of the sum (post-norm models)
  std::string mlpNorm, mlpOutNorm, mlpSumNorm;
  /// x + attention(norm(x)) + mlp(norm(x)); without mlpNorm both read the
  /// attention's norm.
  bool parallel = false;
  bool residualFromNorm = false; ///< what is added to is normed, too (BLOOM)
  float residualMultiplier = 1;  ///< of what is added
  Projection query, key, value, output;
  float clipQkv = 0; ///< q, k and v are limited to +-this; 0: not
  QkNormSpec qkNorm;
  std::vector<RopeSpec> ropes;
  std::vector<float> slopes; ///< ALiBi, one a head; empty: none
  bool bf16Slopes = false;   ///< biases are made in bf16, as Falcon's
  float attentionSoftCap = 0;
  Projection gate, up, down; ///< gate: only in gated MLPs
  tfm::Activation activation = tfm::Activation::Silu;

  // After the layers.
  std::string finalNorm;
  std::string headProjection; ///< from hidden to embeddingSize
  Projection head;
  bool tied = false; ///< the head is the embedding
  float logitMultiplier = 1, logitSoftCap = 0;

  int64_t layerCount() const { return int64_t(layers.size()); }
};

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H
