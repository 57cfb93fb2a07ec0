//===- BpeTest.cpp - Encoding with ranked merges --------------------------===//

#include "TestModels.h"

#include "runtime/tokenizer/Bpe.h"

#include <random>
#include <thread>

using namespace qrt;
using namespace qrt::test;

namespace {

using Ids = std::vector<int32_t>;

std::vector<std::string> textsOf(const Tokenizer &tokenizer, const Ids &ids) {
  std::vector<std::string> texts;
  for (int32_t id : ids)
    texts.emplace_back(tokenizer.pieceText(id));
  return texts;
}

std::vector<std::string> encoded(const Tokenizer &tokenizer,
                                 std::string_view text) {
  return textsOf(tokenizer, tokenizer.encode(text, false));
}

using Texts = std::vector<std::string>;

TEST(Bpe, MergesByRankThenPlace) {
  Tokenizer tokenizer(byteModel({{"b", "c"}, {"a", "b"}, {"a", "a"}}));
  EXPECT_EQ(encoded(tokenizer, "abc"), (Texts{"a", "bc"}));
  EXPECT_EQ(encoded(tokenizer, "abab"), (Texts{"ab", "ab"}));
  EXPECT_EQ(encoded(tokenizer, "aaa"), (Texts{"aa", "a"}));
  EXPECT_EQ(encoded(tokenizer, ""), Texts{});
}

TEST(Bpe, TakesTheLastOfEqualMerges) {
  TokenizerModel model = byteModel({{"a", "b"}, {"b", "c"}});
  model.merges.push_back(model.merges[0]); // Now "b c" goes first.
  EXPECT_EQ(encoded(Tokenizer(model), "abc"), (Texts{"a", "bc"}));
}

TEST(Bpe, IgnoresMergesWhereAskedTo) {
  TokenizerModel model = byteModel({{"a", "b"}});
  model.pieces.push_back({"abc"});
  EXPECT_EQ(encoded(Tokenizer(model), "abc"), (Texts{"ab", "c"}));
  model.ignoreMerges = true;
  EXPECT_EQ(encoded(Tokenizer(model), "abc"), Texts{"abc"});
}

TEST(Bpe, MergesLongWordsLikeShortOnes) {
  // Random merges over a small alphabet; a naive reference joins the first of
  // the best pairs until there is none.
  std::mt19937 random(7);
  TokenizerModel model = byteModel();
  Texts pool{"a", "b", "c"};
  for (int i = 0; i < 60; ++i) {
    std::string left = pool[random() % pool.size()];
    std::string right = pool[random() % pool.size()];
    if (left.size() + right.size() > 6)
      continue;
    addMerge(model, left, right);
    pool.push_back(left + right);
  }
  Tokenizer tokenizer(model);
  auto naive = [&](std::string_view text) {
    Ids ids;
    for (char c : text)
      ids.push_back(static_cast<unsigned char>(c));
    while (true) {
      size_t best = model.merges.size(), place = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i)
        for (size_t rank = model.merges.size(); rank-- > 0;)
          if (model.merges[rank].left == ids[i] &&
              model.merges[rank].right == ids[i + 1]) {
            if (rank < best) {
              best = rank;
              place = i;
            }
            break;
          }
      if (best == model.merges.size())
        return ids;
      ids[place] = model.merges[best].result;
      ids.erase(ids.begin() + place + 1);
    }
  };
  for (size_t length : {1, 5, 47, 48, 49, 50, 100, 200}) {
    for (int round = 0; round < 20; ++round) {
      std::string text;
      for (size_t i = 0; i < length; ++i)
        text += static_cast<char>('a' + random() % 3);
      ASSERT_EQ(tokenizer.encode(text, false), naive(text)) << text;
    }
  }
}

TEST(Bpe, ReadsBytesThatAreNoUtf8AsReplacement) {
  Tokenizer tokenizer(byteModel());
  EXPECT_EQ(tokenizer.encode("a\xff\xe2\x82", false),
            tokenizer.encode("a\ufffd\ufffd", false));
}

TEST(Bpe, AddsAndParsesSpecialTokens) {
  TokenizerModel model = byteModel();
  model.prefixIds = {256};
  model.suffixIds = {256, 256};
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.encode("a"), (Ids{256, 'a', 256, 256}));
  EXPECT_EQ(tokenizer.encode("a<end>b", false), (Ids{'a', 256, 'b'}));
  EXPECT_EQ(tokenizer.encode("<end>", false, /*parseSpecial=*/false),
            (Ids{'<', 'e', 'n', 'd', '>'}));
  EXPECT_EQ(tokenizer.decode(Ids{'a', 256, 'b'}), "a<end>b");
  EXPECT_EQ(tokenizer.decode(Ids{'a', 256, 'b'}, /*skipSpecial=*/true), "ab");
  EXPECT_TRUE(tokenizer.isSpecial(256));
  EXPECT_FALSE(tokenizer.isSpecial('a'));
  EXPECT_FALSE(tokenizer.isSpecial(-1));
  EXPECT_EQ(tokenizer.pieceText(257), "");
  EXPECT_EQ(tokenizer.vocabSize(), 257);
}

TEST(Bpe, StripsAroundAddedTokens) {
  TokenizerModel model = byteModel();
  AddedToken &end = model.addedTokens[0];
  end.lstrip = end.rstrip = true;
  EXPECT_EQ(Tokenizer(model).encode("a \n<end>\tb", false),
            (Ids{'a', 256, 'b'}));
  end.lstrip = end.rstrip = false;
  end.content = "end";
  end.singleWord = true;
  EXPECT_EQ(Tokenizer(model).encode("end,bend", false),
            (Ids{256, ',', 'b', 'e', 'n', 'd'}));
}

TEST(Bpe, FallsBackToBytesAndUnknown) {
  TokenizerModel model;
  model.unit = SymbolUnit::Characters;
  model.pieces = {{"<unk>"}, {"a"}, {"<0xC3>"}, {"<0xA9>"}};
  model.byteFallback = true;
  model.unknownId = 0;
  EXPECT_EQ(Tokenizer(model).encode("a\u00e9\u4f60\u597da", false),
            (Ids{1, 2, 3, 0, 0, 1}));
  model.fuseUnknown = true;
  EXPECT_EQ(Tokenizer(model).encode("a\u00e9\u4f60\u597da", false),
            (Ids{1, 2, 3, 0, 1}));
  model.unknownId = -1;
  EXPECT_EQ(Tokenizer(model).encode("a\u4f60a", false), (Ids{1, 1}));
}

TEST(Bpe, TakesHostileTextInTime) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string c : {"a", " "})
    for (int doubling = 0; doubling < 4; ++doubling, c += c)
      merges.emplace_back(c, c);
  Tokenizer tokenizer(byteModel(merges));
  std::string spaces(1000000, ' '), word(5000000, 'a');
  EXPECT_EQ(tokenizer.encode(spaces, false).size(), spaces.size() / 16);
  EXPECT_EQ(tokenizer.encode(word, false).size(), word.size() / 16);
  // The last blank belongs to the x; 15 of the others are left over.
  EXPECT_EQ(tokenizer.encode(spaces + "x", false).size(), 62499u + 4 + 2);
}

TEST(Bpe, WorksInThreads) {
  Tokenizer tokenizer(byteModel({{"a", "b"}, {"ab", "c"}}));
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += "abc ab a b" + std::to_string(i) + " ";
  Ids expected = tokenizer.encode(text);
  std::vector<std::thread> threads;
  std::vector<Ids> results(4);
  for (Ids &result : results)
    threads.emplace_back([&] { result = tokenizer.encode(text); });
  for (std::thread &thread : threads)
    thread.join();
  for (const Ids &result : results)
    EXPECT_EQ(result, expected);
}

TEST(WordCache, KeepsTheLast) {
  WordCache cache;
  Ids ids;
  EXPECT_FALSE(cache.find("ab", 5, ids));
  const int32_t first[] = {1, 2, 3}, second[] = {4};
  cache.insert("ab", 5, first, 3);
  EXPECT_TRUE(cache.find("ab", 5, ids));
  EXPECT_EQ(ids, (Ids{1, 2, 3}));
  EXPECT_FALSE(cache.find("ac", 5, ids));
  cache.insert("ac", 5, second, 1);
  EXPECT_FALSE(cache.find("ab", 5, ids));
  EXPECT_TRUE(cache.find("ac", 5, ids));
  EXPECT_EQ(ids, (Ids{1, 2, 3, 4}));
}

} // namespace
