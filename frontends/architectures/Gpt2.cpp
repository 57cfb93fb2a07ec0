//===- Gpt2.cpp - GPT-2, GPT-BigCode (StarCoder) and GPT-Neo --------------===//
//
// Layer norms, learned positions, MLPs without a gate, tied heads:
// transformers' modeling_gpt2.py (fused projections stored as [inputs,
// outputs]), modeling_gpt_bigcode.py (multi-query), modeling_gpt_neo.py
// (unscaled attention, a window in every other layer).
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"

#include <cmath>

namespace qcc {

static ModelSpec readFamily(const ConfigReader &config, const char *name,
                            int64_t defaultContext = 1024) {
  ModelSpec spec = readSizes(config, name, {.expansion = 4});
  if (!spec.context)
    spec.context = defaultContext;
  const std::string layer = "transformer.h.{}.";
  spec.basePrefix = "transformer.";
  setEmbedding(spec, config, "transformer.wte", "lm_head", true);
  spec.positions = "transformer.wpe";
  spec.norm = readLayerNorm(config, "layer_norm_epsilon", /*bias=*/true);
  spec.attentionNorm = layer + "ln_1";
  spec.mlpNorm = layer + "ln_2";
  spec.finalNorm = "transformer.ln_f";
  setMlp(spec, layer + "mlp.c_fc", layer + "mlp.c_proj", true);
  refuseIfSet(config, "add_cross_attention");
  return spec;
}

static void unscale(ModelSpec &spec) {
  for (LayerSpec &layer : spec.layers)
    layer.scale = 1;
}

ModelSpec readGpt2(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "gpt2");
  const std::string attention = "transformer.h.{}.attn.";
  setFusedQkv(spec, attention + "c_attn", QkvOrder::Blocks, true);
  spec.output = {attention + "c_proj", spec.hidden, spec.hidden, true};
  bool isTransposed = config.boolean({"gguf_transposed"}, true);
  for (Projection *conv : {&spec.query, &spec.key, &spec.value, &spec.output,
                           &spec.up, &spec.down})
    conv->transposed = isTransposed;
  spec.activation = readActivation(config, "activation_function", "gelu_new");
  if (!config.boolean({"scale_attn_weights"}, true))
    unscale(spec);
  if (config.boolean({"scale_attn_by_inverse_layer_idx"}, false))
    for (size_t i = 0; i < spec.layers.size(); ++i)
      spec.layers[i].scale /= float(i + 1);
  return spec;
}

ModelSpec readGptBigCode(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "gpt_bigcode");
  const std::string attention = "transformer.h.{}.attn.";
  spec.kvHeads = config.boolean({"multi_query"}, true) ? 1 : spec.heads;
  setFusedQkv(spec, attention + "c_attn", QkvOrder::PerHead, true);
  spec.output = {attention + "c_proj", spec.hidden, spec.hidden, true};
  spec.activation =
      readActivation(config, "activation_function", "gelu_pytorch_tanh");
  if (!config.boolean({"scale_attn_weights"}, true))
    unscale(spec);
  return spec;
}

ModelSpec readGptNeo(const ConfigReader &config) {
  ModelSpec spec = readFamily(config, "gpt_neo", 2048);
  setAttention(spec, "transformer.h.{}.attn.attention.",
               {"q_proj", "k_proj", "v_proj", "out_proj"}, false, true);
  spec.activation = readActivation(config, "activation_function", "gelu_new");
  unscale(spec);

  // attention_types: [[[kinds], repetitions], ...]; attention_layers is what
  // that comes to.
  std::vector<std::string> kinds;
  auto refuse = [&] {
    config.refuse("attention_types",
                  "does not say \"global\" or \"local\" for each layer");
  };
  const nlohmann::json *layers = config.find({"attention_layers"});
  const nlohmann::json *types = config.find({"attention_types"});
  if (layers && layers->is_array()) {
    for (const nlohmann::json &kind : *layers)
      kinds.push_back(kind.is_string() ? kind.get<std::string>() : "");
  } else if (types && types->is_array()) {
    for (const nlohmann::json &entry : *types) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_array() ||
          !entry[1].is_number_unsigned() || entry[1] > spec.layers.size())
        refuse();
      for (size_t i = 0; i < entry[1].get<size_t>(); ++i)
        for (const nlohmann::json &kind : entry[0])
          kinds.push_back(kind.is_string() ? kind.get<std::string>() : "");
    }
  } else {
    for (size_t i = 0; i < spec.layers.size(); ++i)
      kinds.push_back(i % 2 ? "local" : "global");
  }
  if (kinds.size() != spec.layers.size())
    refuse();
  std::vector<bool> isLocal;
  for (const std::string &kind : kinds) {
    if (kind != "global" && kind != "local")
      refuse();
    isLocal.push_back(kind == "local");
  }
  setWindows(spec, config.integer({"window_size"}, 1, 256), isLocal);
  return spec;
}

} // namespace qcc
