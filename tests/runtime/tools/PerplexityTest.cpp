//===- PerplexityTest.cpp - Windows, losses and divergences ---------------===//

#include "runtime/tools/qrt/Perplexity.h"
#include "runtime/tools/qrt/EvalText.h"

#include "runtime/executor/CpuExecutor.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace qrt;
using namespace qrt::test;
using namespace qrt::tool;

TEST(WindowTest, leavesOutAShorterLastOne) {
  WindowOptions options;
  options.context = 10;
  EXPECT_EQ(windowCount(9, options), 0u);
  EXPECT_EQ(windowCount(10, options), 1u);
  EXPECT_EQ(windowCount(29, options), 2u);
  options.stride = 5;
  EXPECT_EQ(windowCount(29, options), 4u);
  options.maxWindows = 3;
  EXPECT_EQ(windowCount(29, options), 3u);
  options = {10, 20, 0};
  EXPECT_EQ(windowCount(29, options), 1u);
  EXPECT_EQ(windowCount(30, options), 2u);
}

/// random.seed(0); [random.randint(0, 999) for _ in range(8)] in Python 3, and
/// the same with 2 ** 32 - 1.
TEST(PythonRandomTest, drawsWhatPythonDraws) {
  PythonRandom random(0);
  for (uint32_t expected : {864u, 394u, 776u, 911u, 430u, 41u, 265u, 988u})
    EXPECT_EQ(random.upTo(999), expected);
  PythonRandom large(0);
  for (uint32_t expected : {3626764237u, 1806341205u, 2195908194u, 2046968324u})
    EXPECT_EQ(large.upTo(4294967295u), expected);
}

TEST(ScoresTest, sums) {
  Scores scores;
  for (double loss : {1.0, 2.0, 3.0})
    scores.addLoss(loss);
  EXPECT_DOUBLE_EQ(scores.perplexity(), std::exp(2.0));
  // The sample's deviation is 1, the mean's error 1/sqrt(3).
  EXPECT_NEAR(scores.standardError(), std::exp(2.0) / std::sqrt(3.0), 1e-12);
  EXPECT_EQ(scores.tokens(), 3u);
  for (int i = 1; i <= 200; ++i)
    scores.addDivergence(i, i % 4 == 0);
  EXPECT_DOUBLE_EQ(scores.divergence(), 100.5);
  EXPECT_DOUBLE_EQ(scores.divergence99(), 198);
  EXPECT_DOUBLE_EQ(scores.sameTop(), 0.25);
}

TEST(ScoresTest, areZeroWithoutTokens) {
  Scores scores;
  EXPECT_EQ(scores.perplexity(), 0);
  EXPECT_EQ(scores.standardError(), 0);
  EXPECT_EQ(scores.divergence99(), 0);
  EXPECT_EQ(scores.sameTop(), 0);
}

namespace {
class ScoreTest : public testing::TestWithParam<uint32_t> {
protected:
  void SetUp() override {
    writeFakeModel(folder / "model.qbin");
    FakeModelOptions options;
    options.bias = {0.5f, -1, 2};
    writeFakeModel(folder / "base.qbin", options);
    ModelOptions modelOptions;
    modelOptions.threads = GetParam();
    model.emplace(folder / "model.qbin", modelOptions);
    base.emplace(folder / "base.qbin", modelOptions);
    for (int i = 0; i < 40; ++i)
      window.push_back(i * 7 % 28);
  }

  /// log p of every token after `position` tokens of the window, in double.
  std::vector<double> logProbabilities(Model &which, size_t position) {
    Session session(which);
    session.feed(std::span(window).first(position));
    std::vector<double> logs;
    double sum = 0;
    for (float logit : session.logits())
      sum += std::exp(double(logit));
    for (float logit : session.logits())
      logs.push_back(double(logit) - std::log(sum));
    return logs;
  }

  TemporaryFolder folder;
  std::optional<Model> model, base;
  std::vector<int32_t> window;
};
} // namespace

INSTANTIATE_TEST_SUITE_P(Threads, ScoreTest, testing::Values(1, 3));

TEST_P(ScoreTest, matchesTheDefinition) {
  double loss = 0, divergence = 0;
  for (size_t n = 1; n <= window.size(); ++n) {
    auto own = logProbabilities(*model, n), other = logProbabilities(*base, n);
    if (n < window.size())
      loss -= own[size_t(window[n])];
    for (size_t v = 0; v < own.size(); ++v)
      divergence += std::exp(other[v]) * (other[v] - own[v]);
  }
  Session session(*model), baseSession(*base);
  Scores scores;
  scoreWindow(session, &baseSession, window, 0, scores);
  EXPECT_EQ(scores.tokens(), window.size() - 1);
  EXPECT_NEAR(std::log(scores.perplexity()), loss / 39, 1e-5);
  EXPECT_NEAR(scores.divergence(), divergence / 40, 1e-5);
  EXPECT_GT(scores.divergence(), 0.01);
}

/// Overlapping windows count each token once, and with more context.
TEST_P(ScoreTest, countsOverlapsOnce) {
  Session session(*model), baseSession(*model);
  Scores scores;
  scoreWindow(session, &baseSession, window, 25, scores);
  EXPECT_EQ(scores.tokens(), 15u);
  double loss = 0;
  for (size_t n = 25; n < 40; ++n)
    loss -= logProbabilities(*model, n)[size_t(window[n])];
  EXPECT_NEAR(std::log(scores.perplexity()), loss / 15, 1e-5);
  EXPECT_NEAR(scores.divergence(), 0, 1e-6);
  EXPECT_EQ(scores.sameTop(), 1);
}
