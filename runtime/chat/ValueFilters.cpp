//===- ValueFilters.cpp - Filters of text, numbers and any value ----------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Format.h"
#include "runtime/chat/Json.h"
#include "runtime/chat/Operators.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qrt::chat {

namespace {

/// Markup stays Markup, anything else becomes its text.
Value softText(const Value &value) {
  return value.isString() ? value : Value(toText(value));
}

/// A filter that calls a method of the operand's text.
Value callMethod(const Value &operand, std::string_view name,
                 const Arguments &arguments) {
  Value text = softText(operand);
  return attributeOf(text, name)->object().call(arguments);
}

/// The operand's text; throws qrt::Error unless it is one.
const std::string &requireText(const Value &value) {
  requireDefined(value);
  if (!value.isString())
    throw Error("the filter needs a str, not '" + value.typeName() + "'");
  return value.string();
}

//===----------------------------------------------------------------------===//
// Any value
//===----------------------------------------------------------------------===//

Value defaultFilter(Interpreter &, const Value &value,
                    const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("default", {"default_value", "boolean"});
  if (value.isUndefined() || (bound.truth(1, false) && !value.truth()))
    return bound.has(0) ? bound[0] : Value("");
  return value;
}

Value attrFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  BoundArguments bound = arguments.bind("attr", {"name"}, 1);
  requireDefined(value);
  std::string name = bound.string(0, "");
  std::optional<Value> found = attributeOf(value, name);
  return found ? *found
               : Value::undefined("'" + value.typeName() +
                                  " object' has no attribute '" + name + "'");
}

Value stringFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  arguments.bind("string", {});
  return softText(value);
}

Value safeFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  arguments.bind("safe", {});
  return Value::text(toText(value), /*isMarkup=*/true);
}

Value escapeFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  arguments.bind("escape", {});
  return value.isMarkup()
             ? value
             : Value::text(escapeHtml(toText(value)), /*isMarkup=*/true);
}

Value forceEscapeFilter(Interpreter &, const Value &value,
                        const Arguments &arguments) {
  arguments.bind("forceescape", {});
  return Value::text(escapeHtml(toText(value)), /*isMarkup=*/true);
}

std::optional<std::string> readIndent(const BoundArguments &bound, size_t i) {
  constexpr int64_t most = 1000;
  if (!bound.isGiven(i))
    return std::nullopt;
  if (bound[i].isString())
    return bound[i].string();
  int64_t width = bound.integer(i, 0);
  if (width > most)
    throw Error("an indent wider than " + std::to_string(most) +
                " is not supported");
  return std::string(size_t(std::max<int64_t>(width, 0)), ' ');
}

/// transformers' own.
Value toJsonFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  BoundArguments bound = arguments.bind(
      "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensureAscii = bound.truth(0, false);
  style.indent = readIndent(bound, 1);
  style.sortKeys = bound.truth(3, false);
  if (style.indent)
    style.itemSeparator = ",";
  if (bound.isGiven(2)) {
    Values separators = toItems(bound[2]);
    if (separators.size() != 2 || !separators[0].isString() ||
        !separators[1].isString())
      throw Error("separators must be a pair of str");
    style.itemSeparator = separators[0].string();
    style.keySeparator = separators[1].string();
  }
  return toJson(value, style);
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Value absFilter(Interpreter &, const Value &value, const Arguments &arguments) {
  arguments.bind("abs", {});
  requireDefined(value);
  if (value.isIntegral())
    return value.integer() < 0 ? applyUnary(UnaryOp::Minus, value)
                               : Value(value.integer());
  if (value.isFloat())
    return std::abs(value.number());
  throw Error("bad operand type for abs(): '" + value.typeName() + "'");
}

/// Digits with single underscores between them, without these; nothing where
/// one stands elsewhere.
std::optional<std::string> withoutUnderscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    auto isDigit = [&](size_t at) {
      return at < text.size() && std::isxdigit(uint8_t(text[at]));
    };
    if (i == 0 || !isDigit(i - 1) || !isDigit(i + 1))
      return std::nullopt;
  }
  return out;
}

/// float(text), or nothing.
std::optional<double> parseFloat(std::string_view text) {
  std::optional<std::string> digits =
      withoutUnderscores(strip(text, Side::Both));
  if (!digits)
    return std::nullopt;
  std::string_view number = *digits;
  bool isNegative = number.starts_with('-');
  if (isNegative || number.starts_with('+'))
    number.remove_prefix(1);
  if (number.empty() || number[0] == '-')
    return std::nullopt;
  double value = 0;
  auto result = std::from_chars(number.begin(), number.end(), value);
  bool hasHex = number.size() > 1 && (number[1] | 0x20) == 'x';
  if (result.ptr != number.end() || hasHex || number.ends_with(')'))
    return std::nullopt;
  if (result.ec == std::errc::result_out_of_range)
    value = readFloat(number);
  return isNegative ? -value : value;
}

/// int(text, base), or nothing.
std::optional<int64_t> parseInteger(std::string_view text, int64_t base) {
  text = strip(text, Side::Both);
  bool isNegative = text.starts_with('-');
  if (isNegative || text.starts_with('+'))
    text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    char kind = char(text[1] | 0x20);
    int64_t named = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (named && (base == named || base == 0)) {
      base = named;
      text.remove_prefix(2);
      if (text.starts_with('_'))
        text.remove_prefix(1);
    }
  }
  base = base == 0 ? 10 : base;
  if (base < 2 || base > 36)
    throw Error("int() base must be >= 2 and <= 36, or 0");
  std::optional<std::string> digits = withoutUnderscores(text);
  if (!digits || digits->empty() || digits->starts_with('-'))
    return std::nullopt;
  if (isNegative)
    digits->insert(0, "-");
  int64_t value = 0;
  const char *end = digits->data() + digits->size();
  auto result = std::from_chars(digits->data(), end, value, int(base));
  if (result.ptr != end)
    return std::nullopt;
  if (result.ec == std::errc::result_out_of_range)
    throw Error("integers of more than 64 bits are not supported");
  return value;
}

Value intFilter(Interpreter &, const Value &value, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("int", {"default", "base"});
  requireDefined(value);
  if (value.isIntegral())
    return value.integer();
  std::optional<double> number;
  if (value.isFloat()) {
    number = value.number();
  } else if (value.isString()) {
    if (auto parsed = parseInteger(value.string(), bound.integer(1, 10)))
      return *parsed;
    number = parseFloat(value.string());
  }
  if (number && std::isfinite(*number))
    return toInteger(*number);
  return bound.has(0) ? bound[0] : Value(0);
}

Value floatFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  BoundArguments bound = arguments.bind("float", {"default"});
  requireDefined(value);
  if (value.isNumber())
    return value.number();
  if (value.isString())
    if (std::optional<double> parsed = parseFloat(value.string()))
      return *parsed;
  return bound.has(0) ? bound[0] : Value(0.0);
}

Value roundFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  BoundArguments bound = arguments.bind("round", {"precision", "method"});
  requireDefined(value);
  int64_t precision = bound.integer(0, 0);
  std::string method = bound.string(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    throw Error("method must be common, ceil or floor");
  if (!value.isNumber())
    throw Error("type " + value.typeName() +
                " doesn't define __round__ method");
  if (method != "common") {
    double unit = std::pow(10.0, double(precision));
    double scaled = value.number() * unit;
    return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit;
  }
  if (value.isFloat())
    return roundDecimal(value.number(), precision);
  if (precision >= 0)
    return value.integer();
  if (precision < -18)
    return 0;
  // Half to even, in integers.
  int64_t unit = 1;
  for (int64_t i = 0; i > precision; --i)
    unit *= 10;
  Value quotient = applyBinary(BinaryOp::FloorDivide, value, unit);
  int64_t low = quotient.integer() * unit, rest = value.integer() - low;
  bool isUp = rest > unit - rest ||
              (rest == unit - rest && quotient.integer() % 2 != 0);
  return applyBinary(BinaryOp::Add, low, isUp ? unit : 0);
}

Value fileSizeFilter(Interpreter &, const Value &value,
                     const Arguments &arguments) {
  BoundArguments bound = arguments.bind("filesizeformat", {"binary"});
  bool isBinary = bound.truth(0, false);
  requireDefined(value);
  std::optional<double> bytes = value.isNumber() ? std::optional(value.number())
                                : value.isString() ? parseFloat(value.string())
                                                   : std::nullopt;
  if (!bytes || !std::isfinite(*bytes))
    throw Error("filesizeformat needs a number");
  double base = isBinary ? 1024 : 1000;
  if (*bytes == 1)
    return "1 Byte";
  if (*bytes < base)
    return std::to_string(toInteger(*bytes)) + " Bytes";
  static constexpr std::string_view prefixes = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  for (; i + 1 < prefixes.size() && *bytes >= unit * base; ++i)
    unit *= base;
  Arguments number;
  number.positional.emplace_back(*bytes / unit);
  std::string prefix(1, isBinary && i == 0 ? 'K' : prefixes[i]);
  return formatBraces("{:.1f} ", number) + prefix + (isBinary ? "iB" : "B");
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// A filter that is a method of str of the same name.
template <size_t N>
struct Name {
  char text[N];
  constexpr Name(const char (&name)[N]) { std::copy_n(name, N, text); }
};
template <Name Method>
Value methodFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  return callMethod(value, Method.text, arguments);
}

Value centerFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  Arguments width;
  BoundArguments bound = arguments.bind("center", {"width"});
  width.positional.push_back(bound.has(0) ? bound[0] : Value(80));
  return callMethod(value, "center", width);
}

Value trimFilter(Interpreter &, const Value &value,
                 const Arguments &arguments) {
  arguments.bind("trim", {"chars"});
  return callMethod(value, "strip", arguments);
}

Value titleFilter(Interpreter &, const Value &value,
                  const Arguments &arguments) {
  arguments.bind("title", {});
  Value text = softText(value);
  Budget::touch(text.string().size());
  // Each word begins with a capital, wherever a word begins.
  auto isBetween = [](uint32_t point) {
    return isSpace(point) || point == '-' || point == '(' || point == '{' ||
           point == '[' || point == '<';
  };
  std::string out, word;
  auto finish = [&] {
    size_t first = word.empty() ? 0 : unicode::charLength(word[0]);
    out += toUpper(std::string_view(word).substr(0, first));
    out += toLower(std::string_view(word).substr(first));
    word.clear();
  };
  for (size_t at = 0; at < text.string().size();) {
    size_t begin = at;
    if (isBetween(unicode::decodeChar(text.string(), at))) {
      finish();
      out.append(text.string(), begin, at - begin);
    } else {
      word.append(text.string(), begin, at - begin);
    }
  }
  finish();
  return Value::text(std::move(out), false);
}

Value replaceFilter(Interpreter &, const Value &value,
                    const Arguments &arguments) {
  BoundArguments bound = arguments.bind("replace", {"old", "new", "count"}, 2);
  int64_t count = bound.isGiven(2) ? bound.integer(2, -1) : -1;
  return replaceWithin(toText(value), toText(bound[0]), toText(bound[1]),
                       count);
}

Value formatFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    throw Error("can't handle positional and keyword arguments at the same "
                "time");
  Value text = softText(value), values = Value::tuple(arguments.positional);
  if (!arguments.named.empty()) {
    Dict dict;
    for (const auto &[name, argument] : arguments.named)
      dict.set(name, argument);
    values = std::move(dict);
  }
  return Value::text(formatPercent(text, values), text.isMarkup());
}

Value indentFilter(Interpreter &, const Value &value,
                   const Arguments &arguments) {
  BoundArguments bound = arguments.bind("indent", {"width", "first", "blank"});
  const std::string &text = requireText(value);
  std::string indent = bound.has(0) ? *readIndent(bound, 0) : "    ";
  bool withBlank = bound.truth(2, false);
  Strings lines = splitLines(text + "\n");
  std::string out = bound.truth(1, false) ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i)
      out += withBlank || !lines[i].empty() ? "\n" + indent : "\n";
    out += lines[i];
    Budget::requireRoom(out.size());
  }
  Budget::touch(out.size());
  return Value::text(std::move(out), value.isMarkup());
}

Value truncateFilter(Interpreter &, const Value &value,
                     const Arguments &arguments) {
  BoundArguments bound =
      arguments.bind("truncate", {"length", "killwords", "end", "leeway"});
  int64_t length = bound.integer(0, 255);
  std::string end = bound.string(2, "...");
  int64_t leeway = bound.isGiven(3) ? bound.integer(3, 5) : 5;
  auto endSize = int64_t(countChars(end));
  if (length < endSize)
    throw Error("expected length >= " + std::to_string(endSize) + ", got " +
                std::to_string(length));
  if (leeway < 0)
    throw Error("expected leeway >= 0, got " + std::to_string(leeway));
  const std::string &text = requireText(value);
  if (int64_t(countChars(text)) <= length + leeway)
    return value;
  std::string kept = text.substr(0, byteOffset(text, size_t(length - endSize)));
  if (!bound.truth(1, false))
    kept = kept.substr(0, kept.rfind(' '));
  return Value::text(kept + end, value.isMarkup());
}

Value wordCountFilter(Interpreter &, const Value &value,
                      const Arguments &arguments) {
  arguments.bind("wordcount", {});
  std::string text = toText(value);
  int64_t count = 0;
  bool isInWord = false;
  for (size_t at = 0; at < text.size();) {
    bool isWord = unicode::isWord(unicode::decodeChar(text, at));
    count += isWord && !isInWord;
    isInWord = isWord;
  }
  return count;
}

/// urllib.parse.quote; in a query a blank is '+' and '/' is quoted.
std::string quoteUrl(const Value &value, bool isQuery) {
  std::string out;
  for (char c : toText(value)) {
    constexpr const char *hex = "0123456789ABCDEF";
    auto byte = uint8_t(c);
    bool isPlain = (byte < 0x80 && std::isalnum(byte)) ||
                   std::string_view("_.-~").find(c) != std::string_view::npos ||
                   (c == '/' && !isQuery);
    if (isPlain)
      out += c;
    else if (c == ' ' && isQuery)
      out += '+';
    else
      (out += '%') += {hex[byte >> 4], hex[byte & 15]};
  }
  return out;
}

Value urlEncodeFilter(Interpreter &, const Value &value,
                      const Arguments &arguments) {
  arguments.bind("urlencode", {});
  if (value.isString() || !isIterable(value))
    return quoteUrl(value, /*isQuery=*/false);
  std::string out;
  auto add = [&](const Value &key, const Value &item) {
    out += (out.empty() ? "" : "&") + quoteUrl(key, true) + "=" +
           quoteUrl(item, true);
  };
  if (value.isDict()) {
    for (const auto &[key, item] : value.dict().entries())
      add(key, item);
    return out;
  }
  forEach(value, [&](const Value &pair) {
    Values items = toItems(pair);
    if (items.size() != 2)
      throw Error("urlencode needs pairs");
    add(items[0], items[1]);
    return true;
  });
  return out;
}

constexpr Filter filters[] = {
    {"abs", absFilter},
    {"attr", attrFilter},
    {"capitalize", methodFilter<"capitalize">},
    {"center", centerFilter},
    {"d", defaultFilter},
    {"default", defaultFilter},
    {"e", escapeFilter},
    {"escape", escapeFilter},
    {"filesizeformat", fileSizeFilter},
    {"float", floatFilter},
    {"forceescape", forceEscapeFilter},
    {"format", formatFilter},
    {"indent", indentFilter},
    {"int", intFilter},
    {"lower", methodFilter<"lower">},
    {"pprint", nullptr},
    {"random", nullptr},
    {"replace", replaceFilter},
    {"round", roundFilter},
    {"safe", safeFilter},
    {"string", stringFilter},
    {"striptags", nullptr},
    {"title", titleFilter},
    {"tojson", toJsonFilter},
    {"trim", trimFilter},
    {"truncate", truncateFilter},
    {"upper", methodFilter<"upper">},
    {"urlencode", urlEncodeFilter},
    {"urlize", nullptr},
    {"wordcount", wordCountFilter},
    {"wordwrap", nullptr},
    {"xmlattr", nullptr},
};

} // namespace

std::span<const Filter> valueFilters() { return filters; }

} // namespace qrt::chat
