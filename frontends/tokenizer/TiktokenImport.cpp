//===- TiktokenImport.cpp - Reads tiktoken's vocabularies -----------------===//
//
// A file has a line "<Base64 of the bytes> <rank>" for every token; ids are
// ranks. Which pair of neighbours is joined first is the rank of what they
// become. The expression that cuts text into words, and the special tokens
// behind the last rank, are in the programs that use a file; they are known
// here for the published vocabularies, which are told apart by their sizes.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/Base64.h"
#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/support/Error.h"

#include <charconv>
#include <unordered_map>

namespace qcc {

using namespace qrt;

namespace {

constexpr const char *gpt2Regex =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";
constexpr const char *cl100kRegex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *qwenRegex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *o200kRegex =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";

/// A token behind the ranks.
struct SpecialToken {
  std::string text;
  int32_t id = -1; ///< -1: behind the one before it
};

struct Vocabulary {
  size_t ranks;
  const char *name, *regex;
  std::vector<SpecialToken> special;
  const char *bos, *eos;
  bool addBos;
};

std::vector<Vocabulary> makeVocabularies() {
  auto numbered = [](std::vector<SpecialToken> &list, const char *name,
                     int from, int to) {
    for (int i = from; i < to; ++i)
      list.push_back({std::string("<|").append(name).append("_").append(
                          std::to_string(i)) +
                      "|>"});
  };
  const char *end = "<|endoftext|>";
  std::vector<SpecialToken> llama3 = {{"<|begin_of_text|>"},
                                      {"<|end_of_text|>"}};
  numbered(llama3, "reserved_special_token", 0, 4);
  for (const char *text : {"<|start_header_id|>", "<|end_header_id|>",
                           "<|reserved_special_token_4|>", "<|eot_id|>"})
    llama3.push_back({text});
  numbered(llama3, "reserved_special_token", 5, 251);
  std::vector<SpecialToken> qwen = {{end}, {"<|im_start|>"}, {"<|im_end|>"}};
  numbered(qwen, "extra", 0, 205);
  return {
      {50256, "r50k_base", gpt2Regex, {{end}}, end, end, false},
      {50280, "p50k_base", gpt2Regex, {{end, 50256}}, end, end, false},
      {100256,
       "cl100k_base",
       cl100kRegex,
       {{end, 100257},
        {"<|fim_prefix|>"},
        {"<|fim_middle|>"},
        {"<|fim_suffix|>"},
        {"<|endofprompt|>", 100276}},
       end,
       end,
       false},
      {199998,
       "o200k_base",
       o200kRegex,
       {{end, 199999}, {"<|endofprompt|>", 200018}},
       end,
       end,
       false},
      {128000, "Llama 3", cl100kRegex, std::move(llama3), "<|begin_of_text|>",
       "<|end_of_text|>", true},
      {151643, "Qwen", qwenRegex, std::move(qwen), nullptr, end, false},
  };
}

/// Reads the lines: the pieces, by rank.
void readRanks(std::string_view text, TokenizerModel &model,
               const std::string &where) {
  auto fail = [&](size_t line, const std::string &what) {
    throw Error("line " + std::to_string(line) + " " + what, where);
  };
  std::vector<bool> isTaken;
  for (size_t line = 1; !text.empty(); ++line) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (entry.ends_with('\r'))
      entry.remove_suffix(1);
    if (entry.empty())
      continue;
    size_t blank = std::min(entry.find(' '), entry.size());
    std::string_view digits = entry.substr(std::min(blank + 1, entry.size()));
    std::string bytes;
    size_t rank = 0;
    auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (digits.empty() || error != std::errc() ||
        stop != digits.data() + digits.size() ||
        !fromBase64(entry.substr(0, blank), bytes) || bytes.empty())
      fail(line, "is no Base64 with a rank");
    // A line has at least four bytes, so ranks are bounded by the file's size.
    if (rank > line * 2 + 65536 || rank >= maxPieces)
      fail(line, "has the rank " + std::to_string(rank) + ", far beyond " +
                     std::to_string(line) + " tokens");
    if (rank >= model.pieces.size()) {
      model.pieces.resize(rank + 1, {"", 0, PieceType::Unused});
      isTaken.resize(rank + 1);
    }
    if (isTaken[rank])
      fail(line,
           "has the rank " + std::to_string(rank) + ", which another line has");
    isTaken[rank] = true;
    model.pieces[rank] = {std::move(bytes), 0, PieceType::Normal};
  }
}

/// Whatever two pieces make a third one are a merge.
void addMerges(TokenizerModel &model) {
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < model.pieces.size(); ++id)
    if (!model.pieces[id].text.empty())
      ids.emplace(model.pieces[id].text, static_cast<int32_t>(id));
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    std::string_view text = model.pieces[id].text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      auto left = ids.find(text.substr(0, cut));
      auto right = ids.find(text.substr(cut));
      if (left != ids.end() && right != ids.end())
        model.merges.push_back(
            {left->second, right->second, static_cast<int32_t>(id)});
    }
  }
  model.ranksAreIds = true;
}

} // namespace

bool isTiktoken(std::string_view bytes) {
  std::string_view line = bytes.substr(0, bytes.find('\n'));
  size_t blank = line.find(' ');
  std::string decoded;
  return blank != line.npos && blank > 0 && blank + 1 < line.size() &&
         line[blank + 1] >= '0' && line[blank + 1] <= '9' &&
         fromBase64(line.substr(0, blank), decoded);
}

TokenizerModel importTiktoken(std::string_view bytes, std::string_view config,
                              const std::string &where) {
  static const std::vector<Vocabulary> vocabularies = makeVocabularies();
  TokenizerModel model;
  readRanks(bytes, model, where);
  size_t ranks = 0;
  for (const Piece &piece : model.pieces)
    ranks += piece.type == PieceType::Normal;
  const Vocabulary *known = nullptr;
  std::string names;
  for (const Vocabulary &vocabulary : vocabularies) {
    if (vocabulary.ranks == ranks)
      known = &vocabulary;
    names.append(names.empty() ? "" : ", ").append(vocabulary.name);
  }
  if (!known)
    throw Error("the vocabulary of " + std::to_string(ranks) +
                    " ranks is none whose way to cut text is known (" + names +
                    ")",
                where, "convert it to tokenizer.json");

  model.ignoreMerges = true;
  addMerges(model);
  PreTokenizerStep split, byteLevel;
  split.kind = PreTokenizerKind::Split;
  split.pattern = {known->regex, true};
  byteLevel.useRegex = false;
  model.preTokenizers = {split, byteLevel};
  model.decoders.push_back({});

  const std::string configFile = "tokenizer_config.json";
  nlohmann::json configJson =
      config.empty() ? nlohmann::json() : parseJson(config, configFile);
  static const nlohmann::json none;
  JsonView root(configJson, "", configFile);
  SpecialTokens special =
      readSpecialTokens(root, JsonView(none, "", configFile));
  TokenIds ids;
  for (size_t id = 0; id < model.pieces.size(); ++id)
    if (!model.pieces[id].text.empty())
      ids.byText.emplace(model.pieces[id].text, static_cast<int32_t>(id));
  if (special.numbered.empty()) {
    auto next = static_cast<int32_t>(model.pieces.size());
    for (const SpecialToken &entry : known->special) {
      AddedToken token;
      token.content = entry.text;
      token.id = entry.id >= 0 ? entry.id : next;
      token.special = true;
      next = token.id + 1;
      addToken(model, ids, std::move(token), root);
    }
  }
  for (const AddedToken &token : special.numbered)
    addToken(model, ids, token, root);
  model.bosId = known->bos ? ids.find(known->bos) : -1;
  model.eosId = ids.find(known->eos);
  applyNamedTokens(model, ids, special, root);
  setTemplate(model, special.addBos.value_or(known->addBos),
              special.addEos.value_or(false));
  validate(model);
  return model;
}

} // namespace qcc
