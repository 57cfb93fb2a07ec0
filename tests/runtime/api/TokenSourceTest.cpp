//===- TokenSourceTest.cpp - Tokens of several sessions -------------------===//
//
// Once where the host chooses, once on an executor that chooses itself and is a
// step ahead, as a GPU is.
//
//===----------------------------------------------------------------------===//

#include "runtime/api/TokenSource.h"

#include "runtime/executor/CpuExecutor.h"
#include "runtime/support/Error.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <deque>

using namespace qrt;
using namespace qrt::test;

namespace {

/// A CPU that goes on by itself.
class AheadExecutor : public CpuExecutor {
public:
  explicit AheadExecutor(const Artifact &artifact) : CpuExecutor(artifact, 2) {}

  std::unique_ptr<TokenSteps>
  tokenSteps(std::span<const SampledSequence> sequences,
             uint32_t most) override {
    ++made;
    return std::make_unique<Steps>(*this, sequences, most);
  }

  int made = 0, steps = 0; ///< so far
  bool fails = false;      ///< the next choice

private:
  class Steps : public TokenSteps {
  public:
    Steps(AheadExecutor &executor, std::span<const SampledSequence> sequences,
          uint32_t most)
        : executor(executor), most(most) {
      for (const SampledSequence &sequence : sequences) {
        const SamplingState &state = sequence.sampling;
        Sampler sampler({state.temperature, state.topK, state.topP, 0,
                         state.repetitionPenalty, state.seed},
                        executor.vocabulary());
        for (uint64_t i = 0; i < state.draws; ++i)
          sampler.took(-1);
        for (uint32_t i = 0; i < executor.vocabulary(); ++i)
          if (state.seen[i / 32] >> i % 32 & 1)
            sampler.accept(int32_t(i));
        texts.push_back({sequence.cache, sequence.first, sampler});
      }
    }

    void next(std::span<int32_t> tokens) override {
      ASSERT_LT(taken, most);
      while (issued < std::min(taken + 2, most))
        issue();
      take(tokens);
    }
    bool finish(std::span<int32_t> tokens) override {
      if (taken == issued)
        return false;
      take(tokens);
      return true;
    }
    void leave(size_t sequence) override { texts[sequence].hasLeft = true; }

  private:
    struct Text {
      KvCache *cache;
      int32_t last;
      Sampler sampler;
      bool hasLeft = false;
    };

    void issue() {
      std::vector<StepSequence> step;
      std::vector<float> logits(texts.size() * executor.vocabulary());
      const uint32_t ahead = issued - taken;
      for (const Text &text : texts) {
        extend(*text.cache, ahead);
        step.push_back({text.cache, {&text.last, 1}});
      }
      executor.step(step, logits);
      std::vector<int32_t> tokens;
      for (size_t i = 0; i < texts.size(); ++i) {
        Text &text = texts[i];
        text.cache->truncate(text.cache->length() - ahead - 1);
        text.last = text.sampler.sample(std::span(logits).subspan(
            i * executor.vocabulary(), executor.vocabulary()));
        text.sampler.accept(text.last);
        tokens.push_back(text.last);
      }
      chosen.push_back(tokens);
      ++issued;
      ++executor.steps;
    }

    void take(std::span<int32_t> tokens) {
      if (std::exchange(executor.fails, false))
        throw Error("the device failed");
      ASSERT_EQ(tokens.size(), texts.size());
      std::ranges::copy(chosen.front(), tokens.begin());
      chosen.pop_front();
      ++taken;
      for (const Text &text : texts)
        if (!text.hasLeft)
          extend(*text.cache, 1);
    }

    AheadExecutor &executor;
    const uint32_t most;
    std::vector<Text> texts;
    std::deque<std::vector<int32_t>> chosen;
    uint32_t issued = 0, taken = 0;
  };
};

/// A text with what it needs.
struct Text {
  Text(Model &model, std::vector<int32_t> prompt, SamplerOptions options)
      : session(model), sampler(options, model.vocabulary()), prompt(prompt) {
    for (int32_t token : prompt)
      sampler.accept(token);
  }
  /// Adds it with its prompt's last token, or with logits.
  void join(TokenSource &source, uint32_t most, bool withLogits = false) {
    const size_t fed = prompt.size() - !withLogits;
    if (fed)
      session.feed(std::span(prompt).first(fed));
    source.add(session, sampler, most, withLogits ? -1 : prompt.back());
  }

  Session session;
  Sampler sampler;
  std::vector<int32_t> prompt, made;
};

class TokenSourceTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    // No token is much likelier than others.
    FakeModelOptions options;
    writeFakeModel(folder / "model.qbin", options);
    if (GetParam())
      model.emplace(folder / "model.qbin", [&](const Artifact &artifact) {
        auto made = std::make_unique<AheadExecutor>(artifact);
        ahead = made.get();
        return std::unique_ptr<Executor>(std::move(made));
      });
    else
      model.emplace(folder / "model.qbin", ModelOptions{"cpu", 2});
  }
  /// A session's tokens if it is alone and the host chooses.
  std::vector<int32_t> alone(const std::vector<int32_t> &prompt,
                             SamplerOptions options, uint32_t count) {
    Text text(*model, prompt, options);
    text.session.feed(prompt);
    while (true) {
      const int32_t token = text.sampler.sample(text.session.logits());
      text.sampler.accept(token);
      text.made.push_back(token);
      if (text.made.size() == count)
        return text.made;
      text.session.feed({&token, 1});
    }
  }
  static void step(TokenSource &source, std::vector<Text *> texts) {
    const auto tokens = source.next();
    ASSERT_EQ(tokens.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i)
      texts[i]->made.push_back(tokens[i]);
  }

  TemporaryFolder folder;
  std::optional<Model> model;
  AheadExecutor *ahead = nullptr;
  const std::vector<int32_t> p = {7, 4, 11}, q = {3}, r = {1, 2, 3, 4, 5};
  /// temperature, top-k, top-p, min-p, penalty, seed
  const SamplerOptions greedy = {0, 50, 1, 0, 1, 0},
                       sampled = {20, 0, 0.9f, 0, 1, 5},
                       penalized = {15, 20, 1, 0, 1.5f, 9};
};

} // namespace

INSTANTIATE_TEST_SUITE_P(Where, TokenSourceTest, testing::Bool(),
                         [](const auto &info) {
                           return info.param ? "Device" : "Host";
                         });

TEST_P(TokenSourceTest, GivesEverySessionItsOwnTokens) {
  Text a(*model, p, greedy), b(*model, q, sampled), c(*model, r, penalized);
  TokenSource source(*model);
  a.join(source, 9);
  b.join(source, 9);
  c.join(source, 9);
  for (int i = 0; i < 9; ++i)
    step(source, {&a, &b, &c});
  EXPECT_EQ(a.made, alone(p, greedy, 9));
  EXPECT_EQ(b.made, alone(q, sampled, 9));
  EXPECT_EQ(c.made, alone(r, penalized, 9));
  EXPECT_EQ(a.session.length(), p.size() + 8);
  EXPECT_EQ(source.isOnDevice(), GetParam());
  if (ahead) {
    EXPECT_EQ(ahead->made, 1);
    EXPECT_EQ(ahead->steps, 9); // none that nobody wants
    EXPECT_TRUE(a.session.logits().empty());
  }
}

TEST_P(TokenSourceTest, LetsSessionsComeAndGo) {
  Text a(*model, p, sampled), b(*model, q, penalized), c(*model, r, sampled),
      d(*model, q, greedy);
  TokenSource source(*model);
  a.join(source, 50);
  b.join(source, 50);
  for (int i = 0; i < 3; ++i)
    step(source, {&a, &b});
  c.join(source, 50, /*withLogits=*/true);
  const int steps = ahead ? ahead->steps : 0;
  step(source, {&a, &b, &c});
  if (ahead)
    EXPECT_EQ(ahead->steps, steps); // was under way
  step(source, {&a, &b, &c});
  d.join(source, 50);
  step(source, {&a, &b, &c, &d});
  step(source, {&a, &b, &c, &d});
  source.remove(b.session);
  EXPECT_EQ(b.session.length(), q.size() + 6);
  step(source, {&a, &c, &d});
  // Its session goes on as it likes.
  b.session.feed({&b.made.back(), 1});
  b.made.push_back(b.sampler.sample(b.session.logits()));
  source.remove(a.session);
  source.remove(d.session);
  step(source, {&c});
  step(source, {&c});
  EXPECT_EQ(a.made, alone(p, sampled, 8));
  EXPECT_EQ(b.made, alone(q, penalized, 8));
  EXPECT_EQ(c.made, alone(r, sampled, 7));
  EXPECT_EQ(d.made, alone(q, greedy, 3));
  EXPECT_EQ(a.session.length(), p.size() + 7);
}

TEST_P(TokenSourceTest, StopsWhereOneIsFull) {
  Text a(*model, p, greedy), b(*model, r, greedy);
  TokenSource source(*model);
  a.join(source, 1000);
  b.join(source, 4);
  for (int i = 0; i < 4; ++i)
    step(source, {&a, &b});
  source.remove(b.session);
  while (a.session.length() < a.session.capacity())
    step(source, {&a});
  EXPECT_THROW(source.next(), UsageError);
  EXPECT_EQ(a.made, alone(p, greedy, uint32_t(a.made.size())));
}

TEST_P(TokenSourceTest, GoesOnAfterFailures) {
  Text a(*model, p, sampled), b(*model, r, penalized);
  TokenSource source(*model);
  a.join(source, 20);
  b.join(source, 20);
  step(source, {&a, &b});
  b.session.cancel();
  EXPECT_THROW(source.next(), Error);
  step(source, {&a, &b});
  if (ahead) {
    ahead->fails = true;
    EXPECT_THROW(source.next(), Error);
    EXPECT_EQ(a.session.length(), p.size() + 1);
  }
  step(source, {&a, &b});
  EXPECT_EQ(a.made, alone(p, sampled, 3));
  EXPECT_EQ(b.made, alone(r, penalized, 3));
}
