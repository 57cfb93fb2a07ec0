//===- ChatTemplatesTest.cpp - Conversations as transformers renders them -===//

#include "runtime/chat/ChatTemplates.h"

#include "runtime/support/Error.h"
#include "tests/runtime/chat/TestFiles.h"

#include <gtest/gtest.h>

using namespace qrt;
using namespace qrt::chat;
using namespace qrt::chat::test;
namespace fs = std::filesystem;

static Conversation conversation(std::string_view messages) {
  Conversation conversation;
  conversation.messages = parseListOfDicts(messages, "message");
  return conversation;
}

static std::string errorOf(const ChatTemplates &templates,
                           const Conversation &conversation) {
  try {
    templates.render(conversation);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(ChatTemplatesTest, passesWhatTemplatesRead) {
  ChatTemplates templates(
      {{{"default", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
                    "{{ tools }}{{ documents }}{{ add_generation_prompt }}"
                    "{{ thinking }}"}},
       {{"bos_token", "<s>"}, {"eos_token", "</s>"}}});
  Conversation chat = conversation(R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(templates.render(chat), "<s>hi</s>NoneNoneFalse");
  chat.addGenerationPrompt = true;
  chat.variables = {{"thinking", Value(true)}, {"eos_token", Value("E")}};
  EXPECT_EQ(templates.render(chat), "<s>hiENoneNoneTrueTrue");
}

TEST(ChatTemplatesTest, choosesAsTransformers) {
  ChatTemplates templates(
      {{{"default", "d"}, {"tool_use", "t"}, {"rag", "r"}}, {}});
  Conversation chat = conversation(R"([{"role":"user"}])");
  EXPECT_EQ(templates.render(chat), "d");
  chat.tools = Values();
  EXPECT_EQ(templates.render(chat), "t");
  chat.templateName = "rag";
  EXPECT_EQ(templates.render(chat), "r");
  chat.templateName = "x";
  EXPECT_EQ(errorOf(templates, chat), "the model has no chat template 'x'; it "
                                      "has default, rag, tool_use");
  EXPECT_EQ(errorOf(ChatTemplates({}), chat), "the model has no chat template");
}

/// Reasoning goes by the names that any template looks for.
TEST(ChatTemplatesTest, namesReasoning) {
  ChatTemplates templates({{{"default", "{{ messages[0]|tojson }}"}}, {}});
  EXPECT_EQ(templates.render(conversation(
                R"([{"role":"assistant","reasoning":"r","content":null}])")),
            R"({"thinking": "r", "role": "assistant", "reasoning": "r", )"
            R"("content": null, "reasoning_content": "r"})");
}

TEST(ChatTemplatesTest, refusesWhatIsNoConversation) {
  EXPECT_THROW(conversation("{}"), Error);
  EXPECT_THROW(conversation("[1]"), Error);
  ChatTemplates templates({{{"default", "x"}}, {}});
  EXPECT_EQ(errorOf(templates, conversation("[]")),
            "the conversation has no messages");
}

TEST(ChatTemplatesTest, namesTheTemplateThatIsWrong) {
  try {
    ChatTemplates({{{"default", "x"}, {"rag", "{% x %}"}}, {}});
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(std::string(error.what()),
              "template 'rag': chat template line 1, column 4: unknown tag "
              "'x': `{% x %}`");
  }
}

/// The templates of published models, rendered by transformers.
TEST(ChatTemplatesTest, rendersPublishedTemplates) {
  fs::path folder = fs::path(QCC_SHARED_DATA) / "chat";
  if (!fs::exists(folder))
    GTEST_SKIP() << "no shared test data";
  Value conversations = readJson(folder / "conversations.json"),
        tools = readJson(folder / "tools.json");
  std::vector<fs::path> files = {folder / "llama3.json",
                                 folder / "smollm2.json"};
  for (const auto &entry : fs::directory_iterator(folder / "published"))
    files.push_back(entry.path());
  EXPECT_GE(files.size(), 49u);
  for (const fs::path &path : files) {
    Value file = readJson(path);
    ChatSource source;
    source.templates = {{"default", at(file, "template").string()}};
    for (const auto &[name, text] : toVariables(at(file, "variables")))
      source.specialTokens.emplace_back(name, text.string());
    ChatTemplates templates(source);
    for (const Value &golden : at(file, "cases").items()) {
      Conversation chat;
      const std::string &name = at(golden, "conversation").string();
      chat.messages = at(conversations, name);
      const Value *hasTools = golden.dict().find(std::string_view("tools"));
      if (hasTools && hasTools->truth())
        chat.tools = tools;
      chat.addGenerationPrompt = at(golden, "add_generation_prompt").truth();
      chat.date = Date::parse("2026-11-23");
      SCOPED_TRACE(path.filename().string() + " " + name);
      if (golden.dict().find(std::string_view("error")))
        EXPECT_NE(errorOf(templates, chat), "");
      else
        EXPECT_EQ(templates.render(chat), at(golden, "text").string());
    }
  }
}
