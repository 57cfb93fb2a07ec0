//===- Case.cpp - Case and kinds of characters, as Python's str has them --===//

#include "runtime/chat/Strings.h"

#include <utf8proc.h>
#include <utility>

namespace qrt::chat {

using unicode::appendChar;
using unicode::decodeChar;

/// Calls `use` with each code point; whether it was true for all, and there was
/// one.
template <typename Predicate>
static bool all(std::string_view text, Predicate use) {
  for (size_t at = 0; at < text.size();)
    if (!use(decodeChar(text, at)))
      return false;
  return !text.empty();
}

//===----------------------------------------------------------------------===//
// Case
//===----------------------------------------------------------------------===//

namespace {
struct SpecialUpper {
  uint32_t point;
  std::string_view upper;
};
} // namespace

/// Upper case that is more than one code point (SpecialCasing.txt), except
/// letters with a subscript iota.
static constexpr SpecialUpper specialUppers[] = {
    {0x00df, "SS"},
    {0x0149, "\u02bcN"},
    {0x01f0, "J\u030c"},
    {0x0390, "\u0399\u0308\u0301"},
    {0x03b0, "\u03a5\u0308\u0301"},
    {0x0587, "\u0535\u0552"},
    {0x1e96, "H\u0331"},
    {0x1e97, "T\u0308"},
    {0x1e98, "W\u030a"},
    {0x1e99, "Y\u030a"},
    {0x1e9a, "A\u02be"},
    {0x1f50, "\u03a5\u0313"},
    {0x1f52, "\u03a5\u0313\u0300"},
    {0x1f54, "\u03a5\u0313\u0301"},
    {0x1f56, "\u03a5\u0313\u0342"},
    {0x1fb6, "\u0391\u0342"},
    {0x1fc6, "\u0397\u0342"},
    {0x1fd2, "\u0399\u0308\u0300"},
    {0x1fd3, "\u0399\u0308\u0301"},
    {0x1fd6, "\u0399\u0342"},
    {0x1fd7, "\u0399\u0308\u0342"},
    {0x1fe2, "\u03a5\u0308\u0300"},
    {0x1fe3, "\u03a5\u0308\u0301"},
    {0x1fe4, "\u03a1\u0313"},
    {0x1fe6, "\u03a5\u0342"},
    {0x1fe7, "\u03a5\u0308\u0342"},
    {0x1ff6, "\u03a9\u0342"},
    {0xfb00, "FF"},
    {0xfb01, "FI"},
    {0xfb02, "FL"},
    {0xfb03, "FFI"},
    {0xfb04, "FFL"},
    {0xfb05, "ST"},
    {0xfb06, "ST"},
    {0xfb13, "\u0544\u0546"},
    {0xfb14, "\u0544\u0535"},
    {0xfb15, "\u0544\u053b"},
    {0xfb16, "\u054e\u0546"},
    {0xfb17, "\u0544\u053d"},
};

static utf8proc_category_t category(uint32_t point) {
  return utf8proc_category(utf8proc_int32_t(point));
}
static bool isUpperPoint(uint32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LU;
}
static bool isLowerPoint(uint32_t point) {
  // Letters whose look is that of a small one: ª and º, superscripts.
  return category(point) == UTF8PROC_CATEGORY_LL ||
         (category(point) == UTF8PROC_CATEGORY_LM &&
          (point == 0xaa || point == 0xba ||
           (point >= 0x2b0 && point <= 0x2b8))) ||
         point == 0xaa || point == 0xba;
}
static bool isTitlePoint(uint32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LT;
}
static bool isCased(uint32_t point) {
  return isUpperPoint(point) || isLowerPoint(point) || isTitlePoint(point);
}

/// The letter without its subscript iota; 0 if it has none. Titlecase ᾼ has the
/// same upper case as ᾳ.
static uint32_t withoutIota(uint32_t point) {
  if (point < 0x1f80 || point > 0x1ffc)
    return 0;
  std::string text;
  appendChar(text, point);
  std::vector<uint32_t> parts =
      toCodePoints(unicode::normalize(text, unicode::NormalForm::Nfd));
  if (parts.back() != 0x345)
    return 0;
  parts.pop_back();
  std::string base =
      unicode::normalize(fromCodePoints(parts), unicode::NormalForm::Nfc);
  size_t at = 0;
  return decodeChar(base, at);
}

static std::string_view specialUpper(uint32_t point) {
  for (const SpecialUpper &entry : specialUppers)
    if (entry.point == point)
      return entry.upper;
  return {};
}

static void appendUpper(std::string &out, uint32_t point) {
  if (std::string_view special = specialUpper(point); !special.empty()) {
    out += special;
  } else if (uint32_t base = withoutIota(point)) {
    appendUpper(out, base);
    appendChar(out, 0x399);
  } else {
    appendChar(out, uint32_t(utf8proc_toupper(utf8proc_int32_t(point))));
  }
}

/// U+03A3 at the end of a word: a cased letter before, none behind.
static bool isFinalSigma(std::string_view text, size_t at, size_t behind) {
  auto ignorable = [](uint32_t point) {
    auto kind = category(point);
    return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_ME ||
           kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_LM ||
           kind == UTF8PROC_CATEGORY_SK || point == '\'' || point == '.' ||
           point == ':' || point == 0xb7 || point == 0x2019;
  };
  bool isAfterLetter = false;
  while (at) {
    at = previousChar(text, at);
    size_t next = at;
    uint32_t point = decodeChar(text, next);
    if (ignorable(point))
      continue;
    isAfterLetter = isCased(point);
    break;
  }
  while (isAfterLetter && behind < text.size()) {
    uint32_t point = decodeChar(text, behind);
    if (!ignorable(point))
      return !isCased(point);
  }
  return isAfterLetter;
}

/// Lower case of the code point of `text` at `at`; moves `at` behind it.
static void appendLower(std::string &out, std::string_view text, size_t &at) {
  size_t begin = at;
  uint32_t point = decodeChar(text, at);
  if (point == 0x130)
    out += "i\u0307";
  else if (point == 0x3a3 && isFinalSigma(text, begin, at))
    appendChar(out, 0x3c2);
  else
    appendChar(out, uint32_t(utf8proc_tolower(utf8proc_int32_t(point))));
}

/// Upper case of which only the first letter with case stays.
static void appendTitle(std::string &out, uint32_t point) {
  std::string_view special = specialUpper(point);
  if (special.empty()) {
    appendChar(out, uint32_t(utf8proc_totitle(utf8proc_int32_t(point))));
    return;
  }
  bool isFirst = true;
  for (size_t at = 0; at < special.size();) {
    uint32_t part = decodeChar(special, at);
    if (!isFirst)
      part = uint32_t(utf8proc_tolower(utf8proc_int32_t(part)));
    isFirst = isFirst && !isCased(part);
    appendChar(out, part);
  }
}

std::string toUpper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();)
    appendUpper(out, decodeChar(text, at));
  return out;
}

std::string toLower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();)
    appendLower(out, text, at);
  return out;
}

std::string toTitle(std::string_view text) {
  std::string out;
  bool isInWord = false;
  for (size_t at = 0; at < text.size();) {
    size_t next = at;
    uint32_t point = decodeChar(text, next);
    if (isInWord)
      appendLower(out, text, at);
    else
      appendTitle(out, point);
    at = next;
    isInWord = isCased(point);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  size_t at = 0;
  if (!text.empty())
    appendTitle(out, decodeChar(text, at));
  while (at < text.size())
    appendLower(out, text, at);
  return out;
}

std::string swapCase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t next = at;
    uint32_t point = decodeChar(text, next);
    if (isUpperPoint(point))
      appendLower(out, text, at);
    else if (isLowerPoint(point))
      appendUpper(out, point);
    else
      appendChar(out, point);
    at = next;
  }
  return out;
}

std::string caseFold(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t folded[8];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(utf8proc_int32_t(decodeChar(text, at)), folded,
                                8, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < count; ++i)
      appendChar(out, uint32_t(folded[i]));
  }
  return out;
}

//===----------------------------------------------------------------------===//
// Predicates
//===----------------------------------------------------------------------===//

bool isUpper(std::string_view text) {
  bool hasCase = false;
  return all(text,
             [&](uint32_t point) {
               hasCase |= isUpperPoint(point);
               return !isLowerPoint(point) && !isTitlePoint(point);
             }) &&
         hasCase;
}

bool isLower(std::string_view text) {
  bool hasCase = false;
  return all(text,
             [&](uint32_t point) {
               hasCase |= isLowerPoint(point);
               return !isUpperPoint(point) && !isTitlePoint(point);
             }) &&
         hasCase;
}

bool isTitle(std::string_view text) {
  bool hasCase = false, isInWord = false;
  return all(text,
             [&](uint32_t point) {
               bool starts = isUpperPoint(point) || isTitlePoint(point);
               bool fits =
                   starts ? !isInWord : !isLowerPoint(point) || isInWord;
               isInWord = isCased(point);
               hasCase |= isInWord;
               return fits;
             }) &&
         hasCase;
}

static bool isDecimalPoint(uint32_t point) {
  return category(point) == UTF8PROC_CATEGORY_ND;
}
static bool isDigitPoint(uint32_t point) {
  // Superscripts, subscripts and digits in circles and brackets.
  return isDecimalPoint(point) || point == 0xb2 || point == 0xb3 ||
         point == 0xb9 || point == 0x2070 ||
         (point >= 0x2074 && point <= 0x2079) ||
         (point >= 0x2080 && point <= 0x2089) ||
         (point >= 0x2460 && point <= 0x2468) ||
         (point >= 0x2474 && point <= 0x247c) ||
         (point >= 0x2488 && point <= 0x2490);
}

bool isAlpha(std::string_view text) { return all(text, unicode::isLetter); }
bool isDecimal(std::string_view text) { return all(text, isDecimalPoint); }
bool isDigit(std::string_view text) { return all(text, isDigitPoint); }
bool isNumeric(std::string_view text) { return all(text, unicode::isNumeric); }
bool isAlnum(std::string_view text) {
  return all(text, [](uint32_t point) {
    return unicode::isLetter(point) || unicode::isNumeric(point);
  });
}
bool isSpaces(std::string_view text) { return all(text, isSpace); }

bool isPrintablePoint(uint32_t point) {
  switch (category(point)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return false;
  case UTF8PROC_CATEGORY_ZS:
    return point == ' ';
  default:
    return true;
  }
}

bool isPrintable(std::string_view text) {
  return text.empty() || all(text, isPrintablePoint);
}

bool isIdentifier(std::string_view text) {
  bool isFirst = true;
  return all(text, [&](uint32_t point) {
    bool starts = point == '_' || unicode::isLetter(point);
    return std::exchange(isFirst, false) ? starts
                                         : starts || unicode::isWord(point);
  });
}

} // namespace qrt::chat
