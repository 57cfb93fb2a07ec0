//===- AddedTokenConfig.cpp - Special tokens of a checkpoint --------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <algorithm>
#include <charconv>

namespace qcc {

/// Ids may leave gaps, but not so many that a small file asks for much memory.
static constexpr size_t maxGap = size_t(1) << 16;

qrt::AddedToken readAddedToken(const JsonView &json) {
  qrt::AddedToken token;
  token.content = json.at("content").string();
  token.special = json.boolean("special", false);
  token.lstrip = json.boolean("lstrip", false);
  token.rstrip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", !token.special);
  token.singleWord = json.boolean("single_word", false);
  return token;
}

void addToken(qrt::TokenizerModel &model, TokenIds &ids, qrt::AddedToken token,
              const JsonView &where) {
  if (token.content.empty())
    return;
  auto [it, isNew] = ids.byText.try_emplace(token.content, token.id);
  if (isNew) {
    if (token.id < 0)
      it->second = static_cast<int32_t>(model.pieces.size());
    auto index = static_cast<size_t>(it->second);
    if (index > ids.byText.size() * 2 + maxGap)
      where.fail("has the id " + std::to_string(index) + ", far beyond the " +
                 std::to_string(ids.byText.size()) + " tokens");
    if (index >= model.pieces.size())
      model.pieces.resize(index + 1, {"", 0, qrt::PieceType::Unused});
    qrt::Piece &piece = model.pieces[index];
    if (!piece.text.empty())
      where.fail("has the id " + std::to_string(index) +
                 ", which another token has");
    if (model.unit != qrt::SymbolUnit::Bytes ||
        !qrt::unicode::bytesFromStandIns(token.content, piece.text))
      piece.text = token.content;
    piece.type = qrt::PieceType::Unused;
  }
  token.id = it->second;
  auto [place, isFirst] =
      ids.added.try_emplace(token.id, model.addedTokens.size());
  if (isFirst)
    model.addedTokens.push_back(std::move(token));
  else
    model.addedTokens[place->second] = std::move(token);
}

const qrt::AddedToken *SpecialTokens::find(std::string_view name) const {
  for (const auto &[key, token] : named)
    if (key == name)
      return &token;
  return nullptr;
}

static void readNamed(const JsonView &document, SpecialTokens &special) {
  if (document.isNull())
    return;
  auto read = [&](const std::string &name, const JsonView &json) {
    if (json.isNull())
      return;
    qrt::AddedToken token;
    if (json.isString())
      token.content = json.string();
    else
      token = readAddedToken(json);
    token.id = -1;
    token.special = true;
    if (!token.content.empty() && (name.empty() || !special.find(name)))
      special.named.emplace_back(name, std::move(token));
  };
  for (const char *name : {"bos_token", "eos_token", "unk_token", "sep_token",
                           "pad_token", "cls_token", "mask_token"})
    read(name, document.find(name));
  for (const char *list :
       {"additional_special_tokens", "extra_special_tokens"}) {
    JsonView tokens = document.find(list);
    if (tokens.isArray())
      for (size_t i = 0; i < tokens.size(); ++i)
        read("", tokens[i]);
    if (tokens.isObject()) // Names that only one model knows.
      for (const auto &[name, token] : tokens.json().items())
        read(name, tokens.find(name.c_str()));
  }
}

SpecialTokens readSpecialTokens(const JsonView &config,
                                const JsonView &specialTokensMap) {
  SpecialTokens special;
  readNamed(config, special);
  readNamed(specialTokensMap, special);
  if (config.isNull())
    return special;
  auto readFlag = [&](const char *name, std::optional<bool> &flag) {
    JsonView json = config.find(name);
    if (!json.isNull())
      flag = json.boolean();
  };
  readFlag("add_bos_token", special.addBos);
  readFlag("add_eos_token", special.addEos);
  readFlag("add_prefix_space", special.addPrefixSpace);
  readFlag("legacy", special.legacy);
  special.tokenizerClass = config.string("tokenizer_class", "");

  JsonView numbered = config.find("added_tokens_decoder");
  if (numbered.isNull())
    return special;
  if (!numbered.isObject())
    numbered.fail("is not an object");
  for (const auto &[key, member] : numbered.json().items()) {
    JsonView json(member, numbered.pathName() + "." + key.substr(0, 64),
                  numbered.fileName());
    qrt::AddedToken token = readAddedToken(json);
    auto [end, error] =
        std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc() || end != key.data() + key.size() || token.id < 0)
      json.fail("is not named by an id");
    special.numbered.push_back(std::move(token));
  }
  std::sort(special.numbered.begin(), special.numbered.end(),
            [](const auto &a, const auto &b) { return a.id < b.id; });
  return special;
}

void applyNamedTokens(qrt::TokenizerModel &model, TokenIds &ids,
                      const SpecialTokens &special, const JsonView &config) {
  for (const auto &[name, token] : special.named) {
    int32_t id = ids.find(token.content);
    if (id < 0)
      continue;
    if (name == "bos_token")
      model.bosId = id;
    else if (name == "eos_token")
      model.eosId = id;
    auto added = ids.added.find(id);
    if (added != ids.added.end())
      model.addedTokens[added->second].special = true;
    else
      addToken(model, ids, token, config);
  }
}

void setTemplate(qrt::TokenizerModel &model, bool addBos, bool addEos) {
  model.prefixIds.clear();
  model.suffixIds.clear();
  if (addBos && model.bosId >= 0)
    model.prefixIds.push_back(model.bosId);
  if (addEos && model.eosId >= 0)
    model.suffixIds.push_back(model.eosId);
}

} // namespace qcc
