//===- Normalizer.cpp - Runs the normalizers of a tokenizer ---------------===//

#include "runtime/tokenizer/Normalizer.h"

#include "runtime/tokenizer/Unicode.h"

namespace qrt {

Replacer::Replacer(const TextPattern &pattern, std::string content,
                   const std::string &where)
    : content(std::move(content)) {
  if (pattern.isRegex)
    regex.emplace(pattern.text, where);
  else
    literal = pattern.text;
}

bool Replacer::isSingleChar() const {
  return !regex && !literal.empty() &&
         unicode::charLength(literal[0]) == literal.size();
}

std::string Replacer::run(std::string_view text, RegexScratch &scratch) const {
  std::string result;
  result.reserve(text.size());
  size_t done = 0;
  if (!regex) {
    while (!literal.empty()) {
      size_t at = text.find(literal, done);
      if (at == std::string_view::npos)
        break;
      result.append(text, done, at - done);
      result += content;
      done = at + literal.size();
    }
    return result.append(text.substr(done));
  }
  RegexMatches matches(*regex, text, scratch);
  for (size_t begin, end; matches.next(begin, end); done = end) {
    result.append(text, done, begin - done);
    result += content;
  }
  return result.append(text.substr(done));
}

Normalizer::Normalizer(const std::vector<NormalizerStep> &stepData) {
  for (const NormalizerStep &data : stepData) {
    Step step{data, std::nullopt, std::nullopt};
    if (data.kind == NormalizerKind::Precompiled)
      step.map.emplace(data.content);
    if (data.kind == NormalizerKind::Replace)
      step.replacer.emplace(data.pattern, data.content,
                            "normalizers[" + std::to_string(steps.size()) +
                                "].pattern of the tokenizer");
    steps.push_back(std::move(step));
  }
}

static std::string_view strip(std::string_view text, bool left, bool right) {
  size_t begin = 0;
  while (left && begin < text.size()) {
    size_t next = begin;
    if (!unicode::isWhitespace(unicode::decodeChar(text, next)))
      break;
    begin = next;
  }
  text.remove_prefix(begin);
  while (right && !text.empty()) {
    size_t last = text.size() - 1;
    while ((static_cast<unsigned char>(text[last]) & 0xc0) == 0x80)
      --last;
    size_t next = last;
    if (!unicode::isWhitespace(unicode::decodeChar(text, next)))
      break;
    text = text.substr(0, last);
  }
  return text;
}

static std::string stripAccents(std::string_view text) {
  std::string result;
  for (size_t pos = 0; pos < text.size();) {
    size_t begin = pos;
    if (!unicode::isMark(unicode::decodeChar(text, pos)))
      result.append(text, begin, pos - begin);
  }
  return result;
}

/// What a change of characters drops.
constexpr uint32_t dropped = UINT32_MAX;

/// Replaces each character by what \p change gives for it.
template <typename Change>
static std::string mapChars(std::string_view text, Change change) {
  std::string result;
  result.reserve(text.size());
  for (size_t pos = 0; pos < text.size();)
    if (uint32_t mapped = change(unicode::decodeChar(text, pos));
        mapped != dropped)
      unicode::appendChar(result, mapped);
  return result;
}

/// Hugging Face's Nmt (normalizers/unicode.rs), from SentencePiece's nmt_nfkc.
static uint32_t nmtChar(uint32_t c) {
  if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f ||
      c == 0x8f || c == 0x9f)
    return dropped;
  bool isBlank = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                 (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 ||
                 c == 0x2581 || c == 0xfeff || c == 0xfffd;
  return isBlank ? ' ' : c;
}

/// BERT's cleaning (Hugging Face's normalizers/bert.rs).
static uint32_t bertChar(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r')
    return ' ';
  if (c == 0 || c == 0xfffd || unicode::isOther(c))
    return dropped;
  return unicode::isWhitespace(c) ? ' ' : c;
}

static bool isChinese(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static std::string spaceChinese(std::string_view text) {
  std::string result;
  for (size_t pos = 0; pos < text.size();) {
    size_t begin = pos;
    bool spaced = isChinese(unicode::decodeChar(text, pos));
    result.append(spaced ? " " : "").append(text, begin, pos - begin);
    result.append(spaced ? " " : "");
  }
  return result;
}

/// Hugging Face's Precompiled (the crate spm_precompiled): a short grapheme
/// cluster is looked up as a whole, else each of its characters; of entries
/// that match, the shortest counts, and replaces all that was looked up.
static std::string applyMap(const CharsMap &map, std::string_view text) {
  std::string result;
  std::string_view by;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = unicode::graphemeEnd(text, pos);
    std::string_view cluster = text.substr(pos, end - pos);
    pos = end;
    if (cluster.size() < 6 && map.findShortest(cluster, by)) {
      result += by;
      continue;
    }
    for (size_t at = 0, next; at < cluster.size(); at = next) {
      next = at + unicode::charLength(cluster[at]);
      std::string_view one = cluster.substr(at, next - at);
      result += map.findShortest(one, by) ? by : one;
    }
  }
  return result;
}

std::string_view Normalizer::run(std::string_view text, std::string &buffer,
                                 RegexScratch &scratch) const {
  auto normalForm = [&](unicode::NormalForm form) -> std::string_view {
    // ASCII is in every normal form.
    if (unicode::asciiPrefix(text) == text.size())
      return text;
    return buffer = unicode::normalize(text, form);
  };
  for (const Step &step : steps) {
    switch (step.data.kind) {
    case NormalizerKind::Nfc:
      text = normalForm(unicode::NormalForm::Nfc);
      break;
    case NormalizerKind::Nfd:
      text = normalForm(unicode::NormalForm::Nfd);
      break;
    case NormalizerKind::Nfkc:
      text = normalForm(unicode::NormalForm::Nfkc);
      break;
    case NormalizerKind::Nfkd:
      text = normalForm(unicode::NormalForm::Nfkd);
      break;
    case NormalizerKind::Lowercase:
      text = buffer = unicode::toLower(text);
      break;
    case NormalizerKind::StripAccents:
      text = buffer = stripAccents(text);
      break;
    case NormalizerKind::Strip:
      text = strip(text, step.data.left, step.data.right);
      break;
    case NormalizerKind::Prepend:
      if (!text.empty()) {
        std::string prefixed = step.data.content;
        text = buffer = prefixed.append(text);
      }
      break;
    case NormalizerKind::Replace:
      text = buffer = step.replacer->run(text, scratch);
      break;
    case NormalizerKind::Precompiled: {
      std::string mapped = applyMap(*step.map, text);
      if (!unicode::isValidUtf8(mapped)) {
        buffer.clear();
        unicode::appendLossy(buffer, mapped, /*isEnd=*/true);
        mapped = buffer;
      }
      text = buffer = std::move(mapped);
      break;
    }
    case NormalizerKind::Nmt:
      text = buffer = mapChars(text, nmtChar);
      break;
    case NormalizerKind::BertClean:
      text = buffer = mapChars(text, bertChar);
      break;
    case NormalizerKind::BertChinese:
      text = buffer = spaceChinese(text);
      break;
    case NormalizerKind::StripNonspacing:
      text = buffer = mapChars(text, [](uint32_t c) {
        return unicode::isNonspacingMark(c) ? dropped : c;
      });
      break;
    case NormalizerKind::ByteLevel: {
      std::string standIns;
      for (char c : text)
        unicode::appendChar(
            standIns, unicode::byteStandIns()[static_cast<unsigned char>(c)]);
      text = buffer = std::move(standIns);
      break;
    }
    }
  }
  return text;
}

} // namespace qrt
