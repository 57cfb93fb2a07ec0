//===- Bpe.cpp - Byte pair encoding ---------------------------------------===//

#include "runtime/tokenizer/Bpe.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <algorithm>
#include <functional>

namespace qrt {

/// What SentencePiece writes for a blank, U+2581.
static constexpr std::string_view blank = "\xe2\x96\x81";

/// Words of more symbols are merged with a heap.
static constexpr size_t maxShortWord = 48;

//===----------------------------------------------------------------------===//
// WordCache
//===----------------------------------------------------------------------===//

bool WordCache::find(std::string_view word, uint64_t hash,
                     std::vector<int32_t> &ids) {
  if (entries.empty())
    return false;
  const Entry &entry = entries[hash & (entries.size() - 1)];
  if (entry.tag != static_cast<uint32_t>(hash >> 32) ||
      entry.bytes != word.size() ||
      std::memcmp(entry.text, word.data(), word.size()) != 0)
    return false;
  ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
  return true;
}

void WordCache::insert(std::string_view word, uint64_t hash, const int32_t *ids,
                       size_t count) {
  if (entries.empty())
    entries.resize(size_t(1) << 14);
  Entry &entry = entries[hash & (entries.size() - 1)];
  entry.tag = static_cast<uint32_t>(hash >> 32);
  entry.bytes = static_cast<uint8_t>(word.size());
  entry.count = static_cast<uint8_t>(count);
  std::copy_n(word.data(), word.size(), entry.text);
  std::copy_n(ids, count, entry.ids);
}

//===----------------------------------------------------------------------===//
// Construction
//===----------------------------------------------------------------------===//

/// Whether text can become this piece by merging.
static bool isReachable(const TokenizerModel &model, const Piece &piece) {
  if (piece.text.empty())
    return false;
  if (model.rule == MergeRule::Ranked)
    return piece.type == PieceType::Normal;
  return piece.type == PieceType::Normal ||
         piece.type == PieceType::UserDefined ||
         piece.type == PieceType::Unused;
}

Bpe::Bpe(const TokenizerModel &model)
    : model(model), index(model.pieces.size()),
      pairs(model.rule == MergeRule::Ranked ? model.merges.size()
                                            : model.pieces.size() * 2) {
  byteSymbols.fill(none);
  fallbackIds.fill(-1);
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece &piece = model.pieces[id];
    if (isReachable(model, piece))
      index.insert(piece.text, static_cast<int32_t>(id));
    hasUnused |= piece.type == PieceType::Unused && !piece.text.empty();
  }
  size_t singles = model.unit == SymbolUnit::Bytes ? 256 : 128;
  for (size_t byte = 0; byte < singles; ++byte) {
    char c = static_cast<char>(byte);
    int32_t id = index.find(std::string_view(&c, 1));
    if (id >= 0)
      byteSymbols[byte] = static_cast<uint32_t>(id);
  }
  if (model.byteFallback) {
    hasFallback = true;
    for (size_t id = 0; id < model.pieces.size(); ++id) {
      int byte = byteOfPiece(model.pieces[id].text);
      if (byte >= 0 && fallbackIds[byte] < 0)
        fallbackIds[byte] = static_cast<int32_t>(id);
    }
    for (int32_t id : fallbackIds)
      hasFallback &= id >= 0;
  }
  if (model.unigram)
    return; // not run
  if (model.rule == MergeRule::Ranked)
    addRankedMerges();
  else
    addScoredMerges();
  findWordBreaks();
}

void Bpe::addRankedMerges() {
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge &merge = model.merges[rank];
    pairs.insert(
        {static_cast<uint32_t>(merge.left), static_cast<uint32_t>(merge.right),
         static_cast<uint32_t>(model.ranksAreIds ? merge.result : rank),
         static_cast<uint32_t>(merge.result)});
  }
}

uint32_t Bpe::symbolOrNew(std::string_view character) {
  int32_t id = index.find(character);
  if (id < 0) {
    id = static_cast<int32_t>(model.pieces.size() + extraChars.size());
    extraChars.push_back(character);
    index.insert(character, id);
    if (character.size() == 1)
      byteSymbols[static_cast<unsigned char>(character[0])] =
          static_cast<uint32_t>(id);
  }
  return static_cast<uint32_t>(id);
}

void Bpe::addScoredMerges() {
  // Equal scores get equal ranks; then the place in the text decides.
  std::vector<double> scores;
  for (const Piece &piece : model.pieces)
    if (isReachable(model, piece))
      scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());

  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece &piece = model.pieces[id];
    if (!isReachable(model, piece))
      continue;
    std::string_view text = piece.text;
    // Of pieces with the same text only the first can come about.
    if (index.find(text) != static_cast<int32_t>(id))
      continue;
    auto rank =
        static_cast<uint32_t>(std::lower_bound(scores.begin(), scores.end(),
                                               piece.score, std::greater<>()) -
                              scores.begin());
    size_t firstLength = unicode::charLength(text[0]);
    for (size_t cut = firstLength; cut < text.size();
         cut += unicode::charLength(text[cut])) {
      std::string_view left = text.substr(0, cut), right = text.substr(cut);
      bool isRightChar = unicode::charLength(right[0]) == right.size();
      int32_t leftId = cut == firstLength
                           ? static_cast<int32_t>(symbolOrNew(left))
                           : index.find(left);
      int32_t rightId = isRightChar ? static_cast<int32_t>(symbolOrNew(right))
                                    : index.find(right);
      if (leftId >= 0 && rightId >= 0)
        pairs.insert({static_cast<uint32_t>(leftId),
                      static_cast<uint32_t>(rightId), rank,
                      static_cast<uint32_t>(id)});
    }
  }
}

void Bpe::findWordBreaks() {
  if (model.unit == SymbolUnit::Bytes || model.ignoreMerges ||
      index.find(blank) < 0)
    return;
  breaksAtBlanks = true;
  for (const Piece &piece : model.pieces) {
    if (!isReachable(model, piece))
      continue;
    std::string_view text = piece.text;
    while (text.starts_with(blank))
      text.remove_prefix(blank.size());
    if (text.find(blank) != text.npos)
      breaksAtBlanks = false;
  }
}

//===----------------------------------------------------------------------===//
// Encoding
//===----------------------------------------------------------------------===//

uint32_t Bpe::symbolOf(std::string_view character) const {
  if (character.size() == 1)
    return byteSymbols[static_cast<unsigned char>(character[0])];
  int32_t id = index.find(character);
  return id < 0 ? none : static_cast<uint32_t>(id);
}

void Bpe::encode(std::string_view text, Scratch &scratch,
                 std::vector<int32_t> &ids) const {
  if (!breaksAtBlanks)
    return encodeWord(text, scratch, ids);
  while (!text.empty()) {
    // A word is blanks and what follows them up to the next blank.
    size_t end = 0;
    while (text.substr(end, blank.size()) == blank)
      end += blank.size();
    end = std::min(text.find(blank, end), text.size());
    encodeWord(text.substr(0, end), scratch, ids);
    text.remove_prefix(end);
  }
}

void Bpe::encodeWord(std::string_view word, Scratch &scratch,
                     std::vector<int32_t> &ids) const {
  if (word.size() > UINT32_MAX - 1)
    throw Error("a word of " + std::to_string(word.size()) +
                " bytes is longer than the tokenizer can take");
  bool isCached = word.size() <= WordCache::maxBytes;
  uint64_t hash = 0;
  if (isCached) {
    hash = hashText(word);
    if (scratch.cache.find(word, hash, ids))
      return;
  }
  size_t before = ids.size();
  int32_t whole = model.ignoreMerges ? index.find(word) : -1;
  if (whole >= 0) {
    ids.push_back(whole);
  } else {
    startSymbols(word, scratch);
    if (scratch.symbols.size() <= maxShortWord)
      mergeShort(scratch);
    else
      mergeLong(scratch);
    if (model.rule == MergeRule::Scored)
      emitScored(word, scratch, ids);
    else
      ids.insert(ids.end(), scratch.symbols.begin(), scratch.symbols.end());
  }
  size_t count = ids.size() - before;
  if (isCached && count <= WordCache::maxIds)
    scratch.cache.insert(word, hash, ids.data() + before, count);
}

void Bpe::startSymbols(std::string_view word, Scratch &scratch) const {
  scratch.symbols.clear();
  scratch.begins.clear();
  scratch.unusedParts.clear();
  bool isUnknownPending = false;
  auto flushUnknown = [&] {
    if (isUnknownPending) {
      scratch.symbols.push_back(static_cast<uint32_t>(model.unknownId));
      scratch.begins.push_back(0);
      isUnknownPending = false;
    }
  };
  bool isBytes = model.unit == SymbolUnit::Bytes;
  for (size_t pos = 0; pos < word.size();) {
    size_t length = isBytes ? 1 : unicode::charLength(word[pos]);
    std::string_view character = word.substr(pos, length);
    uint32_t symbol = isBytes
                          ? byteSymbols[static_cast<unsigned char>(word[pos])]
                          : symbolOf(character);
    if (symbol != none || model.rule == MergeRule::Scored) {
      flushUnknown();
      scratch.symbols.push_back(symbol);
      scratch.begins.push_back(static_cast<uint32_t>(pos));
    } else {
      startUnknown(character, pos, scratch, isUnknownPending);
    }
    pos += length;
  }
  flushUnknown();
}

/// What Hugging Face's BPE does with a character that is not in the vocabulary
/// (models/bpe/model.rs, merge_word): pieces for its bytes if each has one,
/// else the unknown piece, else nothing.
void Bpe::startUnknown(std::string_view character, size_t begin,
                       Scratch &scratch, bool &isUnknownPending) const {
  // A byte's stand-in may have two bytes; where the unit is Bytes, there are no
  // fallback pieces to look for (validate() sees to that).
  bool hasAll = model.byteFallback;
  for (char c : character)
    hasAll &= fallbackIds[static_cast<unsigned char>(c)] >= 0;
  if (hasAll) {
    for (char c : character) {
      scratch.symbols.push_back(
          static_cast<uint32_t>(fallbackIds[static_cast<unsigned char>(c)]));
      scratch.begins.push_back(static_cast<uint32_t>(begin));
    }
    return;
  }
  if (model.unknownId < 0)
    return;
  if (isUnknownPending && !model.fuseUnknown) {
    scratch.symbols.push_back(static_cast<uint32_t>(model.unknownId));
    scratch.begins.push_back(static_cast<uint32_t>(begin));
  }
  isUnknownPending = true;
}

/// Notes the rank of the pair of symbols \p left and \p right at \p left.
void Bpe::findPair(size_t left, size_t right, Scratch &scratch) const {
  uint32_t a = scratch.symbols[left], b = scratch.symbols[right];
  const PairIndex::Entry *entry =
      a == none || b == none ? nullptr : pairs.find(a, b);
  scratch.ranks[left] = entry ? entry->rank : none;
  scratch.results[left] = entry ? entry->result : none;
  if (entry && hasUnused && model.rule == MergeRule::Scored &&
      model.pieces[entry->result].type == PieceType::Unused)
    scratch.unusedParts[entry->result] = {a, b};
}

void Bpe::mergeShort(Scratch &scratch) const {
  std::vector<uint32_t> &symbols = scratch.symbols, &begins = scratch.begins;
  std::vector<uint32_t> &ranks = scratch.ranks, &results = scratch.results;
  size_t count = symbols.size();
  ranks.assign(count, none);
  results.resize(count);
  for (size_t i = 0; i + 1 < count; ++i)
    findPair(i, i + 1, scratch);
  while (count > 1) {
    size_t best = std::min_element(ranks.begin(), ranks.begin() + count - 1) -
                  ranks.begin();
    if (ranks[best] == none)
      break;
    symbols[best] = results[best];
    auto drop = [&](std::vector<uint32_t> &list) {
      std::copy(list.begin() + best + 2, list.begin() + count,
                list.begin() + best + 1);
    };
    drop(symbols);
    drop(begins);
    drop(ranks);
    drop(results);
    --count;
    if (best > 0)
      findPair(best - 1, best, scratch);
    if (best + 1 < count)
      findPair(best, best + 1, scratch);
    else
      ranks[best] = none;
  }
  symbols.resize(count);
  begins.resize(count);
}

void Bpe::mergeLong(Scratch &scratch) const {
  std::vector<uint32_t> &symbols = scratch.symbols, &begins = scratch.begins;
  std::vector<uint32_t> &ranks = scratch.ranks;
  std::vector<uint32_t> &next = scratch.next, &previous = scratch.previous;
  std::vector<uint64_t> &heap = scratch.heap;
  size_t count = symbols.size();
  ranks.assign(count, none);
  scratch.results.resize(count);
  next.resize(count);
  previous.resize(count);
  heap.clear();
  // The smallest (rank, place) is on top. An entry whose rank is no longer the
  // one noted at its place is out of date.
  auto queuePair = [&](uint32_t left, uint32_t right) {
    findPair(left, right, scratch);
    if (ranks[left] != none)
      heap.push_back(static_cast<uint64_t>(ranks[left]) << 32 | left);
    return ranks[left] != none;
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i - 1; // none for the first
    next[i] = i + 1 < count ? i + 1 : none;
    if (i + 1 < count)
      queuePair(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    uint64_t top = heap.back();
    heap.pop_back();
    auto left = static_cast<uint32_t>(top);
    if (ranks[left] != top >> 32)
      continue;
    uint32_t right = next[left];
    symbols[left] = scratch.results[left];
    ranks[left] = ranks[right] = none;
    next[left] = next[right];
    // Marks `right` as joined to something on its left.
    previous[right] = right;
    if (next[left] != none) {
      previous[next[left]] = left;
      if (queuePair(left, next[left]))
        std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
    if (previous[left] != none && queuePair(previous[left], left))
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  size_t kept = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (previous[i] == i)
      continue;
    symbols[kept] = symbols[i];
    begins[kept++] = begins[i];
  }
  symbols.resize(kept);
  begins.resize(kept);
}

/// SentencePiece's last steps: unused pieces are taken apart again, and what is
/// no piece becomes bytes or the unknown piece (sentencepiece_processor.cc).
void Bpe::emitScored(std::string_view word, Scratch &scratch,
                     std::vector<int32_t> &ids) const {
  bool wasUnknown = false;
  auto emitUnknown = [&](std::string_view text) {
    if (hasFallback) {
      for (char c : text)
        ids.push_back(fallbackIds[static_cast<unsigned char>(c)]);
    } else if (model.unknownId >= 0 && !wasUnknown) {
      ids.push_back(model.unknownId);
    }
    wasUnknown = true;
  };
  for (size_t i = 0; i < scratch.symbols.size(); ++i) {
    size_t begin = scratch.begins[i];
    size_t end =
        i + 1 < scratch.symbols.size() ? scratch.begins[i + 1] : word.size();
    scratch.pending.assign(1, scratch.symbols[i]);
    while (!scratch.pending.empty()) {
      uint32_t symbol = scratch.pending.back();
      scratch.pending.pop_back();
      if (symbol == none) {
        emitUnknown(word.substr(begin, end - begin));
        continue;
      }
      if (symbol >= model.pieces.size()) {
        emitUnknown(extraChars[symbol - model.pieces.size()]);
        continue;
      }
      auto parts = scratch.unusedParts.find(symbol);
      if (model.pieces[symbol].type == PieceType::Unused &&
          parts != scratch.unusedParts.end()) {
        scratch.pending.push_back(parts->second.second);
        scratch.pending.push_back(parts->second.first);
        continue;
      }
      ids.push_back(static_cast<int32_t>(symbol));
      wasUnknown = false;
    }
  }
}

} // namespace qrt
