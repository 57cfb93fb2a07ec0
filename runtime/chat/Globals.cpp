//===- Globals.cpp - Functions that every template has --------------------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Interpreter.h"
#include "runtime/chat/Operators.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

std::string Namespace::repr() const {
  return "<Namespace " + toRepr(Value(attributes)) + ">";
}

std::optional<Value> Namespace::attribute(std::string_view name) {
  const Value *found = attributes.find(name);
  return found ? std::optional(*found) : std::nullopt;
}

Value makeGenerator(Generator::Next next, std::string type) {
  return std::shared_ptr<Object>(
      std::make_shared<Generator>(std::move(next), std::move(type)));
}

Value makeFunction(std::string name, Function::Body body) {
  return std::shared_ptr<Object>(
      std::make_shared<Function>(std::move(name), std::move(body)));
}

Generator::Next iterate(const Value &value) {
  if (value.isObject() && value.object().isIterator())
    return [value](Value &item) { return value.object().next(item); };
  return [items = toItems(value), i = size_t(0)](Value &item) mutable {
    if (i == items.size())
      return false;
    item = items[i++];
    return true;
  };
}

namespace {

/// Jinja's cycler(): one item after the other, for ever.
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
public:
  explicit Cycler(Values items) : items(std::move(items)) {
    if (this->items.empty())
      throw Error("at least one item has to be provided");
  }
  std::string typeName() const override { return "Cycler"; }
  std::optional<Value> attribute(std::string_view name) override {
    if (name == "current")
      return items[at];
    if (name == "next")
      return makeFunction("next",
                          [self = shared_from_this()](const Arguments &) {
                            Value item = self->items[self->at];
                            self->at = (self->at + 1) % self->items.size();
                            return item;
                          });
    if (name == "reset")
      return makeFunction("reset",
                          [self = shared_from_this()](const Arguments &) {
                            self->at = 0;
                            return Value();
                          });
    return std::nullopt;
  }

private:
  Values items;
  size_t at = 0;
};

/// dict(), from a dict or pairs, and names.
Dict makeDict(const Arguments &arguments) {
  Dict dict;
  if (arguments.positional.size() > 1)
    throw Error("dict expected at most 1 argument, got " +
                std::to_string(arguments.positional.size()));
  for (const Value &from : arguments.positional) {
    if (from.isDict()) {
      dict = from.dict();
      continue;
    }
    forEach(from, [&](const Value &pair) {
      Values items = toItems(pair);
      if (items.size() != 2)
        throw Error("an element of the dict's sequence has length " +
                    std::to_string(items.size()) + "; 2 is required");
      dict.set(items[0], items[1]);
      return true;
    });
  }
  for (const auto &[name, value] : arguments.named)
    dict.set(name, value);
  return dict;
}

Value makeRange(const Arguments &arguments) {
  constexpr int64_t most = 100'000; // the sandbox's MAX_RANGE
  if (arguments.positional.empty())
    throw Error("range expected at least 1 argument, got 0");
  BoundArguments bound = arguments.bind("range", {"", "", ""}, 1);
  bool hasStart = bound.has(1);
  int64_t start = hasStart ? bound.integer(0, 0) : 0;
  int64_t stop = bound.integer(hasStart ? 1 : 0, 0);
  int64_t step = bound.integer(2, 1);
  if (step == 0)
    throw Error("range() arg 3 must not be zero");
  Values items;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (int64_t(items.size()) == most)
      throw Error("Range too big. The sandbox blocks ranges larger than "
                  "MAX_RANGE (100000).");
    items.push_back(at);
    if (__builtin_add_overflow(at, step, &at))
      break;
  }
  Budget::step(items.size());
  return Value(std::move(items), SequenceKind::Range);
}

Value makeJoiner(const Arguments &arguments) {
  std::string separator = arguments.bind("joiner", {"sep"}).string(0, ", ");
  return makeFunction(
      "joiner", [separator, used = false](const Arguments &) mutable {
        return Value(std::exchange(used, true) ? separator : std::string());
      });
}

/// transformers' `dict`, which can be called and has `fromkeys`.
class DictType : public Object {
public:
  std::string typeName() const override { return "TemplateDict"; }
  bool isCallable() const override { return true; }
  Value call(const Arguments &arguments) override {
    return makeDict(arguments);
  }
  std::optional<Value> attribute(std::string_view name) override {
    if (name != "fromkeys")
      return std::nullopt;
    return makeFunction("fromkeys", [](const Arguments &arguments) {
      BoundArguments bound = arguments.bind("fromkeys", {"", ""}, 1);
      Dict dict;
      forEach(bound[0], [&](const Value &key) {
        dict.set(key, bound.has(1) ? bound[1] : Value());
        return true;
      });
      return Value(std::move(dict));
    });
  }
};

} // namespace

std::optional<Value> findGlobal(Interpreter &interpreter,
                                std::string_view name) {
  if (name == "raise_exception")
    return makeFunction("raise_exception", [](const Arguments &arguments) {
      throw Error(toText(arguments.bind("raise_exception", {"message"}, 1)[0]));
      return Value();
    });
  if (name == "strftime_now")
    return makeFunction("strftime_now", [&](const Arguments &arguments) {
      return Value(interpreter.now().format(
          arguments.bind("strftime_now", {"format"}, 1).string(0, "")));
    });
  if (name == "namespace")
    return makeFunction("namespace", [&](const Arguments &arguments) {
      return interpreter.makeNamespace(makeDict(arguments));
    });
  if (name == "dict")
    return Value(std::shared_ptr<Object>(std::make_shared<DictType>()));
  if (name == "range")
    return makeFunction("range", makeRange);
  if (name == "joiner")
    return makeFunction("joiner", makeJoiner);
  if (name == "cycler")
    return makeFunction("cycler", [](const Arguments &arguments) {
      return Value(std::shared_ptr<Object>(
          std::make_shared<Cycler>(arguments.positional)));
    });
  if (name == "lipsum")
    return makeFunction("lipsum", [](const Arguments &) {
      throw Error("the function 'lipsum' is not supported");
      return Value();
    });
  return std::nullopt;
}

} // namespace qrt::chat
