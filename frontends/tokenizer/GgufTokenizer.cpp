//===- GgufTokenizer.cpp - Tokenizers of GGUF files -----------------------===//

#include "frontends/tokenizer/GgufTokenizer.h"

#include "frontends/tokenizer/VocabBuilder.h"
#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <algorithm>

namespace qcc {

using namespace qrt;

namespace {

//===----------------------------------------------------------------------===//
// What the names in tokenizer.ggml.pre stand for
//===----------------------------------------------------------------------===//
//
// llama.cpp (llama-vocab.cpp) has a table from names to regular expressions.
// The same is said here with the expressions of the tokenizer.json that each
// was made from, which its own are variants of.

constexpr const char *gpt2Regex =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";
constexpr const char *llama3Regex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *qwen2Regex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *tekkenRegex =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *gpt4oRegex =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
constexpr const char *qwen35Regex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *youtuRegex =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *kimiRegex =
    "\\p{Han}+|[^\\r\\n\\p{L}\\p{N}]?"
    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?"
    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
constexpr const char *cjkRegex = "[一-龥぀-ゟ゠-ヿ]+";
constexpr const char *deepseekV3Regex =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *deepseekLettersRegex =
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯ"
    "Ա-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ"
    "-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮ"
    "ⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
constexpr const char *bloomRegex = " ?[^(\\s|.,!?…。，、।۔،)]+";
constexpr const char *punctuationRegex = "[\\p{P}\\$\\+<=>\\^~\\|`]+";

struct PreKind {
  const char *name;
  std::vector<const char *> regexes;
  bool ignoreMerges = false;
  bool addBos = false;
};

const std::vector<PreKind> &preKinds() {
  static const std::vector<PreKind> kinds = [] {
    std::vector<PreKind> table;
    auto add = [&](std::initializer_list<const char *> names,
                   std::vector<const char *> regexes, bool ignoreMerges = false,
                   bool addBos = false) {
      for (const char *name : names)
        table.push_back({name, regexes, ignoreMerges, addBos});
    };
    add({"", "default"},
        {"[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2Regex, "\\p{N}+", "[0-9][0-9][0-9]"});
    add({"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral",
         "midm-2.0", "lfm2", "jina-v5-nano"},
        {llama3Regex}, true, true);
    add({"glm4", "glm5"}, {llama3Regex}, true);
    add({"dbrx", "smaug-bpe", "chatglm-bpe"}, {llama3Regex});
    add({"falcon"}, {punctuationRegex, gpt2Regex, "[0-9][0-9][0-9]"});
    add({"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es",
         "jina-v2-de", "a.x-4.0", "mellum", "mpt", "olmo", "jais", "trillion",
         "exaone4", "granite-docling", "modern-bert"},
        {gpt2Regex});
    add({"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone",
         "minerva-7b", "mellum2"},
        {"\\p{N}", gpt2Regex});
    add({"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan",
         "grok-2", "solar-open", "kormo", "f2llmv2"},
        {qwen2Regex});
    add({"qwen35"}, {qwen35Regex});
    add({"laguna"}, {"[^\\n]+|[\\n]+", qwen2Regex});
    add({"ufakzeka"}, {"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                       " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                       "\\s+(?!\\S)|\\s+"});
    add({"seed-coder"},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}|"
         " ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"});
    add({"bailingmoe", "bailingmoe2", "llada-moe"},
        {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}|"
         " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"});
    add({"exaone-moe"},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?"
         "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}|"
         " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"});
    add({"jais-2"},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
         "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
         "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|"
         "\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|"
         "\\s{1,2}(?!\\S)|\\s{1}"});
    add({"tekken"}, {tekkenRegex}, true, true);
    add({"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {gpt4oRegex});
    add({"granite-embed-multi-97m"}, {gpt4oRegex}, true);
    add({"tiny_aya", "cohere2moe"}, {"\\d{1,3}(?=(?:\\d{3})*\\b)", gpt4oRegex});
    add({"superbpe"}, {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"});
    add({"youtu"},
        {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-"
         "龥぀-"
         "ゟ゠-"
         "ヿ]"
         "+",
         youtuRegex},
        true);
    add({"kimi-k2"}, {kimiRegex});
    add({"bloom", "poro-chat", "gpt3-finnish"}, {bloomRegex});
    add({"viking"}, {bloomRegex, "\\p{N}"});
    add({"deepseek-coder"}, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
                             "[一-龥ࠀ-一가-퟿]+", "\\p{N}"});
    add({"deepseek-llm"},
        {"[\\r\\n]", deepseekLettersRegex, "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
         "\\s+$", "[一-龥ࠀ-一가-퟿]+", "\\p{N}+"});
    add({"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
        {"\\p{N}{1,3}", cjkRegex, deepseekV3Regex});
    add({"spark2_5"},
        {"\\p{N}{1,3}", cjkRegex,
         "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
         "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|"
         "[\\r\\n]|\\s+(?!\\S)|\\s+",
         "\\p{N}"});
    return table;
  }();
  return kinds;
}

//===----------------------------------------------------------------------===//
// Import
//===----------------------------------------------------------------------===//

class GgufImporter {
public:
  GgufImporter(const GgufTokenizerFields &fields, const std::string &where)
      : fields(fields), where(where) {}

  TokenizerModel run() {
    if (fields.model == "gpt2")
      model.unit = SymbolUnit::Bytes;
    else if (fields.model == "llama" || fields.model == "t5")
      model.unit = SymbolUnit::Characters;
    else
      fail("model",
           "is '" + fields.model.substr(0, 64) + "', which is not supported");
    readPieces();
    model.bosId = readId(fields.bosTokenId, "bos_token_id");
    model.eosId = readId(fields.eosTokenId, "eos_token_id");
    model.unknownId = readId(fields.unknownTokenId, "unknown_token_id");
    if (model.unit == SymbolUnit::Bytes)
      finishRanked();
    else
      finishScored();
    validate(model);
    return std::move(model);
  }

private:
  [[noreturn]] void fail(const std::string &key, const std::string &what) {
    throw Error("'tokenizer.ggml." + key + "' " + what, where);
  }

  static std::string at(std::string list, size_t index) {
    return list.append("[").append(std::to_string(index)).append("]");
  }

  int32_t readId(std::optional<uint32_t> id, const char *key) {
    if (!id || *id == UINT32_MAX)
      return -1;
    if (*id >= model.pieces.size())
      fail(key, "is " + std::to_string(*id) + ", not one of " +
                    std::to_string(model.pieces.size()) + " tokens");
    return static_cast<int32_t>(*id);
  }

  void readPieces() {
    size_t count = fields.tokens.size();
    auto checkCount = [&](size_t other, const char *key) {
      if (other != 0 && other != count)
        fail(key, "has " + std::to_string(other) + " elements, not " +
                      std::to_string(count));
    };
    checkCount(fields.scores.size(), "scores");
    checkCount(fields.tokenType.size(), "token_type");
    model.pieces.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      int32_t type = fields.tokenType.empty() ? 1 : fields.tokenType[i];
      if (type < 1 || type > 6)
        fail(at("token_type", i),
             "is " + std::to_string(type) + ", not 1 to 6");
      if (!unicode::isValidUtf8(fields.tokens[i]))
        fail(at("tokens", i), "is not UTF-8");
      Piece piece{fields.tokens[i],
                  fields.scores.empty() ? 0 : fields.scores[i],
                  static_cast<PieceType>(type)};
      ids.byText.emplace(piece.text, static_cast<int32_t>(i));
      bool isText =
          model.unit == SymbolUnit::Bytes && piece.type == PieceType::Normal;
      std::string bytes;
      if (isText && unicode::bytesFromStandIns(piece.text, bytes))
        piece.text = bytes;
      else if (isText)
        piece.type = PieceType::Unused;
      model.pieces.push_back(std::move(piece));
      addIfSpecial(i);
    }
  }

  /// llama.cpp finds control and unknown tokens in text that may have special
  /// tokens, and user-defined ones in any text. Scored user-defined pieces are
  /// SentencePiece's business.
  void addIfSpecial(size_t id) {
    PieceType type = model.pieces[id].type;
    bool isUserDefined = type == PieceType::UserDefined;
    if ((type != PieceType::Control && type != PieceType::Unknown &&
         !isUserDefined) ||
        (isUserDefined && model.unit != SymbolUnit::Bytes) ||
        fields.tokens[id].empty())
      return;
    AddedToken token;
    token.content = fields.tokens[id];
    token.id = static_cast<int32_t>(id);
    token.special = !isUserDefined;
    model.addedTokens.push_back(std::move(token));
  }

  void finishRanked() {
    model.rule = MergeRule::Ranked;
    const std::vector<PreKind> &kinds = preKinds();
    auto kind =
        std::find_if(kinds.begin(), kinds.end(), [&](const PreKind &candidate) {
          return fields.pre == candidate.name;
        });
    if (kind == kinds.end())
      fail("pre",
           "is '" + fields.pre.substr(0, 64) + "', which is not supported");
    for (const char *regex : kind->regexes) {
      PreTokenizerStep split;
      split.kind = PreTokenizerKind::Split;
      split.pattern = {regex, true};
      model.preTokenizers.push_back(split);
    }
    PreTokenizerStep byteLevel;
    byteLevel.useRegex = false;
    byteLevel.addPrefixSpace = fields.addSpacePrefix.value_or(false);
    model.preTokenizers.push_back(byteLevel);
    model.decoders.push_back({});
    model.ignoreMerges = kind->ignoreMerges;
    setTemplate(model, fields.addBosToken.value_or(kind->addBos),
                fields.addEosToken.value_or(false));
    model.merges.reserve(fields.merges.size());
    const std::string listName = "tokenizer.ggml.merges";
    MergeAdder adder(ids, model, listName, where);
    for (size_t i = 0; i < fields.merges.size(); ++i)
      adder.addLine(fields.merges[i], i);
  }

  void finishScored() {
    model.rule = MergeRule::Scored;
    if (fields.scores.empty())
      fail("scores", "is missing");
    SentencePieceSpec &spec = model.sentencePiece;
    spec.addDummyPrefix = fields.addSpacePrefix.value_or(true);
    spec.removeExtraWhitespaces = fields.removeExtraWhitespaces.value_or(false);
    spec.charsmap = fields.precompiledCharsmap;
    model.byteFallback = std::any_of(
        model.pieces.begin(), model.pieces.end(),
        [](const Piece &piece) { return piece.type == PieceType::Byte; });
    model.unigram = fields.model == "t5";
    setTemplate(model, fields.addBosToken.value_or(!model.unigram),
                fields.addEosToken.value_or(model.unigram));
  }

  const GgufTokenizerFields &fields;
  const std::string &where;
  TokenizerModel model;
  TokenIds ids;
};

} // namespace

TokenizerModel importGgufTokenizer(const GgufTokenizerFields &fields,
                                   const std::string &where) {
  return GgufImporter(fields, where).run();
}

} // namespace qcc
