//===- GgufConfig.cpp - A GGUF file's metadata as a config.json -----------===//
//
// llama.cpp's conversion (conversion/*.py) and src/models/*.cpp, which say what
// a missing key means.
//
//===----------------------------------------------------------------------===//

#include "frontends/checkpoint/GgufArchitecture.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

using nlohmann::json;
using qrt::Error;

namespace qcc {
namespace {

/// Builds the configuration of one file.
class ConfigBuilder {
public:
  ConfigBuilder(const GgufArchitecture &architecture, const GgufMetadata &meta,
                const Checkpoint &checkpoint)
      : type(architecture.modelType), prefix(std::string(architecture.name)),
        meta(meta), checkpoint(checkpoint) {}

  json build();

private:
  std::string key(const char *name) const { return prefix + "." + name; }
  bool hasTensor(const std::string &name) const {
    return checkpoint.find(name) != nullptr;
  }
  bool hasBias(const char *module) const {
    return hasTensor("model.layers.0." + std::string(module) + ".bias");
  }
  void copyNumber(const char *name, const char *field) {
    if (auto value = meta.number(key(name)))
      config[field] = *value;
  }
  std::vector<float> factorTensor(const char *name) const;
  json ropeScaling() const;
  std::optional<double> yarnAttentionFactor(double factor) const;
  void addSizes();
  void addRope();
  void addWindows();
  void addBiases();
  void addOwn();

  std::string type, prefix;
  const GgufMetadata &meta;
  const Checkpoint &checkpoint;
  json config;
  int64_t layers = 0, heads = 0, kvHeads = 0, headDim = 0;
};

/// The values of a vector of frequency factors; empty if there is none.
std::vector<float> ConfigBuilder::factorTensor(const char *name) const {
  const TensorInfo *factors = checkpoint.find(name);
  if (!factors)
    return {};
  int64_t count = factors->elements();
  if (count < 1 || count > 4096)
    throw Error("tensor '" + std::string(name) + "' has " +
                    std::to_string(count) + " elements",
                meta.file);
  std::vector<float> values(size_t(count), 0.0f);
  checkpoint.readF32(*factors, 0, count, values.data());
  for (float value : values)
    if (!std::isfinite(value) || value <= 0)
      throw Error("tensor '" + std::string(name) + "' holds " +
                      std::to_string(value) + ", no factor",
                  meta.file);
  return values;
}

/// What YaRN multiplies cos and sin by, where the file says more than the
/// factor. llama-context.cpp: attn_factor multiplies the usual one;
/// yarn_attn_factor is what the conversion makes of attention_factor.
std::optional<double> ConfigBuilder::yarnAttentionFactor(double factor) const {
  auto more = meta.number(key("rope.scaling.attn_factor"));
  auto said = meta.number(key("rope.scaling.yarn_attn_factor"));
  auto allDimensions = meta.number(key("rope.scaling.yarn_log_multiplier"));
  if (!more && !said && !allDimensions)
    return std::nullopt;
  auto scale = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1;
  };
  double usual = scale(1) / scale(allDimensions.value_or(0));
  return said.value_or(usual) * more.value_or(1);
}

/// The scaling of the rotary embedding, as transformers' rope_scaling says it;
/// null if there is none.
json ConfigBuilder::ropeScaling() const {
  // Llama 3's factors say all: the conversion writes them instead of a scaling.
  if (auto factors = factorTensor("rope_freqs.weight"); !factors.empty())
    return {{"rope_type", "factors"}, {"factors", factors}};

  auto attention = meta.number(key("rope.scaling.attn_factor"));
  auto original = meta.integer(key("rope.scaling.original_context_length"));
  std::vector<float> longs = factorTensor("rope_factors_long.weight"),
                     shorts = factorTensor("rope_factors_short.weight");
  if (!longs.empty()) {
    json scaling = {{"rope_type", "longrope"},
                    {"long_factor", longs},
                    {"short_factor", shorts},
                    {"attention_factor", attention.value_or(1)}};
    if (original)
      scaling["original_max_position_embeddings"] = *original;
    return scaling;
  }

  std::string kind = meta.string(key("rope.scaling.type")).value_or("none");
  auto factor = meta.number(key("rope.scaling.factor"));
  if (!meta.has(key("rope.scaling.type"))) {
    // Files from before there was a type.
    factor = meta.number(key("rope.scale_linear"));
    kind = factor ? "linear" : "none";
  }
  if (kind == "none" || (kind == "linear" && factor.value_or(1) == 1))
    return nullptr;
  json scaling = {{"rope_type", kind}};
  if (factor)
    scaling["factor"] = *factor;
  if (original)
    scaling["original_max_position_embeddings"] = *original;
  if (kind == "yarn" && factor)
    if (auto attentionFactor = yarnAttentionFactor(*factor))
      scaling["attention_factor"] = *attentionFactor;
  for (auto [gguf, field] : {std::pair("yarn_beta_fast", "beta_fast"),
                             std::pair("yarn_beta_slow", "beta_slow")})
    if (auto value = meta.number(key("rope.scaling.") + std::string(gguf)))
      scaling[field] = *value;
  return scaling;
}

/// transformers' name of what most of the matrices are stored as; block types
/// stand for bfloat16 (design.md, section 4).
const char *storedType(const Checkpoint &checkpoint) {
  std::map<TensorType, int64_t> elements;
  for (const TensorInfo &info : checkpoint.tensors())
    if (info.shape.size() == 2)
      elements[info.type] += info.elements();
  auto most = std::ranges::max_element(
      elements, {}, [](const auto &entry) { return entry.second; });
  if (most == elements.end() || most->first == TensorType::F32)
    return "float32";
  return most->first == TensorType::F16   ? "float16"
         : most->first == TensorType::F64 ? "float64"
                                          : "bfloat16";
}

void ConfigBuilder::addSizes() {
  if (int64_t experts = meta.integer(key("expert_count")).value_or(0))
    throw Error("the model has " + std::to_string(experts) +
                    " experts a layer, which is not supported yet",
                meta.file);
  int64_t hidden = meta.required(key("embedding_length"));
  heads = meta.required(key("attention.head_count"));
  layers = meta.required(key("block_count"));
  if (heads < 1)
    throw Error("metadata '" + key("attention.head_count") + "' is " +
                    std::to_string(heads),
                meta.file);
  kvHeads = meta.integer(key("attention.head_count_kv")).value_or(heads);
  headDim = meta.integer(key("attention.key_length")).value_or(hidden / heads);
  if (int64_t value =
          meta.integer(key("attention.value_length")).value_or(headDim);
      value != headDim)
    throw Error("metadata '" + key("attention.value_length") + "' is " +
                    std::to_string(value) + " but a head has " +
                    std::to_string(headDim) +
                    " dimensions, which is not supported yet",
                meta.file);
  config["hidden_size"] = hidden;
  config["num_hidden_layers"] = layers;
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = kvHeads;
  config["head_dim"] = headDim;
  config["intermediate_size"] = meta.required(key("feed_forward_length"));
  config["max_position_embeddings"] = meta.required(key("context_length"));
  for (const TensorInfo &info : checkpoint.tensors())
    if (info.shape.size() == 2 &&
        (info.name.ends_with("embed_tokens.weight") ||
         info.name.ends_with("wte.weight") ||
         info.name.ends_with("word_embeddings.weight") ||
         info.name.ends_with("embed_in.weight")))
      config["vocab_size"] = info.shape[0];
  if (!config.contains("vocab_size"))
    throw Error("tensor 'token_embd.weight' is missing or no matrix",
                meta.file);
  config["tie_word_embeddings"] =
      !hasTensor("lm_head.weight") && !hasTensor("embed_out.weight");
  if (meta.has(key("attention.layer_norm_rms_epsilon")))
    copyNumber("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  else
    config["gguf_layer_norm_eps"] =
        meta.requiredNumber(key("attention.layer_norm_epsilon"));
}

void ConfigBuilder::addRope() {
  static const char *const without[] = {"bloom", "mpt", "gpt2", "gpt_bigcode"};
  if (std::ranges::find(without, type) != std::end(without))
    return;
  config["rope_theta"] = meta.number(key("rope.freq_base")).value_or(10000.0);
  if (json scaling = ropeScaling(); !scaling.is_null()) {
    config["rope_scaling"] = scaling;
    const char *original = "original_max_position_embeddings";
    if (scaling["rope_type"] == "longrope" && scaling.contains(original))
      config[original] = scaling[original]; // where Phi-3's class has it
  }
  int64_t rotary = meta.integer(key("rope.dimension_count")).value_or(headDim);
  if (rotary != headDim)
    config["partial_rotary_factor"] = double(rotary) / double(headDim);
  else if (type != "llama")
    config["partial_rotary_factor"] = 1.0;
}

/// Which layers slide, where a pattern or llama.cpp's own rule says so.
void ConfigBuilder::addWindows() {
  int64_t window = meta.integer(key("attention.sliding_window")).value_or(0);
  int64_t period = type == "gemma2"        ? 2
                   : type == "gemma3_text" ? 6
                   : type == "cohere2"     ? 4
                   : type == "olmo2"       ? 4
                                           : 0;
  if (type == "gemma2" && window == 0)
    window = 4096;
  if (window == 0) {
    if (period && type != "olmo2") {
      config["sliding_window"] = nullptr;
      config["layer_types"] = json(std::vector<std::string>(
          size_t(std::clamp<int64_t>(layers, 0, 4096)), "full_attention"));
    }
    return;
  }
  // llama.cpp reads no windows for phi3, and its conversion writes wrong ones.
  if (type == "phi3")
    return;
  if (period) {
    std::string pattern = key("attention.sliding_window_pattern");
    std::vector<int64_t> slides;
    if (meta.has(pattern)) {
      try {
        slides = meta.integers(pattern);
      } catch (const Error &) {
        period = meta.required(pattern); // one number for all
      }
    }
    json types = json::array();
    for (int64_t i = 0; i < std::min<int64_t>(layers, 4096); ++i) {
      bool isSliding =
          slides.empty() ? (i + 1) % period != 0
                         : i < int64_t(slides.size()) && slides[size_t(i)] != 0;
      types.push_back(isSliding ? "sliding_attention" : "full_attention");
    }
    config["layer_types"] = types;
    if (type == "olmo2")
      config["model_type"] = "olmo3";
  } else if (type == "qwen2" || type == "qwen3") {
    return; // these conversions write no window that is used
  }
  if (type == "llama")
    config["model_type"] = "mistral";
  config["sliding_window"] = window;
}

void ConfigBuilder::addBiases() {
  bool qkv = hasBias("self_attn.q_proj");
  if (type == "starcoder2") {
    config["use_bias"] = qkv;
  } else if (type == "stablelm") {
    config["use_qkv_bias"] = qkv;
  } else if (type == "llama" || type == "granite" || type == "smollm3" ||
             type == "nemotron" || type == "qwen3" || type == "olmo" ||
             type == "olmo2" || type == "cohere" || type == "cohere2" ||
             type == "glm" || type == "glm4") {
    config["attention_bias"] = qkv;
    if (type == "llama" || type == "granite" || type == "smollm3" ||
        type == "nemotron")
      config["mlp_bias"] = hasBias("mlp.up_proj");
  }
}

/// What only some architectures have.
void ConfigBuilder::addOwn() {
  copyNumber("attn_logit_softcapping", "attn_logit_softcapping");
  copyNumber("final_logit_softcapping", "final_logit_softcapping");
  if (type == "gemma" || type == "gemma2" || type == "gemma3_text" ||
      type == "nemotron")
    config["gguf_norm_offset"] = 0; // 1 is added already
  if (type == "gemma2" || type == "gemma3_text") {
    for (const char *cap :
         {"attn_logit_softcapping", "final_logit_softcapping"})
      if (!config.contains(cap))
        config[cap] = nullptr;
    // The conversion leaves out query_pre_attn_scalar: the head's size, but for
    // the 27b models.
    bool isLargest = layers == (type == "gemma2" ? 46 : 62);
    config["query_pre_attn_scalar"] =
        isLargest ? config["hidden_size"].get<int64_t>() / heads : headDim;
  }
  if (type == "gemma3_text") {
    config["rope_local_base_freq"] =
        meta.number(key("rope.freq_base_swa")).value_or(10000.0);
    config.erase("partial_rotary_factor");
  }
  if (type == "granite") {
    copyNumber("attention.scale", "attention_multiplier");
    if (!config.contains("attention_multiplier"))
      config["attention_multiplier"] = 1 / std::sqrt(double(headDim));
    copyNumber("embedding_scale", "embedding_multiplier");
    copyNumber("residual_scale", "residual_multiplier");
    copyNumber("logit_scale", "logits_scaling");
  }
  if (type == "cohere" || type == "cohere2")
    copyNumber("logit_scale", "logit_scale");
  if (type == "cohere")
    config["use_qk_norm"] = hasTensor("model.layers.0.self_attn.q_norm.weight");
  if (type == "olmo")
    copyNumber("attention.clamp_kqv", "clip_qkv");
  if (type == "stablelm") {
    config["use_parallel_residual"] =
        !hasTensor("model.layers.0.post_attention_layernorm.weight");
    config["qk_layernorm"] =
        hasTensor("model.layers.0.self_attn.q_layernorm.weight");
    config["gguf_stacked_norms"] = true;
  }
  if (type == "phi")
    config["qk_layernorm"] =
        hasTensor("model.layers.0.self_attn.q_layernorm.weight");
  if (type == "gpt_neox")
    config["use_parallel_residual"] =
        meta.boolean(key("use_parallel_residual")).value_or(true);
  if (type == "gpt_neox" || type == "bloom" || type == "falcon")
    config["gguf_qkv_blocks"] = true; // all of q, then k, then v
  if (type == "gpt_neox")
    config["attention_bias"] =
        hasTensor("gpt_neox.layers.0.attention.dense.bias");
  if (type == "gpt2")
    config["gguf_transposed"] = false; // as linear layers are stored
  if (type == "gpt_bigcode") {
    config["multi_query"] = kvHeads == 1;
    if (kvHeads == 1)
      config.erase("num_key_value_heads");
  }
  if (type == "mpt") {
    config["attn_config"] = {
        {"alibi", true},
        {"alibi_bias_max",
         meta.number(key("attention.max_alibi_bias")).value_or(8)}};
    if (auto clip = meta.number(key("attention.clamp_kqv")))
      config["attn_config"]["clip_qkv"] = *clip;
  }
  if (type == "falcon") {
    bool twoNorms = hasTensor("transformer.h.0.ln_attn.weight");
    config["new_decoder_architecture"] = true;
    config["num_kv_heads"] = kvHeads;
    config["num_ln_in_parallel_attn"] = twoNorms ? 2 : 1;
    config["gguf_mlp_norm"] = twoNorms;
    config.erase("num_key_value_heads");
  }
}

json ConfigBuilder::build() {
  config["model_type"] = type;
  config["torch_dtype"] = storedType(checkpoint);
  config["rope_dtype"] = "float32";
  addSizes();
  addRope();
  addWindows();
  addBiases();
  addOwn();
  for (const char *name : {"bos_token_id", "eos_token_id"})
    if (auto id = meta.integer(std::string("tokenizer.ggml.") + name))
      config[name] = *id;
  return std::move(config);
}

} // namespace

json makeGgufConfig(const GgufArchitecture &architecture,
                    const GgufMetadata &metadata,
                    const Checkpoint &checkpoint) {
  return ConfigBuilder(architecture, metadata, checkpoint).build();
}

} // namespace qcc
