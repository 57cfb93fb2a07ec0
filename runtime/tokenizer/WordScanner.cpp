//===- WordScanner.cpp - The common regular expressions, by hand ----------===//

#include "runtime/tokenizer/WordScanner.h"

#include "runtime/tokenizer/Unicode.h"

#include <array>

namespace qrt {

const std::string_view gpt2Pattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";

/// OpenAI's cl100k_base as tokenizer.json has it, up to the numbers and behind
/// them: Llama 3 has \p{N}{1,3}, Qwen 2 \p{N}.
static constexpr std::string_view cl100kFront =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
static constexpr std::string_view cl100kBack =
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

std::optional<WordScanner> WordScanner::forPattern(std::string_view pattern) {
  if (pattern == gpt2Pattern)
    return WordScanner(Kind::Gpt2, 0);
  if (!pattern.starts_with(cl100kFront) || !pattern.ends_with(cl100kBack) ||
      pattern.size() < cl100kFront.size() + cl100kBack.size())
    return std::nullopt;
  pattern.remove_prefix(cl100kFront.size());
  pattern.remove_suffix(cl100kBack.size());
  if (pattern == "\\p{N}{1,3}")
    return WordScanner(Kind::Cl100k, 3);
  if (pattern == "\\p{N}")
    return WordScanner(Kind::Cl100k, 1);
  return std::nullopt;
}

namespace {

enum class CharKind : uint8_t { Letter, Number, Space, Newline, Other };

CharKind kindOf(uint32_t codepoint) {
  if (codepoint == '\n' || codepoint == '\r')
    return CharKind::Newline;
  if (unicode::isWhitespace(codepoint))
    return CharKind::Space;
  if (unicode::isLetter(codepoint))
    return CharKind::Letter;
  return unicode::isNumeric(codepoint) ? CharKind::Number : CharKind::Other;
}

/// Goes through a text character by character.
class Cursor {
public:
  Cursor(std::string_view text, size_t pos) : text(text), at(pos) { look(); }

  bool atEnd() const { return at == text.size(); }
  size_t pos() const { return at; }
  CharKind kind() const { return currentKind; }
  bool isSpace() const { ///< \s
    return currentKind == CharKind::Space || currentKind == CharKind::Newline;
  }
  bool isBlank() const { return text[at] == ' '; }

  void advance() {
    at = next;
    look();
  }
  void skip(CharKind kind) {
    while (!atEnd() && currentKind == kind)
      advance();
  }

private:
  void look() {
    static const std::array<CharKind, 128> ascii = [] {
      std::array<CharKind, 128> table;
      for (uint32_t c = 0; c < 128; ++c)
        table[c] = kindOf(c);
      return table;
    }();
    if (at == text.size())
      return;
    auto lead = static_cast<unsigned char>(text[at]);
    next = at + 1;
    if (lead < 128) {
      currentKind = ascii[lead];
      return;
    }
    next = at;
    currentKind = kindOf(unicode::decodeChar(text, next));
  }

  std::string_view text;
  size_t at, next = 0;
  CharKind currentKind = CharKind::Other;
};

/// The length of 's, 't, 're, 've, 'm, 'll or 'd at the front of \p text, which
/// begins with an apostrophe; 0: none.
size_t contraction(std::string_view text, bool ignoreCase) {
  auto letter = [&](size_t i) -> char {
    if (i >= text.size())
      return 0;
    char c = text[i];
    return ignoreCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  switch (letter(1)) {
  case 's':
  case 't':
  case 'm':
  case 'd':
    return 2;
  case 'r':
  case 'v':
    return letter(2) == 'e' ? 3 : 0;
  case 'l':
    return letter(2) == 'l' ? 3 : 0;
  default:
    // U+017F is an s, when case does not matter.
    return ignoreCase && text.substr(1, 2) == "\xc5\xbf" ? 3 : 0;
  }
}

/// \s+(?!\S)|\s+ at \p start, a space: blanks up to the last one, which belongs
/// to the word behind it.
size_t spaceEnd(Cursor cursor) {
  size_t last = cursor.pos(), count = 0;
  while (!cursor.atEnd() && cursor.isSpace()) {
    last = cursor.pos();
    ++count;
    cursor.advance();
  }
  return cursor.atEnd() || count == 1 ? cursor.pos() : last;
}

} // namespace

size_t WordScanner::gpt2End(std::string_view text, size_t begin) const {
  if (text[begin] == '\'')
    if (size_t length = contraction(text.substr(begin), /*ignoreCase=*/false))
      return begin + length;
  Cursor cursor(text, begin);
  if (cursor.isBlank()) {
    Cursor behind = cursor;
    behind.advance();
    if (!behind.atEnd() && !behind.isSpace())
      cursor = behind;
  }
  if (cursor.isSpace())
    return spaceEnd(cursor);
  cursor.skip(cursor.kind());
  return cursor.pos();
}

size_t WordScanner::cl100kEnd(std::string_view text, size_t begin) const {
  if (text[begin] == '\'')
    if (size_t length = contraction(text.substr(begin), /*ignoreCase=*/true))
      return begin + length;
  Cursor cursor(text, begin);
  CharKind first = cursor.kind();

  // [^\r\n\p{L}\p{N}]?\p{L}+
  Cursor word = cursor;
  if (first == CharKind::Space || first == CharKind::Other)
    word.advance();
  if (!word.atEnd() && word.kind() == CharKind::Letter) {
    word.skip(CharKind::Letter);
    return word.pos();
  }

  // \p{N}{1,maxDigits}
  if (first == CharKind::Number) {
    for (unsigned i = 0;
         i < maxDigits && !cursor.atEnd() && cursor.kind() == CharKind::Number;
         ++i)
      cursor.advance();
    return cursor.pos();
  }

  // ` ?[^\s\p{L}\p{N}]+[\r\n]*`; `word` is behind a blank, if there was one.
  Cursor other = cursor.isBlank() ? word : cursor;
  if (!other.atEnd() && other.kind() == CharKind::Other) {
    other.skip(CharKind::Other);
    other.skip(CharKind::Newline);
    return other.pos();
  }

  // \s*[\r\n]+: up to the last line break of the white space.
  size_t lineEnd = begin;
  for (Cursor space = cursor; !space.atEnd() && space.isSpace();) {
    bool isNewline = space.kind() == CharKind::Newline;
    space.advance();
    if (isNewline)
      lineEnd = space.pos();
  }
  return lineEnd > begin ? lineEnd : spaceEnd(cursor);
}

} // namespace qrt
