//===- Glm.cpp - GLM and GLM-4 --------------------------------------------===//
//
// transformers' modeling_glm.py: Llama with biases on q, k and v, a fused gated
// MLP, half of a head rotated in interleaved pairs. modeling_glm4.py: norms of
// what attention and MLP make, too.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

static ModelSpec readFamily(const ConfigReader &config, const char *name) {
  LlamaOptions options;
  options.qkvBias = config.boolean({"attention_bias"}, true);
  options.sizes = {.headDim = 128, .kvHeads = 2};
  options.defaultEps = 1.5625e-7;
  ModelSpec spec = readLlamaFamily(config, name, options);
  const std::string layer = "model.layers.{}.";
  setFusedGatedMlp(spec, layer + "mlp.gate_up_proj", layer + "mlp.down_proj");
  setRope(spec, config, {.partial = 0.5, .interleaved = true});
  return spec;
}

ModelSpec readGlm(const ConfigReader &config) {
  return readFamily(config, "glm");
}

ModelSpec readGlm4(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "glm4");
  const std::string layer = "model.layers.{}.";
  spec.attentionOutNorm = layer + "post_self_attn_layernorm";
  spec.mlpOutNorm = layer + "post_mlp_layernorm";
  return spec;
}

} // namespace qcc
