//===- Unigram.cpp - The unigram language model ---------------------------===//

#include "runtime/tokenizer/Unigram.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <algorithm>
#include <limits>

namespace qrt {

/// Both implementations' kUnkPenalty.
static constexpr double unknownPenalty = 10;

Unigram::Unigram(const TokenizerModel &model)
    : model(model), isSentencePiece(model.rule == MergeRule::Scored),
      edges(model.pieces.size() * 4), idOfNode(1, -1) {
  byteIds.fill(-1);
  scores.reserve(model.pieces.size());
  double lowest = std::numeric_limits<double>::infinity();
  // SentencePiece's FLT_MIN, above any logarithm of a probability.
  double highest = std::numeric_limits<float>::min();
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece &piece = model.pieces[i];
    auto id = static_cast<int32_t>(i);
    scores.push_back(piece.score);
    int byte = byteOfPiece(piece.text);
    if (byte >= 0 && (!isSentencePiece || piece.type == PieceType::Byte))
      byteIds[byte] = id;
    if (piece.type == PieceType::Normal) {
      lowest = std::min(lowest, piece.score);
      highest = std::max(highest, piece.score);
    }
    addPiece(id);
  }
  hasFallback =
      model.byteFallback &&
      std::ranges::all_of(byteIds, [](int32_t id) { return id >= 0; });
  // A user's piece beats whatever else could cover it.
  if (isSentencePiece)
    for (size_t i = 0; i < model.pieces.size(); ++i)
      if (model.pieces[i].type == PieceType::UserDefined)
        scores[i] = static_cast<float>(model.pieces[i].text.size()) *
                        static_cast<float>(highest) -
                    0.1;
  unknownScore = lowest - unknownPenalty;
}

void Unigram::addPiece(int32_t id) {
  const Piece &piece = model.pieces[id];
  bool isReachable = isSentencePiece ? piece.type == PieceType::Normal ||
                                           piece.type == PieceType::UserDefined
                                     : piece.type == PieceType::Normal;
  if (!isReachable || piece.text.empty())
    return;
  uint32_t at = 0;
  for (char c : piece.text) {
    auto byte = static_cast<uint32_t>(static_cast<unsigned char>(c));
    const PairIndex::Entry *edge = edges.find(at, byte);
    uint32_t next =
        edge ? edge->result : static_cast<uint32_t>(idOfNode.size());
    if (!edge) {
      edges.insert({at, byte, 0, next});
      idOfNode.push_back(-1);
    }
    at = next;
  }
  // Of equal texts the last counts (Hugging Face; SentencePiece has none).
  idOfNode[at] = id;
}

void Unigram::findBest(std::string_view text, Scratch &scratch) const {
  std::vector<Scratch::Node> &nodes = scratch.nodes;
  nodes.assign(text.size() + 1, {0, none, -1});
  auto offer = [&](size_t end, double score, size_t begin, int32_t id) {
    Scratch::Node &node = nodes[end];
    // SentencePiece adds up in single precision, which decides ties.
    if (isSentencePiece)
      score = static_cast<float>(score);
    if (node.begin == none || score > node.score)
      node = {score, static_cast<uint32_t>(begin), id};
  };
  for (size_t begin = 0; begin < text.size();) {
    const double before = nodes[begin].score;
    const size_t length = unicode::charLength(text[begin]);
    bool hasSingle = false;
    uint32_t at = 0;
    for (size_t i = begin; i < text.size(); ++i) {
      const PairIndex::Entry *edge =
          edges.find(at, static_cast<unsigned char>(text[i]));
      if (!edge)
        break;
      at = edge->result;
      int32_t id = idOfNode[at];
      if (id < 0)
        continue;
      offer(i + 1, before + scores[id], begin, id);
      hasSingle |= i + 1 - begin == length;
    }
    if (!hasSingle)
      offer(begin + length, before + unknownScore, begin, -1);
    begin += length;
  }
}

void Unigram::emitUnknown(std::string_view text,
                          std::vector<int32_t> &ids) const {
  bool hasAll = hasFallback;
  if (model.byteFallback && !isSentencePiece)
    hasAll = std::ranges::all_of(text, [&](char c) {
      return byteIds[static_cast<unsigned char>(c)] >= 0;
    });
  if (hasAll) {
    for (char c : text)
      ids.push_back(byteIds[static_cast<unsigned char>(c)]);
    return;
  }
  if (model.unknownId < 0)
    throw Error("the tokenizer has neither a piece for '" +
                std::string(text.substr(0, 64)) +
                "' nor one for what is unknown");
  ids.push_back(model.unknownId);
}

void Unigram::encode(std::string_view text, Scratch &scratch,
                     std::vector<int32_t> &ids) const {
  if (text.size() > none - 1)
    throw Error("a word of " + std::to_string(text.size()) +
                " bytes is longer than the tokenizer can take");
  findBest(text, scratch);
  scratch.ends.clear();
  for (auto end = static_cast<uint32_t>(text.size()); end > 0;
       end = scratch.nodes[end].begin)
    scratch.ends.push_back(end);

  // Neighbouring unknowns are one. In Hugging Face's implementation the unknown
  // piece itself is one of them, where it stands in the text.
  size_t runBegin = 0, runLength = 0; // in characters or unknown pieces
  int32_t runId = -1;                 // of a run of one
  auto flush = [&](size_t end) {
    if (runLength == 1 && runId >= 0)
      ids.push_back(runId);
    else if (runLength > 0)
      emitUnknown(text.substr(runBegin, end - runBegin), ids);
    runLength = 0;
  };
  for (size_t i = scratch.ends.size(); i-- > 0;) {
    const Scratch::Node &node = scratch.nodes[scratch.ends[i]];
    if (node.id >= 0 && (isSentencePiece || node.id != model.unknownId)) {
      flush(node.begin);
      ids.push_back(node.id);
      continue;
    }
    if (runLength++ == 0)
      runBegin = node.begin;
    runId = node.id;
  }
  flush(text.size());
}

} // namespace qrt
