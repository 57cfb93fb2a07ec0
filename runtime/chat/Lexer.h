//===- Lexer.h - From a template's text to tokens ---------------*- C++ -*-===//
//
// Jinja 3.1's lexical rules with trim_blocks and lstrip_blocks, which
// transformers sets (https://jinja.palletsprojects.com/en/stable/templates/).
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_LEXER_H
#define QRT_CHAT_LEXER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qrt::chat {

/// A template's text with line ends made "\n" and without the last one.
class Source {
public:
  /// Throws qrt::Error if the text is no UTF-8 or too long.
  explicit Source(std::string_view text);

  const std::string &text() const { return normalized; }
  /// The number of the line that holds a byte, from 1 on.
  size_t line(uint32_t offset) const;
  /// Throws qrt::Error: `what`, line, column, and the line itself.
  [[noreturn]] void fail(const std::string &what, uint32_t offset) const;

private:
  std::string normalized;
};

enum class TokenKind : uint8_t {
  Data,          ///< text outside of tags
  VariableBegin, ///< {{
  VariableEnd,   ///< }}
  BlockBegin,    ///< {%
  BlockEnd,      ///< %}
  Name,
  String, ///< text: without quotes and escapes
  Integer,
  Float,
  Operator, ///< text: the operator
  End,
};

struct Token {
  TokenKind kind = TokenKind::End;
  uint32_t offset = 0; ///< into the source
  std::string text;
  int64_t integer = 0;
  double number = 0;

  bool is(TokenKind wanted, std::string_view spelling) const {
    return kind == wanted && text == spelling;
  }
};

/// The tokens of a template, the last one of kind End. Throws qrt::Error that
/// shows the place.
std::vector<Token> tokenize(const Source &source);

} // namespace qrt::chat

#endif // QRT_CHAT_LEXER_H
