//===- Lexer.cpp - From a template's text to tokens -----------------------===//

#include "runtime/chat/Lexer.h"

#include "runtime/chat/Strings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>

namespace qrt::chat {

//===----------------------------------------------------------------------===//
// Source
//===----------------------------------------------------------------------===//

Source::Source(std::string_view text) {
  constexpr size_t longest = size_t(4) << 20;
  if (text.size() > longest)
    throw Error("the chat template has " + std::to_string(text.size()) +
                " bytes, more than " + std::to_string(longest));
  if (!unicode::isValidUtf8(text))
    throw Error("the chat template is no UTF-8");
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r')
      normalized += text[i];
    else if (i + 1 == text.size() || text[i + 1] != '\n')
      normalized += '\n';
  }
  if (normalized.ends_with('\n'))
    normalized.pop_back();
}

size_t Source::line(uint32_t offset) const {
  return 1 + size_t(std::count(normalized.begin(), normalized.begin() + offset,
                               '\n'));
}

void Source::fail(const std::string &what, uint32_t offset) const {
  constexpr size_t longest = 100;
  size_t begin = offset ? normalized.rfind('\n', offset - 1) + 1 : 0;
  size_t end = std::min(normalized.find('\n', begin), normalized.size());
  std::string_view before(normalized.data() + begin, offset - begin);
  std::string_view shown(normalized.data() + begin, end - begin);
  // Of a long line the part around the place, whole characters.
  if (shown.size() > longest) {
    size_t from = before.size() < longest / 2 ? 0 : before.size() - longest / 2;
    size_t to = std::min(from + longest, shown.size());
    auto isInside = [&](size_t at) {
      return at < shown.size() && (uint8_t(shown[at]) & 0xc0) == 0x80;
    };
    while (isInside(from))
      ++from;
    while (isInside(to))
      ++to;
    shown = shown.substr(from, to - from);
  }
  throw Error("chat template line " + std::to_string(line(offset)) +
              ", column " + std::to_string(countChars(before) + 1) + ": " +
              what + ": `" + std::string(strip(shown, Side::Both)) + "`");
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

namespace {

class Lexer {
public:
  explicit Lexer(const Source &source) : source(source), text(source.text()) {}

  std::vector<Token> run() {
    while (at < text.size())
      readData();
    add(TokenKind::End, at);
    return std::move(tokens);
  }

private:
  void add(TokenKind kind, size_t offset, std::string spelling = "") {
    tokens.push_back({kind, uint32_t(offset), std::move(spelling), 0, 0});
  }
  [[noreturn]] void fail(const std::string &what, size_t offset) const {
    source.fail(what, uint32_t(offset));
  }
  bool startsWith(std::string_view prefix, size_t from) const {
    return text.substr(std::min(from, text.size())).starts_with(prefix);
  }
  size_t skipSpaces(size_t from) const {
    while (from < text.size()) {
      size_t next = from;
      if (!isSpace(unicode::decodeChar(text, next)))
        break;
      from = next;
    }
    return from;
  }
  /// Goes on at `end`, which a tag or text ended at.
  void moveTo(size_t end) {
    startsLine = end ? text[end - 1] == '\n' : true;
    at = end;
  }

  /// The text in front of a tag, which strips it: all white space for a '-',
  /// else for a block or a comment that of its own line.
  void addData(size_t begin, size_t end, char sign, bool isVariable) {
    std::string_view data = text.substr(begin, end - begin);
    if (sign == '-') {
      data = strip(data, Side::Right);
    } else if (sign != '+' && !isVariable) {
      size_t lineBegin = data.rfind('\n') + 1;
      if ((lineBegin > 0 || startsLine) &&
          strip(data.substr(lineBegin), Side::Both).empty())
        data = data.substr(0, lineBegin);
    }
    if (!data.empty())
      add(TokenKind::Data, begin, std::string(data));
  }

  char signAt(size_t from) const {
    return from < text.size() && (text[from] == '-' || text[from] == '+')
               ? text[from]
               : '\0';
  }

  /// Text up to a tag, and the tag.
  void readData() {
    size_t begin = at, tag = at;
    do
      tag = text.find('{', tag);
    while (tag != text.npos && !startsWith("{%", tag) &&
           !startsWith("{{", tag) && !startsWith("{#", tag) && ++tag);
    if (tag == text.npos) {
      add(TokenKind::Data, begin, std::string(text.substr(begin)));
      at = text.size();
      return;
    }
    char kind = text[tag + 1], sign = signAt(tag + 2);
    size_t inside = tag + 2 + (sign != 0);
    addData(begin, tag, sign, kind == '{');
    if (kind == '#')
      return readComment(tag, inside);
    if (kind == '%' && readRaw(tag, inside))
      return;
    add(kind == '{' ? TokenKind::VariableBegin : TokenKind::BlockBegin, tag);
    at = inside;
    readTag(tag, kind == '{');
  }

  void readComment(size_t tag, size_t inside) {
    size_t end = text.find("#}", inside);
    if (end == text.npos)
      fail("a comment without end", tag);
    char sign = end > inside ? text[end - 1] : '\0';
    moveTo(behindTag(end + 2, sign, /*trims=*/true));
  }

  /// Where to go on behind a tag that ends at `end`: a '-' takes all white
  /// space with it, and a block (which `trims`) the end of its line, unless
  /// there is a '+'.
  size_t behindTag(size_t end, char sign, bool trims) const {
    if (sign == '-')
      return skipSpaces(end);
    if (trims && sign != '+' && startsWith("\n", end))
      return end + 1;
    return end;
  }

  /// `{% raw %}` up to its end; false if the tag is another one.
  bool readRaw(size_t tag, size_t inside) {
    size_t word = skipSpaces(inside);
    if (!startsWith("raw", word))
      return false;
    size_t end = skipSpaces(word + 3);
    bool strips = startsWith("-%}", end);
    if (!strips && !startsWith("%}", end))
      return false;
    moveTo(strips ? skipSpaces(end + 3) : end + 2);
    for (size_t begin = at, close = at;; ++close) {
      close = text.find("{%", close);
      if (close == text.npos)
        fail("a raw block without end", tag);
      char sign = signAt(close + 2);
      size_t name = skipSpaces(close + 2 + (sign != 0));
      if (!startsWith("endraw", name))
        continue;
      size_t last = skipSpaces(name + 6);
      char lastSign = signAt(last);
      last += lastSign != 0;
      if (!startsWith("%}", last))
        continue;
      addData(begin, close, sign, /*isVariable=*/false);
      moveTo(behindTag(last + 2, lastSign, /*trims=*/true));
      return true;
    }
  }

  /// The tokens of a tag and its end.
  void readTag(size_t tag, bool isVariable) {
    std::string closers; // of the brackets that are open
    std::string_view end = isVariable ? "}}" : "%}";
    while (true) {
      at = skipSpaces(at);
      if (at == text.size())
        fail("a tag without end", tag);
      if (closers.empty()) {
        bool hasSign = text[at] == '-' || (text[at] == '+' && !isVariable);
        if (startsWith(end, at + hasSign)) {
          char sign = hasSign ? text[at] : '\0';
          add(isVariable ? TokenKind::VariableEnd : TokenKind::BlockEnd, at);
          moveTo(behindTag(at + hasSign + 2, sign, !isVariable));
          return;
        }
      }
      readToken(closers);
    }
  }

  void readToken(std::string &closers) {
    char c = text[at];
    if (c >= '0' && c <= '9')
      return readNumber();
    if (c == '\'' || c == '"')
      return readString();
    size_t next = at;
    if (unicode::isWord(unicode::decodeChar(text, next)))
      return readName();
    readOperator(closers);
  }

  void readName() {
    size_t begin = at;
    while (at < text.size()) {
      size_t next = at;
      if (!unicode::isWord(unicode::decodeChar(text, next)))
        break;
      at = next;
    }
    std::string name(text.substr(begin, at - begin));
    if (!isIdentifier(name))
      fail("invalid character in a name", begin);
    add(TokenKind::Name, begin, std::move(name));
  }

  void readOperator(std::string &closers) {
    static constexpr std::string_view operators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto *found = std::ranges::find_if(
        operators, [&](std::string_view op) { return startsWith(op, at); });
    if (found == std::end(operators)) {
      size_t size = unicode::charLength(text[at]);
      fail("unexpected character '" + std::string(text.substr(at, size)) + "'",
           at);
    }
    char c = (*found)[0];
    constexpr std::string_view opening = "([{", closing = ")]}";
    if (size_t i = opening.find(c); i != opening.npos) {
      closers += closing[i];
    } else if (closing.find(c) != closing.npos) {
      if (closers.empty() || closers.back() != c)
        fail("unexpected '" + std::string(*found) + "'", at);
      closers.pop_back();
    }
    add(TokenKind::Operator, at, std::string(*found));
    at += found->size();
  }

  /// Digits of a base, each after the first perhaps behind a '_'. Returns where
  /// they end, `from` if there are none.
  size_t digitsEnd(size_t from, std::string_view digits) const {
    auto isDigit = [&](size_t i) {
      return i < text.size() && digits.find(text[i]) != digits.npos;
    };
    if (!isDigit(from))
      return from;
    while (isDigit(from) ||
           (from < text.size() && text[from] == '_' && isDigit(from + 1)))
      ++from;
    return from;
  }

  void readNumber() {
    constexpr std::string_view decimal = "0123456789";
    size_t begin = at, end = digitsEnd(at, decimal);
    bool isFloat = false;
    // "1.2" in "x.1.2" is no number.
    if (begin == 0 || text[begin - 1] != '.') {
      if (startsWith(".", end) && digitsEnd(end + 1, decimal) > end + 1) {
        isFloat = true;
        end = digitsEnd(end + 1, decimal);
      }
      if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
        size_t digits = end + 1 + (signAt(end + 1) != 0);
        if (size_t last = digitsEnd(digits, decimal); last > digits) {
          isFloat = true;
          end = last;
        }
      }
    }
    if (!isFloat)
      return readInteger();
    std::string digits(text.substr(begin, end - begin));
    std::erase(digits, '_');
    add(TokenKind::Float, begin, digits);
    tokens.back().number = readFloat(digits);
    at = end;
  }

  void readInteger() {
    size_t begin = at, digits = at, end = at;
    int base = 10;
    if (text[at] == '0' && at + 1 < text.size()) {
      char kind = char(text[at + 1] | 0x20);
      base = kind == 'b' ? 2 : kind == 'o' ? 8 : kind == 'x' ? 16 : 10;
    }
    constexpr std::string_view all = "0123456789abcdefABCDEF";
    if (base != 10) {
      digits = at + 2 + startsWith("_", at + 2);
      end = digitsEnd(digits, all.substr(0, base == 16 ? 22 : size_t(base)));
    }
    if (end == digits) {
      // A zero ends before other digits: there is no octal 012.
      base = 10;
      digits = at;
      end = digitsEnd(at, text[at] == '0' ? "0" : all.substr(0, 10));
    }
    std::string number(text.substr(digits, end - digits));
    std::erase(number, '_');
    add(TokenKind::Integer, begin, number);
    if (std::from_chars(number.data(), number.data() + number.size(),
                        tokens.back().integer, base)
            .ec != std::errc())
      fail("an integer that does not fit 64 bits", begin);
    at = end;
  }

  void readString() {
    size_t begin = at;
    char quote = text[at];
    size_t end = begin + 1;
    while (end < text.size() && text[end] != quote)
      end += text[end] == '\\' ? 2 : 1;
    if (end >= text.size())
      fail("a string without end", begin);
    std::string value;
    for (at = begin + 1; at < end;) {
      if (text[at] == '\\')
        readEscape(value);
      else
        value += text[at++];
    }
    add(TokenKind::String, begin, std::move(value));
    at = end + 1;
  }

  /// Python's escapes, as its unicode-escape codec has them.
  void readEscape(std::string &out) {
    size_t begin = at++;
    char c = text[at];
    constexpr std::string_view names = "abfnrtv\\'\"",
                               named = "\a\b\f\n\r\t\v\\'\"";
    if (size_t i = names.find(c); i != names.npos) {
      out += named[i];
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c >= '0' && c <= '7') {
      readCode(out, begin, 8, 1, 3);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at;
      size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      readCode(out, begin, 16, digits, digits);
    } else if (c == 'N') {
      fail("\\N{...} is not supported", begin);
    } else if (uint8_t(c) < 0x80) {
      out += '\\';
      out += c;
      ++at;
    } else {
      // What Jinja's way through ASCII makes of it: the code itself.
      uint32_t point = unicode::decodeChar(text, at);
      std::string code = quotedCode(point);
      out += code;
    }
  }

  static std::string quotedCode(uint32_t point) {
    char digits[16];
    int width = point < 0x100 ? 2 : point < 0x10000 ? 4 : 8;
    char kind = width == 2 ? 'x' : width == 4 ? 'u' : 'U';
    int size =
        std::snprintf(digits, sizeof(digits), "\\%c%0*x", kind, width, point);
    return std::string(digits, size_t(size));
  }

  void readCode(std::string &out, size_t begin, int base, size_t least,
                size_t most) {
    uint32_t point = 0;
    std::string_view digits = text.substr(at, most);
    auto result = std::from_chars(digits.begin(), digits.end(), point, base);
    auto used = size_t(result.ptr - digits.begin());
    if (used < least)
      fail("a truncated escape", begin);
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      fail("an escape that is no character", begin);
    unicode::appendChar(out, point);
    at += used;
  }

  const Source &source;
  std::string_view text;
  size_t at = 0;
  bool startsLine = true;
  std::vector<Token> tokens;
};

} // namespace

std::vector<Token> tokenize(const Source &source) {
  return Lexer(source).run();
}

} // namespace qrt::chat
