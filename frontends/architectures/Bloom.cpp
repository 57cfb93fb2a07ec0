//===- Bloom.cpp - BLOOM --------------------------------------------------===//
//
// transformers' modeling_bloom.py: ALiBi, a norm of the embedding, fused
// projections by head, biases everywhere.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"

namespace qcc {

ModelSpec readBloom(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "bloom", {.expansion = 4});
  const std::string layer = "transformer.h.{}.";
  spec.basePrefix = "transformer.";
  // ALiBi has no limit; seq_length is what the model was trained on.
  spec.context =
      config.integer({"seq_length"}, 1, spec.context ? spec.context : 2048);
  setEmbedding(spec, config, "transformer.word_embeddings", "lm_head", true);
  spec.embeddingNorm = "transformer.word_embeddings_layernorm";
  spec.norm = readLayerNorm(config, "layer_norm_epsilon", /*bias=*/true);
  spec.attentionNorm = layer + "input_layernorm";
  spec.mlpNorm = layer + "post_attention_layernorm";
  spec.finalNorm = "transformer.ln_f";
  spec.residualFromNorm =
      config.boolean({"apply_residual_connection_post_layernorm"}, false);
  setFusedQkv(spec, layer + "self_attention.query_key_value",
              readQkvOrder(config), true);
  spec.output = {layer + "self_attention.dense", spec.hidden, spec.hidden,
                 true};
  setMlp(spec, layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h", true);
  spec.activation = tfm::Activation::GeluTanh;
  spec.slopes = alibiSlopes(spec.heads);
  return spec;
}

} // namespace qcc
