//===- Llama.cpp - Llama and those that differ from it in a line ----------===//
//
// Pre-norm RMS blocks, rotary embedding in halves, gated MLP: transformers'
// modeling_llama.py, modeling_mistral.py, modeling_qwen2.py, modeling_qwen3.py,
// modeling_granite.py, modeling_smollm3.py.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

ModelSpec readLlamaFamily(const ConfigReader &config, const char *name,
                          const LlamaOptions &options) {
  ModelSpec spec = readSizes(config, name, options.sizes);
  const std::string layer = "model.layers.{}.";
  spec.basePrefix = "model.";
  setEmbedding(spec, config, "model.embed_tokens", "lm_head", options.tied);
  spec.norm =
      options.norm ? *options.norm : readRmsNorm(config, options.defaultEps);
  spec.attentionNorm = layer + "input_layernorm";
  spec.mlpNorm = layer + "post_attention_layernorm";
  spec.finalNorm = "model.norm";
  setAttention(spec, layer + "self_attn.",
               {"q_proj", "k_proj", "v_proj", "o_proj"}, options.qkvBias,
               options.outputBias);
  setGatedMlp(spec, layer + "mlp.", options.mlpBias);
  spec.activation = readActivation(config, "hidden_act", "silu");
  return spec;
}

ModelSpec readLlama(const ConfigReader &config) {
  bool bias = config.boolean({"attention_bias", "bias"}, false);
  LlamaOptions options;
  options.qkvBias = options.outputBias = bias;
  options.mlpBias = config.boolean({"mlp_bias"}, false);
  ModelSpec spec = readLlamaFamily(config, "llama", options);
  setRope(spec, config);
  return spec;
}

ModelSpec readMistral(const ConfigReader &config) {
  LlamaOptions options;
  options.sizes.kvHeads = 8;
  ModelSpec spec = readLlamaFamily(config, "mistral", options);
  setRope(spec, config);
  // A config that does not name the field means the class's 4096; null, none.
  bool isSaid = config.fields().contains("sliding_window");
  setWindows(spec, config.integer({"sliding_window"}, 1, isSaid ? 0 : 4096));
  return spec;
}

/// Qwen's windows: of layers from max_window_layers on, or those that
/// layer_types names, and only with use_sliding_window.
static void setQwenWindows(ModelSpec &spec, const ConfigReader &config) {
  bool isSaid = config.fields().contains("sliding_window"); // null: none
  int64_t window = config.integer({"sliding_window"}, 1, isSaid ? 0 : 4096);
  int64_t first = config.integer({"max_window_layers"}, 0, 28);
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  if (!config.boolean({"use_sliding_window"}, false))
    return;
  if (slides.empty())
    for (int64_t i = 0; i < spec.layerCount(); ++i)
      slides.push_back(i >= first);
  setWindows(spec, window, slides);
}

ModelSpec readQwen2(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = true;
  options.sizes.kvHeads = 32;
  ModelSpec spec = readLlamaFamily(config, "qwen2", options);
  setRope(spec, config);
  setQwenWindows(spec, config);
  return spec;
}

ModelSpec readQwen3(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  // Qwen3Config's default, unrelated to hidden_size.
  options.sizes = {.headDim = 128, .kvHeads = 32};
  ModelSpec spec = readLlamaFamily(config, "qwen3", options);
  setRope(spec, config);
  spec.qkNorm = {QkNormSpec::Head, spec.norm,
                 "model.layers.{}.self_attn.q_norm",
                 "model.layers.{}.self_attn.k_norm"};
  setQwenWindows(spec, config);
  return spec;
}

ModelSpec readGranite(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.mlpBias = config.boolean({"mlp_bias"}, false);
  ModelSpec spec = readLlamaFamily(config, "granite", options);
  setRope(spec, config);
  spec.embeddingMultiplier = float(config.number({"embedding_multiplier"}, 1));
  spec.residualMultiplier = float(config.number({"residual_multiplier"}, 1));
  for (LayerSpec &layer : spec.layers)
    layer.scale = float(config.number({"attention_multiplier"}, 1));
  double scaling = config.number({"logits_scaling"}, 1);
  if (scaling == 0)
    config.refuse("logits_scaling", "is 0");
  spec.logitMultiplier = float(1 / scaling);
  return spec;
}

ModelSpec readSmolLM3(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.mlpBias = config.boolean({"mlp_bias"}, false);
  options.tied = true;
  options.sizes.kvHeads = 4;
  ModelSpec spec = readLlamaFamily(config, "smollm3", options);
  setRope(spec, config, {.theta = 2000000});

  config.has({"max_window_layers"}); // layer_types says it

  // no_rope_layers says 1 for the layers that do rotate.
  int64_t interval = config.integer({"no_rope_layer_interval"}, 1, 4);
  const nlohmann::json *rotates = config.find({"no_rope_layers"});
  if (rotates &&
      (!rotates->is_array() || rotates->size() != spec.layers.size()))
    config.refuse("no_rope_layers", "does not say 0 or 1 for each layer");
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  bool hasWindow = config.boolean({"use_sliding_window"}, false);
  int64_t window = config.integer({"sliding_window"}, 1, 0);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerSpec &layer = spec.layers[i];
    bool hasRope =
        rotates ? (*rotates)[i] == 1 : (int64_t(i) + 1) % interval != 0;
    if (!hasRope)
      layer.rope = LayerSpec::kNoRope;
    if (hasWindow && (slides.empty() ? !hasRope : bool(slides[i])))
      layer.window = window;
  }
  return spec;
}

} // namespace qcc
