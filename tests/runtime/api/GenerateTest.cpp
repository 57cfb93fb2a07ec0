//===- GenerateTest.cpp - How a text goes on, and where it ends -----------===//

#include "runtime/api/Generate.h"

#include "runtime/support/Error.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

using namespace qrt;
using namespace qrt::test;

namespace {
class GenerateTest : public testing::Test {
protected:
  Model &load(const FakeModelOptions &options = {}) {
    writeFakeModel(folder / "model.qbin", options);
    ModelOptions modelOptions;
    modelOptions.threads = 2;
    model.emplace(folder / "model.qbin", modelOptions);
    return *model;
  }
  static GenerateOptions greedy(uint32_t count) {
    GenerateOptions options;
    options.maxNewTokens = count;
    options.sampling.temperature = 0;
    return options;
  }
  GenerateResult run(Session &session, const std::vector<int32_t> &prompt,
                     const GenerateOptions &options) {
    text.clear();
    return generate(session, prompt, options,
                    [&](int32_t, std::string_view piece) {
                      text += piece;
                      return true;
                    });
  }

  TemporaryFolder folder;
  std::optional<Model> model;
  std::string text;
  const std::vector<int32_t> prompt = {7, 4, 11, 11, 14};
};
} // namespace

TEST_F(GenerateTest, goesOnUntilTheLength) {
  Session session(load());
  GenerateResult result = run(session, prompt, greedy(10));
  EXPECT_EQ(result.ids, fakeGreedy(prompt, 10));
  EXPECT_EQ(result.reason, FinishReason::Length);
  EXPECT_EQ(text, model->tokenizer()->decode(result.ids));
  EXPECT_EQ(session.length(), prompt.size() + 9);
}

TEST_F(GenerateTest, givesOneTokenOrNone) {
  Session session(load());
  EXPECT_EQ(run(session, prompt, greedy(1)).ids, fakeGreedy(prompt, 1));
  session.truncate(0);
  EXPECT_TRUE(run(session, prompt, greedy(0)).ids.empty());
  EXPECT_EQ(session.length(), prompt.size());
}

TEST_F(GenerateTest, stopsAtTheContext) {
  Session session(load(), 12);
  GenerateResult result = run(session, prompt, greedy(100));
  // The last token is chosen by the last position.
  EXPECT_EQ(result.ids, fakeGreedy(prompt, 8));
  EXPECT_EQ(result.reason, FinishReason::Context);
  EXPECT_EQ(session.length(), 12u);
}

TEST_F(GenerateTest, refusesPromptsThatDoNotFit) {
  Session session(load(), 4);
  EXPECT_THROW(run(session, prompt, greedy(1)), UsageError);
  EXPECT_EQ(session.length(), 0u);
  EXPECT_THROW(run(session, {}, greedy(1)), UsageError);
  EXPECT_THROW(run(session, {32}, greedy(1)), UsageError);
  EXPECT_THROW(Session(*model, 65), UsageError);
  EXPECT_EQ(Session(*model, 64).capacity(), 64u);
}

TEST_F(GenerateTest, passesATrainedLimitWithoutATableOfPositions) {
  FakeModelOptions options;
  options.positions = 0;
  load(options);
  EXPECT_EQ(Session(*model, 65).capacity(), 65u);
  EXPECT_EQ(Session(*model, 0).capacity(), 64u);
}

TEST_F(GenerateTest, stopsWhereTheModelEndsTheText) {
  FakeModelOptions options;
  options.bias.assign(kFakeVocabulary, 0);
  options.bias[kFakeEos] = 1000;
  Session session(load(options));
  GenerateResult result = run(session, prompt, greedy(5));
  EXPECT_TRUE(result.ids.empty());
  EXPECT_EQ(result.reason, FinishReason::Eos);
  session.truncate(0);
  GenerateOptions goOn = greedy(5);
  goOn.ignoreEos = true;
  result = run(session, prompt, goOn);
  EXPECT_EQ(result.ids, std::vector<int32_t>(5, kFakeEos));
  EXPECT_EQ(text, ""); // special tokens have none
}

TEST_F(GenerateTest, stopsBeforeAStopText) {
  Session session(load());
  run(session, prompt, greedy(12));
  std::string whole = text;
  // Across two tokens, and in competition with one that never comes.
  GenerateOptions options = greedy(12);
  options.stop = {"never", whole.substr(5, 2), ""};
  session.truncate(0);
  GenerateResult result = run(session, prompt, options);
  EXPECT_EQ(text, whole.substr(0, whole.find(options.stop[1])));
  EXPECT_EQ(result.reason, FinishReason::Stop);
  EXPECT_LT(result.ids.size(), 12u);
}

TEST_F(GenerateTest, holdsBackNothingAtTheEnd) {
  Session session(load());
  run(session, prompt, greedy(6));
  std::string whole = text;
  GenerateOptions options = greedy(6);
  options.stop = {whole.substr(4) + "!"}; // begins, but never ends
  session.truncate(0);
  EXPECT_EQ(run(session, prompt, options).reason, FinishReason::Length);
  EXPECT_EQ(text, whole);
}

TEST_F(GenerateTest, stopsWhenTheCallbackSaysSo) {
  Session session(load());
  int calls = 0;
  GenerateResult result =
      generate(session, prompt, greedy(10),
               [&](int32_t, std::string_view) { return ++calls < 3; });
  EXPECT_EQ(result.ids.size(), 3u);
  EXPECT_EQ(result.reason, FinishReason::Stop);
}

TEST_F(GenerateTest, goesOnWithASession) {
  Session session(load());
  GenerateResult first = run(session, prompt, greedy(4));
  std::vector<int32_t> more = {first.ids.back(), 3, 5};
  GenerateResult second = run(session, more, greedy(4));
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), first.ids.begin(), first.ids.end());
  all.insert(all.end(), {3, 5});
  EXPECT_EQ(second.ids, fakeGreedy(all, 4));
}

TEST_F(GenerateTest, sameSeedSameText) {
  Session session(load());
  GenerateOptions options;
  options.maxNewTokens = 30;
  options.sampling.temperature = 5;
  auto sampled = [&](uint64_t seed) {
    options.sampling.seed = seed;
    session.truncate(0);
    return run(session, prompt, options).ids;
  };
  std::vector<int32_t> first = sampled(3);
  EXPECT_EQ(sampled(3), first);
  EXPECT_NE(sampled(4), first);
}

TEST_F(GenerateTest, worksWithoutATokenizer) {
  FakeModelOptions options;
  options.tokenizer = false;
  Session session(load(options));
  EXPECT_EQ(run(session, prompt, greedy(5)).ids, fakeGreedy(prompt, 5));
  EXPECT_EQ(text, "");
  GenerateOptions stop = greedy(5);
  stop.stop = {"x"};
  EXPECT_THROW(run(session, prompt, stop), Error);
  EXPECT_THROW(model->encodePrompt("abc"), Error);
}

TEST_F(GenerateTest, startsFromNothing) {
  EXPECT_EQ(load().encodePrompt(""), std::vector<int32_t>{kFakeBos});
  EXPECT_EQ(model->encodePrompt("ab<s>"),
            (std::vector<int32_t>{0, 1, kFakeBos}));
  FakeModelOptions options;
  options.bos = -1;
  EXPECT_THROW(load(options).encodePrompt(""), UsageError);
}

TEST_F(GenerateTest, cancelsAndGoesOn) {
  Session session(load());
  session.cancel();
  try {
    run(session, prompt, greedy(1));
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::Cancelled);
  }
  EXPECT_EQ(run(session, prompt, greedy(3)).ids, fakeGreedy(prompt, 3));
}

TEST(StopFilterTest, findsTheFirstStop) {
  std::vector<std::string> stops = {"abc", "bd"};
  StopFilter filter(stops);
  EXPECT_EQ(filter.push("xa"), "x");
  EXPECT_EQ(filter.push("b"), "");
  EXPECT_EQ(filter.push("e"), "abe");
  EXPECT_EQ(filter.push("ab"), "");
  EXPECT_EQ(filter.push("d..."), "a");
  EXPECT_TRUE(filter.stopped());
}
