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
  ModelSpec spec = readLlamaFamily(config, "stablelm", options);
  spec.norm = readLayerNorm(config, /*bias=*/true);
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
  ModelSpec spec = readLlamaFamily(config, "starcoder2", options);
  const std::string layer = "model.layers.{}.";
  spec.norm = readLayerNorm(config, /*bias=*/true);
  spec.gate = {};
  setMlp(spec, layer + "mlp.c_fc", layer + "mlp.c_proj", bias);
  spec.activation = readActivation(config, "gelu_pytorch_tanh");
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
  ModelSpec spec = readLlamaFamily(config, "nemotron", options);
  const std::string layer = "model.layers.{}.";
  spec.norm = readLayerNorm(config, /*bias=*/true);
  spec.norm.offset = float(config.number({"gguf_norm_offset"}, 1));
  spec.gate = {};
  setMlp(spec, layer + "mlp.up_proj", layer + "mlp.down_proj",
         config.boolean({"mlp_bias"}, false));
  spec.activation = readActivation(config, "relu2");
  setRope(spec, config, {.partial = 0.5});
  return spec;
}

} // namespace qcc
