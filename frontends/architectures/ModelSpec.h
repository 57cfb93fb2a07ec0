//===- ModelSpec.h - What differs between decoder-only models ---*- C++ -*-===//
//
// An architecture is a function from a config.json to a ModelSpec; one builder
// (BuildModel.h) makes the TFM program of it. Nothing about an architecture is
// known below this folder.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H
#define QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H

#include "dialects/TFM/TFM.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// A normalization; every norm of a model is of one kind.
struct NormSpec {
  enum Kind { RMS, Layer } kind = RMS;
  float eps = 1e-5f;
  float offset = 0; ///< added to the weight (Gemma: 1)
  bool bias = false;
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

  bool isFused() const { return storedRows != 0; }
};

/// Rotary embedding: all scaling kinds are in the frequencies.
struct RopeSpec {
  int64_t rotary = 0; ///< dimensions of a head that rotate; 0: none
  bool interleaved = false;
  std::vector<float> frequencies; ///< [rotary / 2]
  float attentionFactor = 1;
};

/// A decoder-only transformer. In module names "{}" stands for the layer.
struct ModelSpec {
  std::string architecture;
  int64_t vocabulary = 0, hidden = 0, layers = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0, intermediate = 0;
  int64_t context = 0; ///< positions the model was made for; 0: not said

  std::string embedding;
  NormSpec norm;
  std::string attentionNorm;
  std::string mlpNorm; ///< empty: the attention's norm serves both
  std::string finalNorm;
  std::string qNorm, kNorm; ///< RMS norms of each head; empty: none
  Projection query, key, value, output;
  Projection gate, up, down; ///< gate: only in gated MLPs
  bool parallel = false;     ///< x + attention(norm(x)) + mlp(norm(x))
  tfm::Activation activation = tfm::Activation::Silu;
  RopeSpec rope;
  float attentionScale = 1;
  std::vector<int64_t> windows; ///< a layer; 0: no window
  Projection head;              ///< without a module: tied to the embedding
  bool tied = false;
};

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_MODELSPEC_H
