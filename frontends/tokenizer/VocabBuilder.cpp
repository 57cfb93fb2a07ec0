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

void addMerge(std::string_view left, std::string_view right,
              const TokenIds &ids, TokenizerModel &model,
              const std::string &where, const std::string &file) {
  auto find = [&](const std::string &text) {
    int32_t id = ids.find(text);
    if (id < 0)
      throw Error("'" + where + "' has '" + text.substr(0, 64) +
                      "', which is not in the vocabulary",
                  file);
    return id;
  };
  std::string joined(left);
  int32_t leftId = find(joined);
  int32_t rightId = find(std::string(right));
  model.merges.push_back({leftId, rightId, find(joined.append(right))});
}

void readMerges(const JsonView &merges, const TokenIds &ids,
                TokenizerModel &model) {
  model.merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    JsonView merge = merges[i];
    if (merge.isArray()) {
      if (merge.size() != 2)
        merge.fail("has " + std::to_string(merge.size()) + " parts, not two");
      addMerge(merge[0].string(), merge[1].string(), ids, model,
               merge.pathName(), merge.fileName());
      continue;
    }
    std::string_view text = merge.string();
    if (text.starts_with("#version"))
      continue;
    size_t cut = text.find(' ');
    if (cut == text.npos || text.find(' ', cut + 1) != text.npos)
      merge.fail("does not have two parts");
    addMerge(text.substr(0, cut), text.substr(cut + 1), ids, model,
             merge.pathName(), merge.fileName());
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
