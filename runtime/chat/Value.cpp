//===- Value.cpp - The values that templates compute with -----------------===//

#include "runtime/chat/Value.h"

#include "runtime/chat/Arguments.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace qrt::chat {

//===----------------------------------------------------------------------===//
// Sequences, dicts, objects
//===----------------------------------------------------------------------===//

Sequence::Sequence(Values items, SequenceKind kind)
    : items(std::move(items)), kind(kind),
      charge(this->items.size() * sizeof(Value)) {}

/// Equal values have equal hashes, across int, float and bool.
static size_t hashOf(const Value &value) {
  if (value.isString())
    return std::hash<std::string_view>()(value.string());
  if (value.isNumber())
    return std::hash<double>()(value.number());
  if (value.isNone() || value.isUndefined())
    return 1;
  if (value.isSequence(SequenceKind::Tuple)) {
    Depth depth;
    size_t hash = 7;
    for (const Value &item : value.items())
      hash = hash * 31 + hashOf(item);
    return hash;
  }
  if (value.isObject())
    return std::hash<const void *>()(&value.object());
  throw Error("unhashable type: '" + value.typeName() + "'");
}

size_t Dict::findIndex(const Value &key, size_t hash) const {
  if (index.empty()) {
    for (size_t i = 0; i < list.size(); ++i)
      if (list[i].first == key)
        return i;
    return list.size();
  }
  auto [begin, end] = index.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (list[it->second].first == key)
      return it->second;
  return list.size();
}

const Value *Dict::find(const Value &key) const {
  size_t i = findIndex(key, hashOf(key));
  return i == list.size() ? nullptr : &list[i].second;
}

const Value *Dict::find(std::string_view key) const {
  if (index.empty()) {
    for (const auto &[k, v] : list)
      if (k.isString() && k.string() == key)
        return &v;
    return nullptr;
  }
  return find(Value(key));
}

void Dict::set(Value key, Value value) {
  constexpr size_t searchable = 16;
  size_t hash = hashOf(key), i = findIndex(key, hash);
  if (i < list.size()) {
    list[i].second = std::move(value);
    return;
  }
  list.emplace_back(std::move(key), std::move(value));
  if (list.size() == searchable)
    for (size_t j = 0; j < list.size(); ++j)
      index.emplace(hashOf(list[j].first), j);
  else if (list.size() > searchable)
    index.emplace(hash, i);
  // Charged in doublings, as vectors grow.
  if ((list.size() & (list.size() - 1)) == 0)
    charge = Charge(list.size() * 2 * sizeof(Entry));
}

std::optional<Value> Object::attribute(std::string_view) {
  return std::nullopt;
}
Value Object::call(const Arguments &) {
  throw Error("'" + typeName() + "' object is not callable");
}
bool Object::next(Value &) {
  throw Error("'" + typeName() + "' object is not iterable");
}

//===----------------------------------------------------------------------===//
// Value
//===----------------------------------------------------------------------===//

Value Value::undefined(std::string why) {
  Value value;
  value.held = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

int64_t Value::integer() const {
  return isBool() ? int64_t(std::get<bool>(held)) : std::get<int64_t>(held);
}

double Value::number() const {
  return isFloat() ? std::get<double>(held) : double(integer());
}

bool Value::truth() const {
  if (isUndefined() || isNone())
    return false;
  if (isNumber())
    return number() != 0;
  if (isString())
    return !string().empty();
  if (isSequence())
    return !items().empty();
  if (isDict())
    return !dict().entries().empty();
  return true;
}

bool Value::isSame(const Value &other) const {
  if (held.index() != other.held.index())
    return false;
  if (isString())
    return &string() == &other.string() || string() == other.string();
  if (isSequence())
    return &sequence() == &other.sequence();
  if (isDict())
    return &dict() == &other.dict();
  return *this == other;
}

std::string Value::typeName() const {
  if (isUndefined())
    return "Undefined";
  if (isNone())
    return "NoneType";
  if (isBool())
    return "bool";
  if (isInteger())
    return "int";
  if (isFloat())
    return "float";
  if (isString())
    return isMarkup() ? "Markup" : "str";
  if (isDict())
    return "dict";
  if (isObject())
    return object().typeName();
  switch (sequence().kind) {
  case SequenceKind::List:
    return "list";
  case SequenceKind::Tuple:
    return "tuple";
  case SequenceKind::Range:
    return "range";
  case SequenceKind::Group:
    return "_GroupTuple";
  case SequenceKind::DictKeys:
    return "dict_keys";
  case SequenceKind::DictValues:
    return "dict_values";
  case SequenceKind::DictItems:
    return "dict_items";
  }
  return "object";
}

void requireDefined(const Value &value) {
  if (value.isUndefined())
    throw Error(value.why());
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

static bool equalDicts(const Dict &a, const Dict &b) {
  return a.entries().size() == b.entries().size() &&
         std::ranges::all_of(a.entries(), [&](const Dict::Entry &entry) {
           const Value *other = b.find(entry.first);
           return other && *other == entry.second;
         });
}

/// int against float exactly, as Python compares.
static int compareNumbers(const Value &a, const Value &b) {
  if (!a.isFloat() && !b.isFloat()) {
    int64_t x = a.integer(), y = b.integer();
    return (x > y) - (x < y);
  }
  auto x = static_cast<long double>(a.isFloat() ? a.number() : 0),
       y = static_cast<long double>(b.isFloat() ? b.number() : 0);
  if (!a.isFloat())
    x = static_cast<long double>(a.integer());
  if (!b.isFloat())
    y = static_cast<long double>(b.integer());
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

bool operator==(const Value &a, const Value &b) {
  if (a.isString() && b.isString())
    return a.string() == b.string();
  if (a.isNumber() && b.isNumber())
    return compareNumbers(a, b) == 0;
  if (a.isSequence() && b.isSequence()) {
    if (a.sequence().kind != b.sequence().kind ||
        a.items().size() != b.items().size())
      return false;
    Depth depth;
    Budget::step(a.items().size());
    return std::ranges::equal(a.items(), b.items());
  }
  if (a.isDict() && b.isDict()) {
    Depth depth;
    Budget::step(a.dict().entries().size());
    return equalDicts(a.dict(), b.dict());
  }
  if (a.isObject() && b.isObject())
    return &a.object() == &b.object();
  return (a.isNone() && b.isNone()) || (a.isUndefined() && b.isUndefined());
}

bool operator<(const Value &a, const Value &b) {
  Budget::step();
  requireDefined(a);
  requireDefined(b);
  if (a.isNumber() && b.isNumber())
    return compareNumbers(a, b) == -1;
  if (a.isString() && b.isString())
    return a.string() < b.string(); // UTF-8 sorts by code points
  bool areLists =
      a.isSequence(SequenceKind::List) && b.isSequence(SequenceKind::List);
  bool areTuples =
      a.isSequence(SequenceKind::Tuple) && b.isSequence(SequenceKind::Tuple);
  if (areLists || areTuples) {
    Depth depth;
    // The first items that differ decide; those before need no order.
    auto [x, y] = std::ranges::mismatch(a.items(), b.items());
    if (x == a.items().end() || y == b.items().end())
      return x == a.items().end() && y != b.items().end();
    return *x < *y;
  }
  throw Error("'<' not supported between instances of '" + a.typeName() +
              "' and '" + b.typeName() + "'");
}

//===----------------------------------------------------------------------===//
// As text
//===----------------------------------------------------------------------===//

namespace {
class Printer {
public:
  void print(const Value &value) {
    Depth depth;
    Budget::step();
    if (value.isUndefined())
      put("Undefined");
    else if (value.isNone())
      put("None");
    else if (value.isBool())
      put(value.truth() ? "True" : "False");
    else if (value.isInteger())
      put(std::to_string(value.integer()));
    else if (value.isFloat())
      put(floatRepr(value.number()));
    else if (value.isMarkup())
      put("Markup(" + quoted(value.string()) + ")");
    else if (value.isString())
      put(quoted(value.string()));
    else if (value.isSequence())
      printSequence(value.sequence());
    else if (value.isDict())
      printDict(value.dict());
    else
      put(value.object().repr());
  }

  std::string take() { return std::move(out); }

private:
  void put(std::string_view text) {
    Budget::touch(text.size());
    Budget::requireRoom(out.size() + text.size());
    out += text;
  }

  void printItems(const Values &items) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i)
        put(", ");
      print(items[i]);
    }
  }

  void printSequence(const Sequence &sequence) {
    const Values &items = sequence.items;
    switch (sequence.kind) {
    case SequenceKind::Tuple:
    case SequenceKind::Group:
      put("(");
      printItems(items);
      put(items.size() == 1 ? ",)" : ")");
      return;
    case SequenceKind::Range:
      printRange(items);
      return;
    case SequenceKind::DictKeys:
    case SequenceKind::DictValues:
    case SequenceKind::DictItems:
      put(sequence.kind == SequenceKind::DictKeys     ? "dict_keys(["
          : sequence.kind == SequenceKind::DictValues ? "dict_values(["
                                                      : "dict_items([");
      printItems(items);
      put("])");
      return;
    case SequenceKind::List:
      put("[");
      printItems(items);
      put("]");
    }
  }

  /// Only what the items tell: the end of range(0, 5, 2) is that of
  /// range(0, 6, 2), and an empty one is range(0, 0).
  void printRange(const Values &items) {
    int64_t start = items.empty() ? 0 : items[0].integer();
    int64_t step = items.size() < 2 ? 1 : items[1].integer() - start;
    int64_t stop = start + int64_t(items.size()) * step;
    put("range(" + std::to_string(start) + ", " + std::to_string(stop));
    put(step == 1 ? ")" : ", " + std::to_string(step) + ")");
  }

  void printDict(const Dict &dict) {
    put("{");
    for (size_t i = 0; i < dict.entries().size(); ++i) {
      if (i)
        put(", ");
      print(dict.entries()[i].first);
      put(": ");
      print(dict.entries()[i].second);
    }
    put("}");
  }

  std::string out;
};
} // namespace

std::string toRepr(const Value &value) {
  Printer printer;
  printer.print(value);
  return printer.take();
}

std::string toText(const Value &value) {
  if (value.isString())
    return value.string();
  return value.isUndefined() ? "" : toRepr(value);
}

//===----------------------------------------------------------------------===//
// Items
//===----------------------------------------------------------------------===//

bool isIterable(const Value &value) {
  return value.isString() || value.isSequence() || value.isDict() ||
         value.isUndefined() ||
         (value.isObject() && value.object().isIterator());
}

void forEach(const Value &value,
             const std::function<bool(const Value &)> &use) {
  auto step = [&](const Value &item) {
    Budget::step();
    return use(item);
  };
  if (value.isSequence()) {
    for (const Value &item : value.items())
      if (!step(item))
        return;
  } else if (value.isDict()) {
    for (const auto &[key, ignored] : value.dict().entries())
      if (!step(key))
        return;
  } else if (value.isString()) {
    const std::string &text = value.string();
    for (size_t at = 0; at < text.size();) {
      size_t size = unicode::charLength(text[at]);
      if (!step(text.substr(at, size))) // Markup's are plain too
        return;
      at += size;
    }
  } else if (value.isObject() && value.object().isIterator()) {
    for (Value item; value.object().next(item);)
      if (!step(item))
        return;
  } else if (!value.isUndefined()) {
    throw Error("'" + value.typeName() + "' object is not iterable");
  }
}

Values toItems(const Value &value) {
  if (value.isSequence())
    return value.items();
  Values items;
  forEach(value, [&](const Value &item) {
    items.push_back(item);
    return true;
  });
  return items;
}

int64_t lengthOf(const Value &value) {
  if (value.isSequence())
    return int64_t(value.items().size());
  if (value.isString())
    return int64_t(countChars(value.string()));
  if (value.isDict())
    return int64_t(value.dict().entries().size());
  if (value.isUndefined())
    return 0;
  if (value.isObject())
    if (std::optional<int64_t> length = value.object().length())
      return *length;
  throw Error("object of type '" + value.typeName() + "' has no len()");
}

bool contains(const Value &container, const Value &item) {
  if (container.isString()) {
    if (!item.isString())
      throw Error("'in <string>' requires string as left operand, not " +
                  item.typeName());
    Budget::touch(container.string().size());
    return container.string().find(item.string()) != std::string::npos;
  }
  if (container.isDict())
    return container.dict().find(item) != nullptr;
  if (!isIterable(container))
    throw Error("argument of type '" + container.typeName() +
                "' is not iterable");
  bool found = false;
  forEach(container, [&](const Value &candidate) {
    found = candidate == item;
    return !found;
  });
  return found;
}

} // namespace qrt::chat
