//===- DialogTest.cpp - Turns, and what a session keeps of them -----------===//

#include "runtime/tools/qrt/Dialog.h"

#include "runtime/support/Error.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

using namespace qrt;
using namespace qrt::test;
using namespace qrt::tool;

namespace {
class DialogTest : public testing::Test {
protected:
  void SetUp() override {
    FakeModelOptions fake;
    fake.chatTemplate = "{{ bos_token }}{% for m in messages %}"
                        "{% if m.content == 'no' %}"
                        "{{ raise_exception('refused') }}{% endif %}"
                        "{{ m.content }}.{% endfor %}";
    writeFakeModel(folder / "model.qbin", fake);
    ModelOptions options;
    options.threads = 1;
    model.emplace(folder / "model.qbin", options);
    session.emplace(*model);
    greedy.sampling.temperature = 0;
    greedy.maxNewTokens = 5;
  }

  Answer say(Dialog &dialog, const std::string &text) {
    return dialog.say(text, greedy,
                      [](int32_t, std::string_view) { return true; });
  }
  /// What the model says after `prompt`, without a session that keeps any.
  std::string expected(const std::string &prompt, size_t count = 5) {
    return model->tokenizer()->decode(
        fakeGreedy(model->encodeChat(prompt), count));
  }

  TemporaryFolder folder;
  std::optional<Model> model;
  std::optional<Session> session;
  GenerateOptions greedy;
};
} // namespace

/// The fake model's next token depends on all tokens before it and on their
/// number: an answer is right only if the session holds exactly the prompt.
TEST_F(DialogTest, keepsWhatIsUnchanged) {
  Dialog dialog(*session, "");
  Answer first = say(dialog, "ab");
  EXPECT_EQ(first.text, expected("<s>ab."));
  EXPECT_EQ(first.reason, FinishReason::Length);
  EXPECT_EQ(first.promptTokens, 4u);
  EXPECT_EQ(first.keptTokens, 0u);
  EXPECT_EQ(first.newTokens, 5u);

  // All but the last token made is in the session.
  std::string prompt = "<s>ab." + first.text + ".cd.";
  Answer second = say(dialog, "cd");
  EXPECT_EQ(second.keptTokens, 8u);
  EXPECT_EQ(second.promptTokens, 13u);
  EXPECT_EQ(second.text, expected(prompt));

  dialog.reset();
  Answer other = say(dialog, "abc");
  EXPECT_EQ(other.keptTokens, 3u);
  EXPECT_EQ(other.text, expected("<s>abc."));
  // The same again: one token is fed, whose logits the answer begins with.
  dialog.reset();
  Answer same = say(dialog, "abc");
  EXPECT_EQ(same.keptTokens, same.promptTokens - 1);
  EXPECT_EQ(same.text, other.text);
}

TEST_F(DialogTest, beginsWithTheSystemsMessage) {
  Dialog dialog(*session, "sys");
  EXPECT_EQ(say(dialog, "ab").text, expected("<s>sys.ab."));
  dialog.reset();
  EXPECT_EQ(say(dialog, "c").text, expected("<s>sys.c."));
}

TEST_F(DialogTest, saysWhenTheContextIsFull) {
  Session small(*model, 10);
  Dialog dialog(small, "");
  greedy.maxNewTokens = 100;
  Answer answer = say(dialog, "abcd");
  EXPECT_EQ(answer.reason, FinishReason::Context);
  // The conversation is now longer than the context: nothing is cut off.
  try {
    say(dialog, "e");
    FAIL();
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("leaves no room"),
              std::string::npos)
        << error.what();
  }
  dialog.reset();
  greedy.maxNewTokens = 2;
  EXPECT_EQ(say(dialog, "f").text, expected("<s>f.", 2));
}

TEST_F(DialogTest, goesOnAfterWhatIsRefused) {
  Dialog dialog(*session, "");
  Answer first = say(dialog, "ab");
  EXPECT_THROW(say(dialog, "no"), Error);
  EXPECT_EQ(say(dialog, "cd").text, expected("<s>ab." + first.text + ".cd."));
}

TEST_F(DialogTest, goesOnAfterAnInterruption) {
  Dialog dialog(*session, "");
  Answer stopped = dialog.say(
      "ab", greedy, [&, count = 0](int32_t, std::string_view) mutable {
        if (++count == 2)
          session->cancel();
        return true;
      });
  EXPECT_TRUE(stopped.isInterrupted);
  EXPECT_EQ(stopped.text, expected("<s>ab.", 2));
  EXPECT_EQ(say(dialog, "cd").text, expected("<s>ab." + stopped.text + ".cd."));
}

TEST_F(DialogTest, stopsAtTheTokenizersEnd) {
  // Every logit but that of </s> is far below.
  FakeModelOptions fake;
  fake.chatTemplate = "{{ messages[0].content }}";
  fake.bias.assign(kFakeVocabulary, -1000);
  fake.bias[kFakeEos] = 1000;
  writeFakeModel(folder / "ends.qbin", fake);
  Model ends(folder / "ends.qbin");
  Session ending(ends);
  Dialog dialog(ending, "");
  Answer answer = say(dialog, "ab");
  EXPECT_EQ(answer.reason, FinishReason::Eos);
  EXPECT_EQ(answer.text, "");
}

TEST_F(DialogTest, needsATemplate) {
  writeFakeModel(folder / "plain.qbin");
  Model plain(folder / "plain.qbin");
  Session other(plain);
  EXPECT_THROW(Dialog(other, ""), Error);
}
