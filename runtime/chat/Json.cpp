//===- Json.cpp - Template values as JSON ---------------------------------===//
//
// RFC 8259, read and written as Python's json module does.
//
//===----------------------------------------------------------------------===//

#include "runtime/chat/Json.h"

#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qrt::chat {

namespace {

/// An integer that does not fit 64 bits: it can be printed and passed on.
class BigInteger : public Object {
public:
  explicit BigInteger(std::string digits) : digits(std::move(digits)) {}
  std::string typeName() const override { return "int"; }
  std::string repr() const override { return digits; }

private:
  std::string digits;
};

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

class Writer {
public:
  explicit Writer(const JsonStyle &style) : style(style) {}

  void write(const Value &value, int level) {
    Depth depth;
    Budget::step();
    if (value.isString())
      writeText(value.string());
    else if (value.isSequence(SequenceKind::List) ||
             value.isSequence(SequenceKind::Tuple) ||
             value.isSequence(SequenceKind::Group))
      writeList(value.items(), level);
    else if (value.isDict())
      writeDict(value.dict(), level);
    else
      put(scalar(value));
  }

  std::string take() { return std::move(out); }

private:
  static std::string scalar(const Value &value) {
    if (value.isNone())
      return "null";
    if (value.isBool())
      return value.truth() ? "true" : "false";
    if (value.isFloat() && !std::isfinite(value.number()))
      return std::isnan(value.number()) ? "NaN"
             : value.number() > 0       ? "Infinity"
                                        : "-Infinity";
    if (value.isNumber() || value.as<BigInteger>())
      return toRepr(value);
    throw Error("Object of type " + value.typeName() +
                " is not JSON serializable");
  }

  void put(std::string_view text) {
    Budget::requireRoom(out.size() + text.size());
    out += text;
  }

  void newLine(int level) {
    if (!style.indent)
      return;
    put("\n");
    for (int i = 0; i < level; ++i)
      put(*style.indent);
  }

  void writeList(const Values &items, int level) {
    put("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i)
        put(style.itemSeparator);
      newLine(level + 1);
      write(items[i], level + 1);
    }
    if (!items.empty())
      newLine(level);
    put("]");
  }

  void writeDict(const Dict &dict, int level) {
    std::vector<const Dict::Entry *> entries;
    for (const Dict::Entry &entry : dict.entries())
      entries.push_back(&entry);
    if (style.sortKeys)
      std::ranges::stable_sort(entries, [](const auto *a, const auto *b) {
        return a->first < b->first;
      });
    put("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i)
        put(style.itemSeparator);
      newLine(level + 1);
      writeKey(entries[i]->first);
      put(style.keySeparator);
      write(entries[i]->second, level + 1);
    }
    if (!entries.empty())
      newLine(level);
    put("}");
  }

  void writeKey(const Value &key) {
    if (key.isString())
      return writeText(key.string());
    if (!key.isNone() && !key.isNumber())
      throw Error("keys must be str, int, float, bool or None, not " +
                  key.typeName());
    put("\"" + scalar(key) + "\"");
  }

  void escapeUnit(uint32_t unit) {
    constexpr const char *hex = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4)
      out += hex[unit >> shift & 15];
  }

  void writeText(const std::string &text) {
    Budget::touch(text.size());
    put("\"");
    for (size_t at = 0; at < text.size();) {
      size_t begin = at;
      uint32_t point = unicode::decodeChar(text, at);
      constexpr std::string_view named = "\"\\\n\r\t\f\b", names = "\"\\nrtfb";
      if (size_t i = point < 0x80 ? named.find(char(point)) : named.npos;
          i != named.npos) {
        out += '\\';
        out += names[i];
      } else if (point < 0x20 || (style.ensureAscii && point >= 0x7f)) {
        if (point >= 0x10000) {
          escapeUnit(0xd800 + ((point - 0x10000) >> 10));
          escapeUnit(0xdc00 + ((point - 0x10000) & 0x3ff));
        } else {
          escapeUnit(point);
        }
      } else {
        out.append(text, begin, at - begin);
      }
    }
    put("\"");
  }

  const JsonStyle &style;
  std::string out;
};

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

class Reader {
public:
  explicit Reader(std::string_view text) : text(text) {}

  Value readAll() {
    if (!unicode::isValidUtf8(text))
      fail("text that is no UTF-8");
    Value value = read();
    skipSpace();
    if (at != text.size())
      fail("more than one value");
    return value;
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw Error("invalid JSON: " + what + " at byte " + std::to_string(at));
  }
  void skipSpace() {
    at = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
  }
  bool take(std::string_view token) {
    skipSpace();
    if (!text.substr(at).starts_with(token))
      return false;
    at += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token))
      fail("no '" + std::string(token) + "'");
  }

  Value read() {
    Depth depth;
    if (take("{"))
      return readDict();
    if (take("["))
      return readList();
    skipSpace();
    if (at < text.size() && text[at] == '"')
      return readText();
    if (take("true"))
      return true;
    if (take("false"))
      return false;
    if (take("null"))
      return Value();
    if (take("NaN"))
      return std::nan("");
    if (take("Infinity"))
      return HUGE_VAL;
    if (take("-Infinity"))
      return -HUGE_VAL;
    return readNumber();
  }

  Value readDict() {
    Dict dict;
    if (take("}"))
      return dict;
    do {
      skipSpace();
      std::string key = readText();
      expect(":");
      dict.set(std::move(key), read());
    } while (take(","));
    expect("}");
    return dict;
  }

  Value readList() {
    Values items;
    if (take("]"))
      return items;
    do
      items.push_back(read());
    while (take(","));
    expect("]");
    return items;
  }

  /// How many digits stand at `from`.
  size_t digitsAt(size_t from) const {
    return std::min(text.find_first_not_of("0123456789", from), text.size()) -
           from;
  }

  Value readNumber() {
    size_t begin = at, end = at;
    if (end < text.size() && text[end] == '-')
      ++end;
    size_t count = digitsAt(end);
    if (count == 0 || (count > 1 && text[end] == '0'))
      fail("no value");
    end += count;
    bool isFloat = false;
    if (end < text.size() && text[end] == '.' && digitsAt(end + 1)) {
      isFloat = true;
      end += 1 + digitsAt(end + 1);
    }
    if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
      size_t sign = end + 1 < text.size() &&
                    (text[end + 1] == '+' || text[end + 1] == '-');
      if (size_t digits = digitsAt(end + 1 + sign)) {
        isFloat = true;
        end += 1 + sign + digits;
      }
    }
    at = end;
    std::string_view number = text.substr(begin, end - begin);
    if (isFloat)
      return readFloat(number);
    int64_t value = 0;
    auto result = std::from_chars(number.begin(), number.end(), value);
    if (result.ec == std::errc())
      return value;
    return std::shared_ptr<Object>(
        std::make_shared<BigInteger>(std::string(number)));
  }

  uint32_t readUnit() {
    uint32_t unit = 0;
    std::string_view digits = text.substr(std::min(at, text.size()), 4);
    auto result = std::from_chars(digits.begin(), digits.end(), unit, 16);
    if (digits.size() != 4 || result.ptr != digits.end())
      fail("no four hexadecimal digits");
    at += 4;
    return unit;
  }

  void readEscape(std::string &out) {
    char c = at < text.size() ? text[at++] : '\0';
    constexpr std::string_view names = "nrtfb\"\\/", named = "\n\r\t\f\b\"\\/";
    if (size_t i = names.find(c); i != names.npos) {
      out += named[i];
      return;
    }
    if (c != 'u')
      fail("an unknown escape");
    uint32_t point = readUnit();
    if (point >= 0xd800 && point < 0xdc00 &&
        text.substr(at).starts_with("\\u")) {
      at += 2;
      uint32_t low = readUnit();
      if (low >= 0xdc00 && low < 0xe000)
        point = 0x10000 + ((point & 0x3ff) << 10) + (low & 0x3ff);
    }
    if (point >= 0xd800 && point < 0xe000)
      fail("half of a surrogate pair");
    unicode::appendChar(out, point);
  }

  std::string readText() {
    if (at >= text.size() || text[at] != '"')
      fail("no string");
    std::string out;
    for (++at; at < text.size() && text[at] != '"';) {
      char c = text[at++];
      if (c == '\\')
        readEscape(out);
      else if (uint8_t(c) < 0x20)
        fail("a control character in a string");
      else
        out += c;
    }
    if (at >= text.size())
      fail("a string without end");
    ++at;
    return out;
  }

  std::string_view text;
  size_t at = 0;
};

} // namespace

std::string toJson(const Value &value, const JsonStyle &style) {
  Writer writer(style);
  writer.write(value, 0);
  return writer.take();
}

Value parseJson(std::string_view text) { return Reader(text).readAll(); }

} // namespace qrt::chat
