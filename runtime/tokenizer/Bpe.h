//===- Bpe.h - Byte pair encoding -------------------------------*- C++ -*-===//
//
// Sennrich et al., "Neural Machine Translation of Rare Words with Subword
// Units" (2016): starting from bytes or characters, the best pair of
// neighbours is joined until no pair is left that can be. "Best" is the rank in
// a list of merges (Hugging Face) or the score of the result (SentencePiece,
// bpe_model.cc); both become one table from pairs to ranks here. Of equal
// ranks the leftmost goes first.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_BPE_H
#define QRT_TOKENIZER_BPE_H

#include "runtime/tokenizer/PieceIndex.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qrt {

/// Remembers what short words became: a direct-mapped table in which a new word
/// takes the place of the old.
class WordCache {
public:
  static constexpr size_t maxBytes = 26, maxIds = 8;

  /// Appends the word's ids; false: it is not there.
  bool find(std::string_view word, uint64_t hash, std::vector<int32_t> &ids);
  void insert(std::string_view word, uint64_t hash, const int32_t *ids,
              size_t count);

private:
  struct Entry { // One line of the processor's cache.
    uint32_t tag = 0;
    uint8_t bytes = 0, count = 0; ///< bytes is 0: empty
    char text[maxBytes];
    int32_t ids[maxIds];
  };
  static_assert(sizeof(Entry) == 64);
  std::vector<Entry> entries; ///< made by the first insert()
};

/// The vocabulary and merges of a model, ready for use. Refers to the model,
/// which must outlive it.
class Bpe {
public:
  /// \p model has been validated.
  explicit Bpe(const TokenizerModel &model);

  /// What one thread needs.
  struct Scratch {
    WordCache cache;
    std::vector<uint32_t> symbols, begins; ///< ids; first bytes in the word
    std::vector<uint32_t> ranks, results;  ///< of symbol i and the next
    std::vector<uint32_t> next, previous;
    std::vector<uint64_t> heap;
    std::vector<uint32_t> pending;
    /// What unused pieces were made of, to be taken apart again.
    std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> unusedParts;
  };

  /// Appends the ids of \p text: raw bytes where the unit is Bytes (a word of
  /// the pre-tokenizer), else UTF-8. Time grows as n log n at worst.
  void encode(std::string_view text, Scratch &scratch,
              std::vector<int32_t> &ids) const;

private:
  static constexpr uint32_t none = PairIndex::none;

  void addRankedMerges();
  void addScoredMerges();
  void findWordBreaks();
  uint32_t symbolOf(std::string_view character) const;
  uint32_t symbolOrNew(std::string_view character);

  void encodeWord(std::string_view word, Scratch &scratch,
                  std::vector<int32_t> &ids) const;
  void startSymbols(std::string_view word, Scratch &scratch) const;
  void startUnknown(std::string_view character, size_t begin, Scratch &scratch,
                    bool &isUnknownPending) const;
  void findPair(size_t left, size_t right, Scratch &scratch) const;
  void mergeShort(Scratch &scratch) const;
  void mergeLong(Scratch &scratch) const;
  void emitScored(std::string_view word, Scratch &scratch,
                  std::vector<int32_t> &ids) const;

  const TokenizerModel &model;
  PieceIndex index;
  PairIndex pairs;
  std::array<uint32_t, 256> byteSymbols; ///< of bytes, or of ASCII characters
  std::array<int32_t, 256> fallbackIds;  ///< of "<0xNN>"; -1: has none
  bool hasFallback = false;              ///< every byte has such a piece
  bool hasUnused = false;
  /// Merges never reach over a blank behind something else: text can be cut
  /// there, and words cached.
  bool breaksAtBlanks = false;
  /// Characters that are no pieces, but parts of some (Scored): their symbols
  /// follow the pieces' ids.
  std::vector<std::string_view> extraChars;
};

} // namespace qrt

#endif // QRT_TOKENIZER_BPE_H
