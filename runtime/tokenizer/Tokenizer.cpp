//===- Tokenizer.cpp - From text to token ids and back --------------------===//

#include "runtime/tokenizer/Tokenizer.h"

#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/Bpe.h"
#include "runtime/tokenizer/Decoder.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/PreTokenizer.h"
#include "runtime/tokenizer/SentencePieceNormalizer.h"
#include "runtime/tokenizer/Unicode.h"
#include "runtime/tokenizer/Unigram.h"

#include <mutex>
#include <optional>

namespace qrt {

namespace {

constexpr size_t maxKeptSymbols = size_t(1) << 18;

/// What one call of encode() needs; kept between calls.
struct EncodeScratch {
  Bpe::Scratch bpe;
  Unigram::Scratch unigram;
  WordCache words; ///< of the pre-tokenizers' first stage
  PreTokenizer::Scratch preTokenizer;
  RegexScratch regex;
  std::vector<AddedTokenPart> parts, normalizedParts;
  std::string valid, normalized;
};

/// Feeds words to the merges or, if there is one, to the unigram model.
class ModelSink final : public WordSink {
public:
  ModelSink(const Bpe &bpe, const std::optional<Unigram> &unigram,
            EncodeScratch &scratch, std::vector<int32_t> &ids)
      : bpe(bpe), unigram(unigram), scratch(scratch), ids(ids) {}

  void add(std::string_view word) override {
    if (unigram)
      addUnigram(word);
    else
      bpe.encode(word, scratch.bpe, ids);
  }

private:
  void addUnigram(std::string_view word) {
    WordCache &cache = scratch.bpe.cache;
    bool isCached = word.size() <= WordCache::maxBytes;
    uint64_t hash = isCached ? hashText(word) : 0;
    if (isCached && cache.find(word, hash, ids))
      return;
    size_t before = ids.size();
    unigram->encode(word, scratch.unigram, ids);
    size_t count = ids.size() - before;
    if (isCached && count <= WordCache::maxIds)
      cache.insert(word, hash, ids.data() + before, count);
  }

  const Bpe &bpe;
  const std::optional<Unigram> &unigram;
  EncodeScratch &scratch;
  std::vector<int32_t> &ids;
};

/// Feeds words to the second stage of the pre-tokenizers, if it has not seen
/// them before.
class SecondStageSink : public WordSink {
public:
  SecondStageSink(const PreTokenizer &preTokenizer, EncodeScratch &scratch,
                  ModelSink &next, std::vector<int32_t> &ids)
      : preTokenizer(preTokenizer), scratch(scratch), next(next), ids(ids) {}

  void add(std::string_view word) override {
    bool isCached = word.size() <= WordCache::maxBytes;
    uint64_t hash = isCached ? hashText(word) : 0;
    if (isCached && scratch.words.find(word, hash, ids))
      return;
    size_t before = ids.size();
    preTokenizer.runSecondStage(word, scratch.preTokenizer, scratch.regex,
                                next);
    size_t count = ids.size() - before;
    if (isCached && count <= WordCache::maxIds)
      scratch.words.insert(word, hash, ids.data() + before, count);
  }

private:
  const PreTokenizer &preTokenizer;
  EncodeScratch &scratch;
  ModelSink &next;
  std::vector<int32_t> &ids;
};

TokenizerModel &&validated(TokenizerModel &&model) {
  validate(model);
  return std::move(model);
}

} // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerModel &&data)
      : model(validated(std::move(data))), bpe(model), decoder(model),
        normalizer(model.normalizers),
        preTokenizer(model.preTokenizers, model.unit), sentencePiece(model) {
    if (model.unigram)
      unigram.emplace(model);
    // Of tokens that are looked for by the same text, the first counts; special
    // ones come first.
    for (bool special : {true, false})
      for (const AddedToken &token : model.addedTokens)
        if (token.special == special)
          addToken(token);
  }

  void addToken(const AddedToken &token) {
    // SentencePiece's own normalizer is not one that tokens go through.
    if (!token.normalized || model.rule == MergeRule::Scored)
      return rawTokens.add(token, token.content);
    std::string buffer;
    RegexScratch scratch;
    std::string_view content = normalizer.run(token.content, buffer, scratch);
    normalizedTokens.add(token, content);
    if (content != token.content)
      decoder.setNormalized(token.id, content);
  }

  void encodePart(std::string_view text, bool isStart, bool parseSpecial,
                  EncodeScratch &scratch, std::vector<int32_t> &ids) const;
  void encodeScored(std::string_view text, bool isStart, EncodeScratch &scratch,
                    std::vector<int32_t> &ids) const;

  std::unique_ptr<EncodeScratch> takeScratch() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (!idle.empty()) {
        auto scratch = std::move(idle.back());
        idle.pop_back();
        return scratch;
      }
    }
    return std::make_unique<EncodeScratch>();
  }

  void giveScratch(std::unique_ptr<EncodeScratch> scratch) {
    std::lock_guard<std::mutex> lock(mutex);
    idle.push_back(std::move(scratch));
  }

  const TokenizerModel model;
  Bpe bpe;
  std::optional<Unigram> unigram;
  DecoderTable decoder;
  Normalizer normalizer;
  PreTokenizer preTokenizer;
  SentencePieceNormalizer sentencePiece;
  AddedTokenFinder rawTokens, normalizedTokens;

  std::mutex mutex; ///< guards `idle`
  std::vector<std::unique_ptr<EncodeScratch>> idle;
};

Tokenizer::Tokenizer(TokenizerModel model)
    : impl(std::make_unique<Impl>(std::move(model))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text,
                                       bool addSpecialTokens,
                                       bool parseSpecial) const {
  std::unique_ptr<EncodeScratch> scratch = impl->takeScratch();
  const TokenizerModel &model = impl->model;
  if (!unicode::isValidUtf8(text)) {
    scratch->valid.clear();
    unicode::appendLossy(scratch->valid, text, /*isEnd=*/true);
    text = scratch->valid;
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + model.prefixIds.size() +
              model.suffixIds.size());
  if (addSpecialTokens)
    ids = model.prefixIds;
  if (impl->rawTokens.empty()) {
    if (!text.empty())
      impl->encodePart(text, /*isStart=*/true, parseSpecial, *scratch, ids);
  } else {
    impl->rawTokens.split(text, parseSpecial, scratch->parts);
    for (const AddedTokenPart &part : scratch->parts) {
      if (part.id >= 0)
        ids.push_back(part.id);
      else
        impl->encodePart(text.substr(part.begin, part.end - part.begin),
                         part.begin == 0, parseSpecial, *scratch, ids);
    }
  }
  if (addSpecialTokens)
    ids.insert(ids.end(), model.suffixIds.begin(), model.suffixIds.end());
  // If something threw, the scratch is gone, and no harm done; and what one
  // huge word took is not worth keeping.
  if (scratch->bpe.symbols.capacity() <= maxKeptSymbols &&
      scratch->unigram.nodes.capacity() <= maxKeptSymbols)
    impl->giveScratch(std::move(scratch));
  return ids;
}

/// Encodes the text between two added tokens.
void Tokenizer::Impl::encodePart(std::string_view text, bool isStart,
                                 bool parseSpecial, EncodeScratch &scratch,
                                 std::vector<int32_t> &ids) const {
  if (model.rule == MergeRule::Scored)
    return encodeScored(text, isStart, scratch, ids);
  ModelSink modelSink(bpe, unigram, scratch, ids);
  SecondStageSink secondStage(preTokenizer, scratch, modelSink, ids);
  WordSink &sink = preTokenizer.hasSecondStage()
                       ? static_cast<WordSink &>(secondStage)
                       : modelSink;
  auto cut = [&](std::string_view part, bool isFront) {
    preTokenizer.run(part, isFront, scratch.preTokenizer, scratch.regex, sink);
  };
  text = normalizer.run(text, scratch.normalized, scratch.regex);
  if (normalizedTokens.empty())
    return cut(text, isStart);
  normalizedTokens.split(text, parseSpecial, scratch.normalizedParts);
  for (const AddedTokenPart &part : scratch.normalizedParts) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      cut(text.substr(part.begin, part.end - part.begin),
          isStart && part.begin == 0);
  }
}

void Tokenizer::Impl::encodeScored(std::string_view text, bool isStart,
                                   EncodeScratch &scratch,
                                   std::vector<int32_t> &ids) const {
  bool addPrefix = isStart || !model.sentencePiece.prefixOnlyFirst;
  sentencePiece.run(text, addPrefix, scratch.normalized);
  std::string_view rest = scratch.normalized;
  if (unigram)
    return unigram->encode(rest, scratch.unigram, ids);
  const PrefixTrie &symbols = sentencePiece.userDefined();
  size_t begin = 0, pos = 0;
  while (!symbols.empty() && pos < rest.size()) {
    size_t length = 0;
    int32_t id =
        symbols.canStart(rest[pos]) ? symbols.longestAt(rest, pos, length) : -1;
    if (id < 0) {
      pos += unicode::charLength(rest[pos]);
      continue;
    }
    if (begin < pos)
      bpe.encode(rest.substr(begin, pos - begin), scratch.bpe, ids);
    ids.push_back(id);
    begin = pos += length;
  }
  if (begin < rest.size())
    bpe.encode(rest.substr(begin), scratch.bpe, ids);
}

std::string Tokenizer::decode(std::span<const int32_t> ids,
                              bool skipSpecial) const {
  std::unique_ptr<DecodeState> state =
      DecodeState::create(impl->decoder, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    state->push(id, text);
  state->flush(text);
  return text;
}

int32_t Tokenizer::vocabSize() const {
  return static_cast<int32_t>(impl->model.pieces.size());
}

int32_t Tokenizer::bosId() const { return impl->model.bosId; }
int32_t Tokenizer::eosId() const { return impl->model.eosId; }

std::string_view Tokenizer::pieceText(int32_t id) const {
  if (id < 0 || id >= vocabSize())
    return {};
  return impl->model.pieces[id].text;
}

bool Tokenizer::isSpecial(int32_t id) const {
  if (id < 0 || id >= vocabSize())
    return false;
  return impl->decoder.isSpecial[id] ||
         impl->model.pieces[id].type == PieceType::Control;
}

const TokenizerModel &Tokenizer::model() const { return impl->model; }

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial)
    : state(DecodeState::create(tokenizer.impl->decoder, skipSpecial)) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder &&) noexcept = default;
StreamDecoder &StreamDecoder::operator=(StreamDecoder &&) noexcept = default;

std::string StreamDecoder::push(int32_t id) {
  std::string text;
  state->push(id, text);
  return text;
}

std::string StreamDecoder::flush() {
  std::string text;
  state->flush(text);
  return text;
}

} // namespace qrt
