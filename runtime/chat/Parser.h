//===- Parser.h - From tokens to a tree -------------------------*- C++ -*-===//

#ifndef QRT_CHAT_PARSER_H
#define QRT_CHAT_PARSER_H

#include "runtime/chat/Ast.h"
#include "runtime/chat/Lexer.h"

#include <algorithm>
#include <unordered_map>

namespace qrt::chat {

/// Names of templates, each once.
class SymbolTable {
public:
  Symbol intern(const std::string &name);
  std::vector<std::string> take() { return std::move(names); }

  /// Notes that an expression reads a name.
  void noteRead(Symbol name) { reads.push_back(name); }
  size_t readCount() const { return reads.size(); }
  /// Whether one has read `name` since readCount() was `from`.
  bool isReadSince(size_t from, const std::string &name);

private:
  std::vector<Symbol> reads;
  std::vector<std::string> names;
  std::unordered_map<std::string, Symbol> byName;
};

/// The tokens, read one by one.
class TokenStream {
public:
  explicit TokenStream(const Source &source)
      : source(source), tokens(tokenize(source)) {}

  const Token &current() const { return tokens[at]; }
  const Token &next() const {
    return tokens[std::min(at + 1, tokens.size() - 1)];
  }
  uint32_t offset() const { return current().offset; }
  void advance() {
    if (at + 1 < tokens.size())
      ++at;
  }
  Token take() {
    Token token = current();
    advance();
    return token;
  }

  bool isName(std::string_view name) const {
    return current().is(TokenKind::Name, name);
  }
  bool isOperator(std::string_view op) const {
    return current().is(TokenKind::Operator, op);
  }
  bool takeName(std::string_view name);
  bool takeOperator(std::string_view op);
  /// Throw what fail() does unless the current token is that one.
  void expectOperator(std::string_view op);
  void expect(TokenKind kind, const char *what);
  Token expectName();

  /// Throws qrt::Error that shows the place.
  [[noreturn]] void fail(const std::string &what, uint32_t offset) const {
    source.fail(what, offset);
  }
  /// The same for the current token: "... where a name should be".
  [[noreturn]] void failExpected(const std::string &what) const;

private:
  const Source &source;
  std::vector<Token> tokens;
  size_t at = 0;
};

/// Parses expressions; what Jinja binds closer stands further down.
class ExpressionParser {
public:
  ExpressionParser(TokenStream &tokens, SymbolTable &symbols)
      : tokens(tokens), symbols(symbols) {}

  /// An expression; a test of an `if` or `for` ends in front of an `if`.
  ExprPtr parse(bool withConditional = true);
  /// One that may be a tuple without brackets; names in `ends` end it.
  ExprPtr parseTuple(bool withConditional = true, std::string_view endName = {},
                     bool inBrackets = false);
  /// One filter after the other, from a '|' on, or from a name on if
  /// `startsInline`. `operand` may be null.
  ExprPtr parseFilters(ExprPtr operand, bool startsInline = false);
  CallArguments parseArguments();
  Target parseTarget(bool allowsAttribute, std::string_view endName = {});

private:
  /// Notes how high an expression is, and refuses one that is too high for
  /// what recurses over it.
  ExprPtr finish(ExprPtr expr);
  ExprPtr makeBinary(BinaryOp op, ExprPtr left, ExprPtr right, uint32_t offset);
  ExprPtr parseOr();
  ExprPtr parseAnd();
  ExprPtr parseNot();
  ExprPtr parseCompare();
  ExprPtr parseSum();
  ExprPtr parseConcat();
  ExprPtr parseProduct();
  ExprPtr parsePower();
  ExprPtr parseUnary(bool withFilters = true);
  ExprPtr parsePrimary();
  ExprPtr parseList();
  ExprPtr parseDict();
  ExprPtr parsePostfix(ExprPtr operand);
  ExprPtr parseFiltersAndTests(ExprPtr operand);
  ExprPtr parseSubscript(ExprPtr operand);
  ExprPtr parseSlice(ExprPtr operand, ExprPtr start, uint32_t offset);
  ExprPtr parseCall(ExprPtr callee);
  ExprPtr parseTest(ExprPtr operand);
  Target parseSingleTarget(bool allowsAttribute);
  std::string parseDottedName();

  TokenStream &tokens;
  SymbolTable &symbols;
};

/// Parses a template. Throws qrt::Error that shows the place of what is no
/// Jinja, or of a statement that is not supported.
Ast parse(const Source &source);

} // namespace qrt::chat

#endif // QRT_CHAT_PARSER_H
