//===- Decoder.h - From ids to text, as they come ---------------*- C++ -*-===//
//
// The decoders of a model as a chain of stages that a token's text goes
// through. decode() is the chain run to its end, so that streamed text and
// decoded text are the same by construction. A stage holds text back only as
// long as what follows can change it.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_DECODER_H
#define QRT_TOKENIZER_DECODER_H

#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qrt {

/// What decoding needs to know of a model. Refers to the model, which must
/// outlive it.
class DecoderTable {
public:
  explicit DecoderTable(const TokenizerModel &model);

  /// Makes \p content (UTF-8) the text of an added token that is looked for in
  /// normalized text: its normalized form.
  void setNormalized(int32_t id, std::string_view content);

  const TokenizerModel &model;
  std::vector<bool> isSpecial; ///< by id: an added token that is special
  /// By id: left out with skipSpecial. As in Hugging Face's tokenizers, a
  /// token's text decides, and that is not a special token's where
  /// normalization has changed it.
  std::vector<bool> isSkipped;
  std::vector<bool> isAdded; ///< by id
  /// Texts of added tokens that differ from their pieces'.
  std::unordered_map<int32_t, std::string> texts;
  /// By decoder step.
  std::vector<std::optional<Replacer>> replacers;

  /// What the decoders start with for \p id (in range).
  std::string_view textOf(int32_t id) const;

private:
  void setText(int32_t id, std::string_view content);
};

/// The state of decoding one sequence of ids.
class DecodeState {
public:
  DecodeState(const DecoderTable &table, bool skipSpecial);
  virtual ~DecodeState() = default;

  /// Appends the text that \p id makes final. Ids out of range have none.
  void push(int32_t id, std::string &out);
  /// Appends what was held back.
  virtual void flush(std::string &out) = 0;

  static std::unique_ptr<DecodeState> create(const DecoderTable &table,
                                             bool skipSpecial);

protected:
  virtual void pushToken(int32_t id, std::string &out) = 0;
  const DecoderTable &table;

private:
  bool skipSpecial;
};

} // namespace qrt

#endif // QRT_TOKENIZER_DECODER_H
