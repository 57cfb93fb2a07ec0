//===- ChatImportTest.cpp - Chat templates of folders ---------------------===//

#include "frontends/tokenizer/ChatImport.h"

#include "TokenizerTestUtils.h"

using namespace qcc;
using namespace qcc::test;
using qrt::chat::NamedTexts;

namespace {

TEST(ChatImport, HasNone) {
  TemporaryFolder folder;
  EXPECT_TRUE(importChat(folder.path).templates.empty());
  folder.write("tokenizer_config.json", R"({"chat_template":null})");
  EXPECT_TRUE(importChat(folder.path).templates.empty());
}

TEST(ChatImport, ReadsTheFirstOfTheFiles) {
  TemporaryFolder folder;
  folder.write("chat_template.json", R"({"chat_template":"zero"})");
  EXPECT_EQ(importChat(folder.path).templates,
            (NamedTexts{{"default", "zero"}}));
  folder.write("tokenizer_config.json", R"({"chat_template":"one"})");
  EXPECT_EQ(importChat(folder.path).templates,
            (NamedTexts{{"default", "one"}}));
  folder.write("tokenizer_config.json",
               R"({"chat_template":[{"name":"tool_use","template":"x"},
                   {"name":"default","template":"two"}]})");
  EXPECT_EQ(importChat(folder.path).templates,
            (NamedTexts{{"tool_use", "x"}, {"default", "two"}}));
  folder.write("chat_template.jinja", "three\n");
  EXPECT_EQ(importChat(folder.path).templates,
            (NamedTexts{{"default", "three\n"}}));
  std::filesystem::create_directory(folder.path / "additional_chat_templates");
  folder.write("additional_chat_templates/rag.jinja", "four");
  EXPECT_EQ(importChat(folder.path).templates,
            (NamedTexts{{"default", "three\n"}, {"rag", "four"}}));
}

TEST(ChatImport, ReadsSpecialTokens) {
  TemporaryFolder folder;
  folder.write("tokenizer_config.json",
               R"({"chat_template":"x","bos_token":{"content":"<s>"},
                   "eos_token":"</s>","pad_token":null,
                   "additional_special_tokens":["<a>"]})");
  folder.write("special_tokens_map.json",
               R"({"unk_token":"<unk>","eos_token":"other"})");
  NamedTexts expected = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  EXPECT_EQ(importChat(folder.path).specialTokens, expected);
  // A file alone has those of its folder.
  folder.write("mine.jinja", "y");
  auto chat = importChat(folder.path / "mine.jinja");
  EXPECT_EQ(chat.templates, (NamedTexts{{"default", "y"}}));
  EXPECT_EQ(chat.specialTokens, expected);
}

TEST(ChatImport, RefusesWhatIsNoTemplate) {
  TemporaryFolder folder;
  auto error = [&](const char *config) {
    folder.write("tokenizer_config.json", config);
    return errorOf([&] { importChat(folder.path); });
  };
  EXPECT_NE(error(R"({"chat_template":1})").find("chat_template"),
            std::string::npos);
  EXPECT_NE(error(R"({"chat_template":[{"name":"x"}]})").find("template"),
            std::string::npos);
  EXPECT_NE(error("{").find("tokenizer_config.json"), std::string::npos);
}

} // namespace
