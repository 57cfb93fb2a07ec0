//===- EvalText.h - The tokens that qrt eval scores -------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_EVALTEXT_H
#define QRT_TOOLS_QRT_EVALTEXT_H

#include "runtime/tokenizer/Tokenizer.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace qrt::tool {

/// Python's `random` after random.seed(seed): the Mersenne Twister of Matsumoto
/// and Nishimura, started by their init_by_array. GPTQ's loaders pick texts
/// with it.
class PythonRandom {
public:
  explicit PythonRandom(uint32_t seed);
  /// random.randint(0, last).
  uint32_t upTo(uint32_t last);

private:
  uint32_t next();

  std::array<uint32_t, 624> state;
  size_t at = 624;
};

/// The tokens of a file, as a whole and without special tokens, or of a data
/// set (wikitext2, ptb, c4) as GPTQ-for-LLaMa's loaders make them of the
/// records in Hugging Face's caches: joined, with the tokenizer's default
/// special tokens; c4 is 256 pieces of `context` tokens. Throws qrt::Error if
/// there is no such text.
std::vector<int32_t> readEvalTokens(const std::string &dataset,
                                    const Tokenizer &tokenizer,
                                    uint32_t context);

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_EVALTEXT_H
