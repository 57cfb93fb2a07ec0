//===- Strings.cpp - What Python's str does -------------------------------===//

#include "runtime/chat/Strings.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qrt::chat {

using unicode::appendChar;
using unicode::charLength;
using unicode::decodeChar;

//===----------------------------------------------------------------------===//
// Code points
//===----------------------------------------------------------------------===//

size_t countChars(std::string_view text) {
  return size_t(std::ranges::count_if(
      text, [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

std::vector<uint32_t> toCodePoints(std::string_view text) {
  std::vector<uint32_t> points;
  for (size_t at = 0; at < text.size();)
    points.push_back(decodeChar(text, at));
  return points;
}

std::string fromCodePoints(const std::vector<uint32_t> &points) {
  std::string text;
  for (uint32_t point : points)
    appendChar(text, point);
  return text;
}

size_t byteOffset(std::string_view text, size_t index) {
  size_t at = 0;
  while (index-- && at < text.size())
    at += charLength(text[at]);
  return at;
}

//===----------------------------------------------------------------------===//
// Stripping, splitting, replacing
//===----------------------------------------------------------------------===//

bool isSpace(uint32_t point) {
  return (point >= 0x1c && point <= 0x1f) || unicode::isWhitespace(point);
}

size_t previousChar(std::string_view text, size_t end) {
  do
    --end;
  while (end && (uint8_t(text[end]) & 0xc0) == 0x80);
  return end;
}

std::string_view strip(std::string_view text, Side side,
                       std::optional<std::string_view> chars) {
  auto goes = [&](std::string_view c) {
    size_t at = 0;
    return chars ? chars->find(c) != std::string_view::npos
                 : isSpace(decodeChar(c, at));
  };
  size_t begin = 0, end = text.size();
  if (side != Side::Right)
    while (begin < end) {
      size_t size = charLength(text[begin]);
      if (!goes(text.substr(begin, size)))
        break;
      begin += size;
    }
  if (side != Side::Left)
    while (end > begin) {
      size_t last = previousChar(text, end);
      if (!goes(text.substr(last, end - last)))
        break;
      end = last;
    }
  return text.substr(begin, end - begin);
}

static Strings splitAt(std::string_view text, std::string_view separator,
                       int64_t limit, bool fromRight) {
  if (separator.empty())
    throw Error("empty separator");
  Strings parts;
  while (limit-- != 0) {
    size_t at = fromRight ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos)
      break;
    size_t behind = at + separator.size();
    parts.emplace_back(fromRight ? text.substr(behind) : text.substr(0, at));
    text = fromRight ? text.substr(0, at) : text.substr(behind);
  }
  parts.emplace_back(text);
  return parts;
}

static Strings splitAtSpaces(std::string_view text, int64_t limit,
                             bool fromRight) {
  Strings parts;
  Side near = fromRight ? Side::Right : Side::Left;
  for (text = strip(text, near); !text.empty(); text = strip(text, near)) {
    if (limit-- == 0) {
      parts.emplace_back(text); // with the space at its far end
      break;
    }
    size_t begin = 0, end = text.size();
    if (fromRight) {
      for (begin = end; begin; begin = previousChar(text, begin)) {
        size_t at = previousChar(text, begin);
        if (isSpace(decodeChar(text, at)))
          break;
      }
    } else {
      for (end = 0; end < text.size(); end += charLength(text[end])) {
        size_t at = end;
        if (isSpace(decodeChar(text, at)))
          break;
      }
    }
    parts.emplace_back(text.substr(begin, end - begin));
    text = fromRight ? text.substr(0, begin) : text.substr(end);
  }
  return parts;
}

Strings split(std::string_view text, std::optional<std::string_view> separator,
              int64_t limit, bool fromRight) {
  Strings parts = separator ? splitAt(text, *separator, limit, fromRight)
                            : splitAtSpaces(text, limit, fromRight);
  if (fromRight)
    std::ranges::reverse(parts);
  return parts;
}

static bool isLineEnd(uint32_t point) {
  return (point >= 0x0a && point <= 0x0d) || (point >= 0x1c && point <= 0x1e) ||
         point == 0x85 || point == 0x2028 || point == 0x2029;
}

Strings splitLines(std::string_view text, bool keepEnds) {
  Strings lines;
  for (size_t begin = 0, at = 0; begin < text.size(); begin = at) {
    size_t end = at;
    while (at < text.size()) {
      end = at;
      uint32_t point = decodeChar(text, at);
      if (isLineEnd(point)) {
        if (point == '\r' && at < text.size() && text[at] == '\n')
          ++at;
        break;
      }
      end = at;
    }
    lines.emplace_back(text.substr(begin, (keepEnds ? at : end) - begin));
  }
  return lines;
}

std::string replace(std::string_view text, std::string_view from,
                    std::string_view to, int64_t limit) {
  std::string out;
  size_t at = 0;
  while (limit-- != 0) {
    size_t found = text.find(from, at);
    if (found == std::string_view::npos)
      break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    if (!from.empty())
      continue;
    // Between all code points, and at both ends.
    if (at == text.size())
      return out;
    size_t size = charLength(text[at]);
    out += text.substr(at, size);
    at += size;
  }
  out += text.substr(at);
  return out;
}

//===----------------------------------------------------------------------===//
// As Python writes it
//===----------------------------------------------------------------------===//

static void appendEscape(std::string &out, char kind, uint32_t point,
                         int digits) {
  constexpr const char *hex = "0123456789abcdef";
  out += '\\';
  out += kind;
  while (digits--)
    out += hex[point >> (4 * digits) & 15];
}

std::string quoted(std::string_view text) {
  bool hasSingle = text.find('\'') != std::string_view::npos;
  char quote =
      hasSingle && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    uint32_t point = decodeChar(text, at);
    if (point == uint32_t(quote) || point == '\\') {
      out += '\\';
      out += char(point);
    } else if (point == '\n' || point == '\r' || point == '\t') {
      out += point == '\n' ? "\\n" : point == '\r' ? "\\r" : "\\t";
    } else if (isPrintablePoint(point)) {
      appendChar(out, point);
    } else if (point < 0x100) {
      appendEscape(out, 'x', point, 2);
    } else if (point < 0x10000) {
      appendEscape(out, 'u', point, 4);
    } else {
      appendEscape(out, 'U', point, 8);
    }
  }
  return out + quote;
}

std::string floatRepr(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value > 0 ? "inf" : "-inf";
  char buffer[400];
  auto result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                              std::chars_format::scientific);
  std::string text(buffer, result.ptr);
  int exponent = 0;
  const char *digits = text.c_str() + text.find('e') + 1;
  std::from_chars(*digits == '+' ? digits + 1 : digits,
                  text.data() + text.size(), exponent);
  // The exponent has two digits at least in both, and Python writes it from
  // 1e16 on and below 1e-4.
  if (exponent < -4 || exponent >= 16)
    return text;
  result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                         std::chars_format::fixed);
  text.assign(buffer, result.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

double readFloat(std::string_view text) {
  double value = 0;
  auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc::result_out_of_range)
    return value;
  size_t exponent = text.find_first_of("eE");
  bool isTiny = exponent == text.npos
                    ? text.substr(text[0] == '-').starts_with("0.")
                    : text.substr(exponent + 1).starts_with('-');
  return std::copysign(isTiny ? 0.0 : HUGE_VAL, text[0] == '-' ? -1.0 : 1.0);
}

std::string escapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '"':
      out += "&#34;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

} // namespace qrt::chat
