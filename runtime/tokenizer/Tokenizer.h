//===- Tokenizer.h - From text to token ids and back ------------*- C++ -*-===//

#ifndef QRT_TOKENIZER_TOKENIZER_H
#define QRT_TOKENIZER_TOKENIZER_H

#include "runtime/tokenizer/TokenizerModel.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

class DecodeState;

/// Runs a TokenizerModel. Gives the ids that Hugging Face's tokenizers give for
/// the same tokenizer.json, and SentencePiece for the same tokenizer.model. All
/// functions may be called by several threads at once.
class Tokenizer {
public:
  /// Throws qrt::Error if the model is not valid, or a regular expression in it
  /// does not compile.
  explicit Tokenizer(TokenizerModel model);
  ~Tokenizer();
  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;

  /// The ids of \p text. Bytes that are not UTF-8 are read as U+FFFD, one for
  /// each maximal subpart, as Rust and Python decode them.
  ///
  /// \p addSpecialTokens: with the ids that the model puts around a text.
  /// \p parseSpecial: special tokens that stand in the text become their ids;
  /// otherwise they are plain text. (Added tokens that are not special always
  /// become their ids.)
  std::vector<int32_t> encode(std::string_view text,
                              bool addSpecialTokens = true,
                              bool parseSpecial = true) const;

  /// The text of \p ids, valid UTF-8: bytes that are not become U+FFFD. Ids out
  /// of range have no text. \p skipSpecial leaves special tokens out. Blanks in
  /// front of punctuation stay (transformers' clean-up is off since its
  /// version 5).
  std::string decode(std::span<const int32_t> ids,
                     bool skipSpecial = false) const;

  /// How many ids there are.
  int32_t vocabSize() const;
  int32_t bosId() const; ///< -1: has none
  int32_t eosId() const; ///< -1: has none

  /// The piece's own text: raw bytes where symbols are bytes, else UTF-8 with
  /// U+2581 for a blank. Empty for ids out of range. Lives as long as this.
  std::string_view pieceText(int32_t id) const;

  /// Whether \p id is an added token that is special, or a control piece.
  bool isSpecial(int32_t id) const;

  const TokenizerModel &model() const;

private:
  friend class StreamDecoder;
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Decodes ids one by one. What push() and flush() return, joined, is what
/// decode() returns for all ids.
class StreamDecoder {
public:
  /// \p tokenizer must outlive this.
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial = false);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder &&) noexcept;
  StreamDecoder &operator=(StreamDecoder &&) noexcept;

  /// The text that \p id makes final: whole characters, often none.
  std::string push(int32_t id);

  /// The text that was held back. The next push() starts a new sequence.
  std::string flush();

private:
  std::unique_ptr<DecodeState> state;
};

} // namespace qrt

#endif // QRT_TOKENIZER_TOKENIZER_H
