//===- Format.cpp - Python's ways to format text --------------------------===//

#include "runtime/chat/Format.h"

#include "runtime/chat/Builtins.h"
#include "runtime/chat/FormatNumber.h"
#include "runtime/chat/Operators.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace qrt::chat {

namespace {

/// Wider fields and more digits than this are refused.
constexpr int64_t mostWidth = 100'000, mostDigits = 500;

std::string character(const Value &value) {
  int64_t point = value.integer();
  if (point < 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
    throw Error("no character has the code " + std::to_string(point));
  std::string text;
  unicode::appendChar(text, uint32_t(point));
  return text;
}

std::string cut(std::string text, int64_t precision) {
  if (precision >= 0)
    text.resize(byteOffset(text, size_t(precision)));
  return text;
}

/// repr() with escapes instead of characters beyond ASCII.
std::string asciiRepr(const Value &value) {
  std::string out;
  std::string text = toRepr(value);
  for (size_t at = 0; at < text.size();) {
    uint32_t point = unicode::decodeChar(text, at);
    char code[16];
    if (point < 0x80)
      std::snprintf(code, sizeof(code), "%c", int(point));
    else
      std::snprintf(code, sizeof(code),
                    point < 0x100     ? "\\x%02x"
                    : point < 0x10000 ? "\\u%04x"
                                      : "\\U%08x",
                    point);
    out += code;
  }
  return out;
}

/// repr, ascii or str, by the letter of a conversion.
std::string convert(const Value &value, char conversion) {
  return conversion == 'r'   ? toRepr(value)
         : conversion == 'a' ? asciiRepr(value)
                             : toText(value);
}

int64_t readNumber(std::string_view text, size_t &at, int64_t most) {
  int64_t value = 0;
  auto result =
      std::from_chars(text.data() + at, text.data() + text.size(), value);
  at = size_t(result.ptr - text.data());
  if (result.ec == std::errc::result_out_of_range || value > most)
    throw Error("a field wider than " + std::to_string(most) +
                " is not supported");
  return value;
}

bool isDigit(std::string_view text, size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

//===----------------------------------------------------------------------===//
// printf-style
//===----------------------------------------------------------------------===//

class PercentFormatter {
public:
  PercentFormatter(const Value &format, const Value &values)
      : text(format.string()), escapes(format.isMarkup()), values(values),
        isTuple(values.isSequence(SequenceKind::Tuple)) {}

  std::string run() {
    while (at < text.size()) {
      size_t begin = std::min(text.find('%', at), text.size());
      out.append(text, at, begin - at);
      at = begin + 1;
      if (begin < text.size())
        formatOne();
    }
    size_t given = isTuple ? values.items().size() : 1;
    if (used < given && !values.isDict() && (isTuple || !values.isSequence()))
      throw Error("not all arguments converted during string formatting");
    return std::move(out);
  }

private:
  const Value &nextValue() {
    size_t given = isTuple ? values.items().size() : 1;
    if (used == given)
      throw Error("not enough arguments for format string");
    ++used;
    return isTuple ? values.items()[used - 1] : values;
  }

  /// `(key)`, or the next value.
  const Value *readKey() {
    if (at >= text.size() || text[at] != '(')
      return nullptr;
    if (!values.isDict())
      throw Error("format requires a mapping");
    size_t end = text.find(')', at);
    if (end == text.npos)
      throw Error("incomplete format key");
    const Value *value =
        values.dict().find(std::string_view(text).substr(at + 1, end - at - 1));
    if (!value)
      throw Error("the format's key " +
                  quoted(text.substr(at + 1, end - at - 1)) + " is missing");
    at = end + 1;
    return value;
  }

  int64_t readSize(int64_t most) {
    if (at < text.size() && text[at] == '*') {
      ++at;
      const Value &size = nextValue();
      if (!size.isIntegral())
        throw Error("* wants int");
      if (std::abs(size.integer()) > most)
        throw Error("a field wider than " + std::to_string(most) +
                    " is not supported");
      return size.integer();
    }
    return isDigit(text, at) ? readNumber(text, at, most) : 0;
  }

  void formatOne() {
    Budget::step();
    const Value *value = readKey();
    Field field;
    bool pads = false;
    char align = '>';
    for (; at < text.size(); ++at) {
      char c = text[at];
      if (c == '-')
        align = '<';
      else if (c == '+' || c == ' ')
        field.sign = field.sign == '+' ? '+' : c;
      else if (c == '#')
        field.alternate = true;
      else if (c == '0')
        pads = true;
      else
        break;
    }
    field.width = readSize(mostWidth);
    if (field.width < 0) {
      align = '<';
      field.width = -field.width;
    }
    if (at < text.size() && text[at] == '.') {
      ++at;
      field.precision = std::max<int64_t>(readSize(mostDigits), 0);
    }
    while (at < text.size() &&
           std::string_view("hlL").find(text[at]) != std::string_view::npos)
      ++at;
    if (at >= text.size())
      throw Error("incomplete format");
    field.type = text[at++];
    if (field.type == '%') {
      out += '%';
      return;
    }
    if (pads && align == '>') {
      align = '=';
      field.fill = "0";
    }
    put(value ? *value : nextValue(), field, align);
  }

  void put(const Value &value, Field &field, char align) {
    switch (field.type) {
    case 's':
    case 'r':
    case 'a': {
      std::string part = convert(value, field.type);
      if (escapes && !value.isMarkup())
        part = escapeHtml(part);
      field.fill = " ";
      out += pad("", cut(std::move(part), field.precision), field,
                 align == '=' ? '>' : align);
      return;
    }
    case 'c':
      field.fill = " ";
      out += pad("", value.isString() ? value.string() : character(value),
                 field, align == '=' ? '>' : align);
      return;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      requireDefined(value);
      if (!value.isNumber() ||
          (value.isFloat() &&
           std::string_view("xXo").find(field.type) != std::string_view::npos))
        throw Error(std::string("%") + field.type +
                    " format: a real number is required, not " +
                    value.typeName());
      out += formatInteger(value.isFloat() ? toInteger(value.number())
                                           : value.integer(),
                           field, align);
      return;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      requireDefined(value);
      if (!value.isNumber())
        throw Error("must be real number, not " + value.typeName());
      if (!std::isfinite(value.number()) && align == '=') {
        align = '>';
        field.fill = " ";
      }
      out += formatFloat(value.number(), field, align);
      return;
    default:
      throw Error("unsupported format character '" +
                  std::string(1, field.type) + "'");
    }
  }

  const std::string &text;
  bool escapes;
  const Value &values;
  bool isTuple;
  size_t at = 0, used = 0;
  std::string out;
};

//===----------------------------------------------------------------------===//
// format()
//===----------------------------------------------------------------------===//

Field parseSpec(std::string_view spec) {
  Field field;
  size_t at = 0;
  auto isAlign = [&](size_t i) {
    return i < spec.size() &&
           std::string_view("<>^=").find(spec[i]) != std::string_view::npos;
  };
  size_t first = spec.empty() ? 0 : unicode::charLength(spec[0]);
  if (isAlign(first)) {
    field.fill = spec.substr(0, first);
    field.align = spec[first];
    at = first + 1;
  } else if (isAlign(0)) {
    field.align = spec[at++];
  }
  if (at < spec.size() &&
      (spec[at] == '+' || spec[at] == '-' || spec[at] == ' '))
    field.sign = spec[at] == '-' ? '\0' : spec[at], ++at;
  if (at < spec.size() && spec[at] == '#') {
    field.alternate = true;
    ++at;
  }
  if (at < spec.size() && spec[at] == '0') {
    if (!field.align) {
      field.align = '=';
      field.fill = "0";
    }
    ++at;
  }
  if (isDigit(spec, at))
    field.width = readNumber(spec, at, mostWidth);
  if (at < spec.size() && (spec[at] == ',' || spec[at] == '_'))
    field.grouping = spec[at++];
  if (at < spec.size() && spec[at] == '.') {
    ++at;
    if (!isDigit(spec, at))
      throw Error("format specifier missing precision");
    field.precision = readNumber(spec, at, mostDigits);
  }
  if (at < spec.size())
    field.type = spec[at++];
  if (at != spec.size())
    throw Error("invalid format specifier '" + std::string(spec) + "'");
  return field;
}

/// format(value, spec)
std::string formatValue(const Value &value, std::string_view spec) {
  if (spec.empty())
    return toText(value);
  Field field = parseSpec(spec);
  auto isOneOf = [&](std::string_view types) {
    return field.type == '\0' || types.find(field.type) != types.npos;
  };
  auto align = [&](char otherwise) {
    return field.align ? field.align : otherwise;
  };
  if (value.isString()) {
    if (!isOneOf("s") || field.sign || field.grouping || field.align == '=')
      throw Error("invalid format specifier '" + std::string(spec) +
                  "' for object of type 'str'");
    return pad("", cut(value.string(), field.precision), field, align('<'));
  }
  if (value.isIntegral()) {
    if (field.type == 'c')
      return pad("", character(value), field, align('<'));
    if (isOneOf("bdoxXn")) {
      if (field.precision >= 0)
        throw Error("precision not allowed in integer format specifier");
      return formatInteger(value.integer(), field, align('>'));
    }
  }
  if (value.isNumber() && isOneOf("eEfFgGn%"))
    return formatFloat(value.number(), field, align('>'));
  if (value.isNumber())
    throw Error(std::string("unknown format code '") + field.type +
                "' for object of type '" + value.typeName() + "'");
  throw Error("unsupported format string passed to " + value.typeName() +
              ".__format__");
}

class BraceFormatter {
public:
  BraceFormatter(const Arguments &arguments, bool escapes)
      : arguments(arguments), escapes(escapes) {}

  std::string run(std::string_view format, int nesting = 0) {
    std::string out;
    for (size_t at = 0; at < format.size();) {
      char c = format[at];
      bool isDoubled = at + 1 < format.size() && format[at + 1] == c;
      if ((c == '{' || c == '}') && isDoubled) {
        out += c;
        at += 2;
      } else if (c == '{') {
        out += formatField(format, ++at, nesting);
      } else if (c == '}') {
        throw Error("single '}' encountered in format string");
      } else {
        out += c;
        ++at;
      }
    }
    Budget::touch(out.size());
    return out;
  }

private:
  /// A field from behind its '{' on; moves `at` behind its '}'.
  std::string formatField(std::string_view format, size_t &at, int nesting) {
    Budget::step();
    if (nesting > 1)
      throw Error("max string recursion exceeded");
    size_t begin = at, open = 1;
    for (; at < format.size() && open; ++at)
      open += format[at] == '{' ? 1 : format[at] == '}' ? size_t(-1) : 0;
    if (open)
      throw Error("expected '}' before end of string");
    std::string_view field = format.substr(begin, at - 1 - begin);
    size_t end = field.find_first_of("!:");
    // A ':' or '!' in brackets belongs to the name.
    if (size_t bracket = field.find('['); bracket < end) {
      size_t close = std::min(field.find(']', bracket), field.size());
      end = field.find_first_of("!:", close);
    }
    end = std::min(end, field.size());
    Value value = lookUp(field.substr(0, end));
    if (end < field.size() && field[end] == '!') {
      char conversion = end + 1 < field.size() ? field[end + 1] : '\0';
      if (conversion != 's' && conversion != 'r' && conversion != 'a')
        throw Error("unknown conversion specifier in a format string");
      value = convert(value, conversion);
      end += 2;
    }
    std::string spec;
    if (end < field.size()) {
      if (field[end] != ':')
        throw Error("expected ':' after conversion specifier");
      spec = run(field.substr(end + 1), nesting + 1);
    }
    std::string text = formatValue(value, spec);
    return escapes && !value.isMarkup() ? escapeHtml(text) : text;
  }

  Value lookUp(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    while (end < name.size()) {
      bool isItem = name[end] == '[';
      size_t begin = end + 1;
      end = isItem ? name.find(']', begin) : name.find_first_of(".[", begin);
      if (isItem && end == name.npos)
        throw Error("missing ']' in format string");
      end = std::min(end, name.size());
      std::string_view part = name.substr(begin, end - begin);
      if (part.empty())
        throw Error("empty attribute in format string");
      if (!isItem) {
        value = getAttribute(value, part);
        continue;
      }
      ++end;
      size_t used = 0;
      bool isNumber = part.find_first_not_of("0123456789") == part.npos;
      value = getItem(value, isNumber ? Value(readNumber(part, used, INT32_MAX))
                                      : Value(part));
    }
    return value;
  }

  const Value &first(std::string_view name) {
    size_t index = 0, at = 0;
    bool isNumber = isDigit(name, 0);
    if (name.empty() || isNumber) {
      if (std::exchange(numbering, isNumber ? Given : Counted) ==
          (isNumber ? Counted : Given))
        throw Error("cannot switch between manual field specification and "
                    "automatic field numbering");
      index = isNumber ? size_t(readNumber(name, at, INT32_MAX)) : next++;
      if (index >= arguments.positional.size())
        throw Error("replacement index " + std::to_string(index) +
                    " out of range for positional args tuple");
      return arguments.positional[index];
    }
    for (const auto &[key, value] : arguments.named)
      if (key == name)
        return value;
    throw Error("the format's key " + quoted(name) + " is missing");
  }

  const Arguments &arguments;
  bool escapes;
  enum { Unknown, Given, Counted } numbering = Unknown;
  size_t next = 0;
};

} // namespace

std::string formatPercent(const Value &format, const Value &values) {
  return PercentFormatter(format, values).run();
}

std::string formatBraces(const Value &format, const Arguments &arguments) {
  return BraceFormatter(arguments, format.isMarkup()).run(format.string());
}

} // namespace qrt::chat
