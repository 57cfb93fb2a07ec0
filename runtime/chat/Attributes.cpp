//===- Attributes.cpp - Attributes, items and slices ----------------------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

namespace {

/// A method with the value that it belongs to.
class BoundMethod : public Object {
public:
  BoundMethod(Value self, const Method &method)
      : self(std::move(self)), method(method) {}
  std::string typeName() const override { return "builtin_function_or_method"; }
  std::string repr() const override {
    return "<built-in method " + std::string(method.name) + " of " +
           self.typeName() + " object>";
  }
  bool isCallable() const override { return true; }
  Value call(const Arguments &arguments) override {
    if (!method.call)
      throw Error("the method '" + std::string(method.name) + "' of '" +
                  self.typeName() + "' is not supported");
    return method.call(self, arguments);
  }

private:
  Value self;
  const Method &method;
};

//===----------------------------------------------------------------------===//
// Methods of dicts, lists and tuples
//===----------------------------------------------------------------------===//

Value dictGet(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("get", {"key", "default"}, 1);
  const Value *found = self.dict().find(bound[0]);
  return found ? *found : bound.has(1) ? bound[1] : Value();
}

template <SequenceKind Kind>
Value dictView(const Value &self, const Arguments &arguments) {
  arguments.bind("view", {});
  Values items;
  for (const auto &[key, value] : self.dict().entries())
    items.push_back(Kind == SequenceKind::DictKeys ? key
                    : Kind == SequenceKind::DictValues
                        ? value
                        : Value::tuple({key, value}));
  Budget::step(items.size());
  return Value(std::move(items), Kind);
}

Value copySelf(const Value &self, const Arguments &arguments) {
  arguments.bind("copy", {});
  return self;
}

Value sequenceCount(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("count", {"value"}, 1);
  Budget::step(self.items().size());
  return size_t(std::ranges::count(self.items(), bound[0]));
}

Value sequenceIndex(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("index", {"value", "start", "stop"}, 1);
  auto size = int64_t(self.items().size());
  auto clamp = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  int64_t stop = clamp(bound.integer(2, size));
  for (int64_t i = clamp(bound.integer(1, 0)); i < stop; ++i) {
    Budget::step();
    if (self.items()[size_t(i)] == bound[0])
      return i;
  }
  throw Error(toRepr(bound[0]) + " is not in " + self.typeName());
}

constexpr Method dictMethods[] = {
    {"copy", copySelf},
    {"fromkeys", nullptr},
    {"get", dictGet},
    {"items", dictView<SequenceKind::DictItems>},
    {"keys", dictView<SequenceKind::DictKeys>},
    {"values", dictView<SequenceKind::DictValues>},
};
constexpr Method listMethods[] = {
    {"copy", copySelf}, {"count", sequenceCount}, {"index", sequenceIndex}};
constexpr Method tupleMethods[] = {{"count", sequenceCount},
                                   {"index", sequenceIndex}};
constexpr Method numberMethods[] = {
    {"as_integer_ratio", nullptr},
    {"bit_count", nullptr},
    {"bit_length", nullptr},
    {"conjugate", nullptr},
    {"denominator", nullptr},
    {"hex", nullptr},
    {"imag", nullptr},
    {"is_integer", nullptr},
    {"numerator", nullptr},
    {"real", nullptr},
    {"to_bytes", nullptr},
};

std::span<const Method> methodsOf(const Value &value) {
  if (value.isString())
    return stringMethods();
  if (value.isDict())
    return dictMethods;
  if (value.isSequence(SequenceKind::List))
    return listMethods;
  if (value.isSequence(SequenceKind::Tuple) ||
      value.isSequence(SequenceKind::Group) ||
      value.isSequence(SequenceKind::Range))
    return tupleMethods;
  if (value.isNumber())
    return numberMethods;
  return {};
}

/// What Jinja's sandbox hides: changes of lists and dicts, and the attributes
/// that every Python object has.
bool isUnsafe(const Value &value, std::string_view name) {
  static constexpr std::string_view onDict[] = {"clear", "pop", "popitem",
                                                "setdefault", "update"};
  static constexpr std::string_view onList[] = {"append",  "clear",  "pop",
                                                "reverse", "insert", "sort",
                                                "extend",  "remove"};
  static constexpr std::string_view onAll[] = {
      "__class__",  "__delattr__",   "__dir__",         "__doc__",
      "__eq__",     "__format__",    "__ge__",          "__getattribute__",
      "__gt__",     "__hash__",      "__init__",        "__init_subclass__",
      "__le__",     "__lt__",        "__ne__",          "__new__",
      "__reduce__", "__reduce_ex__", "__repr__",        "__setattr__",
      "__sizeof__", "__str__",       "__subclasshook__"};
  auto isOneOf = [&](std::span<const std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
  };
  return (value.isDict() && isOneOf(onDict)) ||
         (value.isSequence(SequenceKind::List) && isOneOf(onList)) ||
         isOneOf(onAll);
}

} // namespace

//===----------------------------------------------------------------------===//
// Attributes and items
//===----------------------------------------------------------------------===//

std::optional<Value> attributeOf(const Value &value, std::string_view name) {
  if (value.isObject())
    if (std::optional<Value> found = value.object().attribute(name))
      return found;
  if (value.isSequence(SequenceKind::Group)) {
    if (name == "grouper")
      return value.items()[0];
    if (name == "list")
      return value.items()[1];
  }
  std::span<const Method> methods = methodsOf(value);
  auto found = std::ranges::find(methods, name, &Method::name);
  if (found != methods.end())
    return Value(
        std::shared_ptr<Object>(std::make_shared<BoundMethod>(value, *found)));
  if (isUnsafe(value, name))
    return Value::undefined("access to attribute '" + std::string(name) +
                            "' of '" + value.typeName() + "' object is unsafe");
  return std::nullopt;
}

/// object[index], or nothing where Python raises TypeError or LookupError.
static std::optional<Value> itemOf(const Value &object, const Value &index) {
  if (object.isDict()) {
    // A list is no key.
    if (index.isDict() || index.isSequence(SequenceKind::List))
      return std::nullopt;
    const Value *found = object.dict().find(index);
    return found ? std::optional(*found) : std::nullopt;
  }
  bool isIndexable =
      object.isString() ||
      (object.isSequence() && object.sequence().kind <= SequenceKind::Group);
  if (!isIndexable || !index.isIntegral())
    return std::nullopt;
  int64_t size = lengthOf(object), at = index.integer();
  at = at < 0 ? at + size : at;
  if (at < 0 || at >= size)
    return std::nullopt;
  if (object.isSequence())
    return object.items()[size_t(at)];
  const std::string &text = object.string();
  size_t begin = byteOffset(text, size_t(at));
  Budget::touch(begin);
  return Value::text(text.substr(begin, unicode::charLength(text[begin])),
                     object.isMarkup());
}

/// How Jinja names an object in errors.
static std::string describe(const Value &object) {
  return object.isNone() ? "None" : object.typeName() + " object";
}

static Value noAttribute(const Value &object, std::string_view name) {
  std::string why = "'";
  why += describe(object) + "' has no attribute '" + std::string(name) + "'";
  return Value::undefined(std::move(why));
}

Value getAttribute(const Value &object, std::string_view name) {
  requireDefined(object);
  if (std::optional<Value> found = attributeOf(object, name))
    return *found;
  if (const Value *found = object.isDict() ? object.dict().find(name) : nullptr)
    return *found;
  return noAttribute(object, name);
}

Value getItem(const Value &object, const Value &index) {
  requireDefined(object);
  if (std::optional<Value> found = itemOf(object, index))
    return *found;
  if (!index.isString())
    return Value::undefined(describe(object) + " has no element " +
                            toRepr(index));
  if (std::optional<Value> found = attributeOf(object, index.string()))
    return *found;
  return noAttribute(object, index.string());
}

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

namespace {
/// A slice of something of a known size: `count` items from `start` on.
struct Range {
  int64_t start = 0, step = 1, count = 0;
};

/// Python's slice.indices().
Range resolve(const Value &start, const Value &stop, const Value &step,
              int64_t size) {
  for (const Value *bound : {&start, &stop, &step})
    if (!bound->isNone() && !bound->isIntegral())
      throw Error("slice indices must be integers or None");
  Range range;
  range.step = step.isNone() ? 1 : step.integer();
  if (range.step == 0)
    throw Error("slice step cannot be zero");
  bool isBackward = range.step < 0;
  int64_t lower = isBackward ? -1 : 0, upper = isBackward ? size - 1 : size;
  auto clamp = [&](const Value &bound, int64_t otherwise) {
    if (bound.isNone())
      return otherwise;
    int64_t at = bound.integer();
    return std::clamp(at < 0 ? at + size : at, lower, upper);
  };
  range.start = clamp(start, isBackward ? upper : lower);
  int64_t end = clamp(stop, isBackward ? lower : upper);
  // In unsigned numbers, which the largest steps do not overflow.
  uint64_t width = isBackward ? 0 - uint64_t(range.step) : uint64_t(range.step);
  int64_t span = isBackward ? range.start - end : end - range.start;
  range.count = span <= 0 ? 0 : int64_t((uint64_t(span) - 1) / width) + 1;
  return range;
}
} // namespace

Value getSlice(const Value &object, const Value &start, const Value &stop,
               const Value &step) {
  requireDefined(object);
  bool isIndexable =
      object.isString() ||
      (object.isSequence() && object.sequence().kind <= SequenceKind::Group);
  if (!isIndexable)
    throw Error("'" + object.typeName() +
                "' object is not subscriptable by a "
                "slice");
  int64_t size = lengthOf(object);
  Range range = resolve(start, stop, step, size);
  Budget::step(size_t(range.count));
  if (object.isSequence()) {
    Values items;
    for (int64_t i = 0; i < range.count; ++i)
      items.push_back(object.items()[size_t(range.start + i * range.step)]);
    SequenceKind kind = object.sequence().kind;
    return Value(std::move(items),
                 kind == SequenceKind::Group ? SequenceKind::Tuple : kind);
  }
  const std::string &text = object.string();
  Budget::touch(text.size());
  if (range.step == 1) {
    size_t begin = byteOffset(text, size_t(range.start));
    std::string_view rest = std::string_view(text).substr(begin);
    return Value::text(
        std::string(rest.substr(0, byteOffset(rest, size_t(range.count)))),
        object.isMarkup());
  }
  std::vector<uint32_t> points = toCodePoints(text);
  std::string out;
  for (int64_t i = 0; i < range.count; ++i)
    unicode::appendChar(out, points[size_t(range.start + i * range.step)]);
  return Value::text(std::move(out), object.isMarkup());
}

} // namespace qrt::chat
