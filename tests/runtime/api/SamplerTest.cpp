//===- SamplerTest.cpp - Which tokens are chosen, and how often -----------===//

#include "runtime/api/Sampler.h"

#include "runtime/abi/sampling.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace qrt;

static const float kInfinity = std::numeric_limits<float>::infinity();
static const float kNaN = std::numeric_limits<float>::quiet_NaN();

static SamplerOptions plain(float temperature = 1) {
  SamplerOptions options;
  options.temperature = temperature;
  options.topK = 0;
  return options;
}

/// How often each token comes in `draws` draws.
static std::map<int32_t, int> draw(const SamplerOptions &options,
                                   const std::vector<float> &logits,
                                   int draws = 20000) {
  Sampler sampler(options, uint32_t(logits.size()));
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i)
    ++counts[sampler.sample(logits)];
  return counts;
}

/// Logits of the probabilities 1/2, 1/4, 1/8, 1/16, 1/16.
static const std::vector<float> kHalves = {std::log(0.0625f), std::log(0.5f),
                                           std::log(0.125f), std::log(0.25f),
                                           std::log(0.0625f)};

/// The published first values for seed 1234567 (Vigna's splitmix64.c).
TEST(RandomTest, isSplitMix64) {
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
  EXPECT_EQ(random.next(), 9817491932198370423u);
  for (int i = 0; i < 1000; ++i) {
    double value = random.uniform();
    EXPECT_TRUE(value >= 0 && value < 1);
  }
}

TEST(SamplerTest, greedyTakesTheFirstOfTheLikeliest) {
  Sampler sampler(plain(0), 4);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{kNaN, -5, kNaN, -4}), 3);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, kInfinity, 0, 0}), 1);
}

TEST(SamplerTest, refusesRowsWithoutANumber) {
  for (float temperature : {0.f, 1.f}) {
    Sampler sampler(plain(temperature), 2);
    EXPECT_THROW(sampler.sample(std::vector<float>{kNaN, kNaN}), Error);
    EXPECT_THROW(sampler.sample(std::vector<float>{-kInfinity, kNaN}), Error);
    EXPECT_EQ(sampler.sample(std::vector<float>{kNaN, -1}), 1);
  }
}

TEST(SamplerTest, followsTheProbabilities) {
  auto counts = draw(plain(), kHalves);
  const double expected[] = {0.0625, 0.5, 0.125, 0.25, 0.0625};
  for (int32_t id = 0; id < 5; ++id)
    EXPECT_NEAR(counts[id] / 20000.0, expected[id], 0.015) << id;
}

TEST(SamplerTest, temperatureSharpens) {
  // p^2, normalized: 1/4 : 1/16 : 1/64 : 1/256 : 1/256.
  auto counts = draw(plain(0.5f), kHalves);
  EXPECT_NEAR(counts[1] / 20000.0, 0.744, 0.015);
  EXPECT_NEAR(counts[3] / 20000.0, 0.186, 0.015);
}

TEST(SamplerTest, topKKeepsTheLikeliest) {
  SamplerOptions options = plain();
  options.topK = 2;
  auto counts = draw(options, kHalves);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts[1] / 20000.0, 2 / 3.0, 0.015);
  options.topK = 4; // of two equals the lower id
  EXPECT_FALSE(draw(options, kHalves).count(4));
  options.topK = 1;
  EXPECT_EQ(draw(options, kHalves).size(), 1u);
  options.topK = 100;
  EXPECT_EQ(draw(options, kHalves).size(), 5u);
}

TEST(SamplerTest, topPKeepsTheFewestThatReachIt) {
  SamplerOptions options = plain();
  options.topP = 0.7f; // 0.5 + 0.25
  auto counts = draw(options, kHalves);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.count(1) && counts.count(3));
  options.topP = 0.01f;
  EXPECT_EQ(draw(options, kHalves).size(), 1u);
}

TEST(SamplerTest, minPLeavesOutTheUnlikely) {
  SamplerOptions options = plain();
  options.minP = 0.2f; // of 1/2: above 0.1
  auto counts = draw(options, kHalves);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_TRUE(counts.count(1) && counts.count(2) && counts.count(3));
  options.minP = 1;
  EXPECT_EQ(draw(options, kHalves).size(), 1u);
}

/// The choice of draw `n` by its definition: all tokens in order.
static int32_t chooseBySorting(const SamplerOptions &options,
                               const std::vector<float> &logits, uint64_t n) {
  std::vector<int32_t> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = int32_t(i);
  std::ranges::stable_sort(ids, [&](int32_t a, int32_t b) {
    return logits[size_t(a)] > logits[size_t(b)];
  });
  if (options.topK && options.topK < ids.size())
    ids.resize(options.topK);
  const float highest = logits[size_t(ids[0])];
  std::vector<uint64_t> sums;
  std::vector<float> scaled;
  for (int32_t id : ids) {
    scaled.push_back(
        sampling::scaled(logits[size_t(id)], highest, options.temperature));
    sums.push_back((sums.empty() ? 0 : sums.back()) +
                   sampling::weight(scaled.back()));
  }
  auto reaches = [&](uint64_t sum) {
    return size_t(std::ranges::lower_bound(sums, sum) - sums.begin());
  };
  size_t keep = ids.size();
  if (options.topP < 1)
    keep = reaches(sampling::reach(options.topP, sums.back())) + 1;
  while (options.minP > 0 &&
         scaled[keep - 1] < float(std::log(double(options.minP))))
    --keep;
  return ids[reaches(
      sampling::target(sampling::random(options.seed, n), sums[keep - 1]))];
}

TEST(SamplerTest, choosesWhatSortingAllTokensDoes) {
  Random random(5);
  for (float deviation : {0.0F, 0.5F, 4.0F}) {
    std::vector<float> logits(3001);
    for (float &logit : logits) // many are equal
      logit = deviation * std::round(float(random.uniform()) * 40 - 20) / 8;
    for (uint32_t topK : {0U, 1U, 40U, 2999U, 5000U})
      for (float topP : {1.0F, 0.999F, 0.5F, 0.01F})
        for (float minP : {0.0F, 0.05F, 1.0F}) {
          SamplerOptions options = plain(0.7F);
          options.topK = topK;
          options.topP = topP;
          options.minP = minP;
          options.seed = 11;
          Sampler sampler(options, uint32_t(logits.size()));
          for (uint64_t n = 0; n < 20; ++n)
            ASSERT_EQ(sampler.sample(logits),
                      chooseBySorting(options, logits, n))
                << "deviation " << deviation << ", top-k " << topK << ", top-p "
                << topP << ", min-p " << minP << ", draw " << n;
        }
  }
}

TEST(SamplerTest, penaltyMovesBothSigns) {
  SamplerOptions options = plain(0);
  options.repetitionPenalty = 2;
  Sampler sampler(options, 3);
  sampler.accept(0);
  sampler.accept(0); // once is enough
  sampler.accept(-1);
  sampler.accept(3);
  EXPECT_EQ(sampler.sample(std::vector<float>{3, 2, 1}), 1);      // 3/2 < 2
  EXPECT_EQ(sampler.sample(std::vector<float>{-1, -1.5, -9}), 1); // -2 < -1.5
  EXPECT_EQ(sampler.sample(std::vector<float>{5, 2, 1}), 0);
}

TEST(SamplerTest, sameSeedSameTokens) {
  auto sequence = [](uint64_t seed) {
    SamplerOptions options = plain();
    options.seed = seed;
    Sampler sampler(options, 5);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 64; ++i)
      tokens.push_back(sampler.sample(kHalves));
    return tokens;
  };
  EXPECT_EQ(sequence(7), sequence(7));
  EXPECT_NE(sequence(7), sequence(8));
}

/// The weights that GPUs share, against the library's exponential.
TEST(SamplerTest, weighsAsTheExponentialDoes) {
  EXPECT_EQ(sampling::weight(0), uint64_t(1) << 40);
  EXPECT_EQ(sampling::weight(-kInfinity), 0u);
  EXPECT_EQ(sampling::weight(kNaN), 0u);
  for (float x = -1e-7f; x > -40; x = x * 1.01f - 1e-4f) {
    double exact = std::ldexp(std::exp(double(x)), 40);
    EXPECT_NEAR(double(sampling::weight(x)), exact, exact * 0x1p-22 + 1) << x;
  }
  EXPECT_EQ(sampling::reach(0.5f, 101), 51u);
  EXPECT_EQ(sampling::reach(1e-30f, 101), 1u);
  EXPECT_EQ(sampling::target(0, 100), 1u);
  EXPECT_EQ(sampling::target(~uint64_t(0), 100), 100u);
}

TEST(SamplerTest, refusesOptionsOutOfRange) {
  auto refused = [](auto change) {
    SamplerOptions options;
    change(options);
    EXPECT_THROW(Sampler(options, 8), UsageError);
  };
  refused([](auto &o) { o.temperature = -1; });
  refused([](auto &o) { o.temperature = kNaN; });
  refused([](auto &o) { o.temperature = kInfinity; });
  refused([](auto &o) { o.topP = 0; });
  refused([](auto &o) { o.topP = 1.5f; });
  refused([](auto &o) { o.minP = -0.1f; });
  refused([](auto &o) { o.minP = 2; });
  refused([](auto &o) { o.repetitionPenalty = 0; });
}
