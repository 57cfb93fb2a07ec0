//===- Operators.cpp - Python's operators on values -----------------------===//

#include "runtime/chat/Operators.h"

#include "runtime/chat/Format.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <cmath>

namespace qrt::chat {

[[noreturn]] static void failOverflow() {
  throw Error("integers of more than 64 bits are not supported");
}

int64_t toInteger(double value) {
  if (std::isnan(value))
    throw Error("cannot convert float NaN to integer");
  if (std::isinf(value))
    throw Error("cannot convert float infinity to integer");
  if (value < -0x1p63 || value >= 0x1p63)
    failOverflow();
  return int64_t(value);
}

static const char *spelling(BinaryOp op) {
  switch (op) {
  case BinaryOp::And:
    return "and";
  case BinaryOp::Or:
    return "or";
  case BinaryOp::Add:
    return "+";
  case BinaryOp::Subtract:
    return "-";
  case BinaryOp::Multiply:
    return "*";
  case BinaryOp::Divide:
    return "/";
  case BinaryOp::FloorDivide:
    return "//";
  case BinaryOp::Modulo:
    return "%";
  case BinaryOp::Power:
    return "** or pow()";
  }
  return "?";
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

/// Rounds towards minus infinity, the remainder has the divisor's sign.
static int64_t floorDivide(int64_t a, int64_t b) {
  if (b == 0)
    throw Error("integer division or modulo by zero");
  if (b == -1) {
    int64_t negated;
    if (__builtin_sub_overflow(int64_t(0), a, &negated))
      failOverflow();
    return negated;
  }
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a % b < 0) != (b < 0));
}

static int64_t floorModulo(int64_t a, int64_t b) {
  if (b == 0)
    throw Error("integer modulo by zero");
  if (b == -1)
    return 0;
  int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static double floorModulo(double a, double b) {
  if (b == 0)
    throw Error("float modulo");
  double rest = std::fmod(a, b);
  if (rest == 0)
    return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

static Value power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0)
      throw Error("0.0 cannot be raised to a negative power");
    return std::pow(double(base), double(exponent));
  }
  int64_t result = 1;
  while (exponent) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
      failOverflow();
    exponent >>= 1;
    if (exponent && __builtin_mul_overflow(base, base, &base))
      failOverflow();
  }
  return result;
}

static Value power(double base, double exponent) {
  if (base == 0 && exponent < 0)
    throw Error("0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(exponent) && std::floor(exponent) != exponent)
    throw Error("complex numbers are not supported");
  double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    throw Error("Numerical result out of range");
  return result;
}

static Value computeIntegers(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
  case BinaryOp::Add:
    overflows = __builtin_add_overflow(a, b, &result);
    break;
  case BinaryOp::Subtract:
    overflows = __builtin_sub_overflow(a, b, &result);
    break;
  case BinaryOp::Multiply:
    overflows = __builtin_mul_overflow(a, b, &result);
    break;
  case BinaryOp::Divide:
    if (b == 0)
      throw Error("division by zero");
    return double(static_cast<long double>(a) / static_cast<long double>(b));
  case BinaryOp::FloorDivide:
    return floorDivide(a, b);
  case BinaryOp::Modulo:
    return floorModulo(a, b);
  default:
    return power(a, b);
  }
  if (overflows)
    failOverflow();
  return result;
}

static Value computeFloats(BinaryOp op, double a, double b) {
  switch (op) {
  case BinaryOp::Add:
    return a + b;
  case BinaryOp::Subtract:
    return a - b;
  case BinaryOp::Multiply:
    return a * b;
  case BinaryOp::Divide:
    if (b == 0)
      throw Error("float division by zero");
    return a / b;
  case BinaryOp::FloorDivide: {
    if (b == 0)
      throw Error("float floor division by zero");
    double quotient = (a - floorModulo(a, b)) / b;
    double rounded = std::floor(quotient);
    return quotient - rounded > 0.5 ? rounded + 1 : rounded;
  }
  case BinaryOp::Modulo:
    return floorModulo(a, b);
  default:
    return power(a, b);
  }
}

//===----------------------------------------------------------------------===//
// Text and sequences
//===----------------------------------------------------------------------===//

static Value addTexts(const Value &a, const Value &b) {
  Budget::touch(a.string().size() + b.string().size());
  if (!a.isMarkup() && !b.isMarkup())
    return a.string() + b.string();
  auto part = [](const Value &text) {
    return text.isMarkup() ? text.string() : escapeHtml(text.string());
  };
  return Value::text(part(a) + part(b), /*isMarkup=*/true);
}

static Value addSequences(const Value &a, const Value &b) {
  Budget::step(a.items().size() + b.items().size());
  Values items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return Value(std::move(items), a.sequence().kind);
}

static Value repeat(const Value &value, int64_t count) {
  auto times = size_t(std::max<int64_t>(count, 0));
  size_t size = value.isString() ? value.string().size()
                                 : value.items().size() * sizeof(Value);
  if (times && size > Budget::maxMemory / times)
    throw Error("a value repeated " + std::to_string(times) +
                " times needs too much memory");
  Budget::touch(size * times);
  if (value.isString()) {
    std::string text;
    text.reserve(size * times);
    for (size_t i = 0; i < times; ++i)
      text += value.string();
    return Value::text(std::move(text), value.isMarkup());
  }
  Values items;
  for (size_t i = 0; i < times; ++i)
    items.insert(items.end(), value.items().begin(), value.items().end());
  return Value(std::move(items), value.sequence().kind);
}

static bool isListOrTuple(const Value &value) {
  return value.isSequence(SequenceKind::List) ||
         value.isSequence(SequenceKind::Tuple);
}

static std::optional<Value> computeOthers(BinaryOp op, const Value &left,
                                          const Value &right) {
  if (op == BinaryOp::Add) {
    if (left.isString() && right.isString())
      return addTexts(left, right);
    if (isListOrTuple(left) && right.isSequence(left.sequence().kind))
      return addSequences(left, right);
    if (left.isString())
      throw Error("can only concatenate str (not \"" + right.typeName() +
                  "\") to str");
    if (isListOrTuple(left))
      throw Error("can only concatenate " + left.typeName() + " (not \"" +
                  right.typeName() + "\") to " + left.typeName());
  }
  if (op == BinaryOp::Multiply) {
    if ((left.isString() || isListOrTuple(left)) && right.isIntegral())
      return repeat(left, right.integer());
    if ((right.isString() || isListOrTuple(right)) && left.isIntegral())
      return repeat(right, left.integer());
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

Value applyBinary(BinaryOp op, const Value &left, const Value &right) {
  // The template's % with a text formats any value, Undefined too.
  if (op == BinaryOp::Modulo && left.isString())
    return Value::text(formatPercent(left, right), left.isMarkup());
  requireDefined(left);
  requireDefined(right);
  if (left.isIntegral() && right.isIntegral())
    return computeIntegers(op, left.integer(), right.integer());
  if (left.isNumber() && right.isNumber())
    return computeFloats(op, left.number(), right.number());
  if (std::optional<Value> result = computeOthers(op, left, right))
    return *result;
  throw Error(std::string("unsupported operand type(s) for ") + spelling(op) +
              ": '" + left.typeName() + "' and '" + right.typeName() + "'");
}

Value applyUnary(UnaryOp op, const Value &operand) {
  if (op == UnaryOp::Not)
    return !operand.truth();
  requireDefined(operand);
  bool isMinus = op == UnaryOp::Minus;
  if (operand.isIntegral())
    return isMinus ? computeIntegers(BinaryOp::Subtract, 0, operand.integer())
                   : Value(operand.integer());
  if (operand.isFloat())
    return isMinus ? -operand.number() : operand.number();
  throw Error(std::string("bad operand type for unary ") +
              (isMinus ? "-" : "+") + ": '" + operand.typeName() + "'");
}

bool applyCompare(CompareOp op, const Value &left, const Value &right) {
  auto isNan = [](const Value &value) {
    return value.isFloat() && std::isnan(value.number());
  };
  switch (op) {
  case CompareOp::Equal:
    return left == right;
  case CompareOp::NotEqual:
    return !(left == right);
  case CompareOp::Less:
    return left < right;
  case CompareOp::Greater:
    return right < left;
  case CompareOp::LessEqual:
  case CompareOp::GreaterEqual: {
    if (isNan(left) || isNan(right))
      return false;
    bool isLess = op == CompareOp::LessEqual;
    return !(isLess ? right < left : left < right);
  }
  case CompareOp::In:
    return contains(right, left);
  case CompareOp::NotIn:
    return !contains(right, left);
  }
  return false;
}

} // namespace qrt::chat
