//===- SentencePieceNormalizer.h - SentencePiece's normalizer ---*- C++ -*-===//
//
// What SentencePiece does to text before it looks for pieces (its normalizer.cc
// and sentencepiece_model.proto, NormalizerSpec): replaces characters by a
// compiled map, squeezes blanks, adds one in front, and writes them as U+2581.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_SENTENCEPIECENORMALIZER_H
#define QRT_TOKENIZER_SENTENCEPIECENORMALIZER_H

#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// A compiled map of characters: the size of a double array trie in bytes
/// (32 bits, little endian), the trie (darts-clone's units), and the texts that
/// its values are offsets of, each ended by a zero byte.
class CharsMap {
public:
  /// Throws qrt::Error if the parts do not fit.
  explicit CharsMap(std::string_view bytes);

  bool empty() const { return units.empty(); }

  /// The longest entry at the front of \p text: its \p length, and the text
  /// that replaces it. Returns false if there is none.
  bool find(std::string_view text, size_t &length,
            std::string_view &replacement) const;

  /// The text that replaces the shortest entry at the front of \p text.
  bool findShortest(std::string_view text, std::string_view &replacement) const;

private:
  /// Calls \p visit with the length and the value of each entry at the front of
  /// \p text, from the shortest on, until it returns false.
  template <typename Visit>
  void forEachPrefix(std::string_view text, Visit visit) const;
  bool textOf(uint32_t value, std::string_view &text) const;

  std::vector<uint32_t> units;
  std::string_view texts;
};

/// Normalizes text. Refers to the model, which must outlive it.
class SentencePieceNormalizer {
public:
  explicit SentencePieceNormalizer(const TokenizerModel &model);

  /// The user-defined pieces; they are left as they are.
  const PrefixTrie &userDefined() const { return symbols; }

  /// \p text is valid UTF-8, and so is the result. \p addPrefix: a blank may be
  /// added.
  void run(std::string_view text, bool addPrefix, std::string &result) const;

private:
  /// What the front of \p text becomes; takes it off \p text. The result lives
  /// in \p text, the model or \p buffer.
  std::string_view takePrefix(std::string_view &text,
                              std::string &buffer) const;

  const SentencePieceSpec &spec;
  CharsMap map;
  PrefixTrie symbols;
};

} // namespace qrt

#endif // QRT_TOKENIZER_SENTENCEPIECENORMALIZER_H
