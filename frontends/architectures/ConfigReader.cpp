//===- ConfigReader.cpp - Typed reading of a config.json ------------------===//

#include "frontends/architectures/ConfigReader.h"

#include "runtime/support/Error.h"

#include <cmath>

using nlohmann::json;
using qrt::Error;

namespace qcc {

ConfigReader::ConfigReader(const json &config, std::string where)
    : config(&config), place(std::move(where)) {
  if (!config.is_object())
    throw Error("the configuration is no JSON object", place);
}

const json *ConfigReader::find(Names names) const {
  seen->names.insert(names.begin(), names.end());
  for (const char *name : names) {
    auto it = config->find(name);
    if (it != config->end() && !it->is_null())
      return &*it;
  }
  return nullptr;
}

int64_t ConfigReader::integer(Names names, int64_t minimum) const {
  const json *field = find(names);
  if (!field)
    throw Error("field '" + std::string(*names.begin()) + "' is missing",
                place);
  // 2^31 bounds every size of a model, so that products of two fit in i64.
  constexpr int64_t limit = int64_t(1) << 31;
  int64_t value = minimum - 1;
  if (field->is_number_integer())
    value =
        field->is_number_unsigned() && field->get<uint64_t>() > uint64_t(limit)
            ? limit
            : field->get<int64_t>();
  if (value < minimum || value >= limit)
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not an integer of at least " +
                    std::to_string(minimum),
                place);
  return value;
}

int64_t ConfigReader::integer(Names names, int64_t minimum,
                              int64_t fallback) const {
  return has(names) ? integer(names, minimum) : fallback;
}

double ConfigReader::number(Names names) const {
  const json *field = find(names);
  if (!field)
    throw Error("field '" + std::string(*names.begin()) + "' is missing",
                place);
  if (!field->is_number() || !std::isfinite(field->get<double>()))
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not a number",
                place);
  return field->get<double>();
}

double ConfigReader::number(Names names, double fallback) const {
  return has(names) ? number(names) : fallback;
}

bool ConfigReader::boolean(Names names, bool fallback) const {
  const json *field = find(names);
  if (!field)
    return fallback;
  if (!field->is_boolean())
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not true or false",
                place);
  return field->get<bool>();
}

std::string ConfigReader::string(Names names,
                                 const std::string &fallback) const {
  const json *field = find(names);
  if (!field)
    return fallback;
  if (!field->is_string())
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not a string",
                place);
  return field->get<std::string>();
}

std::optional<ConfigReader> ConfigReader::object(Names names) const {
  const json *field = find(names);
  if (!field)
    return std::nullopt;
  // Whoever asks again shares what was asked for.
  for (const ConfigReader &object : seen->objects)
    if (object.config == field)
      return object;
  for (const char *name : names)
    if (config->contains(name) && &(*config)[name] == field) {
      seen->objects.emplace_back(*field, place + "." + name);
      return seen->objects.back();
    }
  return std::nullopt;
}

/// True for a field that changes no logits: how a model was trained, is
/// sampled from, or is told apart.
static bool isHarmless(const std::string &name) {
  static const std::set<std::string> names = {
      "architectures", "attention_softmax_in_fp32", "attn_impl",
      "attn_implementation", "auto_map", "bias_dropout_fusion",
      "cache_implementation", "chunk_size_feed_forward", "custom_pipelines",
      "do_sample", "dtype", "early_stopping", "finetuning_task", "flash_attn",
      "flash_rotary", "forced_bos_token_id", "fused_dense", "fused_mlp",
      "gradient_checkpointing", "id2label", "init_config", "init_device",
      "init_std", "initializer_range", "is_decoder", "is_llama_config",
      "keys_to_ignore_at_inference", "label2id", "language", "layerdrop",
      "masked_softmax_fusion", "max_length", "model_max_length", "model_type",
      "n_ctx", "n_embed", "name_or_path", "num_beams", "num_labels",
      "num_return_sequences", "offset_alibi", "prefix", "pretraining_tp",
      "problem_type", "pruned_heads", "reorder_and_upcast_attn",
      "repetition_penalty", "return_dict", "rope_dtype",
      "scale_attention_softmax_in_fp32", "seq_length", "skip_bias_add",
      "skip_bias_add_qkv", "slow_but_exact", "task_specific_params",
      "temperature", "tokenizer_class", "top_k", "top_p", "torch_dtype",
      "torchscript", "training_config", "transformers.js_config",
      "transformers_version", "unsloth_fixed", "unsloth_version",
      "use_bfloat16", "use_cache", "use_flash_attn", "use_return_dict",
      "attn_uses_sequence_id", "verbose", "fc_config", "ffn_config_defaults",
      "num_logits_to_keep", "length_penalty", "num_beam_groups", "typical_p",
      // Of publishers' own code: transformers reads other fields, or none.
      "ff_factor", "full_attn_mod", "inference_runner", "interpolate_factor",
      "layer_switch", "max_batch_size", "max_sequence_length", "model_parallel",
      "order_of_interleaved_layers", "pad_key_length",
      "position_embedding_type", "pre_allocate_kv_cache", "rope_percent",
      "rotary", "sliding_window_size", "use_embedding_sharing",
      "use_gated_activation", "use_parallel_block", "use_parallel_embedding",
      "validate_runner_input"};
  auto has = [&](const char *part) {
    return name.find(part) != std::string::npos;
  };
  return names.contains(name) || name.starts_with("_") || has("dropout") ||
         has("pdrop") || has("drop_path") || has("token_id") ||
         has("token_index") || name.starts_with("summary_") ||
         name.starts_with("output_");
}

/// True for a value that says that something is not there.
static bool isOff(const json &value) {
  return value.is_null() || value == false || value == "" ||
         (value.is_number() && value == 0) ||
         (value.is_structured() && value.empty());
}

void ConfigReader::refuseUnknown() const {
  for (const auto &[name, value] : config->items())
    if (!seen->names.contains(name) && !isHarmless(name) && !isOff(value)) {
      std::string text = value.dump();
      if (text.size() > 40)
        text = text.substr(0, 40) + "...";
      throw Error("field '" + name + "' (" + text +
                      ") is not known for this architecture and may change "
                      "the result",
                  place, "remove it if it does not");
    }
  for (const ConfigReader &object : seen->objects)
    object.refuseUnknown();
}

void ConfigReader::refuse(const std::string &field,
                          const std::string &why) const {
  throw Error("field '" + field + "' " + why, place);
}

} // namespace qcc
