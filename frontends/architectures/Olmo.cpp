//===- Olmo.cpp - OLMo, OLMo 2 and OLMo 3 ---------------------------------===//
//
// transformers' modeling_olmo.py: Llama with layer norms that have no
// parameters and limits on q, k and v. modeling_olmo2.py: RMS norms of what
// attention and MLP make instead of what they read, and of whole rows of q and
// k. modeling_olmo3.py: the same with windows.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

static LlamaOptions optionsOf(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.defaultEps = 1e-5;
  return options;
}

ModelSpec readOlmo(const ConfigReader &config) {
  LlamaOptions options = optionsOf(config);
  options.norm = {NormSpec::Layer, 1e-5f};
  options.norm->weight = false;
  config.has({"gguf_layer_norm_eps"});
  ModelSpec spec = readLlamaFamily(config, "olmo", options);
  setRope(spec, config);
  spec.clipQkv = float(config.number({"clip_qkv"}, 0));
  return spec;
}

static ModelSpec readPostNorm(const ConfigReader &config, const char *name) {
  ModelSpec spec = readLlamaFamily(config, name, optionsOf(config));
  const std::string layer = "model.layers.{}.";
  spec.attentionNorm = spec.mlpNorm = "";
  spec.attentionOutNorm = layer + "post_attention_layernorm";
  spec.mlpOutNorm = layer + "post_feedforward_layernorm";
  spec.qkNorm = {QkNormSpec::Row, spec.norm, layer + "self_attn.q_norm",
                 layer + "self_attn.k_norm"};
  return spec;
}

ModelSpec readOlmo2(const ConfigReader &config) {
  ModelSpec spec = readPostNorm(config, "olmo2");
  setRope(spec, config);
  return spec;
}

ModelSpec readOlmo3(const ConfigReader &config) {
  ModelSpec spec = readPostNorm(config, "olmo3");
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  if (slides.empty())
    for (int64_t i = 0; i < spec.layerCount(); ++i)
      slides.push_back((i + 1) % 4 != 0);
  setWindows(spec, config.integer({"sliding_window"}, 1, 4096), slides);
  setLayerTypeRopes(spec, config, slides, {.theta = 500000}, {.theta = 500000});
  return spec;
}

} // namespace qcc
