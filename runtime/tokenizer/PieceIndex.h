//===- PieceIndex.h - Hash maps of pieces and of pairs ----------*- C++ -*-===//
//
// Two open-addressing maps that are built once and then only read.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_PIECEINDEX_H
#define QRT_TOKENIZER_PIECEINDEX_H

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace qrt {

/// A 64-bit hash of \p text, eight bytes at a time.
inline uint64_t hashText(std::string_view text) {
  constexpr uint64_t factor = 0x9e3779b97f4a7c15ull;
  auto mix = [](uint64_t value) {
    unsigned __int128 product = static_cast<unsigned __int128>(value) * factor;
    return static_cast<uint64_t>(product) ^
           static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = factor ^ text.size();
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word);
    text.remove_prefix(8);
  }
  uint64_t tail = 0;
  if (!text.empty())
    std::memcpy(&tail, text.data(), text.size());
  return mix(hash ^ tail);
}

/// From a text to an id. The texts belong to someone else and must outlive it.
class PieceIndex {
public:
  explicit PieceIndex(size_t expected);

  /// Of equal texts the first counts.
  void insert(std::string_view text, int32_t id);

  /// -1: not there.
  int32_t find(std::string_view text) const;

private:
  struct Slot {
    std::string_view text;
    uint32_t hash = 0;
    int32_t id = -1;
  };
  void grow();
  std::vector<Slot> slots;
  size_t count = 0;
};

/// From a pair of symbols to the rank of its merge and what it becomes.
class PairIndex {
public:
  struct Entry {
    uint32_t left, right;
    uint32_t rank;
    uint32_t result;
  };
  static constexpr uint32_t none = ~0u;

  explicit PairIndex(size_t expected);

  /// Of equal pairs the last counts.
  void insert(Entry entry);

  const Entry *find(uint32_t left, uint32_t right) const {
    for (size_t slot = hash(left, right);; slot = (slot + 1) & mask) {
      const Entry &entry = slots[slot];
      if (entry.left == left && entry.right == right)
        return &entry;
      if (entry.rank == none)
        return nullptr;
    }
  }

private:
  size_t hash(uint32_t left, uint32_t right) const {
    uint64_t key =
        (static_cast<uint64_t>(left) << 32 | right) * 0x9e3779b97f4a7c15ull;
    return (key ^ key >> 32) & mask;
  }
  void grow();

  std::vector<Entry> slots;
  size_t mask = 0, count = 0;
};

} // namespace qrt

#endif // QRT_TOKENIZER_PIECEINDEX_H
