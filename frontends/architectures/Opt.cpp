//===- Opt.cpp - OPT ------------------------------------------------------===//
//
// transformers' modeling_opt.py: learned positions from row 2 on, relu, biases.
// The 350m model norms sums instead of inputs, has no final norm, and projects
// between the embedding's size and its own.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"

namespace qcc {

ModelSpec readOpt(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "opt");
  if (!spec.context)
    spec.context = 2048;
  const std::string layer = "model.decoder.layers.{}.";
  spec.basePrefix = "model.";
  setEmbedding(spec, config, "model.decoder.embed_tokens", "lm_head", true);
  spec.positions = "model.decoder.embed_positions";
  spec.positionOffset = 2;
  int64_t size = config.integer({"word_embed_proj_dim"}, 1, spec.hidden);
  if (size != spec.hidden) {
    spec.embeddingSize = size;
    spec.embeddingProjection = "model.decoder.project_in";
    spec.headProjection = "model.decoder.project_out";
  }

  bool hasWeights = config.boolean({"layer_norm_elementwise_affine"}, true);
  spec.norm = {NormSpec::Layer, 1e-5f, 0, hasWeights, hasWeights};
  bool isBefore = config.boolean({"do_layer_norm_before"}, true);
  bool noFinal = config.boolean({"_remove_final_layer_norm"}, false);
  (isBefore ? spec.attentionNorm : spec.attentionSumNorm) =
      layer + "self_attn_layer_norm";
  (isBefore ? spec.mlpNorm : spec.mlpSumNorm) = layer + "final_layer_norm";
  if (isBefore && !noFinal)
    spec.finalNorm = "model.decoder.final_layer_norm";
  bool bias = config.boolean({"enable_bias"}, true);
  setAttention(spec, layer + "self_attn.",
               {"q_proj", "k_proj", "v_proj", "out_proj"}, bias, bias);
  setMlp(spec, layer + "fc1", layer + "fc2", bias);
  spec.activation = readActivation(config, "activation_function", "relu");
  return spec;
}

} // namespace qcc
