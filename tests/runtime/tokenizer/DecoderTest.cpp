//===- DecoderTest.cpp - Decoding, at once and one by one -----------------===//

#include "TestModels.h"

#include "runtime/tokenizer/Unicode.h"

#include <random>

using namespace qrt;
using namespace qrt::test;

namespace {

using Ids = std::vector<int32_t>;

/// Llama 2's kind of tokenizer.json.
TokenizerModel llamaLike() {
  TokenizerModel model;
  model.unit = SymbolUnit::Characters;
  model.pieces = {{"<unk>"},  {"\u2581Hi"}, {"\u2581"}, {"<0xF0>"},
                  {"<0x9F>"}, {"<0x98>"},   {"<0x80>"}, {"there"}};
  DecoderStep replace, fallback, fuse, strip;
  replace.kind = DecoderKind::Replace;
  replace.pattern.text = "\u2581";
  replace.content = " ";
  fallback.kind = DecoderKind::ByteFallback;
  fuse.kind = DecoderKind::Fuse;
  strip.kind = DecoderKind::Strip;
  strip.content = " ";
  strip.start = 1;
  model.decoders = {replace, fallback, fuse, strip};
  return model;
}

TEST(Decoder, NeverCutsACharacter) {
  Tokenizer tokenizer(byteModel());
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xf0), "");
  EXPECT_EQ(decoder.push(0x9f), "");
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "\U0001f600");
  EXPECT_EQ(decoder.push(0xe2), "");
  EXPECT_EQ(decoder.push('b'), "\ufffdb");
  EXPECT_EQ(decoder.push(0xe2), "");
  EXPECT_EQ(decoder.flush(), "\ufffd");
  EXPECT_EQ(decoder.push('c'), "c"); // A new sequence.
  EXPECT_EQ(decoder.flush(), "");
}

TEST(Decoder, ReplacesBytesAsHuggingFaceDoes) {
  Tokenizer tokenizer(byteModel());
  EXPECT_EQ(tokenizer.decode(Ids{0xf0, 0x9f, 'a', 0xff, 0x80}),
            "\ufffda\ufffd\ufffd");
}

TEST(Decoder, RunsHuggingFacesChain) {
  Tokenizer tokenizer(llamaLike());
  EXPECT_EQ(tokenizer.decode(Ids{1, 2, 7}), "Hi there");
  EXPECT_EQ(tokenizer.decode(Ids{2, 1}), " Hi");
  EXPECT_EQ(tokenizer.decode(Ids{7, 3, 4, 5, 6, 1}), "there\U0001f600 Hi");
  // A run that is not UTF-8 as a whole is one U+FFFD a byte.
  EXPECT_EQ(tokenizer.decode(Ids{3, 4, 5, 6, 3}),
            "\ufffd\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(tokenizer.decode(Ids{}), "");
  EXPECT_EQ(tokenizer.decode(Ids{-1, 99, 7}), "there");
}

TEST(Decoder, JoinsByBlanksWithoutDecoders) {
  TokenizerModel model = llamaLike();
  model.decoders.clear();
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.decode(Ids{7, 1, 7}), "there \u2581Hi there");
  EXPECT_EQ(streamed(tokenizer, {7, 1, 7}), "there \u2581Hi there");
}

TEST(Decoder, StreamsWhatItDecodes) {
  // Every chain of up to three steps, on random ids.
  std::vector<DecoderStep> steps(7);
  steps[0].kind = DecoderKind::Replace;
  steps[0].pattern.text = "\u2581";
  steps[0].content = " ";
  steps[1].kind = DecoderKind::ByteFallback;
  steps[2].kind = DecoderKind::Fuse;
  steps[3].kind = DecoderKind::Strip;
  steps[3].content = " ";
  steps[3].start = 1;
  steps[4] = steps[3];
  steps[4].stop = 2;
  steps[5].kind = DecoderKind::Metaspace;
  steps[5].content = "\u2581";
  steps[6].kind = DecoderKind::Replace;
  steps[6].pattern.text = "re\u2581";
  steps[6].content = "RE ";
  std::mt19937 random(3);
  for (size_t code = 0; code < 7 * 7 * 7; ++code) {
    TokenizerModel model = llamaLike();
    model.decoders = {steps[code % 7], steps[code / 7 % 7], steps[code / 49]};
    size_t fallbacks = 0;
    for (const DecoderStep &step : model.decoders)
      fallbacks += step.kind == DecoderKind::ByteFallback;
    if (fallbacks > 1)
      continue;
    Tokenizer tokenizer(model);
    for (int round = 0; round < 20; ++round) {
      Ids ids;
      for (size_t i = random() % 8; i > 0; --i)
        ids.push_back(static_cast<int32_t>(random() % 8));
      StreamDecoder decoder(tokenizer);
      std::string text;
      for (int32_t id : ids) {
        std::string part = decoder.push(id);
        ASSERT_TRUE(unicode::isValidUtf8(part));
        text += part;
      }
      ASSERT_EQ(text + decoder.flush(), tokenizer.decode(ids)) << code;
    }
  }
}

TEST(Decoder, GivesNormalizedTokensTheirNormalForm) {
  TokenizerModel model = llamaLike();
  NormalizerStep prepend;
  prepend.kind = NormalizerKind::Prepend;
  prepend.content = "\u2581";
  model.normalizers = {prepend};
  model.pieces.push_back({"<pad>", 0, PieceType::Unused});
  AddedToken pad;
  pad.content = "<pad>";
  pad.id = 8;
  pad.normalized = true;
  model.addedTokens = {pad};
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.encode("<pad>", false), Ids{8});
  EXPECT_EQ(tokenizer.decode(Ids{7, 8}), "there <pad>");
}

} // namespace
