//===- TokenizerJson.cpp - Reads tokenizer.json ---------------------------===//
//
// The format is what Hugging Face's tokenizers (0.22) serialize: added tokens,
// and a normalizer, pre-tokenizer, model, post-processor and decoder, each an
// object with a "type". Truncation and padding belong to batches, and are left
// to those who make batches.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/TokenizerImport.h"
#include "frontends/tokenizer/VocabBuilder.h"
#include "runtime/support/Error.h"

#include <functional>

namespace qcc {

using namespace qrt;

namespace {

/// Sequences may hold sequences; this deep.
constexpr int maxDepth = 16;

/// Calls \p visit with each component, in order, of a tree of Sequences.
void forEachComponent(const JsonView &json, const char *listName,
                      const std::function<void(const JsonView &)> &visit,
                      int depth = 0) {
  if (json.isNull())
    return;
  if (json.at("type").string() != "Sequence")
    return visit(json);
  if (depth == maxDepth)
    json.fail("is nested more than " + std::to_string(maxDepth) + " deep");
  JsonView list = json.at(listName);
  for (size_t i = 0; i < list.size(); ++i)
    forEachComponent(list[i], listName, visit, depth + 1);
}

[[noreturn]] void refuse(const JsonView &json, const char *what) {
  json.fail("is the " + std::string(what) + " '" +
            json.at("type").string().substr(0, 64) +
            "', which is not supported");
}

TextPattern readPattern(const JsonView &json) {
  JsonView regex = json.find("Regex");
  if (!regex.isNull())
    return {regex.string(), true};
  return {json.at("String").string(), false};
}

void readNormalizer(const JsonView &json, TokenizerModel &model) {
  static const std::pair<const char *, NormalizerKind> plainKinds[] = {
      {"NFC", NormalizerKind::Nfc},
      {"NFD", NormalizerKind::Nfd},
      {"NFKC", NormalizerKind::Nfkc},
      {"NFKD", NormalizerKind::Nfkd},
      {"Lowercase", NormalizerKind::Lowercase},
      {"StripAccents", NormalizerKind::StripAccents}};
  const std::string &type = json.at("type").string();
  NormalizerStep step;
  for (const auto &[name, kind] : plainKinds) {
    if (type == name) {
      step.kind = kind;
      model.normalizers.push_back(step);
      return;
    }
  }
  if (type == "Strip") {
    step.kind = NormalizerKind::Strip;
    step.left = json.boolean("strip_left", true);
    step.right = json.boolean("strip_right", true);
  } else if (type == "Prepend") {
    step.kind = NormalizerKind::Prepend;
    step.content = json.at("prepend").string();
  } else if (type == "Replace") {
    step.kind = NormalizerKind::Replace;
    step.pattern = readPattern(json.at("pattern"));
    step.content = json.at("content").string();
  } else {
    refuse(json, "normalizer");
  }
  model.normalizers.push_back(std::move(step));
}

SplitBehavior readBehavior(const JsonView &json) {
  static const std::pair<const char *, SplitBehavior> behaviors[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous}};
  if (json.isNull())
    return SplitBehavior::Isolated;
  for (const auto &[name, behavior] : behaviors)
    if (json.string() == name)
      return behavior;
  json.fail("is '" + json.string().substr(0, 64) +
            "', which is not understood");
}

PrependScheme readScheme(const JsonView &metaspace) {
  JsonView json = metaspace.find("prepend_scheme");
  if (json.isNull()) // Older files have a flag.
    return metaspace.boolean("add_prefix_space", true) ? PrependScheme::Always
                                                       : PrependScheme::Never;
  if (json.string() == "always")
    return PrependScheme::Always;
  if (json.string() == "first")
    return PrependScheme::First;
  if (json.string() == "never")
    return PrependScheme::Never;
  json.fail("is '" + json.string().substr(0, 64) +
            "', which is not understood");
}

void readPreTokenizer(const JsonView &json, TokenizerModel &model) {
  const std::string &type = json.at("type").string();
  PreTokenizerStep step;
  if (type == "ByteLevel") {
    step.kind = PreTokenizerKind::ByteLevel;
    step.addPrefixSpace = json.boolean("add_prefix_space", true);
    step.useRegex = json.boolean("use_regex", true);
  } else if (type == "Split") {
    step.kind = PreTokenizerKind::Split;
    step.pattern = readPattern(json.at("pattern"));
    step.behavior = readBehavior(json.at("behavior"));
    step.invert = json.boolean("invert", false);
  } else if (type == "Digits") {
    step.kind = PreTokenizerKind::Digits;
    step.individual = json.boolean("individual_digits", false);
  } else if (type == "Punctuation") {
    step.kind = PreTokenizerKind::Punctuation;
    step.behavior = readBehavior(json.find("behavior"));
  } else if (type == "Metaspace") {
    step.kind = PreTokenizerKind::Metaspace;
    step.content = json.at("replacement").string();
    step.scheme = readScheme(json);
    step.split = json.boolean("split", true);
  } else if (type == "Whitespace") {
    step.kind = PreTokenizerKind::Split;
    // \w+|[^\w\s]+, where \w is that of Rust's regular expressions.
    const std::string word =
        "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}";
    step.pattern = {"[" + word + "]+|[^\\s" + word + "]+", true};
    step.behavior = SplitBehavior::Removed;
    step.invert = true;
  } else if (type == "WhitespaceSplit") {
    step.kind = PreTokenizerKind::WhitespaceSplit;
  } else {
    refuse(json, "pre-tokenizer");
  }
  model.preTokenizers.push_back(std::move(step));
}

void readDecoder(const JsonView &json, TokenizerModel &model) {
  constexpr int64_t maxCount = UINT32_MAX;
  const std::string &type = json.at("type").string();
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = DecoderKind::ByteLevel;
  } else if (type == "Replace") {
    step.kind = DecoderKind::Replace;
    step.pattern = readPattern(json.at("pattern"));
    step.content = json.at("content").string();
  } else if (type == "ByteFallback") {
    step.kind = DecoderKind::ByteFallback;
  } else if (type == "Fuse") {
    step.kind = DecoderKind::Fuse;
  } else if (type == "Strip") {
    step.kind = DecoderKind::Strip;
    step.content = json.at("content").string();
    step.start = static_cast<uint32_t>(json.at("start").integer(0, maxCount));
    step.stop = static_cast<uint32_t>(json.at("stop").integer(0, maxCount));
  } else if (type == "Metaspace") {
    step.kind = DecoderKind::Metaspace;
    step.content = json.at("replacement").string();
    step.scheme = readScheme(json);
  } else {
    refuse(json, "decoder");
  }
  model.decoders.push_back(std::move(step));
}

/// Adds to what is put around a text what one post-processor puts there.
void readPostProcessor(const JsonView &json, TokenizerModel &model) {
  const std::string &type = json.at("type").string();
  std::vector<int32_t> before, after;
  auto readId = [](const JsonView &id) {
    return static_cast<int32_t>(id.integer(0, INT32_MAX));
  };
  if (type == "ByteLevel")
    return; // Moves offsets only.
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    before.push_back(readId(json.at("cls")[1]));
    after.push_back(readId(json.at("sep")[1]));
  } else if (type == "TemplateProcessing") {
    JsonView single = json.at("single");
    JsonView tokens = json.at("special_tokens");
    size_t texts = 0;
    for (size_t i = 0; i < single.size(); ++i) {
      if (!single[i].find("Sequence").isNull()) {
        ++texts;
        continue;
      }
      const std::string &name = single[i].at("SpecialToken").at("id").string();
      JsonView ids = tokens.at(name.c_str()).at("ids");
      for (size_t k = 0; k < ids.size(); ++k)
        (texts ? after : before).push_back(readId(ids[k]));
    }
    if (texts != 1)
      single.fail("names the text " + std::to_string(texts) +
                  " times, not once");
  } else {
    refuse(json, "post-processor");
  }
  model.prefixIds.insert(model.prefixIds.begin(), before.begin(), before.end());
  model.suffixIds.insert(model.suffixIds.end(), after.begin(), after.end());
}

/// Refuses options of the model that change what it does.
void checkModelOptions(const JsonView &json) {
  JsonView type = json.find("type");
  if (!type.isNull() && type.string() != "BPE")
    refuse(json, "model");
  json.allowOnly({"type", "dropout", "unk_token", "continuing_subword_prefix",
                  "end_of_word_suffix", "fuse_unk", "byte_fallback",
                  "ignore_merges", "vocab", "merges"});
  JsonView dropout = json.find("dropout");
  if (!dropout.isNull() &&
      !(dropout.json().is_number() && dropout.json().get<double>() == 0))
    dropout.fail("is not 0, which is not supported");
  for (const char *affix :
       {"continuing_subword_prefix", "end_of_word_suffix"}) {
    JsonView text = json.find(affix);
    if (!text.isNull() && !text.string().empty())
      text.fail("is not empty, which is not supported");
  }
}

void readAddedTokens(const JsonView &json, TokenizerModel &model,
                     TokenIds &ids) {
  if (json.isNull())
    return;
  for (size_t i = 0; i < json.size(); ++i) {
    AddedToken token = readAddedToken(json[i]);
    token.id = static_cast<int32_t>(json[i].at("id").integer(0, INT32_MAX));
    addToken(model, ids, std::move(token), json[i]);
  }
}

} // namespace

TokenizerModel importTokenizerJson(std::string_view text,
                                   std::string_view config,
                                   const std::string &where) {
  const std::string configFile = "tokenizer_config.json";
  nlohmann::json document = parseJson(text, where);
  nlohmann::json configDocument =
      config.empty() ? nlohmann::json() : parseJson(config, configFile);
  JsonView root(document, "", where);
  JsonView configRoot(configDocument, "", configFile);
  root.allowOnly({"version", "truncation", "padding", "added_tokens",
                  "normalizer", "pre_tokenizer", "post_processor", "decoder",
                  "model"});

  TokenizerModel model;
  forEachComponent(root.find("normalizer"), "normalizers",
                   [&](const JsonView &json) { readNormalizer(json, model); });
  forEachComponent(
      root.find("pre_tokenizer"), "pretokenizers",
      [&](const JsonView &json) { readPreTokenizer(json, model); });
  forEachComponent(root.find("decoder"), "decoders",
                   [&](const JsonView &json) { readDecoder(json, model); });
  model.unit = SymbolUnit::Characters;
  for (const PreTokenizerStep &step : model.preTokenizers)
    if (step.kind == PreTokenizerKind::ByteLevel)
      model.unit = SymbolUnit::Bytes;

  JsonView bpe = root.at("model");
  checkModelOptions(bpe);
  TokenIds ids = readVocab(bpe.at("vocab"), model);
  readMerges(bpe.at("merges"), ids, model);
  model.fuseUnknown = bpe.boolean("fuse_unk", false);
  model.ignoreMerges = bpe.boolean("ignore_merges", false);
  model.byteFallback = bpe.boolean("byte_fallback", false);
  if (model.byteFallback && model.unit == SymbolUnit::Bytes) {
    if (!hasEveryByte(model))
      bpe.find("byte_fallback")
          .fail("is true beside a ByteLevel whose "
                "vocabulary lacks bytes, which is not "
                "supported");
    model.byteFallback = false;
  }
  readAddedTokens(root.find("added_tokens"), model, ids);

  std::string unknown = bpe.string("unk_token", "");
  if (!unknown.empty()) {
    model.unknownId = ids.find(unknown);
    if (model.unknownId < 0)
      bpe.find("unk_token").fail("is not in the vocabulary");
  }
  forEachComponent(
      root.find("post_processor"), "processors",
      [&](const JsonView &json) { readPostProcessor(json, model); });

  static const nlohmann::json none;
  SpecialTokens special =
      readSpecialTokens(configRoot, JsonView(none, "", configFile));
  applyNamedTokens(model, ids, special, configRoot);
  // As in transformers, what the configuration says outright counts.
  if (special.addBos || special.addEos)
    setTemplate(model, special.addBos.value_or(false),
                special.addEos.value_or(false));
  validate(model);
  return model;
}

} // namespace qcc
