//===- Normalizer.h - Runs the normalizers of a tokenizer -------*- C++ -*-===//

#ifndef QRT_TOKENIZER_NORMALIZER_H
#define QRT_TOKENIZER_NORMALIZER_H

#include "runtime/tokenizer/Regex.h"
#include "runtime/tokenizer/SentencePieceNormalizer.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <optional>
#include <string_view>
#include <vector>

namespace qrt {

/// Replaces every match of a pattern by a text.
class Replacer {
public:
  /// \p where names the field, for errors.
  Replacer(const TextPattern &pattern, std::string content,
           const std::string &where);

  std::string run(std::string_view text, RegexScratch &scratch) const;

  /// Whether the pattern is the text of one character.
  bool isSingleChar() const;

private:
  std::string literal; ///< used if there is no regex
  std::optional<Regex> regex;
  std::string content;
};

/// The normalizers of a model, in order. Refers to the steps it is made from,
/// which must outlive it.
class Normalizer {
public:
  explicit Normalizer(const std::vector<NormalizerStep> &steps);

  bool empty() const { return steps.empty(); }

  /// \p text is valid UTF-8. Returns it itself if nothing changes it, else a
  /// view of \p buffer.
  std::string_view run(std::string_view text, std::string &buffer,
                       RegexScratch &scratch) const;

private:
  struct Step {
    const NormalizerStep &data;
    std::optional<Replacer> replacer;
    std::optional<CharsMap> map;
  };
  std::vector<Step> steps;
};

} // namespace qrt

#endif // QRT_TOKENIZER_NORMALIZER_H
