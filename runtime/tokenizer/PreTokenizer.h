//===- PreTokenizer.h - Cuts text into words --------------------*- C++ -*-===//

#ifndef QRT_TOKENIZER_PRETOKENIZER_H
#define QRT_TOKENIZER_PRETOKENIZER_H

#include "runtime/tokenizer/Regex.h"
#include "runtime/tokenizer/TokenizerModel.h"
#include "runtime/tokenizer/WordScanner.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// Takes the words of a text, in order.
class WordSink {
public:
  virtual ~WordSink() = default;
  /// \p word is not empty, and gone after the call.
  virtual void add(std::string_view word) = 0;
};

/// The pre-tokenizers of a model, in order: each cuts the pieces that the one
/// before it has left.
///
/// They run in two stages. The first ends with ByteLevel, and what it leaves
/// are short words that come again and again; what the second makes of a word
/// depends on the word alone, so that its result can be remembered.
class PreTokenizer {
public:
  /// Where \p unit is Bytes, words are bytes; else they are as the last step
  /// leaves them, in GPT-2's stand-ins behind a ByteLevel.
  PreTokenizer(const std::vector<PreTokenizerStep> &steps, SymbolUnit unit);

  /// A stretch of text that a pattern matched, or that lies between two.
  struct Part {
    size_t begin, end;
    bool isMatch;
  };

  /// What one thread needs; a level a step.
  struct Scratch {
    struct Level {
      std::vector<Part> parts;
      std::string text;           ///< text that the step has changed
      std::string standIns;       ///< the piece in GPT-2's stand-ins
      std::vector<size_t> origin; ///< byte of `standIns` -> byte of the piece
    };
    std::vector<Level> levels;
  };

  /// Gives the words of \p text (valid UTF-8) after the first stage to \p sink.
  /// \p isStart: the text stands at the very front of the input.
  void run(std::string_view text, bool isStart, Scratch &scratch,
           RegexScratch &regexScratch, WordSink &sink) const;

  bool hasSecondStage() const { return firstStage < steps.size(); }

  /// Gives what the second stage makes of one word to \p sink. May be called by
  /// the sink of run(), with the same scratch.
  void runSecondStage(std::string_view word, Scratch &scratch,
                      RegexScratch &regexScratch, WordSink &sink) const;

private:
  struct Step {
    PreTokenizerStep data;
    std::optional<Regex> regex;
    std::optional<WordScanner> scanner; ///< does what the regex does
    bool seesStandIns = false;          ///< a ByteLevel stands before it
    bool makesStandIns = false;         ///< leaves stand-ins instead of bytes
  };
  struct Run;

  static std::string_view change(const PreTokenizerStep &step,
                                 std::string_view piece, bool isStart,
                                 std::string &buffer);
  static void findParts(const Step &step, std::string_view piece,
                        RegexScratch &regexScratch, std::vector<Part> &parts);

  std::vector<Step> steps;
  size_t firstStage; ///< its number of steps
};

} // namespace qrt

#endif // QRT_TOKENIZER_PRETOKENIZER_H
