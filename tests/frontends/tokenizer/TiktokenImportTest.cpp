//===- TiktokenImportTest.cpp - Tests of tiktoken's vocabularies ----------===//

#include "frontends/tokenizer/Base64.h"

#include "TokenizerTestUtils.h"

using namespace qcc;
using namespace qcc::test;
using qrt::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

std::string toBase64(std::string_view bytes) {
  static constexpr char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 |
             (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

/// All bytes, and pairs of bytes up to a number of ranks. (As many as r50k_base
/// has: that is how its way to cut text is known.)
std::string vocabulary(size_t ranks) {
  std::string file;
  for (size_t rank = 0; rank < ranks; ++rank) {
    std::string bytes(1, static_cast<char>(rank));
    if (rank >= 256) {
      bytes[0] = static_cast<char>((rank - 256) >> 8);
      bytes += static_cast<char>(rank - 256);
    }
    file += toBase64(bytes) + " " + std::to_string(rank) + "\n";
  }
  return file;
}

TEST(Base64, DecodesAndRefuses) {
  std::string bytes;
  for (const char *text : {"", "a", "ab", "abc", "\xff\xfe\xfd\xfc"}) {
    EXPECT_TRUE(fromBase64(toBase64(text), bytes));
    EXPECT_EQ(bytes, text);
  }
  EXPECT_TRUE(fromBase64("YQ", bytes));
  EXPECT_EQ(bytes, "a");
  EXPECT_FALSE(fromBase64("Y", bytes));
  EXPECT_FALSE(fromBase64("Y?==", bytes));
}

TEST(Tiktoken, MergesByTheRankOfTheResult) {
  const std::string file = vocabulary(50256);
  EXPECT_TRUE(isTiktoken(file));
  Tokenizer tokenizer(importTiktoken(file));
  auto pair = [](char a, char b) { return 256 + a * 256 + b; };
  EXPECT_EQ(tokenizer.vocabSize(), 50257);
  EXPECT_EQ(tokenizer.encode("ab"), Ids{pair('a', 'b')});
  // "ab" has a lower rank than "bc", and "ba" a higher one.
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{pair('a', 'b'), 'c'}));
  EXPECT_EQ(tokenizer.encode("bab"), (Ids{'b', pair('a', 'b')}));
  EXPECT_EQ(tokenizer.encode("<|endoftext|>"), Ids{50256});
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("Hi you're")), "Hi you're");
  EXPECT_EQ(tokenizer.eosId(), 50256);
}

TEST(Tiktoken, IsFoundInAFolder) {
  TemporaryFolder folder;
  folder.write("any.tiktoken", vocabulary(50256));
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 50257u);
  folder.write("tokenizer.model", vocabulary(50256));
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 50257u);
  EXPECT_EQ(importTokenizerFolder(folder.path / "tokenizer.model")->eosId,
            50256);
}

TEST(Tiktoken, NamesWhatItRefuses) {
  auto error = [](const std::string &file) {
    return errorOf([&] { importTiktoken(file, {}, "f"); });
  };
  EXPECT_EQ(error("YQ== 0\n"),
            "the vocabulary of 1 ranks is none whose way to cut text is known "
            "(r50k_base, p50k_base, cl100k_base, o200k_base, Llama 3, Qwen) in "
            "f; convert it to tokenizer.json");
  for (const char *line : {"YQ==", "YQ== x", "YQ== -1", "? 0", " 0", "= 0"})
    EXPECT_EQ(error("YQ== 0\n" + std::string(line) + "\n"),
              "line 2 is no Base64 with a rank in f");
  EXPECT_EQ(error("YQ== 0\nYg== 0\n"),
            "line 2 has the rank 0, which another line has in f");
  EXPECT_EQ(error("YQ== 99999999999\n"),
            "line 1 has the rank 99999999999, far beyond 1 tokens in f");
  EXPECT_FALSE(isTiktoken("\x0a\x03"));
}

} // namespace
