//===- WordScanner.h - The common regular expressions, by hand --*- C++ -*-===//
//
// Nearly all byte-level tokenizers cut text with one of a few expressions. For
// these, a scanner that looks at each character once is several times faster
// than a compiled expression, and gives the same words.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_WORDSCANNER_H
#define QRT_TOKENIZER_WORDSCANNER_H

#include <cstddef>
#include <optional>
#include <string_view>

namespace qrt {

/// GPT-2's expression (its encoder.py); ByteLevel's with `useRegex`.
extern const std::string_view gpt2Pattern;

/// Finds the words of one of the known expressions. Each matches at every
/// place, so that the words cover a text.
class WordScanner {
public:
  /// nullopt: \p pattern is none of them.
  static std::optional<WordScanner> forPattern(std::string_view pattern);

  /// The end of the word that starts at \p begin, which is less than
  /// text.size(). \p text is valid UTF-8.
  size_t wordEnd(std::string_view text, size_t begin) const {
    return kind == Kind::Gpt2 ? gpt2End(text, begin) : cl100kEnd(text, begin);
  }

private:
  enum class Kind { Gpt2, Cl100k };
  WordScanner(Kind kind, unsigned maxDigits)
      : kind(kind), maxDigits(maxDigits) {}

  size_t gpt2End(std::string_view text, size_t begin) const;
  size_t cl100kEnd(std::string_view text, size_t begin) const;

  Kind kind;
  unsigned maxDigits; ///< of a number (Cl100k)
};

} // namespace qrt

#endif // QRT_TOKENIZER_WORDSCANNER_H
