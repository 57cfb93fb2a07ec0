//===- FormatNumber.cpp - Numbers as Python formats them ------------------===//

#include "runtime/chat/FormatNumber.h"

#include "runtime/chat/Format.h"
#include "runtime/chat/Strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace qrt::chat {

static std::string toBase(uint64_t value, int base) {
  char digits[64];
  auto result = std::to_chars(digits, digits + sizeof(digits), value, base);
  return {digits, result.ptr};
}

std::string pad(const std::string &sign, const std::string &body,
                const Field &field, char align) {
  size_t size = countChars(sign) + countChars(body);
  auto width = size_t(std::max<int64_t>(field.width, 0));
  size_t missing = width > size ? width - size : 0;
  size_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string left, right;
  for (size_t i = 0; i < missing; ++i)
    (i < before ? left : right) += field.fill;
  return align == '=' ? sign + left + body : left + sign + body + right;
}

static std::string signOf(bool isNegative, char sign) {
  return isNegative ? "-" : sign ? std::string(1, sign) : "";
}

/// Separators between groups of digits of the integer part.
static std::string group(std::string digits, char separator, size_t size) {
  size_t end = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"),
                        digits.size());
  for (size_t at = end; separator && at > size;) {
    at -= size;
    digits.insert(at, 1, separator);
  }
  return digits;
}

static std::string fixed(double value, std::chars_format style,
                         int64_t precision) {
  // The longest double has 309 digits in front of its point.
  std::string buffer(size_t(precision) + 400, '\0');
  auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                              value, style, int(precision));
  buffer.resize(size_t(result.ptr - buffer.data()));
  return buffer;
}

/// Digits of a finite value that is not negative, in a type of e, f, g, % or
/// none.
static std::string floatDigits(double value, const Field &field) {
  char type = char(std::tolower(field.type));
  int64_t precision = field.precision < 0 ? 6 : field.precision;
  if (type == 'f' || type == '%') {
    std::string digits = fixed(type == '%' ? value * 100 : value,
                               std::chars_format::fixed, precision);
    return precision == 0 && field.alternate ? digits + "." : digits;
  }
  if (type == 'e') {
    std::string digits = fixed(value, std::chars_format::scientific, precision);
    if (precision == 0 && field.alternate)
      digits.insert(1, ".");
    return digits;
  }
  if (type == '\0' && field.precision < 0)
    return floatRepr(value);
  precision = std::max<int64_t>(precision, 1);
  std::string probe =
      fixed(value, std::chars_format::scientific, precision - 1);
  int exponent = std::atoi(probe.c_str() + probe.find('e') + 1);
  // Without a type a point stays, which takes one digit more to stand behind.
  int64_t limit = type == '\0' ? precision - 1 : precision;
  bool isScientific = exponent < -4 || exponent >= limit;
  std::string digits = isScientific ? std::move(probe)
                                    : fixed(value, std::chars_format::fixed,
                                            precision - 1 - exponent);
  if (!field.alternate && digits.find('.') != digits.npos) {
    size_t end = std::min(digits.find('e'), digits.size()), last = end;
    while (digits[last - 1] == '0')
      --last;
    last -= digits[last - 1] == '.';
    digits.erase(last, end - last);
  }
  if (type == '\0' && !isScientific && digits.find('.') == digits.npos)
    digits += ".0";
  return digits;
}

std::string formatFloat(double value, const Field &field, char align) {
  std::string digits = std::isnan(value) ? "nan"
                       : std::isinf(value)
                           ? "inf"
                           : floatDigits(std::abs(value), field);
  if (std::isfinite(value))
    digits = group(std::move(digits), field.grouping, 3);
  if (field.type == '%')
    digits += '%';
  if (std::isupper(field.type))
    std::ranges::transform(digits, digits.begin(),
                           [](char c) { return char(std::toupper(c)); });
  return pad(signOf(std::signbit(value) && !std::isnan(value), field.sign),
             digits, field, align);
}

std::string formatInteger(int64_t value, const Field &field, char align) {
  char type = field.type;
  int base = type == 'x' || type == 'X' ? 16
             : type == 'o'              ? 8
             : type == 'b'              ? 2
                                        : 10;
  uint64_t magnitude = value < 0 ? 0 - uint64_t(value) : uint64_t(value);
  std::string digits = toBase(magnitude, base), prefix;
  if (field.precision > int64_t(digits.size()))
    digits.insert(0, size_t(field.precision) - digits.size(), '0');
  digits = group(std::move(digits), field.grouping, base == 10 ? 3 : 4);
  if (field.alternate && base != 10)
    prefix = std::string("0") + type;
  if (type == 'X')
    std::ranges::transform(digits, digits.begin(),
                           [](char c) { return char(std::toupper(c)); });
  return pad(signOf(value < 0, field.sign) + prefix, digits, field, align);
}

double roundDecimal(double value, int64_t digits) {
  // Beyond these a double has no digits, or only these.
  if (!std::isfinite(value) || digits > 323)
    return value;
  if (digits < -308)
    return std::copysign(0.0, value);
  if (digits >= 0) {
    std::string text = fixed(value, std::chars_format::fixed, digits);
    return readFloat(text);
  }
  double unit = std::pow(10.0, double(-digits));
  return std::nearbyint(value / unit) * unit;
}

} // namespace qrt::chat
