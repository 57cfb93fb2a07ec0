//===- TokenizerJson.cpp - Reads tokenizer.json ---------------------------===//
//
// The format is what Hugging Face's tokenizers (0.22) serialize: added tokens,
// and a normalizer, pre-tokenizer, model, post-processor and decoder, each an
// object with a "type". Truncation and padding belong to batches, and are left
// to those who make batches.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/Base64.h"
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

std::string decodeBase64(const JsonView &json) {
  std::string bytes;
  if (!fromBase64(json.string(), bytes))
    json.fail("is no Base64");
  return bytes;
}

/// BERT's normalizer is a sequence of steps that can be left out.
void readBertNormalizer(const JsonView &json, TokenizerModel &model) {
  auto add = [&](NormalizerKind kind) {
    NormalizerStep step;
    step.kind = kind;
    model.normalizers.push_back(step);
  };
  const bool lowercase = json.boolean("lowercase", true);
  if (json.boolean("clean_text", true))
    add(NormalizerKind::BertClean);
  if (json.boolean("handle_chinese_chars", true))
    add(NormalizerKind::BertChinese);
  if (json.boolean("strip_accents", lowercase)) {
    add(NormalizerKind::Nfd);
    add(NormalizerKind::StripNonspacing);
  }
  if (lowercase)
    add(NormalizerKind::Lowercase);
}

void readNormalizer(const JsonView &json, TokenizerModel &model) {
  static const std::pair<const char *, NormalizerKind> plainKinds[] = {
      {"NFC", NormalizerKind::Nfc},
      {"NFD", NormalizerKind::Nfd},
      {"NFKC", NormalizerKind::Nfkc},
      {"NFKD", NormalizerKind::Nfkd},
      {"Lowercase", NormalizerKind::Lowercase},
      {"StripAccents", NormalizerKind::StripAccents},
      {"Nmt", NormalizerKind::Nmt},
      {"ByteLevel", NormalizerKind::ByteLevel}};
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
  } else if (type == "Precompiled") {
    step.kind = NormalizerKind::Precompiled;
    step.content = decodeBase64(json.at("precompiled_charsmap"));
  } else if (type == "BertNormalizer") {
    return readBertNormalizer(json, model);
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

/// Text of one script, with the blanks in it; Hiragana, Katakana and Han count
/// as one, as Hugging Face's unicode_scripts has it. What stands in front of
/// the first character of a script is dropped.
std::string scriptsRegex() {
  std::string regex = "[\\p{Han}\\p{Hiragana}\\p{Katakana}\\x{30FC}]"
                      "[\\p{Han}\\p{Hiragana}\\p{Katakana}\\x{30FC} \\p{Cn}]*";
  for (const char *script : {"Common",
                             "Latin",
                             "Greek",
                             "Cyrillic",
                             "Armenian",
                             "Hebrew",
                             "Arabic",
                             "Syriac",
                             "Thaana",
                             "Devanagari",
                             "Bengali",
                             "Gurmukhi",
                             "Gujarati",
                             "Oriya",
                             "Tamil",
                             "Telugu",
                             "Kannada",
                             "Malayalam",
                             "Sinhala",
                             "Thai",
                             "Lao",
                             "Tibetan",
                             "Myanmar",
                             "Georgian",
                             "Hangul",
                             "Ethiopic",
                             "Cherokee",
                             "Canadian_Aboriginal",
                             "Ogham",
                             "Runic",
                             "Khmer",
                             "Mongolian",
                             "Bopomofo",
                             "Yi",
                             "Old_Italic",
                             "Gothic",
                             "Deseret",
                             "Inherited",
                             "Tagalog",
                             "Hanunoo",
                             "Buhid",
                             "Tagbanwa",
                             "Limbu",
                             "Tai_Le",
                             "Linear_B",
                             "Ugaritic",
                             "Shavian",
                             "Osmanya",
                             "Cypriot",
                             "Braille",
                             "Buginese",
                             "Coptic",
                             "New_Tai_Lue",
                             "Glagolitic",
                             "Tifinagh",
                             "Syloti_Nagri",
                             "Old_Persian",
                             "Kharoshthi",
                             "Balinese",
                             "Cuneiform",
                             "Phoenician",
                             "Phags_Pa",
                             "Nko",
                             "Sundanese",
                             "Lepcha",
                             "Ol_Chiki",
                             "Vai",
                             "Saurashtra",
                             "Kayah_Li",
                             "Rejang",
                             "Cham",
                             "Tai_Tham",
                             "Tai_Viet",
                             "Avestan",
                             "Egyptian_Hieroglyphs",
                             "Samaritan",
                             "Lisu",
                             "Bamum",
                             "Javanese",
                             "Meetei_Mayek"}) {
    std::string one = std::string("\\p{") + script + "}";
    if (one == "\\p{Common}") // the blank is of no script, U+30FC is Han
      regex += "|(?:(?![ \\x{30FC}])\\p{Common})(?:(?!\\x{30FC})[\\p{Common} "
               "\\p{Cn}])*";
    else
      regex += "|" + one + "[" + one + " \\p{Cn}]*";
  }
  return regex;
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
  } else if (type == "BertPreTokenizer") {
    step.kind = PreTokenizerKind::WhitespaceSplit;
    model.preTokenizers.push_back(step);
    step.kind = PreTokenizerKind::Punctuation;
  } else if (type == "CharDelimiterSplit") {
    step.kind = PreTokenizerKind::Split;
    step.pattern = {json.at("delimiter").string(), false};
    step.behavior = SplitBehavior::Removed;
  } else if (type == "FixedLength") {
    int64_t length =
        json.find("length").isNull() ? 5 : json.at("length").integer(1, 65535);
    step.kind = PreTokenizerKind::Split;
    step.pattern = {"[\\s\\S]{1," + std::to_string(length) + "}", true};
  } else if (type == "UnicodeScripts") {
    step.kind = PreTokenizerKind::Split;
    step.pattern = {scriptsRegex(), true};
    step.behavior = SplitBehavior::Removed;
    step.invert = true;
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
  } else if (type == "WordPiece") {
    step.kind = DecoderKind::WordPiece;
    step.content = json.string("prefix", "##");
    step.cleanup = json.boolean("cleanup", true);
  } else if (type == "BPEDecoder") {
    step.kind = DecoderKind::WordSuffix;
    step.content = json.string("suffix", "</w>");
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

/// Refuses options of byte pair encoding that change what it does.
void checkBpeOptions(const JsonView &json) {
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

/// Whether symbols can be bytes: text becomes stand-ins once, at the end of
/// normalization, and comes back from them first of all.
bool isByteLevel(const TokenizerModel &model) {
  size_t before = 0;
  bool hasMetaspaceBehind = false;
  for (const PreTokenizerStep &step : model.preTokenizers) {
    before += step.kind == PreTokenizerKind::ByteLevel;
    hasMetaspaceBehind |= before && step.kind == PreTokenizerKind::Metaspace;
  }
  for (const NormalizerStep &step : model.normalizers)
    if (step.kind == NormalizerKind::ByteLevel)
      return false;
  size_t behind = 0;
  for (const DecoderStep &step : model.decoders)
    behind += step.kind == DecoderKind::ByteLevel;
  return before == 1 && !hasMetaspaceBehind && behind == 1 &&
         model.decoders[0].kind == DecoderKind::ByteLevel;
}

TokenIds readBpe(const JsonView &bpe, TokenizerModel &model) {
  checkBpeOptions(bpe);
  if (isByteLevel(model))
    model.unit = SymbolUnit::Bytes;
  TokenIds ids = readVocab(bpe.at("vocab"), model);
  model.byteFallback = bpe.boolean("byte_fallback", false);
  if (model.byteFallback && model.unit == SymbolUnit::Bytes) {
    // What has a piece needs no fallback; else it is that of the stand-ins.
    model.byteFallback = false;
    if (!hasEveryByte(model)) {
      model.byteFallback = true;
      model.unit = SymbolUnit::Characters;
      model.pieces.clear();
      ids = readVocab(bpe.at("vocab"), model);
    }
  }
  readMerges(bpe.at("merges"), ids, model);
  model.fuseUnknown = bpe.boolean("fuse_unk", false);
  model.ignoreMerges = bpe.boolean("ignore_merges", false);
  return ids;
}

void readUnknown(const JsonView &bpe, const TokenIds &ids,
                 TokenizerModel &model) {
  std::string unknown = bpe.string("unk_token", "");
  if (unknown.empty())
    return;
  model.unknownId = ids.find(unknown);
  if (model.unknownId < 0)
    bpe.find("unk_token").fail("is not in the vocabulary");
}

/// A list of [text, score], by id.
TokenIds readUnigram(const JsonView &json, TokenizerModel &model) {
  json.allowOnly({"type", "unk_id", "vocab", "byte_fallback"});
  model.unigram = true;
  JsonView vocab = json.at("vocab");
  TokenIds ids;
  ids.byText.reserve(vocab.size());
  model.pieces.reserve(vocab.size());
  for (size_t i = 0; i < vocab.size(); ++i) {
    JsonView entry = vocab[i];
    if (entry.size() != 2 || !entry[1].json().is_number())
      entry.fail("is no text with a score");
    Piece piece;
    piece.text = entry[0].string();
    piece.score = entry[1].json().get<double>();
    ids.byText[piece.text] = static_cast<int32_t>(i);
    model.pieces.push_back(std::move(piece));
  }
  model.byteFallback = json.boolean("byte_fallback", false);
  JsonView unknown = json.find("unk_id");
  if (!unknown.isNull())
    model.unknownId = static_cast<int32_t>(
        unknown.integer(0, static_cast<int64_t>(vocab.size()) - 1));
  return ids;
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

/// Takes in added_tokens_decoder of tokenizer_config.json, and the named tokens
/// that are no added ones, as transformers' tokenization_utils_tokenizers.py
/// does: by their text, in the order of the ids; a token that is new takes the
/// next id, whatever id is said. One beyond the model's \p vocabulary is left
/// out, as it has no embedding.
void applyConfiguredTokens(TokenizerModel &model, TokenIds &ids,
                           const SpecialTokens &special, const JsonView &config,
                           int64_t vocabulary) {
  auto apply = [&](AddedToken token) {
    if (ids.find(token.content) < 0 &&
        int64_t(model.pieces.size()) >= vocabulary)
      return;
    // What is special once remains so.
    auto old = ids.added.find(ids.find(token.content));
    if (old != ids.added.end())
      token.special |= model.addedTokens[old->second].special;
    token.id = -1;
    addToken(model, ids, std::move(token), config);
  };
  for (AddedToken token : special.numbered) {
    for (const auto &[name, named] : special.named)
      token.special |= named.content == token.content;
    apply(std::move(token));
  }
  for (const auto &[name, token] : special.named) {
    if (!ids.added.contains(ids.find(token.content)))
      apply(token);
    if (name == "bos_token")
      model.bosId = ids.find(token.content);
    else if (name == "eos_token")
      model.eosId = ids.find(token.content);
  }
}

} // namespace

TokenizerModel importTokenizerJson(std::string_view text,
                                   std::string_view config,
                                   const std::string &where,
                                   int64_t vocabulary) {
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
  JsonView core = root.at("model");
  // Files from before there were types are BPE's, or Unigram's with its list.
  const bool isList = core.at("vocab").isArray();
  const std::string type = core.string("type", isList ? "Unigram" : "BPE");
  if (type != "BPE" && type != "Unigram")
    refuse(core, "model");
  TokenIds ids =
      type == "BPE" ? readBpe(core, model) : readUnigram(core, model);
  readAddedTokens(root.find("added_tokens"), model, ids);
  if (type == "BPE")
    readUnknown(core, ids, model);
  forEachComponent(
      root.find("post_processor"), "processors",
      [&](const JsonView &json) { readPostProcessor(json, model); });

  static const nlohmann::json none;
  SpecialTokens special =
      readSpecialTokens(configRoot, JsonView(none, "", configFile));
  applyConfiguredTokens(model, ids, special, configRoot, vocabulary);
  // As in transformers, what the configuration says outright counts.
  if (special.addBos || special.addEos)
    setTemplate(model, special.addBos.value_or(false),
                special.addEos.value_or(false));
  validate(model);
  return model;
}

} // namespace qcc
