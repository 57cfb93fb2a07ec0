//===- GgufArchitecture.h - How GGUF says an architecture -------*- C++ -*-===//
//
// What llama.cpp's conversion does to names, weights and configuration, undone:
// a GGUF file becomes what transformers would have saved, but for the order of
// rows that the conversion changed, which the configuration then says
// (fields that begin with "gguf_").
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_GGUFARCHITECTURE_H
#define QCC_FRONTENDS_CHECKPOINT_GGUFARCHITECTURE_H

#include "frontends/checkpoint/Gguf.h"

#include <string>
#include <string_view>

namespace qcc {

/// One value of `general.architecture`.
struct GgufArchitecture {
  const char *name;
  const char *modelType; ///< transformers'
  /// GGUF's modules and transformers', "{}" standing for the layer.
  std::vector<std::pair<std::string_view, std::string_view>> modules;
  /// The conversion pairs rows of q and k for ggml's rotary embedding: those of
  /// weights, and of biases where there are any.
  bool isPermuted = false;
};

/// The architecture of that name, or null.
const GgufArchitecture *findGgufArchitecture(std::string_view name);
/// The names of all architectures, for messages.
std::string ggufArchitectureNames();

/// The Hugging Face name of a tensor ("blk.0.attn_q.weight":
/// "model.layers.0.self_attn.q_proj.weight"), or the name itself.
std::string huggingFaceName(const GgufArchitecture &architecture,
                            const std::string &ggufName);

/// True if the conversion to GGUF permutes the rows of that tensor.
bool isRotaryPermuted(const GgufArchitecture &architecture,
                      const std::string &ggufName);

/// The configuration that transformers would have. `checkpoint` has the file's
/// tensors, under Hugging Face names. Llama 3's frequency factors
/// (rope_freqs.weight) become {"rope_type": "factors", "factors": [...]}.
nlohmann::json makeGgufConfig(const GgufArchitecture &architecture,
                              const GgufMetadata &metadata,
                              const Checkpoint &checkpoint);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_GGUFARCHITECTURE_H
