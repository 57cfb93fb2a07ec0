//===- AddedTokenConfig.h - Special tokens of a checkpoint ------*- C++ -*-===//
//
// What importers share: a vocabulary by text, added tokens as JSON has them,
// and what tokenizer_config.json and special_tokens_map.json say of the tokens
// that begin and end a text.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_TOKENIZER_ADDEDTOKENCONFIG_H
#define QCC_FRONTENDS_TOKENIZER_ADDEDTOKENCONFIG_H

#include "frontends/tokenizer/JsonView.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace qcc {

/// What is known of a vocabulary while a model is made from it.
struct TokenIds {
  /// From a token's text, as the checkpoint writes it, to its id.
  std::unordered_map<std::string, int32_t> byText;
  /// From an id to its place in the model's addedTokens.
  std::unordered_map<int32_t, size_t> added;

  /// -1: not there.
  int32_t find(const std::string &text) const {
    auto it = byText.find(text);
    return it == byText.end() ? -1 : it->second;
  }
};

/// Reads content and flags of an added token (not its id).
qrt::AddedToken readAddedToken(const JsonView &json);

/// Adds \p token to the model: its id is that of the vocabulary if the text is
/// there, else \p token.id if that is not negative, else the next free one. A
/// token that is there already takes the new flags.
void addToken(qrt::TokenizerModel &model, TokenIds &ids, qrt::AddedToken token,
              const JsonView &where);

/// What tokenizer_config.json says, with special_tokens_map.json for what it
/// leaves out.
struct SpecialTokens {
  /// bos_token and the like: the name, and the token (without an id).
  std::vector<std::pair<std::string, qrt::AddedToken>> named;
  /// added_tokens_decoder, with ids.
  std::vector<qrt::AddedToken> numbered;
  std::optional<bool> addBos, addEos;
  std::optional<bool> addPrefixSpace, legacy;
  std::string tokenizerClass;

  const qrt::AddedToken *find(std::string_view name) const;
};

/// Either document may be null.
SpecialTokens readSpecialTokens(const JsonView &config,
                                const JsonView &specialTokensMap);

/// Sets bosId and eosId from the named tokens, and makes all named tokens of
/// the vocabulary special.
void applyNamedTokens(qrt::TokenizerModel &model, TokenIds &ids,
                      const SpecialTokens &special, const JsonView &config);

/// Sets what encode() puts around a text to begin and end of sentence.
void setTemplate(qrt::TokenizerModel &model, bool addBos, bool addEos);

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_ADDEDTOKENCONFIG_H
