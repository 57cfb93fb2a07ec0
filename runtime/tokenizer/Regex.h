//===- Regex.h - Regular expressions of pre-tokenizers ----------*- C++ -*-===//
//
// tokenizer.json states regular expressions in the syntax of Oniguruma (Ruby);
// PCRE2 runs them here, compiled to machine code. Where the two mean different
// things by the same text, the expression is rewritten:
//
//   \s \S      White_Space (PCRE2's has U+180E too)
//   \w \W \b   letters, marks, digits, connectors (PCRE2's lacks marks)
//   \h \H      hexadecimal digits (PCRE2: horizontal space)
//   \v \uHHHH  single characters
//   [:space:]  and other such classes: by Unicode's properties
//   ^ $        at every line
//   \p{Han}    the property Script (PCRE2: Script_Extensions)
//   [a[^b]]    a class within a class adds to it
//   [a&&b]     what is in both
//   {n,m}+     a repeated repetition (PCRE2: a possessive one)
//
// What is rare and means something else in each, or nothing in PCRE2, is
// refused: conditions, \K, \G, \R, \X.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_REGEX_H
#define QRT_TOKENIZER_REGEX_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace qrt {

/// What one thread needs to match; any Regex can use it.
class RegexScratch {
public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(RegexScratch &&) noexcept;
  RegexScratch &operator=(RegexScratch &&) noexcept;

private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// A compiled expression; may be used by several threads at once.
class Regex {
public:
  /// Throws qrt::Error, with \p where in it, if \p pattern is refused.
  Regex(std::string_view pattern, const std::string &where);
  ~Regex();
  Regex(Regex &&) noexcept;
  Regex &operator=(Regex &&) noexcept;

  /// An expression that matches \p text and nothing else.
  static std::string escape(std::string_view text);

  /// Finds the first match in \p text (valid UTF-8) that starts at \p from
  /// (the start of a character) or later. Throws qrt::Error when a match needs
  /// more steps than are allowed.
  bool find(std::string_view text, size_t from, RegexScratch &scratch,
            size_t &begin, size_t &end) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// The matches of an expression in a text, from left to right, none
/// overlapping; an empty match right behind another match does not count.
class RegexMatches {
public:
  RegexMatches(const Regex &regex, std::string_view text, RegexScratch &scratch)
      : regex(regex), text(text), scratch(scratch) {}

  /// Finds the next match; false: there is none.
  bool next(size_t &begin, size_t &end);

private:
  const Regex &regex;
  std::string_view text;
  RegexScratch &scratch;
  size_t from = 0, lastEnd = std::string_view::npos;
};

} // namespace qrt

#endif // QRT_TOKENIZER_REGEX_H
