//===- PieceIndex.cpp - Hash maps of pieces and of pairs ------------------===//

#include "runtime/tokenizer/PieceIndex.h"

#include <bit>

namespace qrt {

// Tables are at most half full.

PieceIndex::PieceIndex(size_t expected)
    : slots(std::bit_ceil(expected * 2 + 2)) {}

void PieceIndex::insert(std::string_view text, int32_t id) {
  if ((count + 1) * 2 > slots.size())
    grow();
  uint64_t hash = hashText(text);
  size_t mask = slots.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot &slot = slots[i];
    if (slot.id < 0) {
      slot = {text, static_cast<uint32_t>(hash >> 32), id};
      ++count;
      return;
    }
    if (slot.hash == static_cast<uint32_t>(hash >> 32) && slot.text == text)
      return;
  }
}

int32_t PieceIndex::find(std::string_view text) const {
  uint64_t hash = hashText(text);
  size_t mask = slots.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot &slot = slots[i];
    if (slot.id < 0)
      return -1;
    if (slot.hash == static_cast<uint32_t>(hash >> 32) && slot.text == text)
      return slot.id;
  }
}

void PieceIndex::grow() {
  std::vector<Slot> old(slots.size() * 2);
  old.swap(slots);
  count = 0;
  for (const Slot &slot : old)
    if (slot.id >= 0)
      insert(slot.text, slot.id);
}

PairIndex::PairIndex(size_t expected)
    : slots(std::bit_ceil(expected * 2 + 2), Entry{none, none, none, none}),
      mask(slots.size() - 1) {}

void PairIndex::insert(Entry entry) {
  if ((count + 1) * 2 > slots.size())
    grow();
  for (size_t slot = hash(entry.left, entry.right);; slot = (slot + 1) & mask) {
    Entry &old = slots[slot];
    bool isNew = old.rank == none;
    if (!isNew && (old.left != entry.left || old.right != entry.right))
      continue;
    old = entry;
    count += isNew;
    return;
  }
}

void PairIndex::grow() {
  std::vector<Entry> old(slots.size() * 2, Entry{none, none, none, none});
  old.swap(slots);
  mask = slots.size() - 1;
  count = 0;
  for (const Entry &entry : old)
    if (entry.rank != none)
      insert(entry);
}

} // namespace qrt
