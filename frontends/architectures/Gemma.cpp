//===- Gemma.cpp - Gemma 1, 2 and 3 ---------------------------------------===//
//
// transformers' modeling_gemma.py: Llama with scaled embeddings and norms whose
// weights are offsets from 1. modeling_gemma2.py: norms before and after
// attention and MLP, soft caps, a window in every other layer.
// modeling_gemma3.py: norms of q and k, two rotary bases, no caps by default.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

#include <cmath>

namespace qcc {

static ModelSpec readFamily(const ConfigReader &config, const char *name,
                            int64_t defaultKvHeads) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.sizes = {.headDim = 256, .kvHeads = defaultKvHeads};
  options.tied = true;
  ModelSpec spec = readLlamaFamily(config, name, options);
  spec.norm.offset = float(config.number({"gguf_norm_offset"}, 1));
  spec.embeddingMultiplier =
      roundAsStored(config, float(std::sqrt(double(spec.hidden))));
  refuseIfSet(config, "use_bidirectional_attention");
  return spec;
}

ModelSpec readGemma(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "gemma", 16);
  // The first releases say "gelu" and mean the approximation; transformers 5,
  // which writes rope_parameters, takes the field at its word.
  if (!config.has({"hidden_act"}) || (config.string({"hidden_act"}) == "gelu" &&
                                      !config.has({"rope_parameters"})))
    spec.activation = tfm::Activation::GeluTanh;
  if (config.has({"hidden_activation"}))
    config.string({"hidden_activation"});
  setRope(spec, config);
  return spec;
}

/// What Gemma 2 and 3 add.
static ModelSpec readFourNorms(const ConfigReader &config, const char *name,
                               double defaultCap, double defaultLogitCap) {
  ModelSpec spec = readFamily(config, name, 4);
  const std::string layer = "model.layers.{}.";
  spec.activation =
      readActivation(config, "hidden_activation", "gelu_pytorch_tanh");
  spec.attentionOutNorm = layer + "post_attention_layernorm";
  spec.mlpNorm = layer + "pre_feedforward_layernorm";
  spec.mlpOutNorm = layer + "post_feedforward_layernorm";
  double scalar = config.number({"query_pre_attn_scalar"}, 256);
  if (scalar <= 0)
    config.refuse("query_pre_attn_scalar", "is " + std::to_string(scalar));
  for (LayerSpec &each : spec.layers)
    each.scale = float(1 / std::sqrt(scalar));
  auto cap = [&](const char *field, double fallback) {
    bool isSaid = config.fields().contains(field); // null: none
    return float(config.number({field}, isSaid ? 0 : fallback));
  };
  spec.attentionSoftCap = cap("attn_logit_softcapping", defaultCap);
  spec.logitSoftCap = cap("final_logit_softcapping", defaultLogitCap);
  return spec;
}

ModelSpec readGemma2(const ConfigReader &config) {
  ModelSpec spec = readFourNorms(config, "gemma2", 50, 30);
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  if (slides.empty())
    for (int64_t i = 0; i < spec.layerCount(); ++i)
      slides.push_back(i % 2 == 0);
  setWindows(spec, config.integer({"sliding_window"}, 1, 4096), slides);
  setRope(spec, config);
  return spec;
}

ModelSpec readGemma3(const ConfigReader &config) {
  ModelSpec spec = readFourNorms(config, "gemma3_text", 0, 0);
  // Its class has the field still, but its code does not read it.
  spec.attentionSoftCap = 0;
  const std::string attention = "model.layers.{}.self_attn.";
  spec.qkNorm = {QkNormSpec::Head, spec.norm, attention + "q_norm",
                 attention + "k_norm"};
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  int64_t pattern = config.integer(
      {"sliding_window_pattern", "_sliding_window_pattern"}, 1, 6);
  if (slides.empty())
    for (int64_t i = 0; i < spec.layerCount(); ++i)
      slides.push_back((i + 1) % pattern != 0);
  setWindows(spec, config.integer({"sliding_window"}, 1, 4096), slides);
  setLayerTypeRopes(spec, config, slides, {.theta = 1000000},
                    {.theta = 10000, .thetaField = "rope_local_base_freq"});
  return spec;
}

} // namespace qcc
