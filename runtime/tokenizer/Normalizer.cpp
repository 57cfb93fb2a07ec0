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
    Step step{data, std::nullopt};
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
    }
  }
  return text;
}

} // namespace qrt
