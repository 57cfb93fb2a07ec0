//===- UnicodeTest.cpp - UTF-8 and normal forms ---------------------------===//

#include "runtime/tokenizer/Unicode.h"

#include <gtest/gtest.h>

using namespace qrt::unicode;

namespace {

std::string lossy(std::string_view bytes, bool isEnd = true) {
  std::string text;
  appendLossy(text, bytes, isEnd);
  return text;
}

TEST(Unicode, ReplacesMaximalSubparts) {
  // Table 3-8 of the Unicode standard, version 15.
  EXPECT_EQ(lossy("a\xf1\x80\x80\xe1\x80\xc2"
                  "b\x80"
                  "c\x80\xbf"
                  "d"),
            "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd");
  EXPECT_EQ(lossy("\xc0\xaf"), "\ufffd\ufffd");           // overlong
  EXPECT_EQ(lossy("\xed\xa0\x80"), "\ufffd\ufffd\ufffd"); // surrogate
  EXPECT_EQ(lossy("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(lossy("\xf0\x9f\x98"), "\ufffd");
  EXPECT_EQ(lossy("\xf4\x8f\xbf\xbf"), "\U0010ffff");
}

TEST(Unicode, KeepsBackWhatMayBecomeACharacter) {
  std::string text;
  EXPECT_EQ(appendLossy(text, "ab\xe2\x82", /*isEnd=*/false), 2u);
  EXPECT_EQ(text, "ab");
  EXPECT_EQ(appendLossy(text, "\xe2\x82\xac", /*isEnd=*/false), 3u);
  EXPECT_EQ(text, "ab\u20ac");
}

TEST(Unicode, DecodesWhatItEncodes) {
  for (uint32_t codepoint : {0x0u, 0x7fu, 0x80u, 0x7ffu, 0x800u, 0xfffdu,
                             0x10000u, 0x1f600u, 0x10ffffu}) {
    std::string text;
    appendChar(text, codepoint);
    ASSERT_TRUE(isValidUtf8(text)) << codepoint;
    size_t pos = 0;
    EXPECT_EQ(decodeChar(text, pos), codepoint);
    EXPECT_EQ(pos, text.size());
  }
}

TEST(Unicode, Normalizes) {
  EXPECT_EQ(normalize("cafe\u0301 x", NormalForm::Nfc), "caf\u00e9 x");
  EXPECT_EQ(normalize("caf\u00e9", NormalForm::Nfd), "cafe\u0301");
  EXPECT_EQ(normalize("\ufb01\u00b2", NormalForm::Nfkc), "fi2");
  EXPECT_EQ(normalize("\u1112\u1161\u11ab", NormalForm::Nfc), "\ud55c");
  // Marks are put in order: dot below (220) before acute (230).
  EXPECT_EQ(normalize("q\u0301\u0323", NormalForm::Nfd), "q\u0323\u0301");
  EXPECT_EQ(normalize("", NormalForm::Nfc), "");
}

TEST(Unicode, NormalizesHostileTextInTime) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i)
    text += i % 2 ? "\u0323" : "\u0301";
  std::string normal = normalize(text, NormalForm::Nfd);
  EXPECT_EQ(normal.size(), text.size());
  EXPECT_EQ(normal.substr(0, 5), "a\u0323\u0323");
}

TEST(Unicode, LowersOneCharacterAtATime) {
  EXPECT_EQ(toLower("ABC \u00c4\u0130"), "abc \u00e4i\u0307");
}

TEST(Unicode, KnowsGpt2sStandIns) {
  EXPECT_EQ(byteStandIns()[' '], 0x120);
  EXPECT_EQ(byteStandIns()['\n'], 0x10a);
  EXPECT_EQ(byteStandIns()['A'], 'A');
  EXPECT_EQ(byteStandIns()[0xad], 0x143);
  std::string bytes;
  EXPECT_TRUE(bytesFromStandIns("\u0120the", bytes));
  EXPECT_EQ(bytes, " the");
  EXPECT_FALSE(bytesFromStandIns(" the", bytes));
  EXPECT_EQ(bytes, "");
}

TEST(Unicode, SplitsAtOldPunctuationOnly) {
  EXPECT_TRUE(isPunctuation('$'));
  EXPECT_TRUE(isPunctuation(0x2014));
  EXPECT_FALSE(isPunctuation(0x20ac)); // a currency sign
  EXPECT_FALSE(isPunctuation(0xc77));  // of Unicode 12
}

} // namespace
