//===- Phi.cpp - Phi-1, Phi-2 and Phi-3, Phi-4 ----------------------------===//
//
// transformers' modeling_phi.py: parallel blocks with one layer norm, biases
// everywhere (the head's too), part of a head rotates. modeling_phi3.py: Llama
// with fused projections, windows and LongRoPE.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

ModelSpec readPhi(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "phi");
  const std::string layer = "model.layers.{}.";
  spec.basePrefix = "model.";
  setEmbedding(spec, config, "model.embed_tokens", "lm_head", false);
  spec.head.bias = true;
  spec.norm = readLayerNorm(config, "layer_norm_eps", /*bias=*/true);
  spec.attentionNorm = layer + "input_layernorm";
  spec.finalNorm = "model.final_layernorm";
  spec.parallel = true;
  setAttention(spec, layer + "self_attn.",
               {"q_proj", "k_proj", "v_proj", "dense"}, true, true);
  if (config.boolean({"qk_layernorm"}, false))
    spec.qkNorm = {QkNormSpec::Head, spec.norm, layer + "self_attn.q_layernorm",
                   layer + "self_attn.k_layernorm"};
  setMlp(spec, layer + "mlp.fc1", layer + "mlp.fc2", true);
  spec.activation = readActivation(config, "hidden_act", "gelu_new");
  setRope(spec, config, {.partial = 0.5});
  return spec;
}

ModelSpec readPhi3(const ConfigReader &config) {
  LlamaOptions options;
  options.defaultEps = 1e-5;
  ModelSpec spec = readLlamaFamily(config, "phi3", options);
  const std::string layer = "model.layers.{}.";
  setFusedQkv(spec, layer + "self_attn.qkv_proj", QkvOrder::Blocks, false);
  setFusedGatedMlp(spec, layer + "mlp.gate_up_proj", layer + "mlp.down_proj");
  setWindows(spec, config.integer({"sliding_window"}, 1, 0));
  // Without scaling the field has no use, but is always there.
  config.has({"original_max_position_embeddings"});
  setRope(spec, config, {.partial = 1, .original = 4096});
  return spec;
}

} // namespace qcc
