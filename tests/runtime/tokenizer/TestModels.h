//===- TestModels.h - Small tokenizers made by hand -------------*- C++ -*-===//

#ifndef QCC_TESTS_RUNTIME_TOKENIZER_TESTMODELS_H
#define QCC_TESTS_RUNTIME_TOKENIZER_TESTMODELS_H

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace qrt::test {

/// What \p call throws; empty if nothing.
template <typename Callable>
std::string errorOf(Callable call) {
  try {
    call();
  } catch (const Error &error) {
    return error.what();
  }
  return {};
}

inline int32_t idOf(const TokenizerModel &model, std::string_view text) {
  for (size_t i = 0; i < model.pieces.size(); ++i)
    if (model.pieces[i].text == text)
      return static_cast<int32_t>(i);
  return -1;
}

/// Adds the merge of two pieces, and its result if it is not there.
inline void addMerge(TokenizerModel &model, std::string_view left,
                     std::string_view right) {
  std::string joined = std::string(left).append(right);
  int32_t result = idOf(model, joined);
  if (result < 0) {
    result = static_cast<int32_t>(model.pieces.size());
    model.pieces.push_back({joined});
  }
  model.merges.push_back({idOf(model, left), idOf(model, right), result});
}

/// GPT-2's kind: the 256 bytes are the ids 0 to 255, 256 is "<end>" (special).
inline TokenizerModel
byteModel(const std::vector<std::pair<std::string, std::string>> &merges = {}) {
  TokenizerModel model;
  for (int byte = 0; byte < 256; ++byte)
    model.pieces.push_back({std::string(1, static_cast<char>(byte))});
  model.pieces.push_back({"<end>", 0, PieceType::Unused});
  AddedToken end;
  end.content = "<end>";
  end.id = 256;
  end.special = true;
  model.addedTokens.push_back(end);
  model.bosId = model.eosId = 256;
  model.preTokenizers.emplace_back(); // ByteLevel
  model.decoders.emplace_back();      // ByteLevel
  for (const auto &[left, right] : merges)
    addMerge(model, left, right);
  return model;
}

/// SentencePiece's kind: <unk>, <s>, </s>, perhaps the 256 bytes, and \p pieces
/// with their scores.
inline TokenizerModel
scoredModel(const std::vector<std::pair<std::string, float>> &pieces,
            bool byteFallback = false) {
  TokenizerModel model;
  model.rule = MergeRule::Scored;
  model.unit = SymbolUnit::Characters;
  model.pieces = {{"<unk>", 0, PieceType::Unknown},
                  {"<s>", 0, PieceType::Control},
                  {"</s>", 0, PieceType::Control}};
  model.unknownId = 0;
  model.bosId = 1;
  model.eosId = 2;
  model.byteFallback = byteFallback;
  for (int byte = 0; byteFallback && byte < 256; ++byte) {
    const char *digits = "0123456789ABCDEF";
    std::string text = "<0x";
    text += digits[byte / 16];
    text += digits[byte % 16];
    model.pieces.push_back({text + ">", 0, PieceType::Byte});
  }
  for (const auto &[text, score] : pieces)
    model.pieces.push_back({text, score});
  return model;
}

/// The ids decoded one by one.
inline std::string streamed(const Tokenizer &tokenizer,
                            const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (int32_t id : ids)
    text += decoder.push(id);
  return text + decoder.flush();
}

} // namespace qrt::test

#endif // QCC_TESTS_RUNTIME_TOKENIZER_TESTMODELS_H
