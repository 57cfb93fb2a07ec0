//===- SequenceFilters.cpp - Filters of lists and dicts -------------------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Interpreter.h"
#include "runtime/chat/Operators.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

namespace {

//===----------------------------------------------------------------------===//
// Attributes of items
//===----------------------------------------------------------------------===//

/// The way to an attribute, "address.city" or "0.name"; empty: the item itself.
Values parsePath(const Value &attribute) {
  if (attribute.isNone())
    return {};
  if (!attribute.isString())
    return {attribute};
  Values path;
  for (std::string &part : split(attribute.string(), ".")) {
    constexpr size_t mostDigits = 9;
    if (isDigit(part) && part.size() <= mostDigits &&
        unicode::asciiPrefix(part) == part.size())
      path.emplace_back(int64_t(std::stoi(part)));
    else
      path.emplace_back(std::move(part));
  }
  return path;
}

Value follow(Value item, const Values &path, const Value *otherwise = nullptr) {
  for (const Value &part : path) {
    item = getItem(item, part);
    if (otherwise && item.isUndefined())
      item = *otherwise;
  }
  return item;
}

/// Texts compare without case unless `isCaseSensitive`.
Value keyOf(const Value &value, bool isCaseSensitive) {
  return value.isString() && !isCaseSensitive ? Value(toLower(value.string()))
                                              : value;
}

struct Keyed {
  Value key, item;
};

/// Stable, also in reverse.
void sortByKey(std::vector<Keyed> &entries, bool isReverse) {
  std::ranges::stable_sort(entries, [&](const Keyed &a, const Keyed &b) {
    return isReverse ? b.key < a.key : a.key < b.key;
  });
}

Values itemsOf(const std::vector<Keyed> &entries) {
  Values items;
  for (const Keyed &entry : entries)
    items.push_back(entry.item);
  return items;
}

Value attributeArgument(const BoundArguments &bound, size_t i) {
  return bound.has(i) ? bound[i] : Value();
}

//===----------------------------------------------------------------------===//
// Items
//===----------------------------------------------------------------------===//

Value lengthFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  arguments.bind("length", {});
  return lengthOf(value);
}

Value listFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  arguments.bind("list", {});
  return toItems(value);
}

Value firstFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  arguments.bind("first", {});
  Value first = Value::undefined("No first item, sequence was empty.");
  forEach(value, [&](const Value &item) {
    first = item;
    return false;
  });
  return first;
}

void requireReversible(const Value &value) {
  if (value.isObject() || !isIterable(value))
    throw Error("'" + value.typeName() + "' object is not reversible");
}

Value lastFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  arguments.bind("last", {});
  requireReversible(value);
  Values items = toItems(value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.")
                       : items.back();
}

Value reverseFilter(Interpreter &, const Value &value,
                    const Arguments &arguments) {
  arguments.bind("reverse", {});
  if (value.isString())
    return getSlice(value, Value(), Value(), -1);
  if (!isIterable(value))
    throw Error("argument must be iterable");
  Values items = toItems(value);
  std::ranges::reverse(items);
  if (value.isObject())
    return items;
  return makeGenerator(iterate(Value(std::move(items))), "reversed");
}

Value itemsFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  arguments.bind("items", {});
  if (value.isUndefined())
    return makeGenerator(iterate(Values()));
  if (!value.isDict())
    throw Error("Can only get item pairs from a mapping.");
  Values items;
  for (const auto &[key, item] : value.dict().entries())
    items.push_back(Value::tuple({key, item}));
  return makeGenerator(iterate(Value(std::move(items))));
}

Value joinFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  BoundArguments bound = arguments.bind("join", {"d", "attribute"});
  std::string separator = bound.has(0) ? toText(bound[0]) : "", out;
  Values path = parsePath(attributeArgument(bound, 1));
  bool isFirst = true;
  forEach(value, [&](const Value &item) {
    if (!std::exchange(isFirst, false))
      out += separator;
    out += toText(follow(item, path));
    Budget::touch(separator.size());
    Budget::requireRoom(out.size());
    return true;
  });
  Budget::touch(out.size());
  return out;
}

Value sumFilter(Interpreter &, const Value &value, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("sum", {"attribute", "start"});
  Values path = parsePath(attributeArgument(bound, 0));
  Value sum = bound.has(1) ? bound[1] : Value(0);
  if (sum.isString())
    throw Error("sum() can't sum strings");
  forEach(value, [&](const Value &item) {
    sum = applyBinary(BinaryOp::Add, sum, follow(item, path));
    return true;
  });
  return sum;
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

Value sortFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("sort", {"reverse", "case_sensitive", "attribute"});
  bool isCaseSensitive = bound.truth(1, false);
  Value attribute = attributeArgument(bound, 2);
  std::vector<Values> paths;
  if (attribute.isString())
    for (const std::string &part : split(attribute.string(), ","))
      paths.push_back(parsePath(part));
  else
    paths.push_back(parsePath(attribute));
  std::vector<Keyed> entries;
  forEach(value, [&](const Value &item) {
    Values key;
    for (const Values &path : paths)
      key.push_back(keyOf(follow(item, path), isCaseSensitive));
    entries.push_back({std::move(key), item});
    return true;
  });
  sortByKey(entries, bound.truth(0, false));
  return itemsOf(entries);
}

Value dictSortFilter(Interpreter &, const Value &value,
                     const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("dictsort", {"case_sensitive", "by", "reverse"});
  std::string by = bound.string(1, "key");
  if (by != "key" && by != "value")
    throw Error("You can only sort by either \"key\" or \"value\"");
  requireDefined(value);
  if (!value.isDict())
    throw Error("'" + value.typeName() + "' object has no attribute 'items'");
  std::vector<Keyed> entries;
  for (const auto &[key, item] : value.dict().entries())
    entries.push_back({keyOf(by == "key" ? key : item, bound.truth(0, false)),
                       Value::tuple({key, item})});
  sortByKey(entries, bound.truth(2, false));
  return itemsOf(entries);
}

Value groupByFilter(Interpreter &, const Value &value,
                    const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("groupby", {"attribute", "default", "case_sensitive"}, 1);
  Values path = parsePath(bound[0]);
  const Value *otherwise = bound.isGiven(1) ? &bound[1] : nullptr;
  bool isCaseSensitive = bound.truth(2, false);
  std::vector<Keyed> entries;
  forEach(value, [&](const Value &item) {
    entries.push_back(
        {keyOf(follow(item, path, otherwise), isCaseSensitive), item});
    return true;
  });
  sortByKey(entries, /*isReverse=*/false);
  Values groups;
  for (size_t begin = 0, end = 0; begin < entries.size(); begin = end) {
    Values items;
    for (; end < entries.size() && entries[end].key == entries[begin].key;
         ++end)
      items.push_back(entries[end].item);
    // The key as the first item has it.
    Value key = follow(items[0], path, otherwise);
    groups.emplace_back(Values{std::move(key), std::move(items)},
                        SequenceKind::Group);
  }
  return groups;
}

Value uniqueFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("unique", {"case_sensitive", "attribute"});
  Values path = parsePath(attributeArgument(bound, 1));
  bool isCaseSensitive = bound.truth(0, false);
  return makeGenerator([items = iterate(value), path, isCaseSensitive,
                        seen = Dict()](Value &item) mutable {
    while (items(item)) {
      Budget::step();
      Value key = keyOf(follow(item, path), isCaseSensitive);
      if (seen.find(key))
        continue;
      seen.set(key, Value());
      return true;
    }
    return false;
  });
}

template <bool IsMax>
Value extremeFilter(Interpreter &, const Value &value,
                    const Arguments &arguments) {
  BoundArguments bound = arguments.bind("min", {"case_sensitive", "attribute"});
  Values path = parsePath(attributeArgument(bound, 1));
  std::optional<Keyed> best;
  forEach(value, [&](const Value &item) {
    Value key = keyOf(follow(item, path), bound.truth(0, false));
    if (!best || (IsMax ? best->key < key : key < best->key))
      best = Keyed{std::move(key), item};
    return true;
  });
  return best ? best->item
              : Value::undefined("No aggregated item, sequence was empty.");
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

Value batchFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  BoundArguments bound = arguments.bind("batch", {"linecount", "fill_with"}, 1);
  int64_t size = bound.integer(0, 0);
  Values batches, batch;
  forEach(value, [&](const Value &item) {
    if (int64_t(batch.size()) == size)
      batches.emplace_back(std::exchange(batch, {}));
    batch.push_back(item);
    return true;
  });
  if (!batch.empty() && bound.isGiven(1)) {
    Budget::requireRoom(size_t(std::max<int64_t>(size, 0)));
    while (int64_t(batch.size()) < size) {
      Budget::step();
      batch.push_back(bound[1]);
    }
  }
  if (!batch.empty())
    batches.emplace_back(std::move(batch));
  return makeGenerator(iterate(Value(std::move(batches))));
}

Value sliceFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  BoundArguments bound = arguments.bind("slice", {"slices", "fill_with"}, 1);
  int64_t count = bound.integer(0, 0);
  if (count == 0)
    throw Error("integer division or modulo by zero");
  Values items = toItems(value), slices;
  int64_t size = int64_t(items.size());
  for (int64_t i = 0, begin = 0; i < count; ++i) {
    Budget::step();
    bool hasExtra = i < size % count;
    int64_t end = begin + size / count + hasExtra;
    Values slice(items.begin() + begin, items.begin() + end);
    if (bound.isGiven(1) && !hasExtra)
      slice.push_back(bound[1]);
    slices.emplace_back(std::move(slice));
    begin = end;
  }
  return makeGenerator(iterate(Value(std::move(slices))));
}

/// What stays of the arguments behind the first `count`.
Arguments rest(const Arguments &arguments, size_t count) {
  Arguments others;
  others.named = arguments.named;
  others.positional.assign(arguments.positional.begin() + std::ptrdiff_t(count),
                           arguments.positional.end());
  return others;
}

Value mapFilter(Interpreter &interpreter, const Value &value,
                const Arguments &arguments) {
  if (!value.truth())
    return makeGenerator(iterate(Values()));
  Generator::Next items = iterate(value);
  if (arguments.positional.empty()) {
    BoundArguments bound = arguments.bind("map", {"attribute", "default"});
    if (!bound.has(0))
      throw Error("map requires a filter argument");
    std::optional<Value> otherwise;
    if (bound.isGiven(1))
      otherwise = bound[1];
    return makeGenerator(
        [items, path = parsePath(bound[0]), otherwise](Value &item) {
          if (!items(item))
            return false;
          Budget::step();
          item = follow(item, path, otherwise ? &*otherwise : nullptr);
          return true;
        });
  }
  return makeGenerator([&interpreter, items,
                        name = toText(arguments.positional[0]),
                        others = rest(arguments, 1)](Value &item) {
    if (!items(item))
      return false;
    Budget::step();
    item = interpreter.callFilter(name, item, others);
    return true;
  });
}

/// select, reject and their like for attributes.
template <bool Wanted, bool OfAttribute>
Value selectFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  if (!value.truth())
    return makeGenerator(iterate(Values()));
  const Values &positional = arguments.positional;
  if (OfAttribute && positional.empty())
    throw Error("Missing parameter for attribute name");
  Values path = OfAttribute ? parsePath(positional[0]) : Values();
  const Test *test = nullptr;
  Arguments others;
  if (positional.size() > OfAttribute) {
    std::string name = toText(positional[OfAttribute]);
    test = findTest(name);
    if (!test)
      throw Error("no test named '" + name + "'");
    others = rest(arguments, OfAttribute + 1);
  }
  return makeGenerator(
      [items = iterate(value), path, test, others](Value &item) {
        while (items(item)) {
          Budget::step();
          Value tested = follow(item, path);
          if ((test ? test->apply(tested, others) : tested.truth()) == Wanted)
            return true;
        }
        return false;
      });
}

constexpr Filter filters[] = {
    {"batch", batchFilter},
    {"count", lengthFilter},
    {"dictsort", dictSortFilter},
    {"first", firstFilter},
    {"groupby", groupByFilter},
    {"items", itemsFilter},
    {"join", joinFilter},
    {"last", lastFilter},
    {"length", lengthFilter},
    {"list", listFilter},
    {"map", mapFilter},
    {"max", extremeFilter<true>},
    {"min", extremeFilter<false>},
    {"reject", selectFilter<false, false>},
    {"rejectattr", selectFilter<false, true>},
    {"reverse", reverseFilter},
    {"select", selectFilter<true, false>},
    {"selectattr", selectFilter<true, true>},
    {"slice", sliceFilter},
    {"sort", sortFilter},
    {"sum", sumFilter},
    {"unique", uniqueFilter},
};

} // namespace

std::span<const Filter> sequenceFilters() { return filters; }

const Filter *findFilter(std::string_view name) {
  for (std::span<const Filter> table : {valueFilters(), sequenceFilters()})
    if (auto found = std::ranges::find(table, name, &Filter::name);
        found != table.end())
      return &*found;
  return nullptr;
}

} // namespace qrt::chat
