//===- GgufTokenizer.h - Tokenizers of GGUF files ---------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_TOKENIZER_GGUFTOKENIZER_H
#define QCC_FRONTENDS_TOKENIZER_GGUFTOKENIZER_H

#include "runtime/tokenizer/TokenizerModel.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// The values of a GGUF file's keys "tokenizer.ggml.*" (ggml's docs/gguf.md).
/// A key that is not there leaves its member empty.
struct GgufTokenizerFields {
  std::string model;               ///< "gpt2", "llama" or "t5"
  std::string pre;                 ///< how text is cut into words, by name
  std::vector<std::string> tokens; ///< any bytes
  std::vector<float> scores;       ///< as many as tokens, or none
  std::vector<int32_t> tokenType;  ///< as many as tokens, or none
  std::vector<std::string> merges; ///< "left right"
  /// Ids; 0xffffffff means "none", as llama.cpp writes it.
  std::optional<uint32_t> bosTokenId, eosTokenId, unknownTokenId;
  std::optional<bool> addBosToken, addEosToken, addSpacePrefix;
  std::optional<bool> removeExtraWhitespaces;
  std::string precompiledCharsmap; ///< bytes
};

/// Makes a model of them. What is not given has llama.cpp's default. \p where
/// names the file in errors. Throws qrt::Error.
qrt::TokenizerModel importGgufTokenizer(const GgufTokenizerFields &fields,
                                        const std::string &where);

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_GGUFTOKENIZER_H
