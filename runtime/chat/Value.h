//===- Value.h - The values that templates compute with ---------*- C++ -*-===//
//
// The part of Python's data model that templates see. Values are immutable,
// but for the attributes of namespaces: the sandbox in which transformers
// renders refuses what would change a list or a dict.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_VALUE_H
#define QRT_CHAT_VALUE_H

#include "runtime/chat/Budget.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace qrt::chat {

class Value;
class Arguments;
using Values = std::vector<Value>;

/// A str: valid UTF-8 that counts in code points, as Python's does.
struct Text {
  explicit Text(std::string text, bool isMarkup = false)
      : text(std::move(text)), isMarkup(isMarkup), charge(this->text.size()) {}

  const std::string text;
  const bool isMarkup; ///< markupsafe.Markup: what is joined to it is escaped
  Charge charge;
};

enum class SequenceKind : uint8_t {
  List,
  Tuple,
  Range,
  Group, ///< a tuple (grouper, list) of `groupby`
  // From here on without indices.
  DictKeys,
  DictValues,
  DictItems,
};

struct Sequence {
  explicit Sequence(Values items, SequenceKind kind = SequenceKind::List);

  const Values items;
  const SequenceKind kind;
  Charge charge;
};

/// A dict, in order of insertion.
class Dict {
public:
  using Entry = std::pair<Value, Value>;

  /// The value of a key; null if there is none. Throws qrt::Error for a key
  /// that Python cannot hash.
  const Value *find(const Value &key) const;
  const Value *find(std::string_view key) const;
  void set(Value key, Value value);
  const std::vector<Entry> &entries() const { return list; }

private:
  size_t findIndex(const Value &key, size_t hash) const;

  std::vector<Entry> list;
  /// From hash to index, once searching the list would be slow.
  std::unordered_multimap<size_t, size_t> index;
  Charge charge;
};

/// Whatever is no plain data: macros, methods, iterators, loops, namespaces.
class Object {
public:
  virtual ~Object() = default;
  /// Python's name of the type: "generator".
  virtual std::string typeName() const = 0;
  virtual std::string repr() const { return "<" + typeName() + " object>"; }
  /// An attribute, or nothing.
  virtual std::optional<Value> attribute(std::string_view name);
  virtual bool isCallable() const { return false; }
  virtual Value call(const Arguments &arguments);
  /// len(), or nothing.
  virtual std::optional<int64_t> length() { return std::nullopt; }
  /// Whether next() works: iterators, which can be read once.
  virtual bool isIterator() const { return false; }
  /// Stores the next item, or returns false at the end.
  virtual bool next(Value &item);
};

struct None {};

/// What a name that stands for nothing gives: false, empty when printed or
/// looped over, and an error in most other uses.
struct Undefined {
  /// What the error says: "'x' is undefined".
  std::shared_ptr<const std::string> why;
};

class Value {
public:
  Value() : held(None{}) {}
  Value(bool value) : held(value) {}
  Value(int64_t value) : held(value) {}
  Value(int value) : held(int64_t(value)) {}
  Value(size_t value) : held(int64_t(value)) {}
  Value(double value) : held(value) {}
  Value(std::string text)
      : held(std::make_shared<const Text>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char *text) : Value(std::string(text)) {}
  Value(Values items, SequenceKind kind = SequenceKind::List)
      : held(std::make_shared<const Sequence>(std::move(items), kind)) {}
  Value(Dict dict) : held(std::make_shared<const Dict>(std::move(dict))) {}
  Value(std::shared_ptr<Object> object) : held(std::move(object)) {}

  static Value undefined(std::string why);
  static Value tuple(Values items) {
    return Value(std::move(items), SequenceKind::Tuple);
  }
  /// `text`, as Markup where `isMarkup`.
  static Value text(std::string text, bool isMarkup) {
    Value value;
    value.held = std::make_shared<const Text>(std::move(text), isMarkup);
    return value;
  }

  bool isUndefined() const { return holds<Undefined>(); }
  bool isNone() const { return holds<None>(); }
  bool isBool() const { return holds<bool>(); }
  /// An int that is no bool.
  bool isInteger() const { return holds<int64_t>(); }
  /// An int, which a bool is too.
  bool isIntegral() const { return isBool() || isInteger(); }
  bool isFloat() const { return holds<double>(); }
  bool isNumber() const { return isIntegral() || isFloat(); }
  bool isString() const { return holds<std::shared_ptr<const Text>>(); }
  bool isMarkup() const { return isString() && textObject().isMarkup; }
  bool isSequence() const { return holds<std::shared_ptr<const Sequence>>(); }
  bool isSequence(SequenceKind kind) const {
    return isSequence() && sequence().kind == kind;
  }
  bool isDict() const { return holds<std::shared_ptr<const Dict>>(); }
  bool isObject() const { return holds<std::shared_ptr<Object>>(); }

  // What the value holds; only for one of that kind.
  const std::string &string() const { return textObject().text; }
  const Sequence &sequence() const { return *get<const Sequence>(); }
  const Values &items() const { return sequence().items; }
  const Dict &dict() const { return *get<const Dict>(); }
  Object &object() const { return *get<Object>(); }
  /// The object as a T, or null.
  template <typename T>
  T *as() const {
    return isObject() ? dynamic_cast<T *>(&object()) : nullptr;
  }
  /// Of an integral value.
  int64_t integer() const;
  /// Of a number.
  double number() const;
  /// Of Undefined: what the error says.
  const std::string &why() const { return *std::get<Undefined>(held).why; }

  bool truth() const;
  /// Python's `is`: the same object.
  bool isSame(const Value &other) const;
  /// Python's name of the type: "str".
  std::string typeName() const;

private:
  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(held);
  }
  template <typename T>
  T *get() const {
    return std::get<std::shared_ptr<T>>(held).get();
  }
  const Text &textObject() const { return *get<const Text>(); }

  std::variant<None, Undefined, bool, int64_t, double,
               std::shared_ptr<const Text>, std::shared_ptr<const Sequence>,
               std::shared_ptr<const Dict>, std::shared_ptr<Object>>
      held;
};

/// Python's ==.
bool operator==(const Value &a, const Value &b);
/// Python's <. Throws qrt::Error for values without an order.
bool operator<(const Value &a, const Value &b);

/// str(value) and repr(value).
std::string toText(const Value &value);
std::string toRepr(const Value &value);

/// Calls `use` with each item of a loop over `value`, as long as it returns
/// true. Throws qrt::Error if the value is not iterable.
void forEach(const Value &value, const std::function<bool(const Value &)> &use);
/// list(value).
Values toItems(const Value &value);
bool isIterable(const Value &value);
/// len(value). Throws qrt::Error for values without one.
int64_t lengthOf(const Value &value);
/// Python's `item in container`.
bool contains(const Value &container, const Value &item);

/// Throws what a wrong use of Undefined does, if `value` is that.
void requireDefined(const Value &value);

} // namespace qrt::chat

#endif // QRT_CHAT_VALUE_H
