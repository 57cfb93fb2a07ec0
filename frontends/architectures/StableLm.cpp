//===- StableLm.cpp - StableLM, StarCoder2 and Nemotron -------------------===//
//
// Llama with layer norms: transformers' modeling_stablelm.py (part of a head
// rotates, perhaps parallel, perhaps a norm for every head of q and k),
// modeling_starcoder2.py (biases, an MLP without a gate, a window) and
// modeling_nemotron.py (norm weights that are offsets from 1, squared relu).
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

ModelSpec readStableLm(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = config.boolean({"use_qkv_bias"}, false);
  options.sizes.kvHeads = 32;
  options.norm = readLayerNorm(config, "layer_norm_eps", /*bias=*/true);
  ModelSpec spec = readLlamaFamily(config, "stablelm", options);
  spec.parallel = config.boolean({"use_parallel_residual"}, false);
  if (spec.parallel)
    spec.mlpNorm = "";
  if (config.boolean({"qk_layernorm"}, false)) {
    NormSpec norm = spec.norm;
    norm.bias = false;
    bool isStacked = config.boolean({"gguf_stacked_norms"}, false);
    const std::string each = isStacked ? "" : ".norms.{head}";
    spec.qkNorm = {isStacked ? QkNormSpec::EachHead : QkNormSpec::EachModule,
                   norm, "model.layers.{}.self_attn.q_layernorm" + each,
                   "model.layers.{}.self_attn.k_layernorm" + each};
  }
  config.has({"gguf_stacked_norms"});
  setRope(spec, config, {.partial = 0.25});
  return spec;
}

ModelSpec readStarcoder2(const ConfigReader &config) {
  bool bias = config.boolean({"use_bias"}, true);
  LlamaOptions options;
  options.qkvBias = options.outputBias = bias;
  options.tied = true;
  options.sizes.kvHeads = 2;
  options.norm = readLayerNorm(config, "norm_epsilon", /*bias=*/true);
  ModelSpec spec = readLlamaFamily(config, "starcoder2", options);
  const std::string layer = "model.layers.{}.";
  spec.gate = {};
  setMlp(spec, layer + "mlp.c_fc", layer + "mlp.c_proj", bias);
  spec.activation = readActivation(config, "hidden_act", "gelu_pytorch_tanh");
  for (const char *ignored : {"norm_type", "mlp_type", "scale_attn_weights"})
    config.has({ignored});
  setWindows(spec, config.integer({"sliding_window"}, 1, 0));
  setRope(spec, config);
  return spec;
}

ModelSpec readNemotron(const ConfigReader &config) {
  LlamaOptions options;
  options.qkvBias = options.outputBias =
      config.boolean({"attention_bias"}, false);
  options.norm = readLayerNorm(config, "norm_eps", /*bias=*/true);
  options.norm->offset = float(config.number({"gguf_norm_offset"}, 1));
  ModelSpec spec = readLlamaFamily(config, "nemotron", options);
  const std::string layer = "model.layers.{}.";
  spec.gate = {};
  setMlp(spec, layer + "mlp.up_proj", layer + "mlp.down_proj",
         config.boolean({"mlp_bias"}, false));
  spec.activation = readActivation(config, "hidden_act", "relu2");
  setRope(spec, config, {.partial = 0.5});
  return spec;
}

} // namespace qcc
