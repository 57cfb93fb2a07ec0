//===- ExpressionParser.cpp - Parses expressions --------------------------===//

#include "runtime/chat/Parser.h"

#include <algorithm>
#include <optional>

namespace qrt::chat {

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

Symbol SymbolTable::intern(const std::string &name) {
  auto [it, isNew] = byName.try_emplace(name, Symbol(names.size()));
  if (isNew)
    names.push_back(name);
  return it->second;
}

bool SymbolTable::isReadSince(size_t from, const std::string &name) {
  auto begin = reads.begin() + std::ptrdiff_t(from);
  return std::find(begin, reads.end(), intern(name)) != reads.end();
}

static std::string describe(const Token &token) {
  switch (token.kind) {
  case TokenKind::Data:
    return "text";
  case TokenKind::VariableBegin:
    return "'{{'";
  case TokenKind::VariableEnd:
    return "'}}'";
  case TokenKind::BlockBegin:
    return "'{%'";
  case TokenKind::BlockEnd:
    return "'%}'";
  case TokenKind::String:
    return "a string";
  case TokenKind::Integer:
  case TokenKind::Float:
    return "a number";
  case TokenKind::Name:
  case TokenKind::Operator:
    return "'" + token.text + "'";
  case TokenKind::End:
    return "the end of the template";
  }
  return "something else";
}

void TokenStream::failExpected(const std::string &what) const {
  fail(describe(current()) + " where " + what + " should be", offset());
}

bool TokenStream::takeName(std::string_view name) {
  bool is = isName(name);
  if (is)
    advance();
  return is;
}

bool TokenStream::takeOperator(std::string_view op) {
  bool is = isOperator(op);
  if (is)
    advance();
  return is;
}

void TokenStream::expectOperator(std::string_view op) {
  if (!takeOperator(op))
    failExpected("'" + std::string(op) + "'");
}

void TokenStream::expect(TokenKind kind, const char *what) {
  if (current().kind != kind)
    failExpected(what);
  advance();
}

Token TokenStream::expectName() {
  if (current().kind != TokenKind::Name)
    failExpected("a name");
  return take();
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

ExprPtr ExpressionParser::finish(ExprPtr expr) {
  constexpr uint32_t highest = 300;
  forEachOperand(*expr, [&](const Expr *operand) {
    if (operand)
      expr->height = std::max(expr->height, operand->height + 1);
  });
  if (expr->height > highest)
    tokens.fail("the expression has more than " + std::to_string(highest) +
                    " levels",
                expr->offset);
  return expr;
}

ExprPtr ExpressionParser::makeBinary(BinaryOp op, ExprPtr left, ExprPtr right,
                                     uint32_t offset) {
  auto node = std::make_unique<BinaryExpr>(offset);
  node->op = op;
  node->left = std::move(left);
  node->right = std::move(right);
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parse(bool withConditional) {
  Depth depth;
  ExprPtr expr = parseOr();
  while (withConditional && tokens.isName("if")) {
    auto node = std::make_unique<ConditionalExpr>(tokens.offset());
    tokens.advance();
    node->then = std::move(expr);
    node->test = parseOr();
    if (tokens.takeName("else"))
      node->otherwise = parse();
    expr = finish(std::move(node));
  }
  return expr;
}

ExprPtr ExpressionParser::parseOr() {
  ExprPtr left = parseAnd();
  for (uint32_t offset = tokens.offset(); tokens.takeName("or");
       offset = tokens.offset())
    left = makeBinary(BinaryOp::Or, std::move(left), parseAnd(), offset);
  return left;
}

ExprPtr ExpressionParser::parseAnd() {
  ExprPtr left = parseNot();
  for (uint32_t offset = tokens.offset(); tokens.takeName("and");
       offset = tokens.offset())
    left = makeBinary(BinaryOp::And, std::move(left), parseNot(), offset);
  return left;
}

ExprPtr ExpressionParser::parseNot() {
  if (!tokens.isName("not"))
    return parseCompare();
  Depth depth;
  auto node = std::make_unique<UnaryExpr>(tokens.offset());
  tokens.advance();
  node->op = UnaryOp::Not;
  node->operand = parseNot();
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parseCompare() {
  static constexpr std::pair<std::string_view, CompareOp> operators[] = {
      {"==", CompareOp::Equal},  {"!=", CompareOp::NotEqual},
      {"<", CompareOp::Less},    {"<=", CompareOp::LessEqual},
      {">", CompareOp::Greater}, {">=", CompareOp::GreaterEqual},
  };
  uint32_t offset = tokens.offset();
  ExprPtr first = parseSum();
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
  while (true) {
    const auto *found = std::ranges::find_if(
        operators, [&](const auto &op) { return tokens.isOperator(op.first); });
    std::optional<CompareOp> op;
    if (found != std::end(operators))
      op = found->second;
    else if (tokens.isName("in"))
      op = CompareOp::In;
    else if (tokens.isName("not") && tokens.next().is(TokenKind::Name, "in"))
      op = CompareOp::NotIn;
    if (!op)
      break;
    offset = rest.empty() ? tokens.offset() : offset;
    tokens.advance();
    if (op == CompareOp::NotIn)
      tokens.advance();
    rest.emplace_back(*op, parseSum());
  }
  if (rest.empty())
    return first;
  auto node = std::make_unique<CompareExpr>(offset);
  node->first = std::move(first);
  node->rest = std::move(rest);
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parseSum() {
  ExprPtr left = parseConcat();
  while (tokens.isOperator("+") || tokens.isOperator("-")) {
    Token token = tokens.take();
    BinaryOp op = token.text == "+" ? BinaryOp::Add : BinaryOp::Subtract;
    left = makeBinary(op, std::move(left), parseConcat(), token.offset);
  }
  return left;
}

ExprPtr ExpressionParser::parseConcat() {
  ExprPtr first = parseProduct();
  if (!tokens.isOperator("~"))
    return first;
  auto node = std::make_unique<ConcatExpr>(tokens.offset());
  node->parts.push_back(std::move(first));
  while (tokens.takeOperator("~"))
    node->parts.push_back(parseProduct());
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parseProduct() {
  static constexpr std::pair<std::string_view, BinaryOp> operators[] = {
      {"*", BinaryOp::Multiply},
      {"/", BinaryOp::Divide},
      {"//", BinaryOp::FloorDivide},
      {"%", BinaryOp::Modulo},
  };
  ExprPtr left = parsePower();
  while (true) {
    const auto *found = std::ranges::find_if(
        operators, [&](const auto &op) { return tokens.isOperator(op.first); });
    if (found == std::end(operators))
      return left;
    uint32_t offset = tokens.take().offset;
    left = makeBinary(found->second, std::move(left), parsePower(), offset);
  }
}

ExprPtr ExpressionParser::parsePower() {
  ExprPtr left = parseUnary();
  while (tokens.isOperator("**")) {
    uint32_t offset = tokens.take().offset;
    left = makeBinary(BinaryOp::Power, std::move(left), parseUnary(), offset);
  }
  return left;
}

ExprPtr ExpressionParser::parseUnary(bool withFilters) {
  ExprPtr expr;
  if (tokens.isOperator("-") || tokens.isOperator("+")) {
    Depth depth;
    Token token = tokens.take();
    auto node = std::make_unique<UnaryExpr>(token.offset);
    node->op = token.text == "-" ? UnaryOp::Minus : UnaryOp::Plus;
    node->operand = parseUnary(/*withFilters=*/false);
    expr = finish(std::move(node));
  } else {
    expr = parsePrimary();
  }
  expr = parsePostfix(std::move(expr));
  return withFilters ? parseFiltersAndTests(std::move(expr)) : std::move(expr);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

ExprPtr ExpressionParser::parsePrimary() {
  const Token &token = tokens.current();
  auto constant = [&](Value value) {
    auto node = std::make_unique<ConstantExpr>(token.offset);
    node->value = std::move(value);
    return node;
  };
  switch (token.kind) {
  case TokenKind::Name: {
    Token name = tokens.take();
    const std::string &text = name.text;
    auto node = std::make_unique<ConstantExpr>(name.offset);
    if (text == "true" || text == "True")
      node->value = true;
    else if (text == "false" || text == "False")
      node->value = false;
    else if (text != "none" && text != "None") {
      auto reference = std::make_unique<NameExpr>(name.offset);
      reference->name = symbols.intern(text);
      symbols.noteRead(reference->name);
      return reference;
    }
    return node;
  }
  case TokenKind::String: {
    // Strings side by side are one.
    uint32_t offset = token.offset;
    std::string text;
    while (tokens.current().kind == TokenKind::String)
      text += tokens.take().text;
    auto node = std::make_unique<ConstantExpr>(offset);
    node->value = std::move(text);
    return node;
  }
  case TokenKind::Integer: {
    auto node = constant(token.integer);
    tokens.advance();
    return node;
  }
  case TokenKind::Float: {
    auto node = constant(token.number);
    tokens.advance();
    return node;
  }
  default:
    break;
  }
  if (tokens.takeOperator("(")) {
    ExprPtr inner = parseTuple(true, {}, /*inBrackets=*/true);
    tokens.expectOperator(")");
    return inner;
  }
  if (tokens.isOperator("["))
    return parseList();
  if (tokens.isOperator("{"))
    return parseDict();
  tokens.failExpected("an expression");
}

ExprPtr ExpressionParser::parseTuple(bool withConditional,
                                     std::string_view endName,
                                     bool inBrackets) {
  auto isEnd = [&] {
    TokenKind kind = tokens.current().kind;
    return kind == TokenKind::VariableEnd || kind == TokenKind::BlockEnd ||
           tokens.isOperator(")") ||
           (!endName.empty() && tokens.isName(endName));
  };
  auto tuple = std::make_unique<TupleExpr>(tokens.offset());
  bool hasComma = false;
  while (!isEnd()) {
    tuple->items.push_back(parse(withConditional));
    if (!tokens.takeOperator(","))
      break;
    hasComma = true;
  }
  if (hasComma || (inBrackets && tuple->items.empty()))
    return finish(std::move(tuple));
  if (tuple->items.empty())
    tokens.failExpected("an expression");
  return std::move(tuple->items[0]);
}

ExprPtr ExpressionParser::parseList() {
  auto node = std::make_unique<ListExpr>(tokens.offset());
  tokens.expectOperator("[");
  while (!tokens.isOperator("]")) {
    node->items.push_back(parse());
    if (!tokens.isOperator("]"))
      tokens.expectOperator(",");
  }
  tokens.expectOperator("]");
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parseDict() {
  auto node = std::make_unique<DictExpr>(tokens.offset());
  tokens.expectOperator("{");
  while (!tokens.isOperator("}")) {
    ExprPtr key = parse();
    tokens.expectOperator(":");
    ExprPtr value = parse();
    node->entries.emplace_back(std::move(key), std::move(value));
    if (!tokens.isOperator("}"))
      tokens.expectOperator(",");
  }
  tokens.expectOperator("}");
  return finish(std::move(node));
}

//===----------------------------------------------------------------------===//
// What stands behind an operand
//===----------------------------------------------------------------------===//

ExprPtr ExpressionParser::parsePostfix(ExprPtr operand) {
  while (true) {
    if (tokens.isOperator(".") || tokens.isOperator("["))
      operand = parseSubscript(std::move(operand));
    else if (tokens.isOperator("("))
      operand = parseCall(std::move(operand));
    else
      return operand;
  }
}

ExprPtr ExpressionParser::parseFiltersAndTests(ExprPtr operand) {
  while (true) {
    if (tokens.isOperator("|"))
      operand = parseFilters(std::move(operand));
    else if (tokens.isName("is"))
      operand = parseTest(std::move(operand));
    else if (tokens.isOperator("("))
      operand = parseCall(std::move(operand));
    else
      return operand;
  }
}

ExprPtr ExpressionParser::parseSubscript(ExprPtr operand) {
  uint32_t offset = tokens.offset();
  if (tokens.takeOperator(".")) {
    Token token = tokens.take();
    if (token.kind == TokenKind::Name) {
      auto node = std::make_unique<AttributeExpr>(token.offset);
      node->object = std::move(operand);
      node->name = token.text;
      return finish(std::move(node));
    }
    if (token.kind != TokenKind::Integer)
      tokens.fail("'.' without a name or a number behind it", offset);
    auto index = std::make_unique<ConstantExpr>(token.offset);
    index->value = token.integer;
    auto node = std::make_unique<ItemExpr>(offset);
    node->object = std::move(operand);
    node->index = std::move(index);
    return finish(std::move(node));
  }
  tokens.expectOperator("[");
  if (tokens.isOperator(":"))
    return parseSlice(std::move(operand), nullptr, offset);
  // An empty subscript is that of the empty tuple.
  ExprPtr index =
      tokens.isOperator("]") ? std::make_unique<TupleExpr>(offset) : parse();
  if (tokens.isOperator(":"))
    return parseSlice(std::move(operand), std::move(index), offset);
  if (tokens.takeOperator(",")) {
    auto tuple = std::make_unique<TupleExpr>(offset);
    tuple->items.push_back(std::move(index));
    while (!tokens.isOperator("]")) {
      tuple->items.push_back(parse());
      if (!tokens.isOperator("]"))
        tokens.expectOperator(",");
    }
    // Jinja reads `a[1,]` as `a[1]`.
    index = tuple->items.size() == 1 ? std::move(tuple->items[0])
                                     : ExprPtr(std::move(tuple));
  }
  tokens.expectOperator("]");
  auto node = std::make_unique<ItemExpr>(offset);
  node->object = std::move(operand);
  node->index = std::move(index);
  return finish(std::move(node));
}

ExprPtr ExpressionParser::parseSlice(ExprPtr operand, ExprPtr start,
                                     uint32_t offset) {
  auto node = std::make_unique<SliceExpr>(offset);
  node->object = std::move(operand);
  node->start = std::move(start);
  tokens.expectOperator(":");
  if (!tokens.isOperator(":") && !tokens.isOperator("]"))
    node->stop = parse();
  if (tokens.takeOperator(":") && !tokens.isOperator("]"))
    node->step = parse();
  if (!tokens.takeOperator("]"))
    tokens.failExpected("']' (slices of several dimensions are not "
                        "supported)");
  return finish(std::move(node));
}

CallArguments ExpressionParser::parseArguments() {
  CallArguments arguments;
  tokens.expectOperator("(");
  while (!tokens.isOperator(")")) {
    uint32_t offset = tokens.offset();
    auto require = [&](bool holds) {
      if (!holds)
        tokens.fail("an argument in the wrong order", offset);
    };
    if (tokens.takeOperator("*")) {
      require(!arguments.spread && !arguments.spreadNamed);
      arguments.spread = parse();
    } else if (tokens.takeOperator("**")) {
      require(!arguments.spreadNamed);
      arguments.spreadNamed = parse();
    } else if (tokens.current().kind == TokenKind::Name &&
               tokens.next().is(TokenKind::Operator, "=")) {
      require(!arguments.spreadNamed);
      std::string name = tokens.take().text;
      tokens.advance();
      auto hasName = [&](const auto &pair) { return pair.first == name; };
      if (std::ranges::any_of(arguments.named, hasName))
        tokens.fail("the argument '" + name + "' is there twice", offset);
      arguments.named.emplace_back(std::move(name), parse());
    } else {
      require(!arguments.spread && !arguments.spreadNamed &&
              arguments.named.empty());
      arguments.positional.push_back(parse());
    }
    if (!tokens.isOperator(")"))
      tokens.expectOperator(",");
  }
  tokens.expectOperator(")");
  return arguments;
}

ExprPtr ExpressionParser::parseCall(ExprPtr callee) {
  auto node = std::make_unique<CallExpr>(callee->offset);
  node->callee = std::move(callee);
  node->arguments = parseArguments();
  return finish(std::move(node));
}

std::string ExpressionParser::parseDottedName() {
  std::string name = tokens.expectName().text;
  while (tokens.takeOperator("."))
    name += "." + tokens.expectName().text;
  return name;
}

ExprPtr ExpressionParser::parseFilters(ExprPtr operand, bool startsInline) {
  while (startsInline || tokens.takeOperator("|")) {
    startsInline = false;
    auto node = std::make_unique<FilterExpr>(tokens.offset());
    node->operand = std::move(operand);
    node->name = parseDottedName();
    if (tokens.isOperator("("))
      node->arguments = parseArguments();
    operand = finish(std::move(node));
  }
  return operand;
}

ExprPtr ExpressionParser::parseTest(ExprPtr operand) {
  uint32_t offset = tokens.offset();
  tokens.advance(); // is
  bool isNegated = tokens.takeName("not");
  auto node = std::make_unique<TestExpr>(tokens.offset());
  node->operand = std::move(operand);
  node->name = parseDottedName();
  const Token &token = tokens.current();
  bool startsArgument =
      token.kind == TokenKind::Name || token.kind == TokenKind::String ||
      token.kind == TokenKind::Integer || token.kind == TokenKind::Float ||
      tokens.isOperator("[") || tokens.isOperator("{");
  if (tokens.isOperator("(")) {
    node->arguments = parseArguments();
  } else if (startsArgument && !tokens.isName("else") && !tokens.isName("or") &&
             !tokens.isName("and")) {
    if (tokens.isName("is"))
      tokens.fail("tests cannot be chained with 'is'", tokens.offset());
    node->arguments.positional.push_back(parsePostfix(parsePrimary()));
  }
  ExprPtr test = finish(std::move(node));
  if (!isNegated)
    return test;
  auto negation = std::make_unique<UnaryExpr>(offset);
  negation->op = UnaryOp::Not;
  negation->operand = std::move(test);
  return finish(std::move(negation));
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

Target ExpressionParser::parseSingleTarget(bool allowsAttribute) {
  Depth depth;
  Target target;
  target.offset = tokens.offset();
  if (tokens.takeOperator("(")) {
    target = parseTarget(allowsAttribute);
    tokens.expectOperator(")");
    return target;
  }
  Token name = tokens.expectName();
  for (const char *constant :
       {"true", "True", "false", "False", "none", "None"})
    if (name.text == constant)
      tokens.fail("'" + name.text + "' cannot be assigned to", name.offset);
  target.name = symbols.intern(name.text);
  if (allowsAttribute && tokens.takeOperator("."))
    target.attribute = tokens.expectName().text;
  return target;
}

Target ExpressionParser::parseTarget(bool allowsAttribute,
                                     std::string_view endName) {
  Target first = parseSingleTarget(allowsAttribute);
  if (!tokens.isOperator(","))
    return first;
  Target tuple;
  tuple.offset = first.offset;
  tuple.isTuple = true;
  tuple.targets.push_back(std::move(first));
  while (tokens.takeOperator(",")) {
    if (tokens.isOperator("=") || tokens.isOperator(")") ||
        tokens.current().kind == TokenKind::BlockEnd ||
        (!endName.empty() && tokens.isName(endName)))
      break;
    tuple.targets.push_back(parseSingleTarget(allowsAttribute));
  }
  return tuple;
}

} // namespace qrt::chat
