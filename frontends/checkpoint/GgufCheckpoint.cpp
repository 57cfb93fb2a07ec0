//===- GgufCheckpoint.cpp - GGUF files as Hugging Face models -------------===//

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufSplit.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using nlohmann::json;
using qrt::Error;

namespace qcc {

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// What stands between "blk.N." and the suffix, and its module in transformers.
static const std::map<std::string_view, std::string_view> &layerModules() {
  static const std::map<std::string_view, std::string_view> modules = {
      {"attn_norm", "input_layernorm"},
      {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"},
      {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},
      {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"},
  };
  return modules;
}

namespace {
/// "blk.<layer>.<module>.<suffix>"; all empty if the name is no such.
struct LayerName {
  std::string_view layer, module, suffix;

  explicit LayerName(std::string_view name) {
    if (!name.starts_with("blk."))
      return;
    size_t first = name.find('.', 4), last = name.rfind('.');
    if (first == std::string_view::npos || last <= first)
      return;
    layer = name.substr(4, first - 4);
    module = name.substr(first + 1, last - first - 1);
    suffix = name.substr(last + 1);
  }
};
} // namespace

std::string huggingFaceName(const std::string &ggufName) {
  if (ggufName == "token_embd.weight")
    return "model.embed_tokens.weight";
  if (ggufName == "output_norm.weight")
    return "model.norm.weight";
  if (ggufName == "output.weight")
    return "lm_head.weight";
  LayerName name(ggufName);
  auto it = layerModules().find(name.module);
  if (it == layerModules().end())
    return ggufName;
  return "model.layers." + std::string(name.layer) + '.' +
         std::string(it->second) + '.' + std::string(name.suffix);
}

bool isRotaryPermuted(const std::string &ggufName) {
  LayerName name(ggufName);
  return name.module == "attn_q" || name.module == "attn_k";
}

//===----------------------------------------------------------------------===//
// Configuration
//===----------------------------------------------------------------------===//

/// The scaling of the rotary embedding, as transformers' rope_scaling says it;
/// null if there is none.
static json ropeScaling(const GgufMetadata &meta,
                        const Checkpoint &checkpoint) {
  // Llama 3's factors say all: the conversion writes them instead of a scaling.
  if (const TensorInfo *factors = checkpoint.find("rope_freqs.weight")) {
    int64_t count = factors->elements();
    if (count < 1 || count > 4096)
      throw Error("tensor 'rope_freqs.weight' has " + std::to_string(count) +
                      " elements",
                  meta.file);
    std::vector<float> values(size_t(count), 0.0f);
    checkpoint.readF32(*factors, 0, count, values.data());
    for (float value : values)
      if (!std::isfinite(value) || value <= 0)
        throw Error("tensor 'rope_freqs.weight' holds " +
                        std::to_string(value) + ", no factor",
                    meta.file);
    return {{"rope_type", "factors"}, {"factors", values}};
  }

  std::string type = meta.string("llama.rope.scaling.type").value_or("none");
  auto factor = meta.number("llama.rope.scaling.factor");
  if (!meta.has("llama.rope.scaling.type")) {
    // Files from before there was a type.
    factor = meta.number("llama.rope.scale_linear");
    type = factor ? "linear" : "none";
  }
  if (type == "none" || (type == "linear" && factor.value_or(1) == 1))
    return nullptr;
  json scaling = {{"rope_type", type}};
  if (factor)
    scaling["factor"] = *factor;
  if (auto value = meta.integer("llama.rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] = *value;
  if (auto value = meta.number("llama.rope.scaling.attn_factor"))
    scaling["attention_factor"] = *value;
  return scaling;
}

/// transformers' name of what most of the matrices are stored as; block types
/// stand for bfloat16 (design.md, section 4).
static const char *storedType(const Checkpoint &checkpoint) {
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

json makeLlamaConfig(const GgufMetadata &meta, const Checkpoint &checkpoint) {
  auto key = [](const char *name) { return std::string("llama.") + name; };
  if (int64_t experts = meta.integer(key("expert_count")).value_or(0))
    throw Error("the model has " + std::to_string(experts) +
                    " experts a layer, which is not supported yet",
                meta.file);
  int64_t hidden = meta.required(key("embedding_length"));
  int64_t heads = meta.required(key("attention.head_count"));
  if (heads < 1)
    throw Error("metadata 'llama.attention.head_count' is " +
                    std::to_string(heads),
                meta.file);
  int64_t headDim =
      meta.integer(key("attention.key_length")).value_or(hidden / heads);
  for (const char *other : {"attention.value_length", "rope.dimension_count"})
    if (int64_t value = meta.integer(key(other)).value_or(headDim);
        value != headDim)
      throw Error("metadata 'llama." + std::string(other) + "' is " +
                      std::to_string(value) + " but a head has " +
                      std::to_string(headDim) +
                      " dimensions, which is not supported yet",
                  meta.file);

  json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_act", "silu"},
      {"hidden_size", hidden},
      {"num_hidden_layers", meta.required(key("block_count"))},
      {"num_attention_heads", heads},
      {"num_key_value_heads",
       meta.integer(key("attention.head_count_kv")).value_or(heads)},
      {"head_dim", headDim},
      {"intermediate_size", meta.required(key("feed_forward_length"))},
      {"max_position_embeddings", meta.required(key("context_length"))},
      {"rms_norm_eps",
       meta.requiredNumber(key("attention.layer_norm_rms_epsilon"))},
      {"rope_theta", meta.number(key("rope.freq_base")).value_or(10000.0)},
      {"torch_dtype", storedType(checkpoint)},
      {"rope_dtype", "float32"},
  };
  if (json scaling = ropeScaling(meta, checkpoint); !scaling.is_null())
    config["rope_scaling"] = scaling;

  const TensorInfo *embedding = checkpoint.find("model.embed_tokens.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw Error("tensor 'token_embd.weight' is missing or no matrix",
                meta.file);
  config["vocab_size"] = embedding->shape[0];
  config["tie_word_embeddings"] = checkpoint.find("lm_head.weight") == nullptr;
  const std::string layer = "model.layers.0.";
  config["attention_bias"] =
      checkpoint.find(layer + "self_attn.q_proj.bias") != nullptr;
  config["mlp_bias"] = checkpoint.find(layer + "mlp.up_proj.bias") != nullptr;
  for (const char *name : {"bos_token_id", "eos_token_id"})
    if (auto id = meta.integer(std::string("tokenizer.ggml.") + name))
      config[name] = *id;
  return config;
}

/// What ends a text: besides eos the end of a turn and of a message.
static json makeGenerationConfig(const GgufMetadata &meta) {
  json ids = json::array();
  for (const char *name : {"eos_token_id", "eot_token_id", "eom_token_id"})
    if (auto id = meta.integer(std::string("tokenizer.ggml.") + name);
        id && std::ranges::find(ids, json(*id)) == ids.end())
      ids.push_back(*id);
  return ids.empty() ? json() : json{{"eos_token_id", ids}};
}

//===----------------------------------------------------------------------===//
// GgufCheckpoint
//===----------------------------------------------------------------------===//

GgufCheckpoint::GgufCheckpoint(const std::string &path) : Checkpoint(path) {
  std::vector<TensorInfo> tensors = openParts(path);
  auto architecture = meta.string("general.architecture");
  if (!architecture)
    throw Error("metadata 'general.architecture' is missing", path);
  if (*architecture != "llama")
    throw Error("gguf architecture " + quoteText(*architecture) +
                    " is not supported yet",
                path);
  for (TensorInfo &info : tensors) {
    info.rotaryPermuted = isRotaryPermuted(info.name);
    info.name = huggingFaceName(info.name);
    add(std::move(info));
  }
  configuration = makeLlamaConfig(meta, *this);
  generation = makeGenerationConfig(meta);
}

std::vector<TensorInfo> GgufCheckpoint::openParts(const std::string &path) {
  std::vector<TensorInfo> tensors;
  const std::vector<std::string> parts = ggufParts(path);
  for (size_t i = 0; i < parts.size(); ++i) {
    std::error_code error;
    if (!std::filesystem::exists(parts[i], error) && parts.size() > 1)
      throw Error("part " + quoteText(parts[i]) + " of " +
                      std::to_string(parts.size()) + " is missing",
                  path, "the download may be incomplete");
    files.emplace_back(parts[i]);
    GgufContents contents = parseGguf(files[i].bytes(), parts[i]);
    const GgufMetadata &metadata = contents.metadata;
    const int64_t count = metadata.integer("split.count").value_or(1);
    const int64_t number = metadata.integer("split.no").value_or(0);
    // One part of several has a name that says so; 0 parts are as good as 1.
    if (std::max<int64_t>(count, 1) != int64_t(parts.size()) ||
        number != int64_t(i))
      throw Error("the file is part " + std::to_string(number + 1) + " of " +
                      std::to_string(count) + ", which its name does not say",
                  parts[i], "name parts as in model-00001-of-00002.gguf");
    for (TensorInfo &info : contents.tensors) {
      info.file = i;
      tensors.push_back(std::move(info));
    }
    if (i == 0)
      meta = std::move(contents.metadata);
  }
  if (int64_t count =
          meta.integer("split.tensors.count").value_or(int64_t(tensors.size()));
      count != int64_t(tensors.size()))
    throw Error("the model has " + std::to_string(tensors.size()) +
                    " tensors, not " + std::to_string(count),
                path);
  return tensors;
}

bool GgufCheckpoint::isQuantized() const {
  return std::ranges::any_of(
      infos, [](const TensorInfo &info) { return isBlockType(info.type); });
}

std::unique_ptr<Checkpoint> openGguf(const std::string &path) {
  return std::make_unique<GgufCheckpoint>(path);
}

} // namespace qcc
