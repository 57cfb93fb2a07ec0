//===- RegexTest.cpp - Oniguruma's syntax on PCRE2 ------------------------===//

#include "runtime/tokenizer/Regex.h"

#include "TestModels.h"

using namespace qrt;
using namespace qrt::test;

namespace {

/// The matches of \p pattern in \p text, in brackets.
std::string matches(std::string_view pattern, std::string_view text) {
  Regex regex(pattern, "test");
  RegexScratch scratch;
  RegexMatches found(regex, text, scratch);
  std::string result;
  for (size_t begin, end; found.next(begin, end);)
    result.append("[").append(text.substr(begin, end - begin)).append("]");
  return result;
}

TEST(Regex, HasOnigurumasClasses) {
  EXPECT_EQ(matches("\\s", "a b\u00a0c\u180ed\u0085"), "[ ][\u00a0][\u0085]");
  EXPECT_EQ(matches("\\w+", "na\u0301 \u00bd _1-\u24b6"),
            "[na\u0301][\u00bd][_1][\u24b6]");
  EXPECT_EQ(matches("[^\\s\\w]+", "a, b!?"), "[,][!?]");
  EXPECT_EQ(matches("\\h+", "xafz09 g"), "[af][09]");
  EXPECT_EQ(matches("[[:alpha:]]+", "ab1\u00e9"), "[ab][\u00e9]");
  EXPECT_EQ(matches("\\u0041\\x{42}\\x43", "ABC"), "[ABC]");
  EXPECT_EQ(matches("\\bna\\b", "na na\u0301 na"), "[na][na]");
}

TEST(Regex, HasClassesWithinClasses) {
  EXPECT_EQ(matches("[a[b[c]]d]+", "xabcdx"), "[abcd]");
  // BLOOM's.
  EXPECT_EQ(matches(" ?[^(\\s|[.,!?\u2026])]+", "Hi you, (a|b)."),
            "[Hi][ you][a][b]");
  EXPECT_EQ(matches("[a[^bc]]+", "bacd"), "[a][d]");
  EXPECT_EQ(matches("[^a[^bc]]+", "bacd"), "[b][c]");
  EXPECT_EQ(matches("[a-[b]]+", "a-bc"), "[a-b]");
  EXPECT_EQ(matches("[\\W\\H_]", "_ag-"), "[_][g][-]");
  EXPECT_EQ(matches("[]a]+", "]a["), "[]a]");
}

TEST(Regex, IntersectsClasses) {
  EXPECT_EQ(matches("[\\w&&[^\\d]]+", "a1bc"), "[a][bc]");
  EXPECT_EQ(matches("[^\\w&&[^\\d]]+", "a1-b"), "[1-]");
  EXPECT_EQ(matches("[a-z&&[^aeiou]&&^b-m]+", "abcdef^"), "[bcd][f]");
  // Kimi K2's.
  EXPECT_EQ(matches("[\\p{Lo}\\p{Ll}&&[^\\p{Han}]]+", "ab\u6f22\u3042"),
            "[ab][\u3042]");
}

TEST(Regex, KnowsPropertiesByOnigurumasNames) {
  EXPECT_EQ(matches("\\p{Letter}+", "a1\u00e9"), "[a][\u00e9]");
  EXPECT_EQ(matches("\\p{Decimal_Number}|\\p{^Alpha}", "a1 "), "[1][ ]");
  EXPECT_EQ(matches("\\P{^Punct}+", "a.,b"), "[.,]");
  // The script itself, not the characters that it shares with others.
  EXPECT_EQ(matches("\\p{Han}+", "\u3001\u6f22\u30fb"), "[\u6f22]");
}

TEST(Regex, HasOnigurumasRepetitions) {
  EXPECT_EQ(matches("a{2}+", "aaaaa"), "[aaaa]");
  EXPECT_EQ(matches("(ab){1,2}+c", "abababc"), "[abababc]");
  EXPECT_EQ(matches("a{,2}", "aaa"), "[aa][a]");
  EXPECT_EQ(matches("a++b", "aab"), "[aab]");
  EXPECT_EQ(matches("a{1", "a{1"), "[a{1]");
  EXPECT_EQ(matches("^a$", "a\na\nb"), "[a][a]");
}

TEST(Regex, FindsEmptyMatchesOnce) {
  EXPECT_EQ(matches("x*", "axxb"), "[][xx][]");
  EXPECT_EQ(matches("x*", "\u00e9x"), "[][x]");
}

TEST(Regex, EscapesText) {
  std::string text = "a.b*c[d]-^$(){}\\|?+ #\u00e9";
  EXPECT_EQ(matches(Regex::escape(text), "x" + text + "y"), "[" + text + "]");
}

TEST(Regex, RefusesWhatItDoesNotKnow) {
  auto errorOfPattern = [](std::string_view pattern) {
    return errorOf([&] { Regex(pattern, "here"); });
  };
  EXPECT_NE(errorOfPattern("[a[b"), "");
  EXPECT_NE(errorOfPattern("[" + std::string(100, '[') + "a]"), "");
  EXPECT_EQ(errorOfPattern("[[:odd:]]"),
            "the regular expression has such a class within a class at byte "
            "1, which is not supported in here");
  EXPECT_NE(errorOfPattern("a\\Kb").find("\\K at byte 1"), std::string::npos);
  EXPECT_NE(errorOfPattern("(?m:.)").find("a group '(?m'"), std::string::npos);
  EXPECT_NE(errorOfPattern("(a").find("does not compile"), std::string::npos);
  EXPECT_NE(errorOfPattern("\\"), "");
  EXPECT_NE(errorOfPattern("[a"), "");
  EXPECT_NE(errorOfPattern("\\p{Nonsense}"), "");
  EXPECT_NE(errorOfPattern("*"), "");
  EXPECT_NE(errorOfPattern("\xff"), "");
  EXPECT_NE(errorOfPattern("((((((a{1000}){1000}){1000}){1000}){9}){9})"), "");
  EXPECT_NE(errorOfPattern(std::string(100000, '(')), "");
}

TEST(Regex, GivesUpOnCatastrophes) {
  std::string error =
      errorOf([] { matches("(a|aa)+$\\b.", std::string(200, 'a') + "!"); });
  EXPECT_NE(error.find("gave up at byte 0 of a text of 201"), std::string::npos)
      << error;
}

} // namespace
