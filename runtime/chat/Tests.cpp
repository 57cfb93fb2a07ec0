//===- Tests.cpp - What stands behind `is` --------------------------------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Operators.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

namespace {

bool hasRemainder(const Value &value, const Value &divisor, int64_t rest) {
  return applyBinary(BinaryOp::Modulo, value, divisor) == Value(rest);
}

bool isDivisible(const Value &value, const Arguments &arguments) {
  return hasRemainder(value, arguments.bind("divisibleby", {"num"}, 1)[0], 0);
}

template <CompareOp Op>
bool compares(const Value &value, const Arguments &arguments) {
  return applyCompare(Op, value, arguments.bind("compare", {"other"}, 1)[0]);
}

bool isSequence(const Value &value, const Arguments &) {
  return value.isString() || value.isDict() || value.isUndefined() ||
         (value.isSequence() && value.sequence().kind <= SequenceKind::Group);
}

bool isCallable(const Value &value, const Arguments &) {
  return value.isUndefined() ||
         (value.isObject() && value.object().isCallable());
}

template <bool Is>
bool isBoolean(const Value &value, const Arguments &) {
  return value.isBool() && value.truth() == Is;
}

/// A test that needs no arguments.
template <bool (Value::*Is)() const>
bool is(const Value &value, const Arguments &arguments) {
  arguments.bind("test", {});
  return (value.*Is)();
}

bool isOdd(const Value &value, const Arguments &) {
  return hasRemainder(value, 2, 1);
}
bool isEven(const Value &value, const Arguments &) {
  return hasRemainder(value, 2, 0);
}
bool isDefined(const Value &value, const Arguments &) {
  return !value.isUndefined();
}
bool isSameAs(const Value &value, const Arguments &arguments) {
  return value.isSame(arguments.bind("sameas", {"other"}, 1)[0]);
}
bool isLowerCase(const Value &value, const Arguments &) {
  return isLower(toText(value));
}
bool isUpperCase(const Value &value, const Arguments &) {
  return isUpper(toText(value));
}
bool isIterableValue(const Value &value, const Arguments &) {
  return isIterable(value);
}
bool isFilterName(const Value &value, const Arguments &) {
  return value.isString() && findFilter(value.string());
}
bool isTestName(const Value &value, const Arguments &) {
  return value.isString() && findTest(value.string());
}

constexpr Test tests[] = {
    {"!=", compares<CompareOp::NotEqual>},
    {"<", compares<CompareOp::Less>},
    {"<=", compares<CompareOp::LessEqual>},
    {"==", compares<CompareOp::Equal>},
    {">", compares<CompareOp::Greater>},
    {">=", compares<CompareOp::GreaterEqual>},
    {"boolean", is<&Value::isBool>},
    {"callable", isCallable},
    {"defined", isDefined},
    {"divisibleby", isDivisible},
    {"eq", compares<CompareOp::Equal>},
    {"equalto", compares<CompareOp::Equal>},
    {"escaped", is<&Value::isMarkup>},
    {"even", isEven},
    {"false", isBoolean<false>},
    {"filter", isFilterName},
    {"float", is<&Value::isFloat>},
    {"ge", compares<CompareOp::GreaterEqual>},
    {"greaterthan", compares<CompareOp::Greater>},
    {"gt", compares<CompareOp::Greater>},
    {"in", compares<CompareOp::In>},
    {"integer", is<&Value::isInteger>},
    {"iterable", isIterableValue},
    {"le", compares<CompareOp::LessEqual>},
    {"lessthan", compares<CompareOp::Less>},
    {"lower", isLowerCase},
    {"lt", compares<CompareOp::Less>},
    {"mapping", is<&Value::isDict>},
    {"ne", compares<CompareOp::NotEqual>},
    {"none", is<&Value::isNone>},
    {"number", is<&Value::isNumber>},
    {"odd", isOdd},
    {"sameas", isSameAs},
    {"sequence", isSequence},
    {"string", is<&Value::isString>},
    {"test", isTestName},
    {"true", isBoolean<true>},
    {"undefined", is<&Value::isUndefined>},
    {"upper", isUpperCase},
};

} // namespace

const Test *findTest(std::string_view name) {
  const auto *found = std::ranges::find(tests, name, &Test::name);
  return found == std::end(tests) ? nullptr : found;
}

} // namespace qrt::chat
