//===- StringMethods.cpp - The methods of str -----------------------------===//

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Format.h"
#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

namespace {

/// Text of the same kind as `self`: Markup's methods give Markup.
Value same(const Value &self, std::string text) {
  return Value::text(std::move(text), self.isMarkup());
}

/// An argument that must be a str.
const std::string &text(const Value &argument, std::string_view method) {
  requireDefined(argument);
  if (!argument.isString())
    throw Error(std::string(method) + "() argument must be str, not " +
                argument.typeName());
  return argument.string();
}

/// The same, escaped where a method of Markup escapes its arguments.
std::string part(const Value &self, const Value &argument,
                 std::string_view method) {
  const std::string &given = text(argument, method);
  return self.isMarkup() && !argument.isMarkup() ? escapeHtml(given) : given;
}

template <std::string (*Map)(std::string_view)>
Value map(const Value &self, const Arguments &arguments) {
  arguments.bind("method", {});
  Budget::touch(self.string().size());
  return same(self, Map(self.string()));
}

template <bool (*Predicate)(std::string_view)>
Value check(const Value &self, const Arguments &arguments) {
  arguments.bind("method", {});
  Budget::touch(self.string().size());
  return Predicate(self.string());
}

Value isAscii(const Value &self, const Arguments &arguments) {
  arguments.bind("isascii", {});
  return unicode::asciiPrefix(self.string()) == self.string().size();
}

template <Side S>
Value stripMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("strip", {"chars"});
  std::optional<std::string> chars;
  if (bound.isGiven(0))
    chars = part(self, bound[0], "strip");
  Budget::touch(self.string().size());
  return same(self, std::string(strip(self.string(), S, chars)));
}

Value toList(const Value &self, const Strings &parts) {
  Values items;
  for (const std::string &text : parts)
    items.push_back(same(self, text));
  Budget::step(items.size());
  return items;
}

template <bool FromRight>
Value splitMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("split", {"sep", "maxsplit"});
  std::optional<std::string> separator;
  if (bound.isGiven(0))
    separator = text(bound[0], "split");
  Budget::touch(self.string().size());
  return toList(
      self, split(self.string(), separator, bound.integer(1, -1), FromRight));
}

Value splitLinesMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("splitlines", {"keepends"});
  Budget::touch(self.string().size());
  return toList(self, splitLines(self.string(), bound.truth(0, false)));
}

template <bool FromRight>
Value partitionMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("partition", {"sep"}, 1);
  const std::string &separator = text(bound[0], "partition");
  if (separator.empty())
    throw Error("empty separator");
  const std::string &whole = self.string();
  Budget::touch(whole.size());
  size_t at = FromRight ? whole.rfind(separator) : whole.find(separator);
  if (at == whole.npos)
    return FromRight ? Value::tuple({same(self, ""), same(self, ""), self})
                     : Value::tuple({self, same(self, ""), same(self, "")});
  return Value::tuple({same(self, whole.substr(0, at)), same(self, separator),
                       same(self, whole.substr(at + separator.size()))});
}

/// The bytes from code point `start` to `stop`, of which either may be missing
/// or count from the end.
std::pair<size_t, size_t> range(const std::string &text,
                                const BoundArguments &bound, size_t first) {
  auto count = int64_t(countChars(text));
  auto clamp = [&](size_t i, int64_t otherwise) {
    int64_t at = bound.isGiven(i) ? bound.integer(i, 0) : otherwise;
    return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
  };
  // A start behind the end finds nothing, not even the empty text.
  if (bound.isGiven(first) && bound.integer(first, 0) > count)
    return {text.size() + 1, text.size()};
  int64_t start = clamp(first, 0), stop = clamp(first + 1, count);
  return {byteOffset(text, size_t(start)), byteOffset(text, size_t(stop))};
}

template <bool AtEnd>
Value startsWith(const Value &self, const Arguments &arguments) {
  const char *name = AtEnd ? "endswith" : "startswith";
  BoundArguments bound = arguments.bind(name, {"prefix", "start", "end"}, 1);
  auto [begin, end] = range(self.string(), bound, 1);
  if (begin > end)
    return false;
  std::string_view text(self.string().data() + begin, end - begin);
  auto matches = [&](const Value &candidate) {
    requireDefined(candidate);
    if (!candidate.isString())
      throw Error(std::string(name) +
                  " first arg must be str or a tuple of str, not " +
                  candidate.typeName());
    return AtEnd ? text.ends_with(candidate.string())
                 : text.starts_with(candidate.string());
  };
  if (bound[0].isSequence(SequenceKind::Tuple))
    return std::ranges::any_of(bound[0].items(), matches);
  return matches(bound[0]);
}

/// The byte where the argument stands, or npos.
template <bool FromRight>
size_t findByte(const Value &self, const BoundArguments &bound) {
  const std::string &wanted = text(bound[0], "find");
  auto [begin, end] = range(self.string(), bound, 1);
  if (begin > end)
    return std::string::npos;
  std::string_view part(self.string().data() + begin, end - begin);
  Budget::touch(part.size());
  size_t at = FromRight ? part.rfind(wanted) : part.find(wanted);
  return at == part.npos ? at : begin + at;
}

template <bool FromRight, bool MustFind>
Value findMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("find", {"sub", "start", "end"}, 1);
  size_t at = findByte<FromRight>(self, bound);
  if (at != std::string::npos)
    return countChars(std::string_view(self.string()).substr(0, at));
  if (MustFind)
    throw Error("substring not found");
  return -1;
}

Value countMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("count", {"sub", "start", "end"}, 1);
  const std::string &wanted = text(bound[0], "count");
  auto [begin, end] = range(self.string(), bound, 1);
  if (begin > end)
    return 0;
  std::string_view part(self.string().data() + begin, end - begin);
  Budget::touch(part.size());
  if (wanted.empty())
    return countChars(part) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = part.find(wanted, at)) != part.npos;
       at += wanted.size())
    ++count;
  return count;
}

Value replaceMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("replace", {"old", "new", "count"}, 2);
  std::string from = part(self, bound[0], "replace"),
              to = part(self, bound[1], "replace");
  return same(self,
              replaceWithin(self.string(), from, to, bound.integer(2, -1)));
}

Value joinMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("join", {"iterable"}, 1);
  std::string out;
  size_t i = 0;
  forEach(bound[0], [&](const Value &item) {
    if (!item.isString() && !self.isMarkup())
      throw Error("sequence item " + std::to_string(i) +
                  ": expected str instance, " + item.typeName() + " found");
    if (i++)
      out += self.string();
    std::string text = toText(item);
    out += self.isMarkup() && !item.isMarkup() ? escapeHtml(text) : text;
    Budget::touch(self.string().size() + text.size());
    Budget::requireRoom(out.size());
    return true;
  });
  return same(self, std::move(out));
}

Value formatMethod(const Value &self, const Arguments &arguments) {
  return same(self, formatBraces(self, arguments));
}

Value formatMapMethod(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("format_map", {"mapping"}, 1);
  if (!bound[0].isDict())
    throw Error("format_map() needs a dict");
  Arguments named;
  for (const auto &[key, value] : bound[0].dict().entries())
    if (key.isString())
      named.named.emplace_back(key.string(), value);
  return same(self, formatBraces(self, named));
}

/// Room and steps for so many code points.
void requireWidth(int64_t width) {
  Budget::requireRoom(size_t(width));
  Budget::requireRoom(size_t(width) * 4);
  Budget::touch(size_t(width) * 4);
}

template <char Align>
Value justify(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("justify", {"width", "fillchar"}, 1);
  std::string fill = bound.string(1, " ");
  if (countChars(fill) != 1)
    throw Error("the fill character must be exactly one character long");
  auto size = int64_t(countChars(self.string()));
  int64_t missing = bound.integer(0, 0) - size;
  if (missing <= 0)
    return self;
  requireWidth(missing);
  // str.center puts the odd one to the left for an odd width.
  int64_t before = Align == '<' ? 0
                   : Align == '>'
                       ? missing
                       : missing / 2 + (missing & (missing + size) & 1);
  std::string left, right;
  for (int64_t i = 0; i < missing; ++i)
    (i < before ? left : right) += fill;
  return same(self, left + self.string() + right);
}

Value zfill(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("zfill", {"width"}, 1);
  const std::string &text = self.string();
  int64_t missing = bound.integer(0, 0) - int64_t(countChars(text));
  if (missing <= 0)
    return self;
  requireWidth(missing);
  size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  return same(self, text.substr(0, sign) + std::string(size_t(missing), '0') +
                        text.substr(sign));
}

Value expandTabs(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("expandtabs", {"tabsize"});
  int64_t size = bound.integer(0, 8), column = 0;
  if (size > 1000)
    throw Error("tabs wider than 1000 are not supported");
  std::string out;
  for (char c : self.string()) {
    if (c == '\t') {
      int64_t blanks = size > 0 ? size - column % size : 0;
      Budget::touch(size_t(blanks));
      out.append(size_t(blanks), ' ');
      column += blanks;
      continue;
    }
    out += c;
    column =
        c == '\n' || c == '\r' ? 0 : column + ((uint8_t(c) & 0xc0) != 0x80);
  }
  return same(self, std::move(out));
}

template <bool AtEnd>
Value removeAffix(const Value &self, const Arguments &arguments) {
  BoundArguments bound = arguments.bind("removeprefix", {"affix"}, 1);
  std::string affix = part(self, bound[0], "removeprefix");
  std::string_view text = self.string();
  if (AtEnd ? text.ends_with(affix) : text.starts_with(affix))
    text = AtEnd ? text.substr(0, text.size() - affix.size())
                 : text.substr(affix.size());
  return same(self, std::string(text));
}

constexpr Method methods[] = {
    {"capitalize", map<capitalize>},
    {"casefold", map<caseFold>},
    {"center", justify<'^'>},
    {"count", countMethod},
    {"encode", nullptr},
    {"endswith", startsWith<true>},
    {"expandtabs", expandTabs},
    {"find", findMethod<false, false>},
    {"format", formatMethod},
    {"format_map", formatMapMethod},
    {"index", findMethod<false, true>},
    {"isalnum", check<isAlnum>},
    {"isalpha", check<isAlpha>},
    {"isascii", isAscii},
    {"isdecimal", check<isDecimal>},
    {"isdigit", check<isDigit>},
    {"isidentifier", check<isIdentifier>},
    {"islower", check<isLower>},
    {"isnumeric", check<isNumeric>},
    {"isprintable", check<isPrintable>},
    {"isspace", check<isSpaces>},
    {"istitle", check<isTitle>},
    {"isupper", check<isUpper>},
    {"join", joinMethod},
    {"ljust", justify<'<'>},
    {"lower", map<toLower>},
    {"lstrip", stripMethod<Side::Left>},
    {"maketrans", nullptr},
    {"partition", partitionMethod<false>},
    {"removeprefix", removeAffix<false>},
    {"removesuffix", removeAffix<true>},
    {"replace", replaceMethod},
    {"rfind", findMethod<true, false>},
    {"rindex", findMethod<true, true>},
    {"rjust", justify<'>'>},
    {"rpartition", partitionMethod<true>},
    {"rsplit", splitMethod<true>},
    {"rstrip", stripMethod<Side::Right>},
    {"split", splitMethod<false>},
    {"splitlines", splitLinesMethod},
    {"startswith", startsWith<false>},
    {"strip", stripMethod<Side::Both>},
    {"swapcase", map<swapCase>},
    {"title", map<toTitle>},
    {"translate", nullptr},
    {"upper", map<toUpper>},
    {"zfill", zfill},
};

} // namespace

std::span<const Method> stringMethods() { return methods; }

std::string replaceWithin(const std::string &text, const std::string &from,
                          const std::string &to, int64_t limit) {
  size_t places = from.empty() ? text.size() + 1 : text.size() / from.size();
  if (limit >= 0)
    places = std::min(places, size_t(limit));
  if (!to.empty() && places > Budget::maxMemory / to.size()) {
    // Too much at worst: look how much it is.
    places = from.empty() ? places : 0;
    for (size_t at = 0; !from.empty() && int64_t(places) != limit &&
                        (at = text.find(from, at)) != text.npos;
         at += from.size())
      ++places;
    Budget::requireRoom(places);
    Budget::requireRoom(places * to.size());
  }
  std::string out = replace(text, from, to, limit);
  Budget::touch(text.size() + out.size());
  return out;
}

} // namespace qrt::chat
