//===- Evaluate.cpp - Evaluates the expressions of a template -------------===//

#include "runtime/chat/Interpreter.h"
#include "runtime/chat/Operators.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

Value Interpreter::evaluate(const Expr &expr) {
  Depth depth;
  Budget::step();
  place = expr.offset;
  switch (expr.kind) {
  case ExprKind::Constant:
    return cast<ConstantExpr>(expr).value;
  case ExprKind::Name:
    return evaluateName(cast<NameExpr>(expr));
  case ExprKind::List:
    return evaluateAll(cast<ListExpr>(expr).items);
  case ExprKind::Tuple:
    return Value::tuple(evaluateAll(cast<TupleExpr>(expr).items));
  case ExprKind::Dict:
    return evaluateDict(cast<DictExpr>(expr));
  case ExprKind::Unary: {
    Value operand = evaluate(*cast<UnaryExpr>(expr).operand);
    place = expr.offset;
    return applyUnary(cast<UnaryExpr>(expr).op, operand);
  }
  case ExprKind::Binary:
    return evaluateBinary(cast<BinaryExpr>(expr));
  case ExprKind::Concat:
    return evaluateConcat(cast<ConcatExpr>(expr));
  case ExprKind::Compare:
    return evaluateCompare(cast<CompareExpr>(expr));
  case ExprKind::Conditional:
    return evaluateConditional(cast<ConditionalExpr>(expr));
  case ExprKind::Attribute: {
    Value object = evaluate(*cast<AttributeExpr>(expr).object);
    place = expr.offset;
    return getAttribute(object, cast<AttributeExpr>(expr).name);
  }
  case ExprKind::Item: {
    Value object = evaluate(*cast<ItemExpr>(expr).object);
    Value index = evaluate(*cast<ItemExpr>(expr).index);
    place = expr.offset;
    return getItem(object, index);
  }
  case ExprKind::Slice:
    return evaluateSlice(cast<SliceExpr>(expr));
  case ExprKind::Call:
    return evaluateCall(cast<CallExpr>(expr));
  case ExprKind::Filter:
    return evaluateFilter(cast<FilterExpr>(expr), nullptr);
  case ExprKind::Test:
    return evaluateTest(cast<TestExpr>(expr));
  }
  return Value();
}

Value Interpreter::evaluateName(const NameExpr &expr) {
  if (const Value *value = current->find(expr.name))
    return *value;
  if (const Value *value = globals[expr.name])
    return *value;
  const std::string &name = ast.names[expr.name];
  if (std::optional<Value> function = findGlobal(*this, name))
    return *function;
  return Value::undefined("'" + name + "' is undefined");
}

Values Interpreter::evaluateAll(const std::vector<ExprPtr> &exprs) {
  Values values;
  values.reserve(exprs.size());
  for (const ExprPtr &expr : exprs)
    values.push_back(evaluate(*expr));
  return values;
}

Value Interpreter::evaluateDict(const DictExpr &expr) {
  Dict dict;
  for (const auto &[key, value] : expr.entries) {
    Value name = evaluate(*key);
    dict.set(std::move(name), evaluate(*value));
  }
  return dict;
}

Value Interpreter::evaluateBinary(const BinaryExpr &expr) {
  Value left = evaluate(*expr.left);
  if (expr.op == BinaryOp::And)
    return left.truth() ? evaluate(*expr.right) : left;
  if (expr.op == BinaryOp::Or)
    return left.truth() ? left : evaluate(*expr.right);
  Value right = evaluate(*expr.right);
  place = expr.offset;
  return applyBinary(expr.op, left, right);
}

Value Interpreter::evaluateConcat(const ConcatExpr &expr) {
  std::string text;
  for (const ExprPtr &part : expr.parts) {
    text += toText(evaluate(*part));
    Budget::requireRoom(text.size());
  }
  Budget::touch(text.size());
  return text;
}

Value Interpreter::evaluateCompare(const CompareExpr &expr) {
  Value left = evaluate(*expr.first);
  for (const auto &[op, operand] : expr.rest) {
    Value right = evaluate(*operand);
    place = expr.offset;
    if (!applyCompare(op, left, right))
      return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluateConditional(const ConditionalExpr &expr) {
  if (evaluate(*expr.test).truth())
    return evaluate(*expr.then);
  if (expr.otherwise)
    return evaluate(*expr.otherwise);
  return Value::undefined("the inline if-expression on line " +
                          std::to_string(source.line(expr.offset)) +
                          " evaluated to false and no else section was "
                          "defined");
}

Value Interpreter::evaluateSlice(const SliceExpr &expr) {
  auto bound = [&](const ExprPtr &part) {
    return part ? evaluate(*part) : Value();
  };
  Value object = evaluate(*expr.object);
  Value start = bound(expr.start), stop = bound(expr.stop),
        step = bound(expr.step);
  place = expr.offset;
  return getSlice(object, start, stop, step);
}

Arguments Interpreter::evaluateArguments(const CallArguments &arguments) {
  Arguments values;
  values.positional = evaluateAll(arguments.positional);
  for (const auto &[name, value] : arguments.named)
    values.named.emplace_back(name, evaluate(*value));
  if (arguments.spread)
    for (const Value &item : toItems(evaluate(*arguments.spread)))
      values.positional.push_back(item);
  if (!arguments.spreadNamed)
    return values;
  Value spread = evaluate(*arguments.spreadNamed);
  if (!spread.isDict())
    throw Error("argument after ** must be a mapping, not " +
                spread.typeName());
  for (const auto &[name, value] : spread.dict().entries()) {
    if (!name.isString())
      throw Error("keywords must be strings");
    auto isSame = [&](const auto &pair) { return pair.first == name.string(); };
    if (std::ranges::any_of(values.named, isSame))
      throw Error("got multiple values for keyword argument '" + name.string() +
                  "'");
    values.named.emplace_back(name.string(), value);
  }
  return values;
}

Value Interpreter::evaluateCall(const CallExpr &expr, const Value *caller) {
  Value callee = evaluate(*expr.callee);
  Arguments arguments = evaluateArguments(expr.arguments);
  if (caller)
    arguments.named.emplace_back("caller", *caller);
  place = expr.offset;
  requireDefined(callee);
  if (!callee.isObject())
    throw Error("'" + callee.typeName() + "' object is not callable");
  return callee.object().call(arguments);
}

Value Interpreter::evaluateFilter(const FilterExpr &expr,
                                  const Value *blockText) {
  // Of the chain of a block's filters the innermost has no operand.
  Value operand;
  if (expr.operand && expr.operand->kind == ExprKind::Filter)
    operand = evaluateFilter(cast<FilterExpr>(*expr.operand), blockText);
  else
    operand = expr.operand ? evaluate(*expr.operand) : *blockText;
  Arguments arguments = evaluateArguments(expr.arguments);
  place = expr.offset;
  if (!expr.filter)
    throw Error("no filter named '" + expr.name + "' found");
  return expr.filter->apply(*this, operand, arguments);
}

Value Interpreter::evaluateTest(const TestExpr &expr) {
  Value operand = evaluate(*expr.operand);
  Arguments arguments = evaluateArguments(expr.arguments);
  place = expr.offset;
  if (!expr.test)
    throw Error("no test named '" + expr.name + "' found");
  return expr.test->apply(operand, arguments);
}

Value Interpreter::callFilter(std::string_view name, const Value &operand,
                              const Arguments &arguments) {
  const Filter *filter = findFilter(name);
  if (!filter)
    throw Error("no filter named '" + std::string(name) + "'");
  if (!filter->apply)
    throw Error("the filter '" + std::string(name) + "' is not supported");
  return filter->apply(*this, operand, arguments);
}

} // namespace qrt::chat
