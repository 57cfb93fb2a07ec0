//===- Unicode.h - UTF-8, character classes, normal forms -------*- C++ -*-===//
//
// What the tokenizer needs of Unicode. Tables come from utf8proc.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_UNICODE_H
#define QRT_TOKENIZER_UNICODE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qrt::unicode {

/// U+FFFD in UTF-8, what stands for bytes that are no UTF-8.
inline constexpr std::string_view replacement = "\xef\xbf\xbd";

/// What stands at the front of some bytes.
struct CharScan {
  enum Status {
    Valid,      ///< a character of `length` bytes
    Invalid,    ///< `length` bytes that are no character: the longest start of
                ///< one, or one byte (Unicode 15, 3.9, "maximal subpart")
    Incomplete, ///< all of the bytes start a character that more could end
  } status;
  size_t length;
};

/// Looks at the front of \p bytes, which is not empty.
CharScan scanChar(std::string_view bytes);

bool isValidUtf8(std::string_view text);

/// How many leading bytes of \p text are ASCII.
size_t asciiPrefix(std::string_view text);

/// Appends \p bytes to \p out, each maximal subpart that is not UTF-8 as one
/// U+FFFD. Unless \p isEnd, bytes at the end that may yet become a character
/// are kept back. Returns how many bytes were consumed.
size_t appendLossy(std::string &out, std::string_view bytes, bool isEnd);

/// The character at \p pos of valid UTF-8; moves \p pos behind it.
uint32_t decodeChar(std::string_view text, size_t &pos);

/// The number of bytes of the character that starts with \p lead (valid UTF-8).
inline size_t charLength(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

void appendChar(std::string &out, uint32_t codepoint);

bool isWhitespace(uint32_t codepoint); ///< White_Space
bool isLetter(uint32_t codepoint);     ///< L*
bool isNumeric(uint32_t codepoint);    ///< Nd, Nl, No
/// P* of Unicode 8, and all of ASCII's: what Hugging Face's Punctuation splits
/// at, whatever its Unicode version elsewhere.
bool isPunctuation(uint32_t codepoint);
bool isMark(uint32_t codepoint);           ///< M*
bool isNonspacingMark(uint32_t codepoint); ///< Mn
bool isOther(uint32_t codepoint);          ///< C*
bool isWord(uint32_t codepoint);           ///< \w of Unicode TR18

enum class NormalForm { Nfc, Nfd, Nfkc, Nfkd };

/// \p text (valid UTF-8) in a normal form. Time grows as n log n at worst.
std::string normalize(std::string_view text, NormalForm form);

/// The end of the grapheme cluster (UAX #29, extended) at \p pos of valid
/// UTF-8.
size_t graphemeEnd(std::string_view text, size_t pos);

/// Lower case, character by character, without context.
std::string toLower(std::string_view text);

/// GPT-2's printable stand-in for each byte (its bytes_to_unicode()): printable
/// Latin-1 stands for itself, the other 68 bytes are U+0100 and up in order.
const std::array<uint16_t, 256> &byteStandIns();

/// Replaces the stand-ins in \p text (valid UTF-8) by their bytes. Returns
/// false and leaves \p bytes empty if a character is none.
bool bytesFromStandIns(std::string_view text, std::string &bytes);

} // namespace qrt::unicode

#endif // QRT_TOKENIZER_UNICODE_H
