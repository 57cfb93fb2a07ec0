//===- Unigram.h - The unigram language model -------------------*- C++ -*-===//
//
// Kudo, "Subword Regularization" (2018): of all ways to cut a text into pieces,
// the one of the highest sum of scores (logarithms of probabilities), found by
// Viterbi's algorithm. A character that no piece covers costs ten more than the
// rarest piece.
//
// Hugging Face's tokenizers (models/unigram/model.rs) and SentencePiece
// (unigram_model.cc, EncodeOptimized) differ in details, each of which decides
// between cuts of the same or nearly the same score; both are here.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_UNIGRAM_H
#define QRT_TOKENIZER_UNIGRAM_H

#include "runtime/tokenizer/PieceIndex.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// The pieces of a unigram model, ready for use. Refers to the model, which
/// must outlive it.
class Unigram {
public:
  /// \p model has been validated.
  explicit Unigram(const TokenizerModel &model);

  /// What one thread needs: the best way to every place in the text.
  struct Scratch {
    struct Node {
      double score;
      uint32_t begin; ///< of the last piece; none: no way leads here
      int32_t id;     ///< of the last piece; -1: a character that is unknown
    };
    std::vector<Node> nodes;
    std::vector<uint32_t> ends; ///< of the pieces, from the last to the first
  };

  /// Appends the ids of \p text (UTF-8). Time grows as the length times that of
  /// the longest piece. Throws qrt::Error for an unknown character if there is
  /// no id for one.
  void encode(std::string_view text, Scratch &scratch,
              std::vector<int32_t> &ids) const;

private:
  static constexpr uint32_t none = PairIndex::none;

  void addPiece(int32_t id);
  void findBest(std::string_view text, Scratch &scratch) const;
  void emitUnknown(std::string_view text, std::vector<int32_t> &ids) const;

  const TokenizerModel &model;
  const bool isSentencePiece;
  /// A trie: from a node and a byte to the next node.
  PairIndex edges;
  std::vector<int32_t> idOfNode; ///< -1: no piece ends there
  std::vector<double> scores;    ///< by id
  std::array<int32_t, 256> byteIds;
  bool hasFallback = false; ///< every byte has a piece (SentencePiece)
  double unknownScore = 0;
};

} // namespace qrt

#endif // QRT_TOKENIZER_UNIGRAM_H
