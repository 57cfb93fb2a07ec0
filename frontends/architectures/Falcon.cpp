//===- Falcon.cpp - Falcon 7b, RW and the 40b/180b architecture -----------===//
//
// transformers' modeling_falcon.py. One fused query_key_value a layer, whose
// rows are: multi-query (7b) all heads of q, then k, then v; else for each kv
// head its heads of q, k, v. Falcon-RW has ALiBi, biases and serial blocks.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"
#include "runtime/formats/HalfFloat.h"

namespace qcc {

ModelSpec readFalcon(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "falcon", {.expansion = 4});
  bool grouped = config.boolean({"new_decoder_architecture"}, false);
  bool multiQuery = config.boolean({"multi_query"}, true);
  int64_t kvHeads =
      config.integer({"num_kv_heads", "n_head_kv"}, 1, spec.heads);
  spec.kvHeads = grouped ? kvHeads : multiQuery ? 1 : spec.heads;
  if (spec.heads % spec.kvHeads != 0)
    config.refuse("num_kv_heads", "is " + std::to_string(spec.kvHeads) +
                                      ", which does not divide the " +
                                      std::to_string(spec.heads) + " heads");
  // The published configs say nothing; the code's default is 2048.
  if (!spec.context)
    spec.context = 2048;
  bool bias = config.boolean({"bias"}, false);
  bool parallelAttention = config.boolean({"parallel_attn"}, true);
  spec.parallel = grouped || parallelAttention;
  spec.basePrefix = "transformer.";

  const std::string layer = "transformer.h.{}.";
  setEmbedding(spec, config, "transformer.word_embeddings", "lm_head", true);
  spec.norm = readLayerNorm(config, "layer_norm_epsilon", /*bias=*/true);
  spec.finalNorm = "transformer.ln_f";
  int64_t norms =
      config.integer({"num_ln_in_parallel_attn"}, 1, grouped ? 2 : 1);
  bool twoNorms = grouped && norms == 2;
  spec.attentionNorm = layer + (twoNorms ? "ln_attn" : "input_layernorm");
  if (twoNorms)
    spec.mlpNorm = layer + "ln_mlp";
  else if (!parallelAttention && !grouped)
    spec.mlpNorm = layer + "post_attention_layernorm";
  if (config.boolean({"gguf_mlp_norm"}, false))
    spec.mlpNorm = layer + "input_layernorm";
  setFusedQkv(spec, layer + "self_attention.query_key_value",
              readQkvOrder(config), bias);
  spec.output = {layer + "self_attention.dense", spec.hidden, spec.hidden,
                 bias};
  setMlp(spec, layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h", bias);
  spec.activation = readActivation(config, "activation", "gelu");

  if (!config.boolean({"alibi"}, false)) {
    setRope(spec, config);
    return spec;
  }
  // Biases are made in bf16 and scaled like the scores. (transformers' eager
  // attention adds them twice, as scores and with the mask; its default, sdpa,
  // and Falcon's own code do so once.)
  config.has({"rope_parameters", "rope_scaling"});
  config.has({"rope_theta"});
  spec.bf16Slopes = true;
  for (float slope : alibiSlopes(spec.heads))
    spec.slopes.push_back(qrt::bfloatToFloat(qrt::floatToBfloat(slope)));
  return spec;
}

} // namespace qcc
