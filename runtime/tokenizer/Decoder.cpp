//===- Decoder.cpp - From ids to text, as they come -----------------------===//

#include "runtime/tokenizer/Decoder.h"

#include "runtime/tokenizer/Unicode.h"

#include <algorithm>

namespace qrt {

DecoderTable::DecoderTable(const TokenizerModel &model)
    : model(model), isSpecial(model.pieces.size()),
      isSkipped(model.pieces.size()), isAdded(model.pieces.size()) {
  for (const AddedToken &token : model.addedTokens) {
    isSpecial[token.id] = isSkipped[token.id] = token.special;
    isAdded[token.id] = true;
    setText(token.id, token.content);
  }
  for (const DecoderStep &step : model.decoders) {
    std::optional<Replacer> replacer;
    if (step.kind == DecoderKind::Replace)
      replacer.emplace(step.pattern, step.content,
                       "decoders[" + std::to_string(replacers.size()) +
                           "].pattern of the tokenizer");
    replacers.push_back(std::move(replacer));
  }
}

void DecoderTable::setNormalized(int32_t id, std::string_view content) {
  setText(id, content);
  isSkipped[id] =
      std::ranges::any_of(model.addedTokens, [&](const AddedToken &token) {
        return token.special && token.content == content;
      });
}

void DecoderTable::setText(int32_t id, std::string_view content) {
  std::string text;
  if (model.unit != SymbolUnit::Bytes ||
      !unicode::bytesFromStandIns(content, text))
    text = content;
  if (text != model.pieces[id].text)
    texts[id] = text;
  else
    texts.erase(id);
}

std::string_view DecoderTable::textOf(int32_t id) const {
  if (isAdded[id]) {
    auto it = texts.find(id);
    if (it != texts.end())
      return it->second;
  }
  return model.pieces[id].text;
}

DecodeState::DecodeState(const DecoderTable &table, bool skipSpecial)
    : table(table), skipSpecial(skipSpecial) {}

void DecodeState::push(int32_t id, std::string &out) {
  if (id < 0 || static_cast<size_t>(id) >= table.model.pieces.size() ||
      (skipSpecial && table.isSkipped[id]))
    return;
  pushToken(id, out);
}

//===----------------------------------------------------------------------===//
// Hugging Face's decoders
//===----------------------------------------------------------------------===//

namespace {

/// A stretch of a token's text. Behind a Fuse all tokens are one, which comes
/// in many chunks, cut between characters.
struct Chunk {
  std::string_view text;
  bool begins, ends; ///< the token's first, last chunk
  bool isWhole() const { return begins && ends; }
};

class StageChain : public DecodeState {
public:
  StageChain(const DecoderTable &table, bool skipSpecial)
      : DecodeState(table, skipSpecial), stages(table.model.decoders.size()) {}

  void flush(std::string &out) override { finish(0, out); }

protected:
  void pushToken(int32_t id, std::string &out) override {
    if (stages.empty() && !isFirstToken)
      out += ' ';
    isFirstToken = false;
    feed(0, {table.textOf(id), true, true}, out);
  }

private:
  struct Stage {
    std::string held;      ///< text that may yet change
    std::string partial;   ///< of a token that comes in chunks
    size_t index = 0;      ///< of the token that comes
    uint32_t toStrip = 0;  ///< how much Strip may still take off the front
    bool hasBegun = false; ///< Fuse, ByteLevel: the one token has
  };

  /// Collects a token that comes in chunks. Returns true when it is complete;
  /// then \p whole is it.
  static bool collect(std::string &partial, Chunk chunk, std::string &whole) {
    if (chunk.isWhole()) {
      whole = chunk.text;
      return true;
    }
    partial += chunk.text;
    if (!chunk.ends)
      return false;
    whole = std::move(partial);
    partial.clear();
    return true;
  }

  void feed(size_t index, Chunk chunk, std::string &out) {
    if (index == stages.size()) {
      out += chunk.text;
      return;
    }
    const DecoderStep &step = table.model.decoders[index];
    Stage &stage = stages[index];
    switch (step.kind) {
    case DecoderKind::ByteLevel: {
      if (table.model.unit == SymbolUnit::Bytes)
        return feedBytes(index, chunk.text, /*isEnd=*/false, out);
      std::string whole, bytes;
      if (!collect(stage.partial, chunk, whole))
        return;
      if (!unicode::bytesFromStandIns(whole, bytes))
        bytes = std::move(whole);
      return feedBytes(index, bytes, /*isEnd=*/false, out);
    }
    case DecoderKind::Fuse:
      feed(index + 1, {chunk.text, !stage.hasBegun, false}, out);
      stage.hasBegun = true;
      return;
    case DecoderKind::Replace: {
      const Replacer &replacer = *table.replacers[index];
      std::string whole;
      if (replacer.isSingleChar())
        feed(index + 1,
             {replacer.run(chunk.text, scratch), chunk.begins, chunk.ends},
             out);
      else if (collect(stage.partial, chunk, whole))
        feed(index + 1, {replacer.run(whole, scratch), true, true}, out);
      return;
    }
    case DecoderKind::ByteFallback: {
      std::string whole;
      if (!collect(stage.partial, chunk, whole))
        return;
      int byte = byteOfPiece(whole);
      if (byte >= 0) {
        run += static_cast<char>(byte);
        return;
      }
      endRun(index, out);
      feed(index + 1, {whole, true, true}, out);
      return;
    }
    case DecoderKind::Strip:
      return feedStrip(index, chunk, out);
    case DecoderKind::Metaspace: {
      bool drops = stage.index == 0 && step.scheme != PrependScheme::Never;
      stage.index += chunk.ends;
      std::string text;
      std::string_view rest = chunk.text;
      while (!rest.empty()) {
        size_t at = std::min(rest.find(step.content), rest.size());
        text.append(rest, 0, at);
        rest.remove_prefix(at);
        if (!rest.empty()) {
          rest.remove_prefix(step.content.size());
          if (!drops)
            text += ' ';
        }
      }
      feed(index + 1, {text, chunk.begins, chunk.ends}, out);
      return;
    }
    case DecoderKind::WordPiece: {
      std::string whole;
      if (!collect(stage.partial, chunk, whole))
        return;
      if (stage.index++ > 0) {
        if (whole.starts_with(step.content))
          whole.erase(0, step.content.size());
        else
          whole = std::string(" ").append(whole);
      }
      if (step.cleanup)
        cleanUp(whole);
      feed(index + 1, {whole, true, true}, out);
      return;
    }
    case DecoderKind::WordSuffix: {
      // Whether a token is the last is known when the next one comes.
      std::string whole;
      if (!collect(stage.partial, chunk, whole))
        return;
      if (stage.index++ > 0)
        feedSuffixed(index, " ", out);
      stage.held = std::move(whole);
      return;
    }
    }
  }

  static void replaceAll(std::string &text, std::string_view from,
                         std::string_view to) {
    for (size_t at = 0; (at = text.find(from, at)) != text.npos;
         at += to.size())
      text.replace(at, from.size(), to);
  }

  /// Hugging Face's decoders/wordpiece.rs, cleanup.
  static void cleanUp(std::string &text) {
    static constexpr std::pair<const char *, const char *> changes[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (auto [from, to] : changes)
      replaceAll(text, from, to);
  }

  void feedSuffixed(size_t index, std::string_view by, std::string &out) {
    std::string text = std::move(stages[index].held);
    replaceAll(text, table.model.decoders[index].content, by);
    feed(index + 1, {text, true, true}, out);
  }

  void feedBytes(size_t index, std::string_view bytes, bool isEnd,
                 std::string &out) {
    Stage &stage = stages[index];
    // The last stage needs no text of its own.
    bool isLast = index + 1 == stages.size();
    std::string text;
    std::string &target = isLast ? out : text;
    if (stage.held.empty()) {
      size_t used = unicode::appendLossy(target, bytes, isEnd);
      stage.held = bytes.substr(used);
    } else {
      stage.held += bytes;
      stage.held.erase(0, unicode::appendLossy(target, stage.held, isEnd));
    }
    if (isLast)
      return;
    feed(index + 1, {text, !stage.hasBegun, isEnd}, out);
    stage.hasBegun = true;
  }

  /// A run of byte tokens is one text, if it is UTF-8 as a whole, else each
  /// byte is a U+FFFD.
  void endRun(size_t index, std::string &out) {
    if (run.empty())
      return;
    std::string bytes = std::move(run);
    run.clear();
    if (unicode::isValidUtf8(bytes)) {
      feed(index + 1, {bytes, true, true}, out);
      return;
    }
    for (size_t i = 0; i < bytes.size(); ++i)
      feed(index + 1, {unicode::replacement, true, true}, out);
  }

  void feedStrip(size_t index, Chunk chunk, std::string &out) {
    const DecoderStep &step = table.model.decoders[index];
    Stage &stage = stages[index];
    if (chunk.begins)
      stage.toStrip = step.start;
    std::string_view text = chunk.text;
    auto stripFront = [&] {
      for (; stage.toStrip > 0 && text.starts_with(step.content);
           --stage.toStrip)
        text.remove_prefix(step.content.size());
      if (!text.empty())
        stage.toStrip = 0;
    };
    if (step.stop == 0) {
      stripFront();
      feed(index + 1, {text, chunk.begins, chunk.ends}, out);
      return;
    }
    std::string whole;
    if (!collect(stage.partial, chunk, whole))
      return;
    text = whole;
    stage.toStrip = step.start;
    stripFront();
    for (uint32_t i = 0; i < step.stop && text.ends_with(step.content); ++i)
      text.remove_suffix(step.content.size());
    feed(index + 1, {text, true, true}, out);
  }

  void finish(size_t index, std::string &out) {
    if (index == stages.size())
      return;
    switch (table.model.decoders[index].kind) {
    case DecoderKind::ByteLevel:
      feedBytes(index, "", /*isEnd=*/true, out);
      break;
    case DecoderKind::Fuse:
      feed(index + 1, {"", !stages[index].hasBegun, true}, out);
      break;
    case DecoderKind::ByteFallback:
      endRun(index, out);
      break;
    case DecoderKind::WordSuffix:
      if (stages[index].index > 0)
        feedSuffixed(index, "", out);
      break;
    default:
      break;
    }
    finish(index + 1, out);
    stages[index] = Stage();
    isFirstToken = true;
  }

  std::vector<Stage> stages;
  std::string run; ///< of the one ByteFallback that there may be
  RegexScratch scratch;
  bool isFirstToken = true;
};

//===----------------------------------------------------------------------===//
// SentencePiece
//===----------------------------------------------------------------------===//

/// sentencepiece_processor.cc, SentencePieceProcessor::Decode.
class SentencePieceState : public DecodeState {
public:
  using DecodeState::DecodeState;

  void flush(std::string &out) override {
    endBytes(out, /*isEnd=*/true);
    isFront = true;
    hasText = sawBlank = false;
  }

protected:
  void pushToken(int32_t id, std::string &out) override {
    const TokenizerModel &model = table.model;
    const Piece &piece = model.pieces[id];
    if (piece.type == PieceType::Byte && !table.isAdded[id]) {
      bytes += static_cast<char>(byteOfPiece(piece.text));
      return endBytes(out, /*isEnd=*/false);
    }
    endBytes(out, /*isEnd=*/true);
    if (sawBlank || hasText)
      isFront = false;
    size_t before = out.size();
    sawBlank = false;
    if (table.isAdded[id]) {
      out += table.textOf(id);
    } else if (piece.type == PieceType::Unknown) {
      out += model.sentencePiece.unknownSurface;
    } else if (piece.type != PieceType::Control) {
      std::string_view text = piece.text;
      const SentencePieceSpec &spec = model.sentencePiece;
      if (isFront && (spec.addDummyPrefix || spec.removeExtraWhitespaces) &&
          text.starts_with(blank)) {
        text.remove_prefix(blank.size());
        // If extra blanks are removed, all in front are.
        sawBlank = !spec.removeExtraWhitespaces;
      }
      appendUnescaped(text, out);
    }
    hasText |= out.size() > before;
  }

private:
  static constexpr std::string_view blank = "\xe2\x96\x81";

  static void appendUnescaped(std::string_view text, std::string &out) {
    while (!text.empty()) {
      size_t at = std::min(text.find(blank), text.size());
      out.append(text, 0, at);
      text.remove_prefix(at);
      if (!text.empty()) {
        out += ' ';
        text.remove_prefix(blank.size());
      }
    }
  }

  /// Writes the characters that the bytes spell; each byte of what is none
  /// becomes a U+FFFD.
  void endBytes(std::string &out, bool isEnd) {
    size_t pos = 0;
    while (pos < bytes.size()) {
      unicode::CharScan scan =
          unicode::scanChar(std::string_view(bytes).substr(pos));
      if (scan.status == unicode::CharScan::Incomplete && !isEnd)
        break;
      hasText = true;
      if (scan.status == unicode::CharScan::Valid) {
        out.append(bytes, pos, scan.length);
        pos += scan.length;
      } else {
        out += unicode::replacement;
        ++pos;
      }
    }
    bytes.erase(0, pos);
  }

  std::string bytes; ///< of byte pieces, not yet a character
  bool isFront = true, sawBlank = false, hasText = false;
};

} // namespace

std::unique_ptr<DecodeState> DecodeState::create(const DecoderTable &table,
                                                 bool skipSpecial) {
  if (table.model.rule == MergeRule::Scored)
    return std::make_unique<SentencePieceState>(table, skipSpecial);
  return std::make_unique<StageChain>(table, skipSpecial);
}

} // namespace qrt
