//===- Llama.cpp - Llama and its close relatives --------------------------===//
//
// Pre-norm RMS blocks, rotary embedding in halves, gated MLP: transformers'
// modeling_llama.py, modeling_mistral.py and modeling_qwen3.py.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

#include <cmath>

namespace qcc {

/// What the family shares. Without `head_dim` in the config a head has
/// `defaultHeadDim` dimensions, or, if that is 0, hidden_size / heads.
static ModelSpec readFamily(const ConfigReader &config, const char *name,
                            bool attentionBias, bool mlpBias,
                            int64_t defaultHeadDim = 0) {
  ModelSpec spec;
  spec.architecture = name;
  spec.vocabulary = config.integer({"vocab_size"});
  spec.hidden = config.integer({"hidden_size"});
  spec.layers = config.integer({"num_hidden_layers"});
  spec.heads = config.integer({"num_attention_heads"});
  spec.kvHeads = config.integer({"num_key_value_heads"}, 1, spec.heads);
  if (!config.has({"head_dim"}) && !defaultHeadDim &&
      spec.hidden % spec.heads != 0)
    config.refuse("num_attention_heads",
                  "is " + std::to_string(spec.heads) +
                      ", which does not divide hidden_size " +
                      std::to_string(spec.hidden));
  spec.headDim = config.integer({"head_dim"}, 1,
                                defaultHeadDim ? defaultHeadDim
                                               : spec.hidden / spec.heads);
  if (spec.heads % spec.kvHeads != 0)
    config.refuse("num_key_value_heads", "is " + std::to_string(spec.kvHeads) +
                                             ", which does not divide the " +
                                             std::to_string(spec.heads) +
                                             " heads");
  spec.intermediate = config.integer({"intermediate_size"});
  spec.context = config.integer({"max_position_embeddings"}, 1, 0);
  spec.norm = {NormSpec::RMS, float(config.number({"rms_norm_eps"}, 1e-6)), 0,
               false};
  spec.activation =
      readActivation(config, {"hidden_act", "hidden_activation"}, "silu");
  spec.rope = readRope(config, spec.headDim);
  spec.attentionScale = float(1 / std::sqrt(double(spec.headDim)));
  spec.windows.assign(spec.layers, 0);

  const std::string layer = "model.layers.{}.";
  int64_t q = spec.heads * spec.headDim, kv = spec.kvHeads * spec.headDim;
  spec.embedding = "model.embed_tokens";
  spec.attentionNorm = layer + "input_layernorm";
  spec.mlpNorm = layer + "post_attention_layernorm";
  spec.finalNorm = "model.norm";
  auto projection = [&](const char *module, int64_t outputs, int64_t inputs,
                        bool bias) {
    return Projection{layer + module, outputs, inputs, bias};
  };
  spec.query = projection("self_attn.q_proj", q, spec.hidden, attentionBias);
  spec.key = projection("self_attn.k_proj", kv, spec.hidden, attentionBias);
  spec.value = projection("self_attn.v_proj", kv, spec.hidden, attentionBias);
  spec.output = projection("self_attn.o_proj", spec.hidden, q, attentionBias);
  spec.gate =
      projection("mlp.gate_proj", spec.intermediate, spec.hidden, mlpBias);
  spec.up = projection("mlp.up_proj", spec.intermediate, spec.hidden, mlpBias);
  spec.down =
      projection("mlp.down_proj", spec.hidden, spec.intermediate, mlpBias);
  spec.head = Projection{"lm_head", spec.vocabulary, spec.hidden};
  spec.tied = config.boolean({"tie_word_embeddings"}, false);
  return spec;
}

ModelSpec readLlama(const ConfigReader &config) {
  return readFamily(config, "llama",
                    config.boolean({"attention_bias", "bias"}, false),
                    config.boolean({"mlp_bias"}, false));
}

ModelSpec readMistral(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "mistral", false, false);
  spec.windows.assign(spec.layers, config.integer({"sliding_window"}, 1, 0));
  return spec;
}

ModelSpec readQwen3(const ConfigReader &config) {
  // 128 is Qwen3Config's default, unrelated to hidden_size.
  ModelSpec spec =
      readFamily(config, "qwen3", config.boolean({"attention_bias"}, false),
                 false, /*defaultHeadDim=*/128);
  spec.qNorm = "model.layers.{}.self_attn.q_norm";
  spec.kNorm = "model.layers.{}.self_attn.k_norm";
  if (!config.boolean({"use_sliding_window"}, false))
    return spec;

  // Layers from max_window_layers on slide, unless layer_types says which.
  int64_t window = config.integer({"sliding_window"}, 1, 0);
  int64_t first = config.integer({"max_window_layers"}, 0, 28);
  const nlohmann::json *types = config.find({"layer_types"});
  if (types && (!types->is_array() || types->size() != size_t(spec.layers)))
    config.refuse("layer_types", "does not name a type for each of the " +
                                     std::to_string(spec.layers) + " layers");
  for (int64_t i = 0; i < spec.layers; ++i) {
    bool slides = types ? (*types)[i] == "sliding_attention" : i >= first;
    spec.windows[i] = slides ? window : 0;
  }
  return spec;
}

} // namespace qcc
