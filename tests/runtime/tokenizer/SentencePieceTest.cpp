//===- SentencePieceTest.cpp - Encoding with scored pieces ----------------===//

#include "TestModels.h"

#include "runtime/tokenizer/SentencePieceNormalizer.h"

using namespace qrt;
using namespace qrt::test;

namespace {

using Ids = std::vector<int32_t>;
using Texts = std::vector<std::string>;

Texts encoded(const Tokenizer &tokenizer, std::string_view text) {
  Texts texts;
  for (int32_t id : tokenizer.encode(text, false))
    texts.emplace_back(tokenizer.pieceText(id));
  return texts;
}

/// A character map with one entry, "A" to \p text: units 0 (the root, at offset
/// 256 ^ 'A'), the node of 'A' and its leaf.
std::string mapOfA(const std::string &text) {
  std::vector<uint32_t> units(512);
  const uint32_t base = 256;
  units[0] = base << 10;
  uint32_t node = base ^ 'A', leaf = 400;
  // A unit keeps offsets relative to its own place.
  units[node] = (node ^ leaf) << 10 | 1u << 8 | 'A';
  units[leaf] = 1u << 31 | 0;
  std::string bytes;
  auto put = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i)
      bytes += static_cast<char>(value >> 8 * i);
  };
  put(static_cast<uint32_t>(units.size() * 4));
  for (uint32_t unit : units)
    put(unit);
  return bytes + text + '\0';
}

TEST(SentencePiece, MergesByScore) {
  Tokenizer tokenizer(scoredModel({{"\u2581", -10},
                                   {"a", -11},
                                   {"b", -12},
                                   {"c", -13},
                                   {"ab", -2},
                                   {"bc", -1},
                                   {"\u2581a", -3}}));
  EXPECT_EQ(encoded(tokenizer, "abc"), (Texts{"\u2581a", "bc"}));
  EXPECT_EQ(encoded(tokenizer, "ab"), (Texts{"\u2581", "ab"}));
  EXPECT_EQ(encoded(tokenizer, ""), Texts{});
}

TEST(SentencePiece, TakesTheLeftmostOfEqualScores) {
  Tokenizer tokenizer(
      scoredModel({{"\u2581", 0}, {"a", 0}, {"b", 0}, {"ab", -1}, {"ba", -1}}));
  EXPECT_EQ(encoded(tokenizer, "aba"), (Texts{"\u2581", "ab", "a"}));
}

TEST(SentencePiece, MergesOverCharactersThatAreNoPieces) {
  // "x" is no piece, but "xy" and "xyz" are.
  TokenizerModel model = scoredModel(
      {{"\u2581", 0}, {"y", -1}, {"z", -2}, {"xy", -3}, {"xyz", -4}},
      /*byteFallback=*/true);
  Tokenizer tokenizer(model);
  EXPECT_EQ(encoded(tokenizer, "xyz"), (Texts{"\u2581", "xyz"}));
  EXPECT_EQ(encoded(tokenizer, "x"), (Texts{"\u2581", "<0x78>"}));
}

TEST(SentencePiece, TakesUnusedPiecesApart) {
  TokenizerModel model = scoredModel({{"\u2581", 0},
                                      {"a", -1},
                                      {"b", -2},
                                      {"c", -3},
                                      {"ab", -4},
                                      {"abc", -5}});
  model.pieces[idOf(model, "abc")].type = PieceType::Unused;
  EXPECT_EQ(encoded(Tokenizer(model), "abc"), (Texts{"\u2581", "ab", "c"}));
  model.pieces[idOf(model, "ab")].type = PieceType::Unused;
  EXPECT_EQ(encoded(Tokenizer(model), "abc"), (Texts{"\u2581", "a", "b", "c"}));
}

TEST(SentencePiece, FindsUserDefinedPieces) {
  TokenizerModel model =
      scoredModel({{"\u2581", 0}, {"a", -1}, {"<x>", 0}, {"a<", -2}});
  model.pieces[idOf(model, "<x>")].type = PieceType::UserDefined;
  Tokenizer tokenizer(model);
  EXPECT_EQ(encoded(tokenizer, "a<x>a"), (Texts{"\u2581", "a", "<x>", "a"}));
  EXPECT_EQ(encoded(tokenizer, "<s>"), (Texts{"\u2581", "<unk>"}));
}

TEST(SentencePiece, JoinsUnknowns) {
  Tokenizer tokenizer(scoredModel({{"\u2581", 0}, {"a", -1}}));
  EXPECT_EQ(tokenizer.encode("\u4f60\u597da", false), (Ids{3, 0, 4}));
  EXPECT_EQ(tokenizer.decode(Ids{3, 0, 4}), " \u2047 a");
}

TEST(SentencePiece, SqueezesBlanks) {
  TokenizerModel model = scoredModel({{"\u2581", 0}, {"a", -1}});
  Tokenizer squeezing(model);
  EXPECT_EQ(encoded(squeezing, "  a   a  "),
            (Texts{"\u2581", "a", "\u2581", "a"}));
  EXPECT_EQ(encoded(squeezing, "   "), Texts{});
  model.sentencePiece.removeExtraWhitespaces = false;
  EXPECT_EQ(encoded(Tokenizer(model), " a "),
            (Texts{"\u2581", "\u2581", "a", "\u2581"}));
  model.sentencePiece.whitespaceAsSuffix = true;
  EXPECT_EQ(encoded(Tokenizer(model), "a"), (Texts{"a", "\u2581"}));
  model.sentencePiece.addDummyPrefix = false;
  EXPECT_EQ(encoded(Tokenizer(model), "a"), Texts{"a"});
}

TEST(SentencePiece, DecodesAsSentencePiece) {
  TokenizerModel model =
      scoredModel({{"\u2581", 0}, {"a", -1}, {"\u2581a", -2}}, true);
  int32_t blank = idOf(model, "\u2581"), a = idOf(model, "a"),
          blankA = idOf(model, "\u2581a");
  auto byte = [](int value) { return 3 + value; };
  model.sentencePiece.removeExtraWhitespaces = false;
  Tokenizer tokenizer(model);
  for (const auto &[ids, text] : std::vector<std::pair<Ids, std::string>>{
           {{1, blankA, blankA, 2}, "a a"},
           {{blank, blankA}, " a"},
           {{a, blank}, "a "},
           {{byte(0xc3), byte(0xa9), a}, "\u00e9a"},
           {{byte(0xc3), a, byte(0x80), byte(0x80)}, "\ufffda\ufffd\ufffd"},
           {{byte(0xe2), byte(0x82)}, "\ufffd\ufffd"}}) {
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(streamed(tokenizer, ids), text);
  }
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(byte(0xc3)), "");
  EXPECT_EQ(decoder.push(byte(0xa9)), "\u00e9");
}

TEST(SentencePiece, AppliesItsCharacterMap) {
  TokenizerModel model = scoredModel({{"a", 0}, {"b", -1}}, true);
  model.sentencePiece = {};
  model.sentencePiece.addDummyPrefix = false;
  model.sentencePiece.charsmap = mapOfA("ab");
  EXPECT_EQ(encoded(Tokenizer(model), "aA"), (Texts{"a", "a", "b"}));
  // What is not UTF-8 in a map does not get through.
  model.sentencePiece.charsmap = mapOfA("\xff");
  EXPECT_EQ(encoded(Tokenizer(model), "A"),
            (Texts{"<0xEF>", "<0xBF>", "<0xBD>"}));
  std::string map = model.sentencePiece.charsmap;
  for (size_t size = 1; size < map.size(); size += 97) {
    model.sentencePiece.charsmap = map.substr(0, size);
    EXPECT_NE(errorOf([&] { Tokenizer tokenizer(model); }), "");
  }
}

TEST(SentencePiece, SurvivesDamagedCharacterMaps) {
  TokenizerModel model = scoredModel({{"a", 0}}, true);
  std::string map = mapOfA("ab");
  uint32_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = map;
    for (int i = 0; i < 8; ++i) {
      state = state * 1664525 + 1013904223;
      damaged[4 + state % (damaged.size() - 5)] =
          static_cast<char>(state >> 24);
    }
    model.sentencePiece.charsmap = damaged;
    errorOf([&] { Tokenizer(model).encode("aA BAAb \u00e9\u4f60"); });
  }
}

TEST(SentencePiece, TakesHostileTextInTime) {
  TokenizerModel model = scoredModel({{"\u2581", -9},
                                      {"a", -9},
                                      {"aa", -1},
                                      {"aaaa", -2},
                                      {"\u2581\u2581", -3}});
  model.sentencePiece.removeExtraWhitespaces = false;
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.encode(std::string(1000001, ' '), false).size(), 500001u);
  EXPECT_EQ(tokenizer.encode(std::string(5000000, 'a'), false).size(),
            1250001u);
}

} // namespace
