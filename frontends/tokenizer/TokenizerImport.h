//===- TokenizerImport.h - Tokenizers of checkpoints ------------*- C++ -*-===//
//
// Importers fill a qrt::TokenizerModel from the files that checkpoints come
// with. Files are not trusted; a part of one that is not understood is an error
// that names it, never left out. All functions throw qrt::Error.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_TOKENIZER_TOKENIZERIMPORT_H
#define QCC_FRONTENDS_TOKENIZER_TOKENIZERIMPORT_H

#include "runtime/tokenizer/TokenizerModel.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace qcc {

/// The tokenizer of a folder in Hugging Face layout, or of a single file
/// (tokenizer.json, or a SentencePiece model or a tiktoken vocabulary by any
/// other name). In a folder,
/// the first of these counts, as in transformers:
///
///   tokenizer.json
///   tokenizer.model (SentencePiece, or tiktoken's text)
///   a single file *.tiktoken
///   vocab.json and merges.txt (GPT-2's, OPT's, Qwen's)
///
/// tokenizer_config.json and special_tokens_map.json say which tokens begin and
/// end a text, and whether they are added; which further tokens there are, and
/// their flags. Beside a tokenizer.json, further tokens are those that
/// config.json's vocab_size has room for. A folder without a tokenizer:
/// nullopt.
std::optional<qrt::TokenizerModel>
importTokenizerFolder(const std::filesystem::path &path);

/// A tokenizer.json of Hugging Face's tokenizers (byte pair encoding and
/// Unigram).
/// \p config is the text of tokenizer_config.json, or empty. \p where names the
/// file in errors. \p vocabulary: the rows of the model's embedding, up to
/// which tokens of \p config that \p json lacks are added; 0: none is.
qrt::TokenizerModel
importTokenizerJson(std::string_view json, std::string_view config = {},
                    const std::string &where = "tokenizer.json",
                    int64_t vocabulary = 0);

/// A SentencePiece model (sentencepiece_model.proto), kind BPE or Unigram.
/// Control pieces are not looked for in text, as in SentencePiece itself;
/// encode() puts the begin of sentence in front, if there is one, as
/// transformers does.
qrt::TokenizerModel
importSentencePiece(std::string_view bytes,
                    const std::string &where = "tokenizer.model");

/// Whether a file begins as tiktoken's vocabularies do.
bool isTiktoken(std::string_view bytes);

/// A vocabulary of tiktoken, one of those that are published. \p config is the
/// text of tokenizer_config.json, or empty; its added tokens are taken instead
/// of the vocabulary's own.
qrt::TokenizerModel
importTiktoken(std::string_view bytes, std::string_view config = {},
               const std::string &where = "tokenizer.model");

/// GPT-2's vocab.json and merges.txt. \p config and \p specialTokensMap are the
/// texts of tokenizer_config.json and special_tokens_map.json, or empty.
qrt::TokenizerModel
importVocabAndMerges(std::string_view vocabJson, std::string_view mergesText,
                     std::string_view config = {},
                     std::string_view specialTokensMap = {});

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_TOKENIZERIMPORT_H
