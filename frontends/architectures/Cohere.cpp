//===- Cohere.cpp - Command-R and Command-R7B -----------------------------===//
//
// transformers' modeling_cohere.py: parallel blocks with one layer norm without
// bias, interleaved rotation, scaled logits, perhaps a layer norm of each head.
// modeling_cohere2.py: windows, and no rotation in the layers without one.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

static ModelSpec readFamily(const ConfigReader &config, const char *name,
                            double defaultTheta) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.tied = true;
  options.norm = readLayerNorm(config, "layer_norm_eps", /*bias=*/false);
  ModelSpec spec = readLlamaFamily(config, name, options);
  spec.mlpNorm = "";
  spec.parallel = true;
  spec.logitMultiplier = float(config.number({"logit_scale"}, 0.0625));
  setRope(spec, config, {.theta = defaultTheta, .interleaved = true});
  return spec;
}

ModelSpec readCohere(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "cohere", 500000);
  if (config.boolean({"use_qk_norm"}, false))
    spec.qkNorm = {QkNormSpec::EachHead, spec.norm,
                   "model.layers.{}.self_attn.q_norm",
                   "model.layers.{}.self_attn.k_norm"};
  return spec;
}

ModelSpec readCohere2(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "cohere2", 10000);
  std::vector<bool> slides = readSlidingLayers(config, spec.layerCount());
  int64_t pattern = config.integer(
      {"sliding_window_pattern", "_sliding_window_pattern"}, 1, 4);
  if (slides.empty())
    for (int64_t i = 0; i < spec.layerCount(); ++i)
      slides.push_back((i + 1) % pattern != 0);
  setWindows(spec, config.integer({"sliding_window"}, 1, 4096), slides);
  for (size_t i = 0; i < slides.size(); ++i)
    if (!slides[i])
      spec.layers[i].rope = LayerSpec::kNoRope;
  return spec;
}

} // namespace qcc
