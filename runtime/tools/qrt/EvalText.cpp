//===- EvalText.cpp - The tokens that qrt eval scores ---------------------===//

#include "runtime/tools/qrt/EvalText.h"

#include "runtime/datasets/Datasets.h"
#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <bit>

namespace qrt::tool {

//===----------------------------------------------------------------------===//
// Python's random numbers
//===----------------------------------------------------------------------===//

PythonRandom::PythonRandom(uint32_t seed) {
  size_t n = state.size();
  state[0] = 19650218u;
  for (size_t i = 1; i < n; ++i)
    state[i] =
        1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + uint32_t(i);
  // init_by_array with an array of one word.
  auto mixed = [&](size_t i, uint32_t factor) {
    return state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * factor);
  };
  size_t i = 1;
  auto advance = [&] {
    if (++i == n) {
      state[0] = state[n - 1];
      i = 1;
    }
  };
  for (size_t k = 0; k < n; ++k, advance())
    state[i] = mixed(i, 1664525u) + seed;
  for (size_t k = 0; k + 1 < n; ++k, advance())
    state[i] = mixed(i, 1566083941u) - uint32_t(i);
  state[0] = 0x80000000u;
}

uint32_t PythonRandom::next() {
  size_t n = state.size();
  if (at == n) {
    for (size_t i = 0; i < n; ++i) {
      uint32_t y =
          (state[i] & 0x80000000u) | (state[(i + 1) % n] & 0x7fffffffu);
      state[i] = state[(i + 397) % n] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    at = 0;
  }
  uint32_t y = state[at++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

uint32_t PythonRandom::upTo(uint32_t last) {
  // As many bits as the number of values has, drawn until one is among them.
  uint64_t values = uint64_t(last) + 1;
  int bits = int(std::bit_width(values));
  uint32_t value;
  if (bits > 32) {
    // 33 bits are a word and the highest bit of the next.
    do
      value = next();
    while (next() >> 31);
    return value;
  }
  do
    value = next() >> (32 - bits);
  while (value >= values);
  return value;
}

//===----------------------------------------------------------------------===//
// Texts
//===----------------------------------------------------------------------===//

static std::string joined(const TextRecords &records,
                          std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < records.texts.size(); ++i) {
    if (i)
      text += separator;
    text += records.texts[i];
  }
  return text;
}

/// get_c4's validation tokens: 256 times a random piece of a random record that
/// is long enough.
static std::vector<int32_t> sampleC4(const TextRecords &records,
                                     const Tokenizer &tokenizer,
                                     uint32_t context) {
  constexpr int kPieces = 256;
  bool isEnough =
      std::ranges::any_of(records.texts, [&](std::string_view text) {
        return text.size() >= context &&
               tokenizer.encode(text).size() > context;
      });
  if (!isEnough)
    throw Error("no record of the data set has more than " +
                    std::to_string(context) + " tokens",
                records.path, "use a smaller --context");
  PythonRandom random(0);
  std::vector<int32_t> tokens;
  for (int piece = 0; piece < kPieces; ++piece) {
    std::vector<int32_t> ids;
    while (ids.size() <= context)
      ids = tokenizer.encode(
          records.texts[random.upTo(uint32_t(records.texts.size() - 1))]);
    auto from = ids.begin() + random.upTo(uint32_t(ids.size() - context - 1));
    tokens.insert(tokens.end(), from, from + context);
  }
  return tokens;
}

std::vector<int32_t> readEvalTokens(const std::string &dataset,
                                    const Tokenizer &tokenizer,
                                    uint32_t context) {
  if (dataset != "wikitext2" && dataset != "ptb" && dataset != "c4") {
    bool isRecords = false;
    for (const char *ending : {".arrow", ".jsonl", ".json.gz", ".jsonl.gz"})
      isRecords |= dataset.ends_with(ending);
    std::string text =
        isRecords ? joined(readTextFile(dataset), "\n\n") : readFile(dataset);
    return tokenizer.encode(text, /*addSpecialTokens=*/false);
  }
  std::optional<TextRecords> records =
      findDataset(dataset, dataset == "wikitext2" ? "test" : "validation");
  if (!records || records->texts.empty()) {
    std::string folders;
    for (const std::string &folder : datasetFolders())
      folders += (folders.empty() ? "" : ", ") + folder;
    throw Error("the data set '" + dataset + "' is not in " + folders, "",
                "pass a file with its text");
  }
  if (dataset == "c4")
    return sampleC4(*records, tokenizer, context);
  return tokenizer.encode(joined(*records, recordSeparator(dataset)));
}

} // namespace qrt::tool
