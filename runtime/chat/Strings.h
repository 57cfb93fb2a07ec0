//===- Strings.h - What Python's str does -----------------------*- C++ -*-===//
//
// All text is valid UTF-8; positions and lengths are in code points.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_STRINGS_H
#define QRT_CHAT_STRINGS_H

#include "runtime/tokenizer/Unicode.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qrt::chat {

using Strings = std::vector<std::string>;

size_t countChars(std::string_view text);
std::vector<uint32_t> toCodePoints(std::string_view text);
std::string fromCodePoints(const std::vector<uint32_t> &points);
/// The byte where the code point `index` begins; the size past the end.
size_t byteOffset(std::string_view text, size_t index);
/// The byte where the code point in front of the byte `end` begins.
size_t previousChar(std::string_view text, size_t end);

/// str.isspace of a code point, what strip() and split() go by.
bool isSpace(uint32_t point);
/// str.isprintable of a code point, what repr() goes by.
bool isPrintablePoint(uint32_t point);

enum class Side { Left, Right, Both };
/// Without leading or trailing white space, or code points of `chars`.
std::string_view strip(std::string_view text, Side side,
                       std::optional<std::string_view> chars = std::nullopt);

/// str.split and str.rsplit. `limit` < 0: no limit. Throws qrt::Error for an
/// empty separator.
Strings split(std::string_view text, std::optional<std::string_view> separator,
              int64_t limit = -1, bool fromRight = false);
Strings splitLines(std::string_view text, bool keepEnds = false);
/// str.replace; `limit` < 0: all.
std::string replace(std::string_view text, std::string_view from,
                    std::string_view to, int64_t limit = -1);

// Full case mapping, as Unicode's SpecialCasing.txt has it without a locale.
std::string toUpper(std::string_view text);
std::string toLower(std::string_view text);
std::string toTitle(std::string_view text);
std::string capitalize(std::string_view text);
std::string swapCase(std::string_view text);
std::string caseFold(std::string_view text);

// The predicates of str that look at every code point, and at one at least.
bool isUpper(std::string_view text);
bool isLower(std::string_view text);
bool isTitle(std::string_view text);
bool isAlpha(std::string_view text);
bool isDecimal(std::string_view text);
bool isDigit(std::string_view text);
bool isNumeric(std::string_view text);
bool isAlnum(std::string_view text);
bool isSpaces(std::string_view text);
bool isPrintable(std::string_view text);
bool isIdentifier(std::string_view text);

/// repr() of a str.
std::string quoted(std::string_view text);
/// repr() of a float: the shortest digits that read back the same.
std::string floatRepr(double value);
/// The double nearest to a decimal number in JSON's spelling, which may be
/// infinity or zero.
double readFloat(std::string_view text);
/// markupsafe.escape.
std::string escapeHtml(std::string_view text);

} // namespace qrt::chat

#endif // QRT_CHAT_STRINGS_H
