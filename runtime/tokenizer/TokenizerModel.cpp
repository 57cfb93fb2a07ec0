//===- TokenizerModel.cpp - Checks a tokenizer's data ---------------------===//

#include "runtime/tokenizer/TokenizerModel.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <algorithm>
#include <cmath>

namespace qrt {

int byteOfPiece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>')
    return -1;
  int value = 0;
  for (char c : text.substr(3, 2)) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                       : -1;
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

namespace {

/// Checks one model; every message names the field.
class Validator {
public:
  explicit Validator(const TokenizerModel &model) : model(model) {}

  void run() {
    checkEnum(static_cast<unsigned>(model.rule), 1, "rule");
    checkEnum(static_cast<unsigned>(model.unit), 1, "unit");
    checkPieces();
    for (size_t i = 0; i < model.merges.size(); ++i) {
      checkId(model.merges[i].left, at("merges", i) + ".left");
      checkId(model.merges[i].right, at("merges", i) + ".right");
      checkId(model.merges[i].result, at("merges", i) + ".result");
    }
    for (size_t i = 0; i < model.addedTokens.size(); ++i)
      checkAddedToken(model.addedTokens[i], at("addedTokens", i));
    for (size_t i = 0; i < model.normalizers.size(); ++i)
      checkNormalizer(model.normalizers[i], at("normalizers", i));
    checkPreTokenizers();
    checkDecoders();
    checkOptionalId(model.unknownId, "unknownId");
    checkOptionalId(model.bosId, "bosId");
    checkOptionalId(model.eosId, "eosId");
    for (size_t i = 0; i < model.prefixIds.size(); ++i)
      checkId(model.prefixIds[i], at("prefixIds", i));
    for (size_t i = 0; i < model.suffixIds.size(); ++i)
      checkId(model.suffixIds[i], at("suffixIds", i));
    checkTogether();
  }

private:
  static constexpr size_t maxSteps = 64;
  static constexpr size_t maxSpecialIds = 64;

  [[noreturn]] static void fail(const std::string &what,
                                const std::string &field) {
    throw Error(what, field + " of the tokenizer");
  }

  static std::string at(const char *list, size_t index) {
    return std::string(list) + "[" + std::to_string(index) + "]";
  }

  static void checkEnum(unsigned value, unsigned max,
                        const std::string &field) {
    if (value > max)
      fail("the value " + std::to_string(value) + " is not known (at most " +
               std::to_string(max) + ")",
           field);
  }

  void checkId(int32_t id, const std::string &field) const {
    if (id < 0 || static_cast<size_t>(id) >= model.pieces.size())
      fail("the id " + std::to_string(id) + " is not one of " +
               std::to_string(model.pieces.size()),
           field);
  }

  void checkOptionalId(int32_t id, const std::string &field) const {
    if (id != -1)
      checkId(id, field);
  }

  static void checkText(std::string_view text, size_t maxBytes,
                        const std::string &field) {
    if (text.size() > maxBytes)
      fail("the text has " + std::to_string(text.size()) +
               " bytes, more than " + std::to_string(maxBytes),
           field);
    if (!unicode::isValidUtf8(text))
      fail("the text is not UTF-8", field);
  }

  static void checkNotEmpty(std::string_view text, const std::string &field) {
    if (text.empty())
      fail("the text is empty", field);
  }

  void checkPieces() const {
    if (model.pieces.empty() || model.pieces.size() > maxPieces)
      fail("there are " + std::to_string(model.pieces.size()) +
               " pieces, not 1 to " + std::to_string(maxPieces),
           "pieces");
    for (size_t i = 0; i < model.pieces.size(); ++i) {
      const Piece &piece = model.pieces[i];
      auto type = static_cast<unsigned>(piece.type);
      if (type < 1 || type > 6)
        fail("the type " + std::to_string(type) + " is not known",
             at("pieces", i) + ".type");
      if (piece.text.size() > maxPieceBytes)
        fail("the text has " + std::to_string(piece.text.size()) +
                 " bytes, more than " + std::to_string(maxPieceBytes),
             at("pieces", i) + ".text");
      if (model.unit == SymbolUnit::Characters &&
          !unicode::isValidUtf8(piece.text))
        fail("the text is not UTF-8", at("pieces", i) + ".text");
      if (!std::isfinite(piece.score))
        fail("the score is not finite", at("pieces", i) + ".score");
      if (piece.type == PieceType::Byte && byteOfPiece(piece.text) < 0)
        fail("the piece of a byte is not written <0xNN>",
             at("pieces", i) + ".text");
    }
  }

  void checkAddedToken(const AddedToken &token,
                       const std::string &field) const {
    checkId(token.id, field + ".id");
    checkText(token.content, maxAddedTokenBytes, field + ".content");
  }

  static void checkPattern(const TextPattern &pattern,
                           const std::string &field) {
    checkText(pattern.text, maxPatternBytes, field + ".pattern");
    checkNotEmpty(pattern.text, field + ".pattern");
  }

  static void checkNormalizer(const NormalizerStep &step,
                              const std::string &field) {
    checkEnum(static_cast<unsigned>(step.kind),
              static_cast<unsigned>(NormalizerKind::ByteLevel),
              field + ".kind");
    if (step.kind == NormalizerKind::Precompiled) {
      if (step.content.size() > maxCharsMapBytes)
        fail("the map has " + std::to_string(step.content.size()) +
                 " bytes, more than " + std::to_string(maxCharsMapBytes),
             field + ".content");
      return;
    }
    if (step.kind == NormalizerKind::Replace)
      checkPattern(step.pattern, field);
    checkText(step.content, maxPatternBytes, field + ".content");
  }

  void checkPreTokenizers() const {
    bool hasByteLevel = false;
    const bool isBytes = model.unit == SymbolUnit::Bytes;
    for (size_t i = 0; i < model.preTokenizers.size(); ++i) {
      const PreTokenizerStep &step = model.preTokenizers[i];
      std::string field = at("preTokenizers", i);
      checkEnum(static_cast<unsigned>(step.kind),
                static_cast<unsigned>(PreTokenizerKind::WhitespaceSplit),
                field + ".kind");
      checkEnum(static_cast<unsigned>(step.behavior),
                static_cast<unsigned>(SplitBehavior::Contiguous),
                field + ".behavior");
      checkEnum(static_cast<unsigned>(step.scheme),
                static_cast<unsigned>(PrependScheme::Never), field + ".scheme");
      checkText(step.content, maxPatternBytes, field + ".content");
      bool isByteLevel = step.kind == PreTokenizerKind::ByteLevel;
      bool isMetaspace = step.kind == PreTokenizerKind::Metaspace;
      if (isBytes && hasByteLevel && (isByteLevel || isMetaspace))
        fail("a second ByteLevel or a Metaspace cannot follow ByteLevel where "
             "symbols are bytes",
             field);
      hasByteLevel |= isByteLevel;
      if (step.kind == PreTokenizerKind::Split)
        checkPattern(step.pattern, field);
      if (isMetaspace)
        checkNotEmpty(step.content, field + ".content");
    }
    if (isBytes && !hasByteLevel)
      fail("symbols are bytes, but there is no ByteLevel", "preTokenizers");
  }

  void checkDecoders() const {
    size_t fallbacks = 0;
    for (size_t i = 0; i < model.decoders.size(); ++i) {
      const DecoderStep &step = model.decoders[i];
      std::string field = at("decoders", i);
      checkEnum(static_cast<unsigned>(step.kind),
                static_cast<unsigned>(DecoderKind::WordSuffix),
                field + ".kind");
      checkEnum(static_cast<unsigned>(step.scheme),
                static_cast<unsigned>(PrependScheme::Never), field + ".scheme");
      checkText(step.content, maxPatternBytes, field + ".content");
      if (step.kind == DecoderKind::Replace)
        checkPattern(step.pattern, field);
      if (step.kind == DecoderKind::Strip ||
          step.kind == DecoderKind::Metaspace ||
          step.kind == DecoderKind::WordPiece ||
          step.kind == DecoderKind::WordSuffix)
        checkNotEmpty(step.content, field + ".content");
      fallbacks += step.kind == DecoderKind::ByteFallback;
      bool isByteLevel = step.kind == DecoderKind::ByteLevel;
      if (model.unit == SymbolUnit::Bytes && isByteLevel != (i == 0))
        fail("ByteLevel stands first, and only there, where symbols are bytes",
             field);
    }
    if (model.unit == SymbolUnit::Bytes && model.decoders.empty())
      fail("symbols are bytes, but there is no ByteLevel", "decoders");
    if (fallbacks > 1)
      fail("there are " + std::to_string(fallbacks) + " ByteFallbacks, not one",
           "decoders");
  }

  void checkTogether() const {
    if (std::max({model.normalizers.size(), model.preTokenizers.size(),
                  model.decoders.size()}) > maxSteps)
      fail("there are more than " + std::to_string(maxSteps) + " steps",
           "normalizers, preTokenizers or decoders");
    if (std::max(model.prefixIds.size(), model.suffixIds.size()) >
        maxSpecialIds)
      fail("there are more than " + std::to_string(maxSpecialIds) + " ids",
           "prefixIds or suffixIds");
    checkText(model.sentencePiece.unknownSurface, maxPatternBytes,
              "sentencePiece.unknownSurface");
    if (model.unigram &&
        (!model.merges.empty() || model.unit != SymbolUnit::Characters))
      fail("a unigram model has no merges, and its unit is characters",
           "merges or unit");
    if (model.rule == MergeRule::Ranked)
      return;
    if (model.unit != SymbolUnit::Characters)
      fail("scored pieces are made of characters", "unit");
    if (!model.merges.empty() || !model.normalizers.empty() ||
        !model.preTokenizers.empty() || !model.decoders.empty())
      fail("scored pieces go with sentencePiece alone",
           "merges, normalizers, preTokenizers or decoders");
  }

  const TokenizerModel &model;
};

} // namespace

void validate(const TokenizerModel &model) { Validator(model).run(); }

} // namespace qrt
