//===- Unicode.cpp - UTF-8, character classes, normal forms ---------------===//

#include "runtime/tokenizer/Unicode.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <utf8proc.h>
#include <vector>

namespace qrt::unicode {

CharScan scanChar(std::string_view bytes) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned lead = at(0);
  if (lead < 0x80)
    return {CharScan::Valid, 1};
  if (lead < 0xc2 || lead > 0xf4)
    return {CharScan::Invalid, 1};
  size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies
  // beyond U+10FFFF (Unicode 15, table 3-7).
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size())
      return {CharScan::Incomplete, i};
    if (at(i) < low || at(i) > high)
      return {CharScan::Invalid, i};
    low = 0x80;
    high = 0xbf;
  }
  return {CharScan::Valid, length};
}

size_t asciiPrefix(std::string_view text) {
  size_t pos = 0;
  for (; pos + 8 <= text.size(); pos += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + pos, 8);
    if (word & 0x8080808080808080ull)
      break;
  }
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80)
    ++pos;
  return pos;
}

bool isValidUtf8(std::string_view text) {
  while (true) {
    text.remove_prefix(asciiPrefix(text));
    if (text.empty())
      return true;
    CharScan scan = scanChar(text);
    if (scan.status != CharScan::Valid)
      return false;
    text.remove_prefix(scan.length);
  }
}

size_t appendLossy(std::string &out, std::string_view bytes, bool isEnd) {
  size_t pos = 0, copied = 0;
  while (pos < bytes.size()) {
    pos += asciiPrefix(bytes.substr(pos));
    if (pos == bytes.size())
      break;
    CharScan scan = scanChar(bytes.substr(pos));
    if (scan.status == CharScan::Valid) {
      pos += scan.length;
      continue;
    }
    out.append(bytes, copied, pos - copied);
    if (scan.status == CharScan::Incomplete && !isEnd)
      return pos;
    out += replacement;
    pos += scan.length;
    copied = pos;
  }
  out.append(bytes, copied, pos - copied);
  return pos;
}

uint32_t decodeChar(std::string_view text, size_t &pos) {
  auto next = [&] { return static_cast<unsigned char>(text[pos++]); };
  uint32_t lead = next();
  if (lead < 0x80)
    return lead;
  uint32_t codepoint = lead & (lead < 0xe0 ? 0x1f : lead < 0xf0 ? 0x0f : 0x07);
  for (size_t i = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3; i; --i)
    codepoint = codepoint << 6 | (next() & 0x3f);
  return codepoint;
}

void appendChar(std::string &out, uint32_t codepoint) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (codepoint < 0x80)
    return put(codepoint);
  if (codepoint < 0x800) {
    put(0xc0 | codepoint >> 6);
  } else {
    if (codepoint < 0x10000) {
      put(0xe0 | codepoint >> 12);
    } else {
      put(0xf0 | codepoint >> 18);
      put(0x80 | (codepoint >> 12 & 0x3f));
    }
    put(0x80 | (codepoint >> 6 & 0x3f));
  }
  put(0x80 | (codepoint & 0x3f));
}

static utf8proc_category_t category(uint32_t codepoint) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(codepoint));
}

bool isWhitespace(uint32_t codepoint) {
  if (codepoint <= 0x20)
    return codepoint == 0x20 || (codepoint >= 9 && codepoint <= 13);
  if (codepoint < 0x85)
    return false;
  return codepoint == 0x85 || codepoint == 0xa0 || codepoint == 0x1680 ||
         (codepoint >= 0x2000 && codepoint <= 0x200a) || codepoint == 0x2028 ||
         codepoint == 0x2029 || codepoint == 0x202f || codepoint == 0x205f ||
         codepoint == 0x3000;
}

bool isLetter(uint32_t codepoint) {
  utf8proc_category_t cat = category(codepoint);
  return cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO;
}

bool isNumeric(uint32_t codepoint) {
  if (codepoint < 0x80)
    return codepoint >= '0' && codepoint <= '9';
  utf8proc_category_t cat = category(codepoint);
  return cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO;
}

/// Punctuation that is younger than Unicode 8, in order.
static constexpr uint32_t youngPunctuation[][2] = {
    {0x61d, 0x61d},     {0x9fd, 0x9fd},     {0xa76, 0xa76},
    {0xc77, 0xc77},     {0xc84, 0xc84},     {0x1b4e, 0x1b4f},
    {0x1b7d, 0x1b7f},   {0x2e43, 0x2e4f},   {0x2e52, 0x2e5d},
    {0x10d6e, 0x10d6e}, {0x10ead, 0x10ead}, {0x10f55, 0x10f59},
    {0x10f86, 0x10f89}, {0x113d4, 0x113d8}, {0x1144b, 0x1144f},
    {0x1145a, 0x1145b}, {0x1145d, 0x1145d}, {0x11660, 0x1166c},
    {0x116b9, 0x116b9}, {0x1183b, 0x1183b}, {0x11944, 0x11946},
    {0x119e2, 0x119e2}, {0x11a3f, 0x11a46}, {0x11a9a, 0x11a9c},
    {0x11a9e, 0x11aa2}, {0x11b00, 0x11b09}, {0x11be1, 0x11be1},
    {0x11c41, 0x11c45}, {0x11c70, 0x11c71}, {0x11ef7, 0x11ef8},
    {0x11f43, 0x11f4f}, {0x11fff, 0x11fff}, {0x12ff1, 0x12ff2},
    {0x16d6d, 0x16d6f}, {0x16e97, 0x16e9a}, {0x16fe2, 0x16fe2},
    {0x1e5ff, 0x1e5ff}, {0x1e95e, 0x1e95f}};

bool isPunctuation(uint32_t codepoint) {
  if (codepoint < 0x80)
    return (codepoint >= 0x21 && codepoint <= 0x2f) ||
           (codepoint >= 0x3a && codepoint <= 0x40) ||
           (codepoint >= 0x5b && codepoint <= 0x60) ||
           (codepoint >= 0x7b && codepoint <= 0x7e);
  // Both have become symbols and marks since.
  if (codepoint == 0x166d || codepoint == 0x111c9)
    return true;
  utf8proc_category_t cat = category(codepoint);
  if (cat < UTF8PROC_CATEGORY_PC || cat > UTF8PROC_CATEGORY_PO)
    return false;
  return std::none_of(std::begin(youngPunctuation), std::end(youngPunctuation),
                      [&](const uint32_t (&range)[2]) {
                        return codepoint >= range[0] && codepoint <= range[1];
                      });
}

bool isMark(uint32_t codepoint) {
  utf8proc_category_t cat = category(codepoint);
  return cat >= UTF8PROC_CATEGORY_MN && cat <= UTF8PROC_CATEGORY_ME;
}

bool isNonspacingMark(uint32_t codepoint) {
  return category(codepoint) == UTF8PROC_CATEGORY_MN;
}

bool isOther(uint32_t codepoint) {
  utf8proc_category_t cat = category(codepoint);
  return cat == UTF8PROC_CATEGORY_CN || cat >= UTF8PROC_CATEGORY_CC;
}

size_t graphemeEnd(std::string_view text, size_t pos) {
  auto before = static_cast<utf8proc_int32_t>(decodeChar(text, pos));
  utf8proc_int32_t state = 0;
  while (pos < text.size()) {
    size_t after = pos;
    auto next = static_cast<utf8proc_int32_t>(decodeChar(text, after));
    if (utf8proc_grapheme_break_stateful(before, next, &state))
      break;
    before = next;
    pos = after;
  }
  return pos;
}

bool isWord(uint32_t codepoint) {
  utf8proc_category_t cat = category(codepoint);
  if ((cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_NL) ||
      cat == UTF8PROC_CATEGORY_PC)
    return true;
  // Join_Control, and the circled and squared letters (Other_Alphabetic).
  return codepoint == 0x200c || codepoint == 0x200d ||
         (codepoint >= 0x24b6 && codepoint <= 0x24e9) ||
         (codepoint >= 0x1f130 && codepoint <= 0x1f149) ||
         (codepoint >= 0x1f150 && codepoint <= 0x1f169) ||
         (codepoint >= 0x1f170 && codepoint <= 0x1f189);
}

static int combiningClass(utf8proc_int32_t codepoint) {
  return utf8proc_get_property(codepoint)->combining_class;
}

/// Appends \p text in a normal form.
static void appendNormalized(std::string &result, std::string_view text,
                             NormalForm form) {
  bool isCompat = form == NormalForm::Nfkc || form == NormalForm::Nfkd;
  bool isComposed = form == NormalForm::Nfc || form == NormalForm::Nfkc;
  int options = UTF8PROC_STABLE |
                (isComposed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                (isCompat ? UTF8PROC_COMPAT : 0);

  std::vector<utf8proc_int32_t> chars;
  chars.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    auto codepoint = static_cast<utf8proc_int32_t>(decodeChar(text, pos));
    // The longest decomposition (of U+FDFA) has 18 characters.
    utf8proc_int32_t parts[32];
    int boundClass = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        codepoint, parts, 32, static_cast<utf8proc_option_t>(options),
        &boundClass);
    if (count < 0 || count > 32)
      throw Error("cannot normalize character " + std::to_string(codepoint));
    chars.insert(chars.end(), parts, parts + count);
  }
  // Canonical ordering. utf8proc's own takes quadratic time on long runs of
  // combining marks, which hostile text has.
  for (size_t i = 0; i < chars.size();) {
    if (combiningClass(chars[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < chars.size() && combiningClass(chars[end]) != 0)
      ++end;
    std::stable_sort(chars.begin() + i, chars.begin() + end,
                     [](utf8proc_int32_t a, utf8proc_int32_t b) {
                       return combiningClass(a) < combiningClass(b);
                     });
    i = end;
  }
  if (isComposed) {
    utf8proc_ssize_t count = utf8proc_normalize_utf32(
        chars.data(), chars.size(), static_cast<utf8proc_option_t>(options));
    if (count < 0)
      throw Error("cannot normalize text of " + std::to_string(text.size()) +
                  " bytes");
    chars.resize(count);
  }
  for (utf8proc_int32_t codepoint : chars)
    appendChar(result, codepoint);
}

std::string normalize(std::string_view text, NormalForm form) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    // ASCII is in every normal form, and does not combine with what stands in
    // front of it; its last character may with what stands behind it.
    size_t ascii = asciiPrefix(text);
    size_t plain = ascii == text.size() ? ascii : ascii - (ascii > 0);
    result += text.substr(0, plain);
    text.remove_prefix(plain);
    size_t end = std::min(text.size(), ascii - plain);
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80)
      ++end;
    appendNormalized(result, text.substr(0, end), form);
    text.remove_prefix(end);
  }
  return result;
}

std::string toLower(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    uint32_t codepoint = decodeChar(text, pos);
    if (codepoint == 0x130) // The one character whose lower case has two.
      result += "i\xcc\x87";
    else
      appendChar(result, utf8proc_tolower(codepoint));
  }
  return result;
}

const std::array<uint16_t, 256> &byteStandIns() {
  static const std::array<uint16_t, 256> table = [] {
    std::array<uint16_t, 256> standIns{};
    uint16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      bool isPrintable = (byte >= 0x21 && byte <= 0x7e) ||
                         (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      standIns[byte] = isPrintable ? byte : next++;
    }
    return standIns;
  }();
  return table;
}

bool bytesFromStandIns(std::string_view text, std::string &bytes) {
  static const std::array<int16_t, 0x144> byteOf = [] {
    std::array<int16_t, 0x144> inverse;
    inverse.fill(-1);
    for (unsigned byte = 0; byte < 256; ++byte)
      inverse[byteStandIns()[byte]] = byte;
    return inverse;
  }();
  bytes.clear();
  for (size_t pos = 0; pos < text.size();) {
    uint32_t codepoint = decodeChar(text, pos);
    if (codepoint >= byteOf.size() || byteOf[codepoint] < 0) {
      bytes.clear();
      return false;
    }
    bytes += static_cast<char>(byteOf[codepoint]);
  }
  return true;
}

} // namespace qrt::unicode
