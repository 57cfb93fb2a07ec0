//===- Describe.cpp - What descriptions of architectures share ------------===//

#include "frontends/architectures/Describe.h"

#include <cmath>

namespace qcc {

ModelSpec readSizes(const ConfigReader &config, const std::string &name,
                    const SizeDefaults &defaults) {
  ModelSpec spec;
  spec.architecture = name;
  spec.vocabulary = config.integer({"vocab_size"});
  spec.hidden = config.integer({"hidden_size", "n_embd", "n_embed", "d_model"});
  int64_t layers = config.integer(
      {"num_hidden_layers", "n_layer", "num_layers", "n_layers"});
  constexpr int64_t mostLayers = 4096;
  if (layers > mostLayers)
    config.refuse("num_hidden_layers", "is " + std::to_string(layers) +
                                           ", more than " +
                                           std::to_string(mostLayers));
  spec.heads =
      config.integer({"num_attention_heads", "n_head", "num_heads", "n_heads"});
  // null: as many as heads, whatever the default.
  bool isSaid = config.fields().contains("num_key_value_heads");
  spec.kvHeads = config.integer({"num_key_value_heads"}, 1,
                                !isSaid && defaults.kvHeads ? defaults.kvHeads
                                                            : spec.heads);
  if (!config.has({"head_dim"}) && !defaults.headDim &&
      spec.hidden % spec.heads != 0)
    config.refuse("num_attention_heads",
                  "is " + std::to_string(spec.heads) +
                      ", which does not divide hidden_size " +
                      std::to_string(spec.hidden));
  spec.headDim = config.integer({"head_dim"}, 1,
                                defaults.headDim ? defaults.headDim
                                                 : spec.hidden / spec.heads);
  if (spec.heads % spec.kvHeads != 0)
    config.refuse("num_key_value_heads", "is " + std::to_string(spec.kvHeads) +
                                             ", which does not divide the " +
                                             std::to_string(spec.heads) +
                                             " heads");
  ConfigReader::Names inner = {"intermediate_size", "ffn_hidden_size",
                               "ffn_dim", "n_inner"};
  spec.intermediate =
      defaults.expansion
          ? config.integer(inner, 1, defaults.expansion * spec.hidden)
          : config.integer(inner);
  spec.context = config.integer(
      {"max_position_embeddings", "n_positions", "max_seq_len"}, 1, 0);
  LayerSpec layer;
  layer.rope = LayerSpec::kNoRope;
  layer.scale = float(1 / std::sqrt(double(spec.headDim)));
  spec.layers.assign(size_t(layers), layer);
  return spec;
}

/// Marks `others` as read if the field that counts is there.
static void passOver(const ConfigReader &config, const char *field,
                     ConfigReader::Names others) {
  if (config.has({field}))
    config.has(others);
}

tfm::Activation readActivation(const ConfigReader &config, const char *field,
                               const std::string &fallback) {
  static const std::pair<const char *, tfm::Activation> table[] = {
      {"silu", tfm::Activation::Silu},
      {"swish", tfm::Activation::Silu},
      {"gelu", tfm::Activation::Gelu},
      {"gelu_python", tfm::Activation::Gelu},
      {"gelu_new", tfm::Activation::GeluTanh},
      {"gelu_fast", tfm::Activation::GeluTanh},
      {"gelu_accurate", tfm::Activation::GeluTanh},
      {"gelu_pytorch_tanh", tfm::Activation::GeluTanh},
      {"gelu_python_tanh", tfm::Activation::GeluTanh},
      {"gelu_10", tfm::Activation::Gelu10},
      {"quick_gelu", tfm::Activation::GeluQuick},
      {"relu", tfm::Activation::Relu},
      {"relu2", tfm::Activation::Relu2},
      {"relu6", tfm::Activation::Relu6},
      {"leaky_relu", tfm::Activation::LeakyRelu},
      {"hardswish", tfm::Activation::HardSwish},
      {"mish", tfm::Activation::Mish},
      {"sigmoid", tfm::Activation::Sigmoid},
      {"tanh", tfm::Activation::Tanh},
      {"linear", tfm::Activation::None},
  };
  passOver(
      config, field,
      {"hidden_act", "hidden_activation", "activation_function", "activation"});
  std::string name = config.string({field}, fallback);
  for (auto &[spelling, activation] : table)
    if (name == spelling)
      return activation;
  config.refuse(field,
                "is '" + name + "', an activation that is not supported");
}

static float readEps(const ConfigReader &config, const char *field,
                     double fallback) {
  passOver(config, field,
           {"rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps",
            "norm_epsilon", "norm_eps"});
  return float(config.number({field, "gguf_layer_norm_eps"}, fallback));
}

NormSpec readRmsNorm(const ConfigReader &config, double defaultEps) {
  return {NormSpec::RMS, readEps(config, "rms_norm_eps", defaultEps)};
}

NormSpec readLayerNorm(const ConfigReader &config, const char *field,
                       bool bias) {
  return {NormSpec::Layer, readEps(config, field, 1e-5), 0, bias};
}

void setAttention(ModelSpec &spec, const std::string &prefix,
                  std::array<const char *, 4> modules, bool qkvBias,
                  bool outputBias) {
  int64_t q = spec.heads * spec.headDim, kv = spec.kvHeads * spec.headDim;
  spec.query = {prefix + modules[0], q, spec.hidden, qkvBias};
  spec.key = {prefix + modules[1], kv, spec.hidden, qkvBias};
  spec.value = {prefix + modules[2], kv, spec.hidden, qkvBias};
  spec.output = {prefix + modules[3], spec.hidden, q, outputBias};
}

QkvOrder readQkvOrder(const ConfigReader &config) {
  return config.boolean({"gguf_qkv_blocks"}, false) ? QkvOrder::Blocks
                                                    : QkvOrder::PerHead;
}

void setFusedQkv(ModelSpec &spec, const std::string &module, QkvOrder order,
                 bool bias) {
  int64_t d = spec.headDim, groups = spec.kvHeads;
  int64_t rows = (spec.heads + 2 * spec.kvHeads) * d;
  // In blocks there is one group, which holds all heads.
  int64_t inGroup = order == QkvOrder::Blocks ? spec.kvHeads : 1;
  int64_t q = spec.heads / spec.kvHeads * inGroup * d, kv = inGroup * d;
  int64_t count = groups / inGroup;
  auto slice = [&](int64_t offset, int64_t size) {
    return Projection{module, size * count, spec.hidden, bias,
                      rows,   offset,       size,        q + 2 * kv};
  };
  spec.query = slice(0, q);
  spec.key = slice(q, kv);
  spec.value = slice(q + kv, kv);
}

void setMlp(ModelSpec &spec, const std::string &up, const std::string &down,
            bool bias) {
  spec.up = {up, spec.intermediate, spec.hidden, bias};
  spec.down = {down, spec.hidden, spec.intermediate, bias};
}

void setGatedMlp(ModelSpec &spec, const std::string &prefix, bool bias) {
  setMlp(spec, prefix + "up_proj", prefix + "down_proj", bias);
  spec.gate = {prefix + "gate_proj", spec.intermediate, spec.hidden, bias};
}

void setFusedGatedMlp(ModelSpec &spec, const std::string &module,
                      const std::string &down) {
  setMlp(spec, module, down, false);
  spec.gate = spec.up;
  for (Projection *half : {&spec.gate, &spec.up}) {
    half->storedRows = 2 * spec.intermediate;
    half->sliceSize = spec.intermediate;
  }
  spec.up.sliceOffset = spec.intermediate;
}

void setEmbedding(ModelSpec &spec, const ConfigReader &config,
                  const std::string &embedding, const std::string &head,
                  bool tiedByDefault) {
  spec.embedding = embedding;
  spec.head = {head, spec.vocabulary, spec.hidden};
  spec.tied = config.boolean({"tie_word_embeddings"}, tiedByDefault);
}

std::vector<bool> readSlidingLayers(const ConfigReader &config,
                                    int64_t layers) {
  std::vector<bool> slides;
  const nlohmann::json *types = config.find({"layer_types"});
  if (!types)
    return slides;
  if (!types->is_array() || types->size() != size_t(layers))
    config.refuse("layer_types", "does not name a type for each of the " +
                                     std::to_string(layers) + " layers");
  for (const nlohmann::json &type : *types) {
    if (type != "full_attention" && type != "sliding_attention")
      config.refuse("layer_types",
                    "holds " + type.dump() + ", which is not supported");
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void setWindows(ModelSpec &spec, int64_t window,
                const std::vector<bool> &slides) {
  for (size_t i = 0; i < spec.layers.size(); ++i)
    spec.layers[i].window = slides.empty() || slides[i] ? window : 0;
}

std::vector<float> alibiSlopes(int64_t heads) {
  int64_t power = 1;
  while (2 * power <= heads)
    power *= 2;
  std::vector<float> slopes;
  for (int64_t i = 1; i <= power; ++i)
    slopes.push_back(float(std::exp2(-8.0 * double(i) / double(power))));
  for (int64_t i = 1; int64_t(slopes.size()) < heads; i += 2)
    slopes.push_back(float(std::exp2(-4.0 * double(i) / double(power))));
  return slopes;
}

void refuseIfSet(const ConfigReader &config, const char *field) {
  const nlohmann::json *value = config.find({field});
  if (value && (*value == true || (value->is_number() && *value != 0)))
    config.refuse(field, "is " + value->dump() + ", which is not supported");
}

} // namespace qcc
