//===- VocabBuilder.cpp - Vocabularies and merges from text ---------------===//

#include "frontends/tokenizer/VocabBuilder.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <bitset>

namespace qcc {

using namespace qrt;

TokenIds readVocab(const JsonView &vocab, TokenizerModel &model) {
  if (!vocab.isObject())
    vocab.fail("is not an object");
  // Ids may leave gaps, but not so many that a small file asks for much memory.
  size_t count = vocab.json().size();
  auto maxId = static_cast<int64_t>(count * 2 + (size_t(1) << 16));
  TokenIds ids;
  ids.byText.reserve(count);
  std::vector<bool> isTaken;
  for (const auto &[text, value] : vocab.json().items()) {
    JsonView entry(value, vocab.pathName() + "." + text.substr(0, 64),
                   vocab.fileName());
    auto id = static_cast<size_t>(entry.integer(0, maxId));
    if (id >= model.pieces.size()) {
      model.pieces.resize(id + 1, {"", 0, PieceType::Unused});
      isTaken.resize(id + 1);
    }
    if (isTaken[id])
      entry.fail("has the id " + std::to_string(id) +
                 ", which another piece has");
    isTaken[id] = true;
    Piece &piece = model.pieces[id];
    piece.type = PieceType::Normal;
    if (model.unit == SymbolUnit::Characters) {
      piece.text = text;
    } else if (!unicode::bytesFromStandIns(text, piece.text)) {
      piece.text = text;
      piece.type = PieceType::Unused;
    }
    ids.byText.emplace(text, static_cast<int32_t>(id));
  }
  return ids;
}

void MergeAdder::fail(size_t index, const std::string &what) const {
  throw Error("'" + list + "[" + std::to_string(index) + "]' " + what, file);
}

int32_t MergeAdder::find(const std::string &text, size_t index) const {
  int32_t id = ids.find(text);
  if (id < 0)
    fail(index,
         "has '" + text.substr(0, 64) + "', which is not in the vocabulary");
  return id;
}

void MergeAdder::add(std::string_view left, std::string_view right,
                     size_t index) {
  std::string joined(left);
  int32_t leftId = find(joined, index);
  int32_t rightId = find(std::string(right), index);
  model.merges.push_back({leftId, rightId, find(joined.append(right), index)});
}

void MergeAdder::addLine(std::string_view line, size_t index) {
  size_t cut = line.find(' ');
  if (cut == line.npos || line.find(' ', cut + 1) != line.npos)
    fail(index, "does not have two parts");
  add(line.substr(0, cut), line.substr(cut + 1), index);
}

void readMerges(const JsonView &merges, const TokenIds &ids,
                TokenizerModel &model) {
  MergeAdder adder(ids, model, merges.pathName(), merges.fileName());
  model.merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    JsonView merge = merges[i];
    if (merge.isArray()) {
      if (merge.size() != 2)
        merge.fail("has " + std::to_string(merge.size()) + " parts, not two");
      adder.add(merge[0].string(), merge[1].string(), i);
    } else if (!merge.string().starts_with("#version")) {
      adder.addLine(merge.string(), i);
    }
  }
}

bool hasEveryByte(const TokenizerModel &model) {
  std::bitset<256> bytes;
  for (const Piece &piece : model.pieces)
    if (piece.text.size() == 1 && piece.type == PieceType::Normal)
      bytes.set(static_cast<unsigned char>(piece.text[0]));
  return bytes.all();
}

} // namespace qcc
