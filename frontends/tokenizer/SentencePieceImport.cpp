//===- SentencePieceImport.cpp - Reads SentencePiece models ---------------===//
//
// sentencepiece_model.proto says which field is which.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/TokenizerImport.h"
#include "frontends/tokenizer/WireReader.h"
#include "runtime/support/Error.h"

#include <bitset>
#include <unordered_map>

namespace qcc {

using namespace qrt;

namespace {

class SentencePieceReader {
public:
  explicit SentencePieceReader(const std::string &where) : where(where) {
    model.rule = MergeRule::Scored;
    model.unit = SymbolUnit::Characters;
  }

  TokenizerModel run(std::string_view bytes) {
    WireReader reader(bytes, where);
    for (WireField field; reader.next(field);) {
      switch (field.number) {
      case 1: // pieces
        readPiece(bytesOf(field, "pieces"));
        break;
      case 2: // trainer_spec
        readTrainerSpec(bytesOf(field, "trainer_spec"));
        break;
      case 3: // normalizer_spec
        readNormalizerSpec(bytesOf(field, "normalizer_spec"));
        break;
      case 5: // denormalizer_spec
        readDenormalizerSpec(bytesOf(field, "denormalizer_spec"));
        break;
      default: // self_test_data, and extensions that are none of our concern
        break;
      }
    }
    finish();
    return std::move(model);
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw Error(what, where);
  }

  [[noreturn]] void failPiece(size_t index, const std::string &what) const {
    std::string name = "'pieces[";
    fail(name.append(std::to_string(index)).append("]' ").append(what));
  }

  void checkType(const WireField &field, WireField::Type type,
                 const char *name) const {
    if (field.type != type)
      fail(std::string(name) + " has the wire type " +
           std::to_string(field.type) + ", not " + std::to_string(type));
  }

  std::string_view bytesOf(const WireField &field, const char *name) const {
    checkType(field, WireField::Bytes, name);
    return field.bytes;
  }

  uint64_t numberOf(const WireField &field, const char *name) const {
    checkType(field, WireField::Varint, name);
    return field.value;
  }

  void readPiece(std::string_view message) {
    if (model.pieces.size() == maxPieces)
      fail("there are more than " + std::to_string(maxPieces) + " pieces");
    const size_t index = model.pieces.size();
    Piece piece;
    WireReader reader(message, where);
    for (WireField field; reader.next(field);) {
      if (field.number == 1) {
        piece.text = bytesOf(field, "pieces.piece");
      } else if (field.number == 2) {
        checkType(field, WireField::Fixed32, "pieces.score");
        piece.score = field.asFloat();
      } else if (field.number == 3) {
        uint64_t type = numberOf(field, "pieces.type");
        if (type < 1 || type > 6)
          failPiece(index,
                    "has the type " + std::to_string(type) + ", not 1 to 6");
        piece.type = static_cast<PieceType>(type);
      }
    }
    if (piece.text.empty())
      failPiece(index, "has no text");
    model.pieces.push_back(std::move(piece));
  }

  void readTrainerSpec(std::string_view message) {
    WireReader reader(message, where);
    for (WireField field; reader.next(field);) {
      switch (field.number) {
      case 3:
        modelType = numberOf(field, "trainer_spec.model_type");
        break;
      case 24:
        model.sentencePiece.whitespaceAsSuffix =
            numberOf(field, "trainer_spec.treat_whitespace_as_suffix") != 0;
        break;
      case 35:
        model.byteFallback = numberOf(field, "trainer_spec.byte_fallback") != 0;
        break;
      case 44:
        model.sentencePiece.unknownSurface =
            bytesOf(field, "trainer_spec.unk_surface");
        break;
      case 46:
        bosPiece = bytesOf(field, "trainer_spec.bos_piece");
        break;
      case 47:
        eosPiece = bytesOf(field, "trainer_spec.eos_piece");
        break;
      default: // How it was trained.
        break;
      }
    }
  }

  void readNormalizerSpec(std::string_view message) {
    SentencePieceSpec &spec = model.sentencePiece;
    WireReader reader(message, where);
    for (WireField field; reader.next(field);) {
      switch (field.number) {
      case 2:
        spec.charsmap = bytesOf(field, "normalizer_spec.precompiled_charsmap");
        break;
      case 3:
        spec.addDummyPrefix =
            numberOf(field, "normalizer_spec.add_dummy_prefix") != 0;
        break;
      case 4:
        spec.removeExtraWhitespaces =
            numberOf(field, "normalizer_spec.remove_extra_whitespaces") != 0;
        break;
      case 5:
        spec.escapeWhitespaces =
            numberOf(field, "normalizer_spec.escape_whitespaces") != 0;
        break;
      default: // The map's name, and the rules it was made from.
        break;
      }
    }
  }

  void readDenormalizerSpec(std::string_view message) {
    WireReader reader(message, where);
    for (WireField field; reader.next(field);)
      if (field.number == 2 &&
          !bytesOf(field, "denormalizer_spec.precompiled_charsmap").empty())
        fail("'denormalizer_spec.precompiled_charsmap' is not supported");
  }

  void finish() {
    // SentencePiece's default is 1, Unigram.
    static const char *const kinds[] = {"Unigram", "BPE", "Word", "Char"};
    if (modelType != 1 && modelType != 2)
      fail("'trainer_spec.model_type' is " + std::to_string(modelType) +
           (modelType == 3 || modelType == 4
                ? " (" + std::string(kinds[modelType - 1]) + ")"
                : "") +
           ", which is not supported (only 1, Unigram, and 2, BPE)");
    model.unigram = modelType == 1;
    std::unordered_map<std::string_view, int32_t> ids;
    std::bitset<256> fallbacks;
    for (size_t i = 0; i < model.pieces.size(); ++i) {
      const Piece &piece = model.pieces[i];
      auto id = static_cast<int32_t>(i);
      if (!ids.emplace(piece.text, id).second)
        failPiece(i, "has the text of another piece");
      int byte = byteOfPiece(piece.text);
      if (piece.type == PieceType::Byte && byte >= 0)
        fallbacks.set(byte);
      if (piece.type != PieceType::Unknown)
        continue;
      if (model.unknownId >= 0)
        fail("'pieces' has the unknown piece twice, " +
             std::to_string(model.unknownId) + " and " + std::to_string(i));
      model.unknownId = id;
    }
    if (model.unknownId < 0)
      fail("'pieces' has no unknown piece among " +
           std::to_string(model.pieces.size()));
    if (model.byteFallback && !fallbacks.all())
      fail("'trainer_spec.byte_fallback' is true, but there are pieces for "
           "only " +
           std::to_string(fallbacks.count()) + " of 256 bytes");
    auto findControl = [&](const std::string &text) {
      auto it = ids.find(text);
      return it != ids.end() &&
                     model.pieces[it->second].type == PieceType::Control
                 ? it->second
                 : -1;
    };
    model.bosId = findControl(bosPiece);
    model.eosId = findControl(eosPiece);
    setTemplate(model, /*addBos=*/true, /*addEos=*/false);
    validate(model);
  }

  const std::string &where;
  TokenizerModel model;
  uint64_t modelType = 1;
  std::string bosPiece = "<s>", eosPiece = "</s>";
};

} // namespace

TokenizerModel importSentencePiece(std::string_view bytes,
                                   const std::string &where) {
  return SentencePieceReader(where).run(bytes);
}

} // namespace qcc
