//===- SentencePieceNormalizer.cpp - SentencePiece's normalizer -----------===//

#include "runtime/tokenizer/SentencePieceNormalizer.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <cstring>

namespace qrt {

CharsMap::CharsMap(std::string_view bytes) {
  if (bytes.empty())
    return;
  const std::string where = "the character map of the tokenizer";
  uint32_t trieBytes = 0;
  if (bytes.size() < 4)
    throw Error("a map of " + std::to_string(bytes.size()) +
                    " bytes is too short",
                where);
  for (int i = 3; i >= 0; --i)
    trieBytes = trieBytes << 8 | static_cast<unsigned char>(bytes[i]);
  if (trieBytes % 4 != 0 || trieBytes == 0 || trieBytes > bytes.size() - 4)
    throw Error("a trie of " + std::to_string(trieBytes) +
                    " bytes does not fit into " + std::to_string(bytes.size()) +
                    " bytes",
                where);
  units.resize(trieBytes / 4);
  for (size_t i = 0; i < units.size(); ++i) {
    uint32_t unit = 0;
    for (int byte = 3; byte >= 0; --byte)
      unit = unit << 8 | static_cast<unsigned char>(bytes[4 + i * 4 + byte]);
    units[i] = unit;
  }
  texts = bytes.substr(4 + trieBytes);
  if (texts.empty() || texts.back() != '\0')
    throw Error("the texts do not end with a zero byte", where);
}

template <typename Visit>
void CharsMap::forEachPrefix(std::string_view text, Visit visit) const {
  if (units.empty())
    return;
  // A unit of darts-clone: bits 0-7 and 31 label, 8 "has a leaf", 9 "the offset
  // is in units of 256", 10-30 offset; of a leaf, bits 0-30 are its value.
  auto offset = [](uint32_t unit) {
    return unit >> 10 << ((unit & (1u << 9)) >> 6);
  };
  uint32_t at = offset(units[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units.size() || (units[at] & (1u << 31 | 0xff)) != byte)
      return;
    uint32_t unit = units[at];
    at ^= offset(unit);
    if (unit >> 8 & 1) {
      if (at >= units.size() || !visit(i + 1, units[at] & 0x7fffffff))
        return;
    }
  }
}

bool CharsMap::textOf(uint32_t value, std::string_view &text) const {
  if (value >= texts.size())
    return false;
  text = texts.substr(value, std::strlen(texts.data() + value));
  return true;
}

bool CharsMap::find(std::string_view text, size_t &length,
                    std::string_view &replacement) const {
  bool found = false;
  uint32_t last = 0;
  forEachPrefix(text, [&](size_t bytes, uint32_t value) {
    length = bytes;
    last = value;
    return found = true;
  });
  return found && textOf(last, replacement);
}

bool CharsMap::findShortest(std::string_view text,
                            std::string_view &replacement) const {
  bool found = false;
  forEachPrefix(text, [&](size_t, uint32_t value) {
    found = textOf(value, replacement);
    return false;
  });
  return found;
}

SentencePieceNormalizer::SentencePieceNormalizer(const TokenizerModel &model)
    : spec(model.sentencePiece), map(spec.charsmap) {
  for (size_t id = 0; id < model.pieces.size(); ++id)
    if (model.pieces[id].type == PieceType::UserDefined &&
        !model.pieces[id].text.empty())
      symbols.insert(model.pieces[id].text, static_cast<int32_t>(id));
}

std::string_view
SentencePieceNormalizer::takePrefix(std::string_view &text,
                                    std::string &buffer) const {
  size_t length = 0;
  std::string_view result;
  if (symbols.canStart(text[0]) && symbols.longestAt(text, 0, length) >= 0) {
    result = text.substr(0, length);
  } else if (map.find(text, length, result)) {
    if (!unicode::isValidUtf8(result)) {
      buffer.clear();
      unicode::appendLossy(buffer, result, /*isEnd=*/true);
      result = buffer;
    }
  } else {
    // The map may have ended in the middle of a character.
    unicode::CharScan scan = unicode::scanChar(text);
    bool isValid = scan.status == unicode::CharScan::Valid;
    length = isValid ? scan.length : 1;
    result = isValid ? text.substr(0, length) : unicode::replacement;
  }
  text.remove_prefix(length);
  return result;
}

void SentencePieceNormalizer::run(std::string_view text, bool addPrefix,
                                  std::string &result) const {
  result.clear();
  const std::string_view blank = spec.escapeWhitespaces ? "\xe2\x96\x81" : " ";
  std::string buffer;
  if (spec.removeExtraWhitespaces) {
    while (!text.empty()) {
      std::string_view rest = text;
      if (takePrefix(rest, buffer) != " ")
        break;
      text = rest;
    }
  }
  if (text.empty())
    return;
  bool hasPrefix = addPrefix && spec.addDummyPrefix;
  if (hasPrefix && !spec.whitespaceAsSuffix)
    result += blank;
  bool afterBlank = spec.removeExtraWhitespaces;
  bool isPlain = map.empty() && symbols.empty();
  while (!text.empty()) {
    std::string_view part;
    if (isPlain) {
      // Up to the next blank nothing changes.
      part = text.substr(0, text[0] == ' ' ? 1 : text.find(' '));
      text.remove_prefix(part.size());
    } else {
      part = takePrefix(text, buffer);
    }
    while (afterBlank && part.starts_with(' '))
      part.remove_prefix(1);
    if (part.empty())
      continue;
    for (size_t pos = 0; pos < part.size();) {
      size_t end = std::min(part.find(' ', pos), part.size());
      result.append(part, pos, end - pos);
      if (end < part.size())
        result += blank;
      pos = end + 1;
    }
    afterBlank = spec.removeExtraWhitespaces && part.ends_with(' ');
  }
  if (spec.removeExtraWhitespaces)
    while (result.ends_with(blank))
      result.erase(result.size() - blank.size());
  if (hasPrefix && spec.whitespaceAsSuffix)
    result += blank;
}

} // namespace qrt
