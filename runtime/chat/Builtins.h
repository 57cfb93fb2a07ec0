//===- Builtins.h - Filters, tests, methods, functions ----------*- C++ -*-===//

#ifndef QRT_CHAT_BUILTINS_H
#define QRT_CHAT_BUILTINS_H

#include "runtime/chat/Arguments.h"
#include "runtime/chat/Value.h"

#include <span>

namespace qrt::chat {

class Interpreter;

/// `operand | name(arguments)`
struct Filter {
  std::string_view name;
  /// Null: Jinja has it, this interpreter does not.
  Value (*apply)(Interpreter &interpreter, const Value &operand,
                 const Arguments &arguments);
};
/// `operand is name(arguments)`
struct Test {
  std::string_view name;
  bool (*apply)(const Value &operand, const Arguments &arguments);
};
/// `operand.name(arguments)`
struct Method {
  std::string_view name;
  /// Null: Python has it, this interpreter does not.
  Value (*call)(const Value &self, const Arguments &arguments);
};

/// Null if there is none of that name.
const Filter *findFilter(std::string_view name);
const Test *findTest(std::string_view name);

/// The tables behind findFilter(), by the file that they stand in.
std::span<const Filter> valueFilters();
std::span<const Filter> sequenceFilters();

std::span<const Method> stringMethods();
/// str.replace within the budget; `limit` < 0: all.
std::string replaceWithin(const std::string &text, const std::string &from,
                          const std::string &to, int64_t limit = -1);

/// Python's getattr() in Jinja's sandbox: what would change a list or a dict is
/// Undefined. Nothing if there is no such attribute.
std::optional<Value> attributeOf(const Value &value, std::string_view name);
/// Jinja's `object.name` and `object[index]`: Undefined where there is nothing.
/// Throw qrt::Error for an object that is Undefined itself.
Value getAttribute(const Value &object, std::string_view name);
Value getItem(const Value &object, const Value &index);
/// object[start:stop:step], each bound None or an int.
Value getSlice(const Value &object, const Value &start, const Value &stop,
               const Value &step);

/// A function of the environment: `range`, `raise_exception` ...; nothing if
/// there is none of that name.
std::optional<Value> findGlobal(Interpreter &interpreter,
                                std::string_view name);

/// What namespace() makes, whose attributes can be set.
class Namespace : public Object {
public:
  explicit Namespace(Dict attributes) : attributes(std::move(attributes)) {}
  std::string typeName() const override { return "Namespace"; }
  std::string repr() const override;
  std::optional<Value> attribute(std::string_view name) override;
  void set(std::string_view name, Value value) {
    attributes.set(name, std::move(value));
  }
  void clear() { attributes = Dict(); }

private:
  Dict attributes;
};

/// Items that are made when they are asked for, once.
class Generator : public Object {
public:
  using Next = std::function<bool(Value &)>;
  explicit Generator(Next makeNext, std::string type = "generator")
      : makeNext(std::move(makeNext)), type(std::move(type)) {}
  std::string typeName() const override { return type; }
  bool isIterator() const override { return true; }
  bool next(Value &item) override { return makeNext(item); }

private:
  Next makeNext;
  std::string type;
};
Value makeGenerator(Generator::Next next, std::string type = "generator");
/// An iterator over the items of a value, which need not be iterated yet.
Generator::Next iterate(const Value &value);

/// A function as a value.
class Function : public Object {
public:
  using Body = std::function<Value(const Arguments &)>;
  Function(std::string name, Body body)
      : name(std::move(name)), body(std::move(body)) {}
  std::string typeName() const override { return "function"; }
  std::string repr() const override { return "<function " + name + ">"; }
  bool isCallable() const override { return true; }
  Value call(const Arguments &arguments) override { return body(arguments); }

private:
  std::string name;
  Body body;
};
Value makeFunction(std::string name, Function::Body body);

} // namespace qrt::chat

#endif // QRT_CHAT_BUILTINS_H
