//===- Mpt.cpp - MPT ------------------------------------------------------===//
//
// transformers' modeling_mpt.py: ALiBi with slopes of its own, layer norms and
// projections without biases, a fused Wqkv. That code knows only MLPs of four
// times the hidden size, and reads no more of attn_config than clip_qkv and
// softmax_scale, where the publisher's own code (the class MPTForCausalLM)
// obeys all of it.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"

#include <cmath>

namespace qcc {

/// MPT's slopes for heads that are no power of two: those of the next one,
/// odd places first.
static std::vector<float> slopesOf(int64_t heads, double most) {
  int64_t power = 1;
  while (power < heads)
    power *= 2;
  std::vector<float> slopes;
  auto add = [&](int64_t first, int64_t step) {
    for (int64_t i = first; i <= power && int64_t(slopes.size()) < heads;
         i += step)
      slopes.push_back(float(std::exp2(-double(i) * most / double(power))));
  };
  if (power == heads) {
    add(1, 1);
    return slopes;
  }
  add(2, 2);
  add(1, 2);
  return slopes;
}

/// Whether transformers' own class wrote the checkpoint: its code is the
/// definition then.
static bool isOfTransformers(const ConfigReader &config) {
  const nlohmann::json *classes = config.find({"architectures"});
  return classes && classes->is_array() && !classes->empty() &&
         (*classes)[0] == "MptForCausalLM";
}

/// Fields that only the publisher's code reads. Returns the largest exponent of
/// the slopes.
static double readOwnFields(const ConfigReader &config,
                            const ConfigReader &attention) {
  if (!config.boolean({"no_bias"}, true))
    config.refuse("no_bias", "is false; MPT with biases is not supported");
  if (!attention.boolean({"alibi"}, true))
    attention.refuse("alibi", "is false; MPT without ALiBi is not supported");
  for (const char *field : {"prefix_lm", "qk_ln", "rope"})
    refuseIfSet(attention, field);
  if (attention.string({"attn_type"}, "multihead_attention") !=
      "multihead_attention")
    attention.refuse("attn_type", "is no multihead_attention");
  double most = attention.number({"alibi_bias_max"}, 8);
  if (most <= 0)
    attention.refuse("alibi_bias_max", "is not positive");
  return most;
}

ModelSpec readMpt(const ConfigReader &config) {
  ModelSpec spec = readSizes(config, "mpt", {.expansion = 4});
  if (!spec.context)
    spec.context = 2048;
  const std::string layer = "transformer.blocks.{}.";
  spec.basePrefix = "transformer.";
  setEmbedding(spec, config, "transformer.wte", "lm_head", true);
  spec.norm = readLayerNorm(config, "layer_norm_epsilon", /*bias=*/false);
  spec.attentionNorm = layer + "norm_1";
  spec.mlpNorm = layer + "norm_2";
  spec.finalNorm = "transformer.norm_f";
  setFusedQkv(spec, layer + "attn.Wqkv", QkvOrder::Blocks, false);
  spec.output = {layer + "attn.out_proj", spec.hidden, spec.hidden};
  setMlp(spec, layer + "ffn.up_proj", layer + "ffn.down_proj", false);
  spec.activation = tfm::Activation::Gelu;
  for (const char *ignored : {"expansion_ratio", "learned_pos_emb", "norm_type",
                              "embedding_fraction", "tokenizer_name"})
    config.has({ignored});

  static const nlohmann::json none = nlohmann::json::object();
  std::optional<ConfigReader> attention = config.object({"attn_config"});
  double most = 8;
  if (!isOfTransformers(config)) {
    most = readOwnFields(config, attention ? *attention : ConfigReader(none));
  } else {
    for (const char *field : {"no_bias", "logit_scale"})
      config.has({field});
    for (const char *field :
         {"alibi", "alibi_bias_max", "prefix_lm", "qk_ln", "rope", "attn_type"})
      if (attention)
        attention->has({field});
  }
  if (attention) {
    spec.clipQkv = float(attention->number({"clip_qkv"}, 0));
    if (attention->has({"softmax_scale"}))
      for (LayerSpec &each : spec.layers)
        each.scale = float(attention->number({"softmax_scale"}));
    // What any of transformers' config objects holds.
    for (const char *any : {"architectures", "is_encoder_decoder"})
      attention->has({any});
  }
  spec.slopes = slopesOf(spec.heads, most);
  return spec;
}

} // namespace qcc
