//===- SerializationTest.cpp - A tokenizer as bytes -----------------------===//

#include "TestModels.h"

#include <cstring>

using namespace qrt;
using namespace qrt::test;

namespace {

/// A model in which every field says something.
TokenizerModel fullModel() {
  TokenizerModel model = byteModel({{"a", "b"}, {"ab", "c"}});
  model.pieces[7].score = -1.5f;
  NormalizerStep replace;
  replace.kind = NormalizerKind::Replace;
  replace.pattern = {"x+", true};
  replace.content = "y";
  NormalizerStep strip;
  strip.kind = NormalizerKind::Strip;
  strip.left = true;
  model.normalizers = {replace, strip};
  PreTokenizerStep split;
  split.kind = PreTokenizerKind::Split;
  split.pattern.text = ";";
  split.behavior = SplitBehavior::MergedWithNext;
  split.invert = true;
  PreTokenizerStep metaspace;
  metaspace.kind = PreTokenizerKind::Metaspace;
  metaspace.content = "_";
  metaspace.scheme = PrependScheme::First;
  metaspace.split = false;
  model.preTokenizers.insert(model.preTokenizers.begin(), {split, metaspace});
  model.preTokenizers.back().addPrefixSpace = true;
  DecoderStep decoder;
  decoder.kind = DecoderKind::Strip;
  decoder.content = " ";
  decoder.start = 3;
  decoder.stop = 4;
  model.decoders.push_back(decoder);
  AddedToken token;
  token.content = "tok";
  token.id = 5;
  token.lstrip = token.rstrip = token.normalized = token.singleWord = true;
  model.addedTokens.push_back(token);
  model.sentencePiece.charsmap = std::string("\0\1\2", 3);
  model.ignoreMerges = model.fuseUnknown = true;
  model.unknownId = 9;
  model.bosId = 3;
  model.prefixIds = {3};
  model.suffixIds = {4, 5};
  return model;
}

TEST(Serialization, KeepsEverything) {
  TokenizerModel model = fullModel();
  std::vector<uint8_t> bytes = serialize(model);
  EXPECT_EQ(std::memcmp(bytes.data() + 4, "QTOK", 4), 0);
  TokenizerModel copy = deserialize(bytes);
  EXPECT_EQ(serialize(copy), bytes);

  ASSERT_EQ(copy.pieces.size(), model.pieces.size());
  EXPECT_EQ(copy.pieces[258].text, "abc");
  EXPECT_EQ(copy.pieces[0].text, std::string(1, '\0'));
  EXPECT_EQ(copy.pieces[7].score, -1.5f);
  EXPECT_EQ(copy.pieces[256].type, PieceType::Unused);
  ASSERT_EQ(copy.merges.size(), 2u);
  EXPECT_EQ(copy.merges[1].left, 257);
  EXPECT_EQ(copy.merges[1].right, 'c');
  EXPECT_EQ(copy.merges[1].result, 258);
  ASSERT_EQ(copy.normalizers.size(), 2u);
  EXPECT_EQ(copy.normalizers[0].pattern.text, "x+");
  EXPECT_TRUE(copy.normalizers[0].pattern.isRegex);
  EXPECT_TRUE(copy.normalizers[1].left);
  EXPECT_FALSE(copy.normalizers[1].right);
  ASSERT_EQ(copy.preTokenizers.size(), 3u);
  EXPECT_EQ(copy.preTokenizers[0].behavior, SplitBehavior::MergedWithNext);
  EXPECT_TRUE(copy.preTokenizers[0].invert);
  EXPECT_EQ(copy.preTokenizers[1].scheme, PrependScheme::First);
  EXPECT_FALSE(copy.preTokenizers[1].split);
  EXPECT_TRUE(copy.preTokenizers[2].addPrefixSpace);
  ASSERT_EQ(copy.decoders.size(), 2u);
  EXPECT_EQ(copy.decoders[1].start, 3u);
  EXPECT_EQ(copy.decoders[1].stop, 4u);
  ASSERT_EQ(copy.addedTokens.size(), 2u);
  EXPECT_TRUE(copy.addedTokens[0].special);
  EXPECT_TRUE(copy.addedTokens[1].singleWord);
  EXPECT_EQ(copy.sentencePiece.charsmap, std::string("\0\1\2", 3));
  EXPECT_TRUE(copy.ignoreMerges);
  EXPECT_TRUE(copy.fuseUnknown);
  EXPECT_FALSE(copy.byteFallback);
  EXPECT_EQ(copy.unknownId, 9);
  EXPECT_EQ(copy.bosId, 3);
  EXPECT_EQ(copy.eosId, 256);
  EXPECT_EQ(copy.prefixIds, std::vector<int32_t>{3});
  EXPECT_EQ(copy.suffixIds, (std::vector<int32_t>{4, 5}));
}

TEST(Serialization, ReadsDataAtAnyAddress) {
  std::vector<uint8_t> bytes = serialize(fullModel());
  for (size_t shift = 1; shift < 8; ++shift) {
    std::vector<uint8_t> moved(shift);
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(serialize(deserialize(std::span(moved).subspan(shift))), bytes);
  }
}

TEST(Serialization, RefusesWhatIsNone) {
  EXPECT_EQ(errorOf([] { deserialize({}); }),
            "0 bytes that do not start with the mark QTOK in the tokenizer's "
            "data");
  std::vector<uint8_t> zeros(1000);
  EXPECT_NE(errorOf([&] { deserialize(zeros); }), "");
}

TEST(Serialization, RefusesTruncation) {
  std::vector<uint8_t> bytes = serialize(fullModel());
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + size);
    std::string error = errorOf([&] { deserialize(cut); });
    // The last word may be padding.
    ASSERT_TRUE(!error.empty() || size + 4 >= bytes.size()) << size;
  }
}

TEST(Serialization, SurvivesDamage) {
  std::vector<uint8_t> bytes = serialize(fullModel());
  auto run = [](const std::vector<uint8_t> &data) {
    errorOf([&] {
      Tokenizer tokenizer(deserialize(data));
      std::vector<int32_t> ids =
          tokenizer.encode("abc <end> tok; x \xff\u4f60 1234");
      tokenizer.decode(ids, true);
    });
  };
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (uint8_t flip : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> damaged = bytes;
      damaged[i] ^= flip;
      run(damaged);
    }
  }
}

TEST(Validation, NamesTheField) {
  auto errorWith = [](auto change) {
    TokenizerModel model = fullModel();
    change(model);
    return errorOf([&] { validate(model); });
  };
  EXPECT_EQ(errorWith([](TokenizerModel &) {}), "");
  EXPECT_EQ(errorWith([](TokenizerModel &m) { m.merges[1].right = 259; }),
            "the id 259 is not one of 259 in merges[1].right of the tokenizer");
  EXPECT_EQ(errorWith([](TokenizerModel &m) { m.bosId = -2; }),
            "the id -2 is not one of 259 in bosId of the tokenizer");
  EXPECT_EQ(
      errorWith([](TokenizerModel &m) { m.pieces[3].score = 0.0f / 0.0f; }),
      "the score is not finite in pieces[3].score of the tokenizer");
  EXPECT_EQ(
      errorWith([](TokenizerModel &m) { m.addedTokens[1].content = "\xff"; }),
      "the text is not UTF-8 in addedTokens[1].content of the tokenizer");
  EXPECT_EQ(
      errorWith([](TokenizerModel &m) { m.pieces[0].type = PieceType(9); }),
      "the type 9 is not known in pieces[0].type of the tokenizer");
  EXPECT_EQ(errorWith([](TokenizerModel &m) { m.decoders.clear(); }),
            "symbols are bytes, but there is no ByteLevel in decoders of the "
            "tokenizer");
  EXPECT_EQ(errorWith([](TokenizerModel &m) { m.preTokenizers.clear(); }),
            "symbols are bytes, but there is no ByteLevel in "
            "preTokenizers of the tokenizer");
  EXPECT_EQ(errorWith([](TokenizerModel &m) { m.pieces.clear(); }),
            "there are 0 pieces, not 1 to 16777216 in pieces of the tokenizer");
  for (auto change : std::vector<void (*)(TokenizerModel &)>{
           [](TokenizerModel &m) { m.rule = MergeRule(2); },
           [](TokenizerModel &m) { m.unit = SymbolUnit(2); },
           [](TokenizerModel &m) { m.rule = MergeRule::Scored; },
           [](TokenizerModel &m) { m.normalizers[0].pattern.text.clear(); },
           [](TokenizerModel &m) {
             m.normalizers[0].kind = NormalizerKind(99);
           },
           [](TokenizerModel &m) { m.preTokenizers[1].content.clear(); },
           [](TokenizerModel &m) {
             m.preTokenizers.push_back(m.preTokenizers.back());
           },
           [](TokenizerModel &m) { m.decoders[1].content.clear(); },
           [](TokenizerModel &m) {
             m.pieces[0].text.assign(maxPieceBytes + 1, 'a');
           },
           [](TokenizerModel &m) { m.prefixIds.assign(65, 0); },
           [](TokenizerModel &m) { m.normalizers.resize(65); },
           [](TokenizerModel &m) { m.pieces[0].type = PieceType::Byte; }})
    EXPECT_NE(errorWith(change), "");
}

} // namespace
