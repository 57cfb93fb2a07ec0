//===- GptNeoX.cpp - GPT-NeoX (Pythia) and GPT-J --------------------------===//
//
// transformers' modeling_gpt_neox.py: parallel blocks with two layer norms (or
// serial ones), fused projections by head, a quarter of a head rotates.
// modeling_gptj.py: parallel blocks with one norm, interleaved rotation of the
// first `rotary_dim` dimensions, a head with a bias.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

namespace qcc {

ModelSpec readGptNeoX(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "gpt_neox");
  const std::string layer = "gpt_neox.layers.{}.";
  spec.basePrefix = "gpt_neox.";
  setEmbedding(spec, config, "gpt_neox.embed_in", "embed_out", false);
  spec.norm = readLayerNorm(config, "layer_norm_eps", /*bias=*/true);
  spec.attentionNorm = layer + "input_layernorm";
  spec.mlpNorm = layer + "post_attention_layernorm";
  spec.finalNorm = "gpt_neox.final_layer_norm";
  spec.parallel = config.boolean({"use_parallel_residual"}, true);
  bool bias = config.boolean({"attention_bias"}, true);
  setFusedQkv(spec, layer + "attention.query_key_value", readQkvOrder(config),
              bias);
  spec.output = {layer + "attention.dense", spec.hidden, spec.hidden, bias};
  setMlp(spec, layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h", true);
  spec.activation = readActivation(config, "hidden_act", "gelu");
  // transformers 4 saved theta under both names, at times.
  bool isNamedTheta =
      config.has({"rope_theta"}) && !config.has({"rotary_emb_base"});
  setRope(spec, config,
          {.partial = 0.25,
           .thetaField = isNamedTheta ? "rope_theta" : "rotary_emb_base"});
  return spec;
}

ModelSpec readGptJ(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "gptj", {.expansion = 4});
  const std::string layer = "transformer.h.{}.";
  spec.basePrefix = "transformer.";
  if (!spec.context)
    spec.context = 2048;
  setEmbedding(spec, config, "transformer.wte", "lm_head", false);
  spec.head.bias = true;
  spec.norm = readLayerNorm(config, "layer_norm_epsilon", /*bias=*/true);
  spec.attentionNorm = layer + "ln_1";
  spec.finalNorm = "transformer.ln_f";
  spec.parallel = true;
  setAttention(spec, layer + "attn.",
               {"q_proj", "k_proj", "v_proj", "out_proj"}, false, false);
  setMlp(spec, layer + "mlp.fc_in", layer + "mlp.fc_out", true);
  spec.activation = readActivation(config, "activation_function", "gelu_new");
  config.has({"scale_attn_weights"}); // they always are
  bool isSaid = config.fields().contains("rotary_dim");
  int64_t rotary =
      config.integer({"rotary_dim"}, 2, isSaid ? spec.headDim : 64);
  if (rotary > spec.headDim || rotary % 2 != 0)
    config.refuse("rotary_dim", "is " + std::to_string(rotary) +
                                    ", no even number up to the head's " +
                                    std::to_string(spec.headDim));
  setRope(spec, config,
          {.partial = double(rotary) / double(spec.headDim),
           .interleaved = true,
           .allowsScaling = false});
  return spec;
}

} // namespace qcc
