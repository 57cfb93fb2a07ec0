//===- Pickle.cpp - Python's pickles, as far as weights need them ---------===//

#include "frontends/checkpoint/Pickle.h"

#include "frontends/checkpoint/PickleTables.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

using namespace qcc::pickle;
using qrt::Error;

namespace qcc {
namespace {

/// Limits beyond any state dictionary's, so that a hostile file cannot take
/// many times its own size of memory.
constexpr size_t kMaxValues = size_t(1) << 22;
constexpr uint64_t kMaxPickle = uint64_t(64) << 20;

/// A value by its index among all values. Values refer to others by index, so
/// that cycles and any depth cost nothing.
using Ref = uint32_t;

struct Value {
  enum Kind : uint8_t {
    None,
    Bool,
    Int,
    Opaque, ///< a number that is no 64-bit integer; a device
    String,
    Tuple,
    List,
    Dict, ///< items: key, value, key, value, ...
    Global,
    Storage, ///< number: index into `storages`
    Tensor,  ///< number: index into `tensors`
  };
  Kind kind = None;
  int64_t number = 0; ///< Bool, Int; Global: index into kGlobals
  std::string_view text;
  std::vector<Ref> items;
};

const char *nameOf(Value::Kind kind) {
  static const char *const names[] = {
      "None",   "a boolean", "an integer",   "a number",  "a string", "a tuple",
      "a list", "a dict",    "a class name", "a storage", "a tensor"};
  return names[kind];
}

class Machine {
public:
  Machine(std::span<const uint8_t> bytes, uint64_t at, const std::string &file)
      : bytes(bytes), file(file), start(at), at(at) {}

  Pickled run() {
    while (!isDone) {
      opcodeAt = at;
      if (at - start > kMaxPickle)
        fail("the pickle has more than " + std::to_string(kMaxPickle) +
             " bytes");
      execute(take<uint8_t>());
    }
    Pickled result = describe(pop());
    result.storages = std::move(storages);
    result.bytes = at - start;
    return result;
  }

private:
  [[noreturn]] void fail(const std::string &what,
                         const std::string &hint = "") const {
    throw Error(what + " at byte " + std::to_string(opcodeAt), file, hint);
  }

  //===--------------------------------------------------------------------===//
  // Bytes
  //===--------------------------------------------------------------------===//

  void need(uint64_t size) const {
    if (size > bytes.size() - at)
      fail("the file ends inside a pickle", "the file may be truncated");
  }

  template <typename T>
  T take() {
    need(sizeof(T));
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    at += sizeof(T);
    return value;
  }

  std::string_view takeText(uint64_t size) {
    need(size);
    std::string_view text(reinterpret_cast<const char *>(bytes.data()) + at,
                          size_t(size));
    at += size;
    return text;
  }

  std::string_view takeLine() {
    const auto *from = bytes.data() + at;
    const void *end = std::memchr(from, '\n', bytes.size() - at);
    if (!end)
      fail("the file ends inside a pickle", "the file may be truncated");
    auto size = size_t(static_cast<const uint8_t *>(end) - from);
    std::string_view line = takeText(size);
    ++at;
    return line;
  }

  //===--------------------------------------------------------------------===//
  // The stack
  //===--------------------------------------------------------------------===//

  Ref make(Value value) {
    if (values.size() == kMaxValues)
      fail("the pickle has more than " + std::to_string(kMaxValues) +
           " values");
    values.push_back(std::move(value));
    return Ref(values.size() - 1);
  }
  void push(Value value) { stack.push_back(make(std::move(value))); }
  void pushNumber(Value::Kind kind, int64_t number) {
    push({kind, number, {}, {}});
  }
  void pushText(std::string_view text) { push({Value::String, 0, text, {}}); }

  /// Nothing below the last mark is there to be taken.
  void needItems(size_t count) const {
    if (stack.size() - (marks.empty() ? 0 : marks.back()) < count)
      fail("the pickle takes a value that is not there");
  }
  Ref pop() {
    needItems(1);
    Ref ref = stack.back();
    stack.pop_back();
    return ref;
  }
  Ref top() const {
    needItems(1);
    return stack.back();
  }
  std::vector<Ref> popItems(size_t count) {
    needItems(count);
    std::vector<Ref> items(stack.end() - ptrdiff_t(count), stack.end());
    stack.resize(stack.size() - count);
    return items;
  }
  /// All above the last mark.
  std::vector<Ref> popMarked() {
    if (marks.empty())
      fail("the pickle has no mark");
    std::vector<Ref> items = popItems(stack.size() - marks.back());
    marks.pop_back();
    return items;
  }

  Value &topOf(Value::Kind kind) {
    Value &value = values[top()];
    if (value.kind != kind)
      fail(std::string("the pickle has ") + nameOf(value.kind) +
           " instead of " + nameOf(kind));
    return value;
  }

  void put(uint32_t index) { memo[index] = top(); }
  void get(uint32_t index) {
    auto it = memo.find(index);
    if (it == memo.end())
      fail("the pickle's memo has no entry " + std::to_string(index));
    stack.push_back(it->second);
  }

  //===--------------------------------------------------------------------===//
  // Opcodes
  //===--------------------------------------------------------------------===//

  void execute(uint8_t opcode) {
    switch (opcode) {
    case OpProto:
      if (auto protocol = take<uint8_t>(); protocol < 2 || protocol > 5)
        fail("pickle protocol " + std::to_string(protocol) +
             " is not supported; 2 to 5 are");
      return;
    case OpFrame: // only tells where reading ahead pays off
      take<uint64_t>();
      return;
    case OpStop:
      isDone = true;
      return;
    case OpMark:
      marks.push_back(stack.size());
      return;
    case OpPop:
      if (!marks.empty() && marks.back() == stack.size())
        marks.pop_back();
      else
        pop();
      return;
    case OpPopMark:
      popMarked();
      return;
    case OpDup:
      stack.push_back(top());
      return;
    case OpNone:
      return push({});
    case OpNewTrue:
    case OpNewFalse:
      return pushNumber(Value::Bool, opcode == OpNewTrue);
    case OpBinInt:
      return pushNumber(Value::Int, take<int32_t>());
    case OpBinInt1:
      return pushNumber(Value::Int, take<uint8_t>());
    case OpBinInt2:
      return pushNumber(Value::Int, take<uint16_t>());
    case OpLong1:
      return pushLong(takeText(take<uint8_t>()));
    case OpBinFloat:
      take<uint64_t>();
      return pushNumber(Value::Opaque, 0);
    case OpShortBinString:
    case OpShortBinUnicode:
      return pushText(takeText(take<uint8_t>()));
    case OpBinString:
    case OpBinUnicode:
      return pushText(takeText(take<uint32_t>()));
    case OpBinUnicode8:
      return pushText(takeText(take<uint64_t>()));
    case OpEmptyTuple:
      return push({Value::Tuple, 0, {}, {}});
    case OpEmptyList:
      return push({Value::List, 0, {}, {}});
    case OpEmptyDict:
      return push({Value::Dict, 0, {}, {}});
    case OpTuple:
      return push({Value::Tuple, 0, {}, popMarked()});
    case OpTuple1:
    case OpTuple2:
    case OpTuple3:
      return push({Value::Tuple, 0, {}, popItems(opcode - OpTuple1 + 1)});
    case OpList:
      return push({Value::List, 0, {}, popMarked()});
    case OpDict:
      return push({Value::Dict, 0, {}, pairs(popMarked())});
    case OpAppend:
      return append(Value::List, popItems(1));
    case OpAppends:
      return append(Value::List, popMarked());
    case OpSetItem:
      return append(Value::Dict, popItems(2));
    case OpSetItems:
      return append(Value::Dict, pairs(popMarked()));
    case OpBinPut:
      return put(take<uint8_t>());
    case OpLongBinPut:
      return put(take<uint32_t>());
    case OpMemoize:
      return put(uint32_t(memo.size()));
    case OpBinGet:
      return get(take<uint8_t>());
    case OpLongBinGet:
      return get(take<uint32_t>());
    case OpGlobal: {
      std::string_view module = takeLine();
      return pushGlobal(module, takeLine());
    }
    case OpStackGlobal: {
      std::string_view name = topOf(Value::String).text;
      pop();
      std::string_view module = topOf(Value::String).text;
      pop();
      return pushGlobal(module, name);
    }
    case OpBinPersId:
      return pushStorage(pop());
    case OpReduce: {
      Ref arguments = pop();
      return reduce(pop(), arguments);
    }
    case OpBuild: {
      // A state dictionary's attribute _metadata, a parameter's attributes.
      pop();
      Value::Kind kind = values[top()].kind;
      if (kind != Value::Dict && kind != Value::Tensor)
        fail(std::string("the pickle sets attributes of ") + nameOf(kind));
      return;
    }
    default:
      fail("the pickle has the opcode " + std::to_string(opcode) +
           ", which weights do not need");
    }
  }

  /// A number of any length, little-endian.
  void pushLong(std::string_view digits) {
    if (digits.size() > 8)
      return pushNumber(Value::Opaque, 0);
    uint64_t value =
        !digits.empty() && (digits.back() & 0x80) ? ~uint64_t(0) : 0;
    for (size_t i = digits.size(); i-- > 0;)
      value = value << 8 | uint8_t(digits[i]);
    pushNumber(Value::Int, int64_t(value));
  }

  std::vector<Ref> pairs(std::vector<Ref> items) const {
    if (items.size() % 2 != 0)
      fail("the pickle has a dict with a key that has no value");
    return items;
  }

  void append(Value::Kind kind, const std::vector<Ref> &items) {
    Value &target = topOf(kind);
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void pushGlobal(std::string_view module, std::string_view name) {
    for (size_t i = 0; i < std::size(kGlobals); ++i) {
      std::string_view known = kGlobals[i].name;
      size_t blank = known.find(' ');
      if (known.substr(0, blank) == module && known.substr(blank + 1) == name)
        return pushNumber(Value::Global, int64_t(i));
    }
    std::string full = std::string(module.substr(0, 64)) + '.' +
                       std::string(name.substr(0, 64));
    fail("the pickle names the function or class " + quoteText(full) +
             ", which weights do not need",
         "nothing was executed");
  }

  //===--------------------------------------------------------------------===//
  // Calls
  //===--------------------------------------------------------------------===//

  const Value &expect(Ref ref, Value::Kind kind, const char *what) const {
    const Value &value = values[ref];
    if (value.kind != kind)
      fail(std::string(what) + " is " + nameOf(value.kind) + ", not " +
           nameOf(kind));
    return value;
  }

  int64_t size(Ref ref, const char *what) const {
    int64_t number = expect(ref, Value::Int, what).number;
    if (number < 0)
      fail(std::string(what) + " is " + std::to_string(number));
    return number;
  }

  std::vector<int64_t> sizes(Ref ref, const char *what) const {
    std::vector<int64_t> out;
    const Value &tuple = expect(ref, Value::Tuple, what);
    if (tuple.items.size() > 64) // PyTorch's limit
      fail(std::string(what) + " has " + std::to_string(tuple.items.size()) +
           " entries");
    for (Ref item : tuple.items)
      out.push_back(size(item, what));
    return out;
  }

  const Global &global(Ref ref, Known known, const char *what) const {
    const Global &found = kGlobals[expect(ref, Value::Global, what).number];
    if (found.known != known)
      fail(std::string(what) + " is " + quoteText(found.name));
    return found;
  }

  /// A persistent id: ('storage', class, key, location, elements[, view]).
  void pushStorage(Ref ref) {
    const auto &items = expect(ref, Value::Tuple, "a persistent id").items;
    if (items.size() < 5 || items.size() > 6 ||
        expect(items[0], Value::String, "the kind of a persistent id").text !=
            "storage")
      fail("the pickle has a persistent id that is no storage");
    PickledStorage storage;
    storage.type = global(items[1], Known::Storage, "a storage's class").type;
    storage.key = expect(items[2], Value::String, "a storage's key").text;
    storage.elements = size(items[4], "a storage's size");
    if (items.size() == 6 && values[items[5]].kind != Value::None) {
      // (key of the view, first element, elements)
      const auto &view = expect(items[5], Value::Tuple, "a storage's view");
      if (view.items.size() != 3)
        fail("a storage's view has " + std::to_string(view.items.size()) +
             " entries, not 3");
      storage.viewOffset = size(view.items[1], "a view's offset");
      storage.elements = size(view.items[2], "a view's size");
    }
    storages.push_back(storage);
    pushNumber(Value::Storage, int64_t(storages.size()) - 1);
  }

  void reduce(Ref function, Ref arguments) {
    const Global &callee =
        kGlobals[expect(function, Value::Global, "what the pickle calls")
                     .number];
    // A copy: push() moves the values.
    const std::vector<Ref> items =
        expect(arguments, Value::Tuple, "the arguments of a call").items;
    auto need = [&](size_t least, size_t most) {
      if (items.size() < least || items.size() > most)
        fail("the pickle calls " + quoteText(callee.name) + " with " +
             std::to_string(items.size()) + " arguments");
    };
    switch (callee.known) {
    case Known::OrderedDict: {
      need(0, 1);
      std::vector<Ref> entries;
      if (!items.empty()) // a list of pairs, from Python 2
        for (Ref pair :
             expect(items[0], Value::List, "a dict's content").items) {
          const auto &both = values[pair].items;
          copied += both.size();
          if (both.size() != 2 || copied > 2 * kMaxValues)
            fail("the pickle has a dict whose content is no list of pairs, or "
                 "is too long");
          entries.insert(entries.end(), both.begin(), both.end());
        }
      return push({Value::Dict, 0, {}, pairs(std::move(entries))});
    }
    case Known::RebuildTensor:
      need(4, 4);
      return pushTensor(items, std::nullopt);
    case Known::RebuildTensorV2:
      need(6, 7);
      return pushTensor(items, std::nullopt);
    case Known::RebuildTensorV3:
      need(7, 8);
      return pushTensor(items, global(items[6], Known::Type, "a type").type);
    case Known::RebuildParameter:
      need(3, 4);
      expect(items[0], Value::Tensor, "a parameter's data");
      stack.push_back(items[0]);
      return;
    case Known::Size:
      need(1, 1);
      expect(items[0], Value::Tuple, "a shape");
      stack.push_back(items[0]);
      return;
    case Known::Device:
      need(1, 2);
      return pushNumber(Value::Opaque, 0);
    case Known::Storage:
    case Known::Type:
      fail("the pickle calls " + quoteText(callee.name));
    }
  }

  void pushTensor(const std::vector<Ref> &items,
                  std::optional<TensorType> type) {
    PickledTensor tensor;
    tensor.storage = storages[size_t(
        expect(items[0], Value::Storage, "a tensor's storage").number)];
    tensor.type = type.value_or(tensor.storage.type);
    tensor.offset = size(items[1], "a tensor's offset");
    tensor.shape = sizes(items[2], "a tensor's shape");
    tensor.strides = sizes(items[3], "a tensor's strides");
    if (tensor.shape.size() != tensor.strides.size())
      fail("a tensor has " + std::to_string(tensor.shape.size()) +
           " dimensions but " + std::to_string(tensor.strides.size()) +
           " strides");
    tensors.push_back(std::move(tensor));
    pushNumber(Value::Tensor, int64_t(tensors.size()) - 1);
  }

  //===--------------------------------------------------------------------===//
  // The result
  //===--------------------------------------------------------------------===//

  Pickled describe(Ref ref) const {
    Pickled result;
    const Value &value = values[ref];
    if (value.kind == Value::List)
      for (Ref item : value.items)
        if (values[item].kind == Value::String)
          result.strings.push_back(values[item].text);
    if (value.kind != Value::Dict)
      return result;
    result.isDictionary = true;
    if (const Value *little = entry(value, "little_endian"))
      result.isLittleEndian = little->number != 0;
    result.tensors = tensorsOf(value);
    for (const char *inner : {"state_dict", "model", "module"})
      if (const Value *dict = entry(value, inner);
          dict && result.tensors.empty() && dict->kind == Value::Dict)
        result.tensors = tensorsOf(*dict);
    return result;
  }

  const Value *entry(const Value &dict, std::string_view key) const {
    const Value *found = nullptr;
    for (size_t i = 0; i < dict.items.size(); i += 2)
      if (values[dict.items[i]].kind == Value::String &&
          values[dict.items[i]].text == key)
        found = &values[dict.items[i + 1]];
    return found;
  }

  /// The tensors among a dictionary's values; of equal keys the last counts.
  std::vector<PickledTensor> tensorsOf(const Value &dict) const {
    std::vector<PickledTensor> out;
    std::unordered_map<std::string_view, size_t> places;
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      const Value &key = values[dict.items[i]];
      const Value &value = values[dict.items[i + 1]];
      if (key.kind != Value::String || value.kind != Value::Tensor)
        continue;
      PickledTensor tensor = tensors[size_t(value.number)];
      tensor.name = key.text;
      auto [place, isNew] = places.emplace(key.text, out.size());
      if (isNew)
        out.push_back(std::move(tensor));
      else
        out[place->second] = std::move(tensor);
    }
    return out;
  }

  std::span<const uint8_t> bytes;
  const std::string &file;
  const uint64_t start;
  uint64_t at, opcodeAt = 0;
  bool isDone = false;

  size_t copied = 0; ///< references that calls of OrderedDict have copied
  std::vector<Value> values;
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
  std::vector<Ref> stack;
  std::vector<size_t> marks; ///< heights of the stack
  std::unordered_map<uint32_t, Ref> memo;
};

} // namespace

Pickled readPickle(std::span<const uint8_t> bytes, uint64_t at,
                   const std::string &file) {
  return Machine(bytes, at, file).run();
}

} // namespace qcc
