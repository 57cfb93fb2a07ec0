//===- PreTokenizer.cpp - Cuts text into words ----------------------------===//

#include "runtime/tokenizer/PreTokenizer.h"

#include "runtime/tokenizer/Unicode.h"

namespace qrt {

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep> &stepData,
                           SymbolUnit unit)
    : firstStage(0) {
  const bool isBytes = unit == SymbolUnit::Bytes;
  bool hasByteLevel = false;
  for (const PreTokenizerStep &data : stepData) {
    Step step{data, std::nullopt, std::nullopt, isBytes && hasByteLevel};
    std::string where = "preTokenizers[" + std::to_string(steps.size()) +
                        "].pattern of the tokenizer";
    if (data.kind == PreTokenizerKind::ByteLevel) {
      hasByteLevel = true;
      step.makesStandIns = !isBytes;
      if (data.useRegex) {
        step.regex.emplace(gpt2Pattern, where);
        step.scanner = WordScanner::forPattern(gpt2Pattern);
        step.data.behavior = SplitBehavior::Isolated;
      }
    } else if (data.kind == PreTokenizerKind::Split) {
      step.regex.emplace(data.pattern.isRegex
                             ? data.pattern.text
                             : Regex::escape(data.pattern.text),
                         where);
      if (data.pattern.isRegex)
        step.scanner = WordScanner::forPattern(data.pattern.text);
    }
    steps.push_back(std::move(step));
    if (data.kind == PreTokenizerKind::ByteLevel)
      firstStage = steps.size();
  }
  if (!hasByteLevel || !isBytes)
    firstStage = steps.size();
}

//===----------------------------------------------------------------------===//
// From matches to pieces
//===----------------------------------------------------------------------===//

using Part = PreTokenizer::Part;

/// Marks the characters for which \p predicate holds as matches of their own.
template <typename Predicate>
static void matchChars(std::string_view text, std::vector<Part> &parts,
                       Predicate predicate) {
  size_t done = 0;
  for (size_t pos = 0; pos < text.size();) {
    size_t begin = pos;
    if (!predicate(unicode::decodeChar(text, pos)))
      continue;
    if (done < begin)
      parts.push_back({done, begin, false});
    parts.push_back({begin, pos, true});
    done = pos;
  }
  if (done < text.size())
    parts.push_back({done, text.size(), false});
}

/// Joins \p parts, which cover a text, as \p behavior says; what is to be
/// dropped is left out.
static void mergeParts(std::vector<Part> &parts, SplitBehavior behavior,
                       bool invert) {
  if (behavior == SplitBehavior::Isolated)
    return;
  size_t count = 0;
  bool wasMatch = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    Part part = parts[i];
    part.isMatch ^= invert;
    bool joins = false;
    switch (behavior) {
    case SplitBehavior::Removed:
      if (part.isMatch)
        continue;
      break;
    case SplitBehavior::Contiguous:
      joins = part.isMatch == wasMatch;
      break;
    case SplitBehavior::MergedWithPrevious:
      joins = part.isMatch && !wasMatch;
      break;
    case SplitBehavior::MergedWithNext:
      joins = !part.isMatch && wasMatch;
      break;
    case SplitBehavior::Isolated:
      break;
    }
    wasMatch = part.isMatch;
    if (joins && count > 0)
      parts[count - 1].end = part.end;
    else
      parts[count++] = part;
  }
  parts.resize(count);
}

std::string_view PreTokenizer::change(const PreTokenizerStep &step,
                                      std::string_view piece, bool isStart,
                                      std::string &buffer) {
  if (step.kind == PreTokenizerKind::ByteLevel) {
    if (!step.addPrefixSpace || piece.front() == ' ')
      return piece;
    return buffer = std::string(" ").append(piece);
  }
  if (step.kind != PreTokenizerKind::Metaspace)
    return piece;
  std::string changed;
  changed.reserve(piece.size() + step.content.size());
  bool prepends = (step.scheme == PrependScheme::Always ||
                   (step.scheme == PrependScheme::First && isStart)) &&
                  piece.front() != ' ' && !piece.starts_with(step.content);
  if (prepends)
    changed = step.content;
  for (char c : piece) {
    if (c == ' ')
      changed += step.content;
    else
      changed += c;
  }
  return buffer = std::move(changed);
}

void PreTokenizer::findParts(const Step &step, std::string_view piece,
                             RegexScratch &regexScratch,
                             std::vector<Part> &parts) {
  parts.clear();
  size_t done = 0;
  auto addMatch = [&](size_t begin, size_t end) {
    if (done < begin)
      parts.push_back({done, begin, false});
    parts.push_back({begin, end, true});
    done = end;
  };
  auto addRest = [&] {
    if (done < piece.size())
      parts.push_back({done, piece.size(), false});
  };

  const PreTokenizerStep &data = step.data;
  switch (data.kind) {
  case PreTokenizerKind::Digits:
    matchChars(piece, parts, unicode::isNumeric);
    return mergeParts(parts,
                      data.individual ? SplitBehavior::Isolated
                                      : SplitBehavior::Contiguous,
                      false);
  case PreTokenizerKind::Punctuation:
    matchChars(piece, parts, unicode::isPunctuation);
    return mergeParts(parts, data.behavior, false);
  case PreTokenizerKind::WhitespaceSplit:
    matchChars(piece, parts, unicode::isWhitespace);
    return mergeParts(parts, SplitBehavior::Removed, false);
  case PreTokenizerKind::Metaspace:
    if (data.split) {
      for (size_t at = piece.find(data.content); at != piece.npos;
           at = piece.find(data.content, at + data.content.size()))
        addMatch(at, at + data.content.size());
      addRest();
      return mergeParts(parts, SplitBehavior::MergedWithNext, false);
    }
    return addRest();
  case PreTokenizerKind::ByteLevel:
  case PreTokenizerKind::Split:
    break;
  }
  if (step.regex) {
    RegexMatches matches(*step.regex, piece, regexScratch);
    for (size_t begin, end; matches.next(begin, end);)
      addMatch(begin, end);
  }
  addRest();
  mergeParts(parts, data.behavior, data.invert);
}

//===----------------------------------------------------------------------===//
// From step to step
//===----------------------------------------------------------------------===//

struct PreTokenizer::Run {
  const PreTokenizer &self;
  Scratch &scratch;
  RegexScratch &regexScratch;
  WordSink &sink;
  size_t end; ///< of the steps that are run

  void apply(size_t index, std::string_view piece, bool isStart) {
    if (piece.empty())
      return;
    if (index == end)
      return sink.add(piece);
    const Step &step = self.steps[index];
    Scratch::Level &level = scratch.levels[index];
    piece = change(step.data, piece, isStart, level.text);

    if (step.seesStandIns)
      return applyToStandIns(index, piece, isStart);
    if (!step.regex && step.data.kind == PreTokenizerKind::ByteLevel)
      return next(index, piece, isStart);
    if (step.regex && step.data.behavior == SplitBehavior::Isolated) {
      if (step.scanner) {
        for (size_t begin = 0, wordEnd; begin < piece.size(); begin = wordEnd) {
          wordEnd = step.scanner->wordEnd(piece, begin);
          next(index, piece.substr(begin, wordEnd - begin),
               isStart && begin == 0);
        }
        return;
      }
      // No list is needed: each match is a piece, and so is what lies between
      // two.
      size_t done = 0, begin, end;
      RegexMatches matches(*step.regex, piece, regexScratch);
      for (; matches.next(begin, end); done = end) {
        next(index, piece.substr(done, begin - done), isStart && done == 0);
        next(index, piece.substr(begin, end - begin), isStart && begin == 0);
      }
      return next(index, piece.substr(done), isStart && done == 0);
    }
    findParts(step, piece, regexScratch, level.parts);
    for (const Part &part : level.parts)
      next(index, piece.substr(part.begin, part.end - part.begin),
           isStart && part.begin == 0);
  }

  /// Gives a part that step \p index has cut to the next one.
  void next(size_t index, std::string_view part, bool isStart) {
    if (!self.steps[index].makesStandIns)
      return apply(index + 1, part, isStart);
    std::string &standIns = scratch.levels[index].standIns;
    standIns.clear();
    for (char c : part)
      unicode::appendChar(
          standIns, unicode::byteStandIns()[static_cast<unsigned char>(c)]);
    apply(index + 1, standIns, isStart);
  }

  /// Finds parts in the piece's stand-ins, and cuts the piece there.
  void applyToStandIns(size_t index, std::string_view piece, bool isStart) {
    Scratch::Level &level = scratch.levels[index];
    level.standIns.clear();
    level.origin.clear();
    for (size_t i = 0; i < piece.size(); ++i) {
      unicode::appendChar(
          level.standIns,
          unicode::byteStandIns()[static_cast<unsigned char>(piece[i])]);
      level.origin.resize(level.standIns.size(), i);
    }
    level.origin.push_back(piece.size());
    findParts(self.steps[index], level.standIns, regexScratch, level.parts);
    for (const Part &part : level.parts) {
      size_t begin = level.origin[part.begin], end = level.origin[part.end];
      apply(index + 1, piece.substr(begin, end - begin), isStart && begin == 0);
    }
  }
};

void PreTokenizer::run(std::string_view text, bool isStart, Scratch &scratch,
                       RegexScratch &regexScratch, WordSink &sink) const {
  scratch.levels.resize(steps.size());
  Run{*this, scratch, regexScratch, sink, firstStage}.apply(0, text, isStart);
}

void PreTokenizer::runSecondStage(std::string_view word, Scratch &scratch,
                                  RegexScratch &regexScratch,
                                  WordSink &sink) const {
  Run{*this, scratch, regexScratch, sink, steps.size()}.apply(
      firstStage, word, /*isStart=*/false);
}

} // namespace qrt
