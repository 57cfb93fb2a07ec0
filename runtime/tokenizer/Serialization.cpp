//===- Serialization.cpp - A tokenizer as a FlatBuffer --------------------===//
//
// tokenizer.fbs is the layout. Reading trusts nothing: FlatBuffers' verifier
// checks the structure, the code here checks lengths that belong together and
// ranges of enumerations, and validate() the rest.
//
//===----------------------------------------------------------------------===//

#include "runtime/support/Error.h"
#include "runtime/tokenizer/TokenizerModel.h"
#include "runtime/tokenizer/tokenizer_generated.h"

#include <algorithm>

namespace qrt {

namespace {

constexpr uint32_t formatVersion = 1;

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

class Writer {
public:
  std::vector<uint8_t> run(const TokenizerModel &model) {
    auto pieces = packPieces(model);
    std::vector<int32_t> mergeIds;
    mergeIds.reserve(model.merges.size() * 3);
    for (const Merge &merge : model.merges)
      mergeIds.insert(mergeIds.end(), {merge.left, merge.right, merge.result});
    auto merges = builder.CreateVector(mergeIds);
    auto addedTokens = list<fbs::AddedToken>(model.addedTokens);
    auto normalizers = list<fbs::NormalizerStep>(model.normalizers);
    auto preTokenizers = list<fbs::PreTokenizerStep>(model.preTokenizers);
    auto decoders = list<fbs::DecoderStep>(model.decoders);
    auto sentencePiece = write(model.sentencePiece);
    auto prefixIds = builder.CreateVector(model.prefixIds);
    auto suffixIds = builder.CreateVector(model.suffixIds);

    fbs::TokenizerBuilder table(builder);
    table.add_version(formatVersion);
    table.add_rule(static_cast<uint8_t>(model.rule));
    table.add_unit(static_cast<uint8_t>(model.unit));
    table.add_piece_bytes(pieces.bytes);
    table.add_piece_ends(pieces.ends);
    table.add_piece_types(pieces.types);
    if (!pieces.scores.IsNull())
      table.add_piece_scores(pieces.scores);
    if (!pieces.scores64.IsNull())
      table.add_piece_scores64(pieces.scores64);
    table.add_merges(merges);
    table.add_added_tokens(addedTokens);
    table.add_normalizers(normalizers);
    table.add_pre_tokenizers(preTokenizers);
    table.add_decoders(decoders);
    table.add_sentence_piece(sentencePiece);
    table.add_ignore_merges(model.ignoreMerges);
    table.add_byte_fallback(model.byteFallback);
    table.add_fuse_unknown(model.fuseUnknown);
    table.add_unigram(model.unigram);
    table.add_ranks_are_ids(model.ranksAreIds);
    table.add_unknown_id(model.unknownId);
    table.add_bos_id(model.bosId);
    table.add_eos_id(model.eosId);
    table.add_prefix_ids(prefixIds);
    table.add_suffix_ids(suffixIds);
    fbs::FinishTokenizerBuffer(builder, table.Finish());
    return {builder.GetBufferPointer(),
            builder.GetBufferPointer() + builder.GetSize()};
  }

private:
  using Bytes = flatbuffers::Offset<flatbuffers::Vector<uint8_t>>;

  struct PackedPieces {
    Bytes bytes, types;
    flatbuffers::Offset<flatbuffers::Vector<uint32_t>> ends;
    flatbuffers::Offset<flatbuffers::Vector<float>> scores;
    flatbuffers::Offset<flatbuffers::Vector<double>> scores64;
  };

  PackedPieces packPieces(const TokenizerModel &model) {
    std::string text;
    std::vector<uint32_t> ends;
    std::vector<uint8_t> types;
    std::vector<double> scores;
    for (const Piece &piece : model.pieces) {
      text += piece.text;
      if (text.size() > UINT32_MAX / 4)
        throw Error("the pieces have more than " +
                        std::to_string(UINT32_MAX / 4) + " bytes",
                    "pieces of the tokenizer");
      ends.push_back(static_cast<uint32_t>(text.size()));
      types.push_back(static_cast<uint8_t>(piece.type));
      scores.push_back(piece.score);
    }
    PackedPieces packed;
    packed.bytes = bytes(text);
    packed.ends = builder.CreateVector(ends);
    packed.types = builder.CreateVector(types);
    auto any = [&](auto predicate) {
      return std::any_of(scores.begin(), scores.end(), predicate);
    };
    if (any([](double s) { return s != static_cast<float>(s); }))
      packed.scores64 = builder.CreateVector(scores);
    else if (any([](double score) { return score != 0; }))
      packed.scores = builder.CreateVector(
          std::vector<float>(scores.begin(), scores.end()));
    return packed;
  }

  Bytes bytes(const std::string &text) {
    return builder.CreateVector(reinterpret_cast<const uint8_t *>(text.data()),
                                text.size());
  }

  template <typename Table, typename Item>
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Table>>>
  list(const std::vector<Item> &items) {
    std::vector<flatbuffers::Offset<Table>> offsets;
    for (const Item &item : items)
      offsets.push_back(write(item));
    return builder.CreateVector(offsets);
  }

  flatbuffers::Offset<fbs::Pattern> write(const TextPattern &pattern) {
    return fbs::CreatePattern(builder, bytes(pattern.text), pattern.isRegex);
  }

  flatbuffers::Offset<fbs::AddedToken> write(const AddedToken &token) {
    return fbs::CreateAddedToken(builder, bytes(token.content), token.id,
                                 token.special, token.lstrip, token.rstrip,
                                 token.normalized, token.singleWord);
  }

  flatbuffers::Offset<fbs::NormalizerStep> write(const NormalizerStep &step) {
    auto pattern = write(step.pattern);
    return fbs::CreateNormalizerStep(builder, static_cast<uint8_t>(step.kind),
                                     pattern, bytes(step.content), step.left,
                                     step.right);
  }

  flatbuffers::Offset<fbs::PreTokenizerStep>
  write(const PreTokenizerStep &step) {
    auto pattern = write(step.pattern);
    return fbs::CreatePreTokenizerStep(
        builder, static_cast<uint8_t>(step.kind), pattern, bytes(step.content),
        static_cast<uint8_t>(step.behavior), static_cast<uint8_t>(step.scheme),
        step.addPrefixSpace, step.useRegex, step.invert, step.individual,
        step.split);
  }

  flatbuffers::Offset<fbs::DecoderStep> write(const DecoderStep &step) {
    auto pattern = write(step.pattern);
    return fbs::CreateDecoderStep(
        builder, static_cast<uint8_t>(step.kind), pattern, bytes(step.content),
        static_cast<uint8_t>(step.scheme), step.start, step.stop, step.cleanup);
  }

  flatbuffers::Offset<fbs::SentencePieceSpec>
  write(const SentencePieceSpec &spec) {
    auto charsmap = bytes(spec.charsmap);
    return fbs::CreateSentencePieceSpec(
        builder, spec.addDummyPrefix, spec.prefixOnlyFirst,
        spec.removeExtraWhitespaces, spec.escapeWhitespaces,
        spec.whitespaceAsSuffix, charsmap, bytes(spec.unknownSurface));
  }

  flatbuffers::FlatBufferBuilder builder;
};

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

const char *const readerWhere = "the tokenizer's data";

using FbBytes = flatbuffers::Vector<uint8_t>;

std::string readBytes(const FbBytes *bytes) {
  if (!bytes)
    return {};
  return {reinterpret_cast<const char *>(bytes->data()), bytes->size()};
}

TextPattern readPattern(const fbs::Pattern *pattern) {
  if (!pattern)
    return {};
  return {readBytes(pattern->text()), pattern->is_regex()};
}

// Values of enumerations are checked by validate(), which sees the underlying
// byte.

AddedToken read(const fbs::AddedToken &token) {
  return {readBytes(token.content()),
          token.id(),
          token.special(),
          token.lstrip(),
          token.rstrip(),
          token.normalized(),
          token.single_word()};
}

NormalizerStep read(const fbs::NormalizerStep &step) {
  return {static_cast<NormalizerKind>(step.kind()), readPattern(step.pattern()),
          readBytes(step.content()), step.left(), step.right()};
}

PreTokenizerStep read(const fbs::PreTokenizerStep &step) {
  PreTokenizerStep result;
  result.kind = static_cast<PreTokenizerKind>(step.kind());
  result.pattern = readPattern(step.pattern());
  result.content = readBytes(step.content());
  result.behavior = static_cast<SplitBehavior>(step.behavior());
  result.scheme = static_cast<PrependScheme>(step.scheme());
  result.addPrefixSpace = step.add_prefix_space();
  result.useRegex = step.use_regex();
  result.invert = step.invert();
  result.individual = step.individual();
  result.split = step.split();
  return result;
}

DecoderStep read(const fbs::DecoderStep &step) {
  return {static_cast<DecoderKind>(step.kind()),
          readPattern(step.pattern()),
          readBytes(step.content()),
          static_cast<PrependScheme>(step.scheme()),
          step.start(),
          step.stop(),
          step.cleanup()};
}

template <typename Item, typename Table>
void readList(std::vector<Item> &items,
              const flatbuffers::Vector<flatbuffers::Offset<Table>> *tables) {
  if (!tables)
    return;
  for (const Table *table : *tables)
    items.push_back(read(*table));
}

void readIds(std::vector<int32_t> &ids,
             const flatbuffers::Vector<int32_t> *source) {
  if (source)
    ids.assign(source->begin(), source->end());
}

void readPieces(std::vector<Piece> &pieces, const fbs::Tokenizer &table) {
  const FbBytes *bytes = table.piece_bytes(), *types = table.piece_types();
  const auto *ends = table.piece_ends();
  const auto *scores = table.piece_scores();
  const auto *scores64 = table.piece_scores64();
  if (!bytes || !types || !ends || types->size() != ends->size() ||
      (scores && scores->size() != ends->size()) ||
      (scores64 && scores64->size() != ends->size()))
    throw Error("piece_bytes, piece_ends, piece_types and piece_scores do not "
                "go together",
                readerWhere);
  std::string_view text(reinterpret_cast<const char *>(bytes->data()),
                        bytes->size());
  pieces.reserve(ends->size());
  uint32_t begin = 0;
  for (uint32_t i = 0; i < ends->size(); ++i) {
    uint32_t end = ends->Get(i);
    if (end < begin || end > text.size())
      throw Error("piece_ends[" + std::to_string(i) + "] is " +
                      std::to_string(end) + ", not between " +
                      std::to_string(begin) + " and " +
                      std::to_string(text.size()),
                  readerWhere);
    pieces.push_back({std::string(text.substr(begin, end - begin)),
                      scores64 ? scores64->Get(i)
                      : scores ? scores->Get(i)
                               : 0,
                      static_cast<PieceType>(types->Get(i))});
    begin = end;
  }
}

} // namespace

std::vector<uint8_t> serialize(const TokenizerModel &model) {
  return Writer().run(model);
}

TokenizerModel deserialize(std::span<const uint8_t> data) {
  // The verifier and the accessors want aligned data.
  std::vector<uint8_t> copy;
  if (reinterpret_cast<uintptr_t>(data.data()) % 8 != 0) {
    copy.assign(data.begin(), data.end());
    data = copy;
  }
  if (data.size() < 8 || data.size() > FLATBUFFERS_MAX_BUFFER_SIZE - 1 ||
      !fbs::TokenizerBufferHasIdentifier(data.data()))
    throw Error(std::to_string(data.size()) +
                    " bytes that do not start with the mark QTOK",
                readerWhere);
  flatbuffers::Verifier verifier(data.data(), data.size(), /*max_depth=*/16,
                                 /*max_tables=*/1u << 22);
  if (!fbs::VerifyTokenizerBuffer(verifier))
    throw Error("the FlatBuffer of " + std::to_string(data.size()) +
                    " bytes is damaged",
                readerWhere);
  const fbs::Tokenizer &table = *fbs::GetTokenizer(data.data());
  if (table.version() != formatVersion)
    throw Error("version " + std::to_string(table.version()) +
                    " is not the known " + std::to_string(formatVersion),
                readerWhere);

  TokenizerModel model;
  model.rule = static_cast<MergeRule>(table.rule());
  model.unit = static_cast<SymbolUnit>(table.unit());
  readPieces(model.pieces, table);
  if (const auto *merges = table.merges()) {
    if (merges->size() % 3 != 0)
      throw Error("merges has " + std::to_string(merges->size()) +
                      " numbers, not three each",
                  readerWhere);
    model.merges.reserve(merges->size() / 3);
    for (uint32_t i = 0; i < merges->size(); i += 3)
      model.merges.push_back(
          {merges->Get(i), merges->Get(i + 1), merges->Get(i + 2)});
  }
  readList(model.addedTokens, table.added_tokens());
  readList(model.normalizers, table.normalizers());
  readList(model.preTokenizers, table.pre_tokenizers());
  readList(model.decoders, table.decoders());
  if (const fbs::SentencePieceSpec *spec = table.sentence_piece()) {
    SentencePieceSpec &target = model.sentencePiece;
    target.addDummyPrefix = spec->add_dummy_prefix();
    target.prefixOnlyFirst = spec->prefix_only_first();
    target.removeExtraWhitespaces = spec->remove_extra_whitespaces();
    target.escapeWhitespaces = spec->escape_whitespaces();
    target.whitespaceAsSuffix = spec->whitespace_as_suffix();
    target.charsmap = readBytes(spec->charsmap());
    target.unknownSurface = readBytes(spec->unknown_surface());
  }
  model.ignoreMerges = table.ignore_merges();
  model.byteFallback = table.byte_fallback();
  model.fuseUnknown = table.fuse_unknown();
  model.unigram = table.unigram();
  model.ranksAreIds = table.ranks_are_ids();
  model.unknownId = table.unknown_id();
  model.bosId = table.bos_id();
  model.eosId = table.eos_id();
  readIds(model.prefixIds, table.prefix_ids());
  readIds(model.suffixIds, table.suffix_ids());
  validate(model);
  return model;
}

} // namespace qrt
