//===- WordScannerTest.cpp - Scanners against their expressions -----------===//

#include "runtime/tokenizer/WordScanner.h"

#include "runtime/tokenizer/Regex.h"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

using namespace qrt;

namespace {

const std::string llama3Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const std::string qwen2Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

using Words = std::vector<std::string>;

Words scan(std::string_view pattern, std::string_view text) {
  auto scanner = WordScanner::forPattern(pattern);
  Words words;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = scanner->wordEnd(text, begin);
    if (end <= begin || end > text.size()) {
      ADD_FAILURE() << "word from " << begin << " to " << end;
      break;
    }
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

Words match(const Regex &regex, std::string_view text, RegexScratch &scratch) {
  RegexMatches found(regex, text, scratch);
  Words words;
  for (size_t begin, end; found.next(begin, end);)
    words.emplace_back(text.substr(begin, end - begin));
  return words;
}

TEST(WordScanner, CutsAsGpt2) {
  EXPECT_EQ(scan(gpt2Pattern, "I'll pay  $20 \n\n x"),
            (Words{"I", "'ll", " pay", " ", " $", "20", " \n\n", " x"}));
}

TEST(WordScanner, CutsAsLlama3) {
  EXPECT_EQ(scan(llama3Pattern, "I'LL pay  $2024!\n\n  x\t\n y"),
            (Words{"I", "'LL", " pay", " ", " $", "202", "4", "!\n\n", " ",
                   " x", "\t\n", " y"}));
}

TEST(WordScanner, KnowsNoOther) {
  EXPECT_FALSE(WordScanner::forPattern("").has_value());
  EXPECT_FALSE(WordScanner::forPattern(llama3Pattern + "|x").has_value());
  EXPECT_FALSE(WordScanner::forPattern(llama3Pattern.substr(1)).has_value());
}

TEST(WordScanner, AgreesWithTheExpression) {
  const char *const parts[] = {
      "a",      "Z",          "s",       "'",      "'s",     "'S",     "'ll",
      "'R",     "e",          "'\u017f", " ",      "  ",     "\t",     "\n",
      "\r",     "\r\n",       "1",       "23",     "\u0661", "\u00bd", "!",
      "#",      "\u2014",     "\u00e9",  "\u4f60", "\u0301", "\u00a0", "\u2028",
      "\u3000", "\U0001f600", "\u0085",  "\u180e", "\u212a", "x"};
  std::mt19937 random(1);
  RegexScratch scratch;
  for (std::string pattern :
       {std::string(gpt2Pattern), llama3Pattern, qwen2Pattern}) {
    Regex regex(pattern, "test");
    for (int round = 0; round < 5000; ++round) {
      std::string text;
      for (size_t i = random() % 12; i > 0; --i)
        text += parts[random() % std::size(parts)];
      ASSERT_EQ(scan(pattern, text), match(regex, text, scratch)) << text;
    }
  }
}

} // namespace
