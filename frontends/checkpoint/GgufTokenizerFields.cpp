//===- GgufTokenizerFields.cpp - The tokenizer in GGUF's metadata ---------===//

#include "frontends/checkpoint/GgufTokenizerFields.h"

#include "runtime/support/Error.h"

#include <utility>

namespace qcc {

/// `value` as a T, or an error that names `key`.
template <typename T>
static T narrow(int64_t value, const std::string &key,
                const GgufMetadata &metadata) {
  if (!std::in_range<T>(value))
    throw qrt::Error("metadata '" + key + "' holds " + std::to_string(value) +
                         ", which is out of range",
                     metadata.file);
  return T(value);
}

std::optional<GgufTokenizerFields>
readGgufTokenizerFields(const GgufMetadata &metadata) {
  auto key = [](const char *name) {
    return std::string("tokenizer.ggml.") + name;
  };
  if (!metadata.has(key("model")))
    return std::nullopt;

  GgufTokenizerFields fields;
  fields.model = metadata.string(key("model")).value_or("");
  // llama.cpp's names for a model of ids alone.
  if (fields.model == "none" || fields.model == "no_vocab")
    return std::nullopt;
  fields.pre = metadata.string(key("pre")).value_or("");
  fields.tokens = metadata.strings(key("tokens"));
  fields.merges = metadata.strings(key("merges"));
  for (double score : metadata.numbers(key("scores")))
    fields.scores.push_back(float(score));
  for (int64_t type : metadata.integers(key("token_type")))
    fields.tokenType.push_back(
        narrow<int32_t>(type, key("token_type"), metadata));
  // Bytes, as unsigned or as signed numbers.
  for (int64_t byte : metadata.integers(key("precompiled_charsmap")))
    fields.precompiledCharsmap +=
        byte < 0
            ? char(narrow<int8_t>(byte, key("precompiled_charsmap"), metadata))
            : char(
                  narrow<uint8_t>(byte, key("precompiled_charsmap"), metadata));

  auto id = [&](const char *name) -> std::optional<uint32_t> {
    auto value = metadata.integer(key(name));
    return value ? std::optional(narrow<uint32_t>(*value, key(name), metadata))
                 : std::nullopt;
  };
  fields.bosTokenId = id("bos_token_id");
  fields.eosTokenId = id("eos_token_id");
  fields.unknownTokenId = id("unknown_token_id");
  fields.addBosToken = metadata.boolean(key("add_bos_token"));
  fields.addEosToken = metadata.boolean(key("add_eos_token"));
  fields.addSpacePrefix = metadata.boolean(key("add_space_prefix"));
  fields.removeExtraWhitespaces =
      metadata.boolean(key("remove_extra_whitespaces"));
  return fields;
}

qrt::chat::ChatSource readGgufChat(const GgufMetadata &metadata) {
  const std::string key = "tokenizer.chat_template";
  qrt::chat::ChatSource source;
  if (std::optional<std::string> text = metadata.string(key))
    source.templates.emplace_back("default", *text);
  for (auto it = metadata.values.lower_bound(key + ".");
       it != metadata.values.end() && it->first.starts_with(key + "."); ++it)
    source.templates.emplace_back(it->first.substr(key.size() + 1),
                                  metadata.string(it->first).value());

  std::vector<std::string> tokens = metadata.strings("tokenizer.ggml.tokens");
  // ggml's names ("seperator" is its spelling), and transformers'.
  static constexpr std::pair<const char *, const char *> names[] = {
      {"bos", "bos_token"},       {"eos", "eos_token"},
      {"unknown", "unk_token"},   {"seperator", "sep_token"},
      {"padding", "pad_token"},   {"cls", "cls_token"},
      {"mask", "mask_token"},
  };
  for (auto [name, variable] : names) {
    std::optional<int64_t> id = metadata.integer(
        std::string("tokenizer.ggml.") + name + "_token_id");
    if (id && *id >= 0 && size_t(*id) < tokens.size())
      source.specialTokens.emplace_back(variable, tokens[size_t(*id)]);
  }
  return source;
}

} // namespace qcc
