//===- Data.cpp - Calibration data ----------------------------------------===//

#include "compiler/calibrate/Data.h"

#include "runtime/api/Sampler.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdio>

using qrt::Error;

namespace qcc {

namespace {

std::string join(const qrt::TextRecords &records, std::string_view separator) {
  std::string text;
  for (std::string_view one : records.texts) {
    if (!text.empty())
      text += separator;
    text += one;
  }
  return text;
}

void warnIfFewer(const CalibrationTokens &tokens, const DataOptions &options) {
  if (!options.quiet &&
      (tokens.samples < options.samples || tokens.length < options.length))
    std::fprintf(stderr,
                 "qcc: warning: the calibration text gives %lld x %lld "
                 "tokens, not %lld x %lld\n",
                 static_cast<long long>(tokens.samples),
                 static_cast<long long>(tokens.length),
                 static_cast<long long>(options.samples),
                 static_cast<long long>(options.length));
}

} // namespace

CalibrationTokens loadCalibrationFile(const DataOptions &options,
                                      const qrt::Tokenizer &tokenizer) {
  std::string text = join(qrt::readTextFile(options.source), "\n\n");
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error("the calibration text is empty", options.source);
  CalibrationTokens tokens;
  tokens.ids = tokenizer.encode(text, /*addSpecialTokens=*/false,
                                /*parseSpecial=*/false);
  auto count = int64_t(tokens.ids.size());
  if (count < 2)
    throw Error("the calibration text has fewer than 2 tokens", options.source);
  tokens.length = std::min(options.length, count);
  tokens.samples = std::min(options.samples, count / tokens.length);
  warnIfFewer(tokens, options);
  tokens.ids.resize(size_t(tokens.count()));
  return tokens;
}

CalibrationTokens sampleDataset(const qrt::TextRecords &records,
                                const DataOptions &options,
                                const qrt::Tokenizer &tokenizer) {
  CalibrationTokens tokens;
  tokens.samples = options.samples;
  tokens.length = options.length;
  qrt::Random random(options.seed);
  auto below = [&](size_t limit) {
    return size_t(random.uniform() * double(limit));
  };
  auto take = [&](const std::vector<int32_t> &ids) {
    size_t start = below(ids.size() - size_t(options.length) + 1);
    tokens.ids.insert(tokens.ids.end(), ids.begin() + ptrdiff_t(start),
                      ids.begin() + ptrdiff_t(start) +
                          ptrdiff_t(options.length));
  };
  bool byRecord = options.source.starts_with("c4");
  if (!byRecord) {
    std::vector<int32_t> ids =
        tokenizer.encode(join(records, qrt::recordSeparator(options.source)));
    if (int64_t(ids.size()) < options.length)
      throw Error("the data set has " + std::to_string(ids.size()) +
                      " tokens, fewer than one sequence of " +
                      std::to_string(options.length),
                  records.path);
    for (int64_t i = 0; i < options.samples; ++i)
      take(ids);
    return tokens;
  }
  // A record of few bytes cannot have enough tokens: not worth tokenizing.
  std::vector<size_t> candidates;
  for (size_t i = 0; i < records.texts.size(); ++i)
    if (int64_t(records.texts[i].size()) >= options.length)
      candidates.push_back(i);
  for (int64_t i = 0; i < options.samples; ++i) {
    std::vector<int32_t> ids;
    while (int64_t(ids.size()) < options.length) {
      if (candidates.empty())
        throw Error("no record of the data set has " +
                        std::to_string(options.length) + " tokens",
                    records.path);
      size_t at = below(candidates.size());
      ids = tokenizer.encode(records.texts[candidates[at]]);
      if (int64_t(ids.size()) < options.length) {
        candidates[at] = candidates.back();
        candidates.pop_back();
      }
    }
    take(ids);
  }
  return tokens;
}

} // namespace qcc
