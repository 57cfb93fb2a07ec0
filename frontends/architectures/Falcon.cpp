//===- Falcon.cpp - Falcon 7b and the 40b/180b architecture ---------------===//
//
// transformers' modeling_falcon.py. One fused query_key_value a layer, whose
// rows are: multi-query (7b) all heads of q, then k, then v; new architecture
// (40b) for each kv head its heads of q, k, v.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/architectures/Rope.h"

#include <cmath>

namespace qcc {

ModelSpec readFalcon(const ConfigReader &config) {
  ModelSpec spec;
  spec.architecture = "falcon";
  spec.vocabulary = config.integer({"vocab_size"});
  spec.hidden = config.integer({"hidden_size", "n_embed"});
  spec.layers = config.integer({"num_hidden_layers", "n_layer"});
  spec.heads = config.integer({"num_attention_heads", "n_head"});
  if (spec.hidden % spec.heads != 0)
    config.refuse("num_attention_heads",
                  "is " + std::to_string(spec.heads) +
                      ", which does not divide hidden_size " +
                      std::to_string(spec.hidden));
  spec.headDim = spec.hidden / spec.heads;
  if (config.boolean({"alibi"}, false))
    config.refuse("alibi", "is true; ALiBi is not supported");

  bool grouped = config.boolean({"new_decoder_architecture"}, false);
  bool multiQuery = config.boolean({"multi_query"}, true);
  if (grouped)
    spec.kvHeads = config.integer({"num_kv_heads", "n_head_kv"}, 1, spec.heads);
  else
    spec.kvHeads = multiQuery ? 1 : spec.heads;
  if (spec.heads % spec.kvHeads != 0)
    config.refuse("num_kv_heads", "is " + std::to_string(spec.kvHeads) +
                                      ", which does not divide the " +
                                      std::to_string(spec.heads) + " heads");
  spec.intermediate = config.integer({"ffn_hidden_size"}, 1, 4 * spec.hidden);
  // The published configs say nothing; the code's default is 2048.
  spec.context = config.integer({"max_position_embeddings"}, 1, 2048);
  spec.norm = {NormSpec::Layer,
               float(config.number({"layer_norm_epsilon"}, 1e-5)), 0, true};
  spec.activation = readActivation(config, {"activation"}, "gelu");
  spec.rope = readRope(config, spec.headDim);
  spec.attentionScale = float(1 / std::sqrt(double(spec.headDim)));
  spec.windows.assign(spec.layers, 0);
  spec.parallel = grouped || config.boolean({"parallel_attn"}, true);

  const std::string layer = "transformer.h.{}.";
  spec.embedding = "transformer.word_embeddings";
  spec.finalNorm = "transformer.ln_f";
  bool twoNorms =
      grouped && config.integer({"num_ln_in_parallel_attn"}, 1, 2) == 2;
  spec.attentionNorm = layer + (twoNorms ? "ln_attn" : "input_layernorm");
  if (twoNorms)
    spec.mlpNorm = layer + "ln_mlp";
  else if (!spec.parallel)
    spec.mlpNorm = layer + "post_attention_layernorm";

  bool bias = config.boolean({"bias"}, false);
  int64_t d = spec.headDim, perKv = spec.heads / spec.kvHeads;
  int64_t rows = (spec.heads + 2 * spec.kvHeads) * d;
  // With one kv head (multi-query) a single block holds everything.
  int64_t block = (perKv + 2) * d;
  auto slice = [&](int64_t offset, int64_t size) {
    return Projection{layer + "self_attention.query_key_value",
                      size * spec.kvHeads,
                      spec.hidden,
                      bias,
                      rows,
                      offset,
                      size,
                      block};
  };
  spec.query = slice(0, perKv * d);
  spec.key = slice(perKv * d, d);
  spec.value = slice((perKv + 1) * d, d);
  spec.output = {layer + "self_attention.dense", spec.hidden, spec.hidden,
                 bias};
  spec.up = {layer + "mlp.dense_h_to_4h", spec.intermediate, spec.hidden, bias};
  spec.down = {layer + "mlp.dense_4h_to_h", spec.hidden, spec.intermediate,
               bias};
  spec.head = {"lm_head", spec.vocabulary, spec.hidden};
  spec.tied = config.boolean({"tie_word_embeddings"}, true);
  return spec;
}

} // namespace qcc
