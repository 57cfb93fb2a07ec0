//===- JsonTest.cpp - JSON as Python reads and writes it ------------------===//

#include "runtime/chat/Json.h"

#include "runtime/support/Error.h"

#include <gtest/gtest.h>

using namespace qrt;
using namespace qrt::chat;

TEST(JsonTest, readsAndWrites) {
  for (const char *text :
       {"null", "true", "-12", "1.5", "1e+20", "1e-07", "[]", "{}",
        "[1, [2, {\"a\": null}]]", "{\"b\": 1, \"a\": [\"\\n\\\"\\\\\"]}",
        "\"é😀\"", "NaN", "-Infinity", "123456789012345678901234567890"})
    EXPECT_EQ(toJson(parseJson(text)), text);
  EXPECT_EQ(toJson(parseJson(" {\"a\" : 1 , \"b\":2,\"a\":3}\n")),
            "{\"a\": 3, \"b\": 2}");
  EXPECT_EQ(toJson(parseJson("\"\\u00e9\\ud83d\\ude00\\/\"")), "\"é😀/\"");
  EXPECT_EQ(toJson(parseJson("[1e400, 1E-400, 1e2]")),
            "[Infinity, 0.0, 100.0]");
}

TEST(JsonTest, refusesWhatIsNoJson) {
  for (const char *text :
       {"", "[", "[1,]", "{\"a\"}", "{\"a\":}", "{1:2}", "01", "1 2", "'a'",
        "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\n\"", "\xff", "nul",
        "+1", ".5", "-"})
    EXPECT_THROW(parseJson(text), Error) << text;
  EXPECT_THROW(parseJson(std::string(100000, '[')), Error);
}

/// Many keys are found fast: this takes minutes if each is looked for.
TEST(JsonTest, readsLargeObjects) {
  std::string text = "{\"\": 0";
  for (int i = 0; i < 50000; ++i)
    text += ",\"" + std::to_string(i) + "\":" + std::to_string(i);
  Value value = parseJson(text + "}");
  EXPECT_EQ(value.dict().entries().size(), 50001u);
  EXPECT_EQ(value.dict().find(std::string_view("49999"))->integer(), 49999);
}
