//===- VocabBuilder.h - Vocabularies and merges from text -------*- C++ -*-===//

#ifndef QCC_FRONTENDS_TOKENIZER_VOCABBUILDER_H
#define QCC_FRONTENDS_TOKENIZER_VOCABBUILDER_H

#include "frontends/tokenizer/AddedTokenConfig.h"

#include <string_view>

namespace qcc {

/// Fills the model's pieces from an object of texts and ids. Where the unit is
/// Bytes (it must be set before), GPT-2's stand-ins become bytes; a piece with
/// other characters keeps its text, and no text becomes that piece.
TokenIds readVocab(const JsonView &vocab, qrt::TokenizerModel &model);

/// Fills the model's merges from a list of "left right" or [left, right].
void readMerges(const JsonView &merges, const TokenIds &ids,
                qrt::TokenizerModel &model);

/// Appends merges to a model.
class MergeAdder {
public:
  /// \p list names the list in errors, \p file the file; all live longer.
  MergeAdder(const TokenIds &ids, qrt::TokenizerModel &model,
             const std::string &list, const std::string &file)
      : ids(ids), model(model), list(list), file(file) {}

  /// Appends the \p index'th merge of the list.
  void add(std::string_view left, std::string_view right, size_t index);

  /// Appends "left right".
  void addLine(std::string_view line, size_t index);

private:
  int32_t find(const std::string &text, size_t index) const;
  [[noreturn]] void fail(size_t index, const std::string &what) const;

  const TokenIds &ids;
  qrt::TokenizerModel &model;
  const std::string &list, &file;
};

/// Whether each byte is a piece.
bool hasEveryByte(const qrt::TokenizerModel &model);

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_VOCABBUILDER_H
