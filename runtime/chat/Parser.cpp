//===- Parser.cpp - Parses statements -------------------------------------===//

#include "runtime/chat/Parser.h"

#include "runtime/chat/Scopes.h"

#include <algorithm>

namespace qrt::chat {

namespace {

class StatementParser {
public:
  explicit StatementParser(const Source &source)
      : tokens(source), expressions(tokens, symbols) {}

  Ast run() {
    Ast ast;
    ast.body.body = parseBody({});
    ast.names = symbols.take();
    return ast;
  }

private:
  using Names = std::initializer_list<std::string_view>;

  /// Statements up to a tag of `ends`, whose name is then the current token.
  Body parseBody(Names ends);
  /// The same for the body of a tag: from the end of that on.
  Body parseBlock(Names ends) {
    tokens.takeOperator(":");
    tokens.expect(TokenKind::BlockEnd, "'%}'");
    return parseBody(ends);
  }
  /// The same, up to and with the one tag `end`.
  Body parseWhole(std::string_view end) {
    Body body = parseBlock({end});
    tokens.advance();
    return body;
  }
  /// The same outside of the loops around it: `break` cannot leave it.
  Body parseWholeWithoutLoop(std::string_view end) {
    size_t loops = std::exchange(openLoops, 0);
    Body body = parseWhole(end);
    openLoops = loops;
    return body;
  }
  [[noreturn]] void failUnended() const;

  StmtPtr parseStatement();
  StmtPtr parsePrint(uint32_t offset);
  StmtPtr parseIf(uint32_t offset);
  StmtPtr parseFor(uint32_t offset);
  StmtPtr parseSet(uint32_t offset);
  StmtPtr parseMacro(uint32_t offset);
  StmtPtr parseCallBlock(uint32_t offset);
  StmtPtr parseFilterBlock(uint32_t offset);
  StmtPtr parseWith(uint32_t offset);
  StmtPtr parseGeneration(uint32_t offset);
  template <typename Jump>
  StmtPtr parseJump(uint32_t offset, const char *name);
  void parseSignature(MacroDefinition &macro);
  void parseMacroBody(MacroDefinition &macro, std::string_view end);

  TokenStream tokens;
  SymbolTable symbols;
  ExpressionParser expressions;
  size_t openLoops = 0;
  std::vector<Token> openTags;
};

} // namespace

void StatementParser::failUnended() const {
  if (openTags.empty())
    tokens.failExpected("a tag");
  const Token &tag = openTags.back();
  tokens.fail("'" + tag.text + "' has no end", tag.offset);
}

Body StatementParser::parseBody(Names ends) {
  Depth depth;
  Body body;
  while (true) {
    const Token &token = tokens.current();
    switch (token.kind) {
    case TokenKind::Data: {
      auto data = std::make_unique<DataStmt>(token.offset);
      data->text = token.text;
      body.push_back(std::move(data));
      tokens.advance();
      break;
    }
    case TokenKind::VariableBegin: {
      auto print = std::make_unique<PrintStmt>(token.offset);
      tokens.advance();
      print->values.push_back(expressions.parseTuple());
      tokens.expect(TokenKind::VariableEnd, "'}}'");
      body.push_back(std::move(print));
      break;
    }
    case TokenKind::BlockBegin:
      tokens.advance();
      if (tokens.current().kind == TokenKind::Name &&
          std::ranges::find(ends, tokens.current().text) != ends.end())
        return body;
      body.push_back(parseStatement());
      tokens.expect(TokenKind::BlockEnd, "'%}'");
      break;
    case TokenKind::End:
      if (ends.size() != 0)
        failUnended();
      return body;
    default:
      tokens.failExpected("a tag");
    }
  }
}

StmtPtr StatementParser::parseStatement() {
  static constexpr std::pair<std::string_view,
                             StmtPtr (StatementParser::*)(uint32_t)>
      statements[] = {
          {"print", &StatementParser::parsePrint},
          {"if", &StatementParser::parseIf},
          {"for", &StatementParser::parseFor},
          {"set", &StatementParser::parseSet},
          {"macro", &StatementParser::parseMacro},
          {"call", &StatementParser::parseCallBlock},
          {"filter", &StatementParser::parseFilterBlock},
          {"with", &StatementParser::parseWith},
          {"generation", &StatementParser::parseGeneration},
      };
  Token tag = tokens.expectName();
  if (tag.text == "break")
    return parseJump<BreakStmt>(tag.offset, "break");
  if (tag.text == "continue")
    return parseJump<ContinueStmt>(tag.offset, "continue");
  const auto *found = std::ranges::find_if(
      statements, [&](const auto &entry) { return entry.first == tag.text; });
  if (found != std::end(statements)) {
    openTags.push_back(tag);
    StmtPtr statement = (this->*found->second)(tag.offset);
    openTags.pop_back();
    return statement;
  }
  for (const char *known :
       {"block", "extends", "include", "import", "from", "autoescape"})
    if (tag.text == known)
      tokens.fail("the tag '" + tag.text + "' is not supported", tag.offset);
  bool isEnd =
      tag.text.starts_with("end") || tag.text == "else" || tag.text == "elif";
  if (isEnd && !openTags.empty())
    tokens.fail("'" + tag.text + "' inside of '" + openTags.back().text + "'",
                tag.offset);
  tokens.fail(isEnd ? "'" + tag.text + "' without a beginning"
                    : "unknown tag '" + tag.text + "'",
              tag.offset);
}

StmtPtr StatementParser::parsePrint(uint32_t offset) {
  auto node = std::make_unique<PrintStmt>(offset);
  while (tokens.current().kind != TokenKind::BlockEnd) {
    if (!node->values.empty())
      tokens.expectOperator(",");
    node->values.push_back(expressions.parse());
  }
  return node;
}

StmtPtr StatementParser::parseIf(uint32_t offset) {
  auto node = std::make_unique<IfStmt>(offset);
  do {
    IfStmt::Branch &branch = node->branches.emplace_back();
    branch.test = expressions.parseTuple(/*withConditional=*/false);
    branch.body = parseBlock({"elif", "else", "endif"});
  } while (tokens.takeName("elif"));
  if (tokens.takeName("else"))
    node->otherwise = parseWhole("endif");
  else
    tokens.advance();
  return node;
}

StmtPtr StatementParser::parseFor(uint32_t offset) {
  auto node = std::make_unique<ForStmt>(offset);
  node->target = expressions.parseTarget(/*allowsAttribute=*/false, "in");
  if (!tokens.takeName("in"))
    tokens.failExpected("'in'");
  node->iterable = expressions.parseTuple(/*withConditional=*/false,
                                          /*endName=*/"recursive");
  if (tokens.takeName("if"))
    node->test = expressions.parse();
  node->isRecursive = tokens.takeName("recursive");
  ++openLoops;
  node->body.body = parseBlock({"endfor", "else"});
  --openLoops;
  if (tokens.takeName("else"))
    node->otherwise.body = parseWhole("endfor");
  else
    tokens.advance();
  return node;
}

StmtPtr StatementParser::parseSet(uint32_t offset) {
  Target target = expressions.parseTarget(/*allowsAttribute=*/true);
  if (tokens.takeOperator("=")) {
    auto node = std::make_unique<SetStmt>(offset);
    node->target = std::move(target);
    node->value = expressions.parseTuple();
    return node;
  }
  auto node = std::make_unique<SetBlockStmt>(offset);
  node->target = std::move(target);
  node->filter = expressions.parseFilters(nullptr);
  node->body.body = parseWhole("endset");
  return node;
}

void StatementParser::parseSignature(MacroDefinition &macro) {
  tokens.expectOperator("(");
  while (!tokens.isOperator(")")) {
    uint32_t offset = tokens.offset();
    Symbol name = symbols.intern(tokens.expectName().text);
    if (std::ranges::find(macro.parameters, name) != macro.parameters.end())
      tokens.fail("a parameter is there twice", offset);
    macro.parameters.push_back(name);
    if (tokens.takeOperator("="))
      macro.defaults.push_back(expressions.parse());
    else if (!macro.defaults.empty())
      tokens.fail("a parameter without a default behind one that has it",
                  offset);
    if (!tokens.isOperator(")"))
      tokens.expectOperator(",");
  }
  tokens.expectOperator(")");
}

void StatementParser::parseMacroBody(MacroDefinition &macro,
                                     std::string_view end) {
  size_t before = symbols.readCount();
  macro.body.body = parseWholeWithoutLoop(end);
  auto uses = [&](const char *name) {
    return symbols.isReadSince(before, name);
  };
  auto isParameter = [&](const char *name) {
    return std::ranges::find(macro.parameters, symbols.intern(name)) !=
           macro.parameters.end();
  };
  macro.usesCaller = uses("caller");
  macro.usesKwargs = uses("kwargs") && !isParameter("kwargs");
  macro.usesVarargs = uses("varargs") && !isParameter("varargs");
}

StmtPtr StatementParser::parseMacro(uint32_t offset) {
  auto node = std::make_unique<MacroStmt>(offset);
  node->macro.name = tokens.expectName().text;
  node->name = symbols.intern(node->macro.name);
  parseSignature(node->macro);
  parseMacroBody(node->macro, "endmacro");
  return node;
}

StmtPtr StatementParser::parseCallBlock(uint32_t offset) {
  auto node = std::make_unique<CallBlockStmt>(offset);
  if (tokens.isOperator("("))
    parseSignature(node->macro);
  uint32_t begin = tokens.offset();
  ExprPtr call = expressions.parse();
  if (call->kind != ExprKind::Call)
    tokens.fail("'call' needs a call", begin);
  node->call.reset(static_cast<CallExpr *>(call.release()));
  parseMacroBody(node->macro, "endcall");
  return node;
}

StmtPtr StatementParser::parseFilterBlock(uint32_t offset) {
  auto node = std::make_unique<FilterBlockStmt>(offset);
  node->filter = expressions.parseFilters(nullptr, /*startsInline=*/true);
  node->body.body = parseWhole("endfilter");
  return node;
}

StmtPtr StatementParser::parseWith(uint32_t offset) {
  auto node = std::make_unique<WithStmt>(offset);
  while (tokens.current().kind != TokenKind::BlockEnd) {
    if (!node->values.empty())
      tokens.expectOperator(",");
    Target target = expressions.parseTarget(/*allowsAttribute=*/false);
    tokens.expectOperator("=");
    node->values.emplace_back(std::move(target), expressions.parse());
  }
  node->body.body = parseWhole("endwith");
  return node;
}

StmtPtr StatementParser::parseGeneration(uint32_t offset) {
  auto node = std::make_unique<GenerationStmt>(offset);
  node->body.body = parseWholeWithoutLoop("endgeneration");
  return node;
}

template <typename Jump>
StmtPtr StatementParser::parseJump(uint32_t offset, const char *name) {
  if (openLoops == 0)
    tokens.fail("'" + std::string(name) + "' outside of a loop", offset);
  return std::make_unique<Jump>(offset);
}

Ast parse(const Source &source) {
  Ast ast = StatementParser(source).run();
  resolveNames(ast, source);
  return ast;
}

} // namespace qrt::chat
