//===- SamplingCases.h - Logits and options for samplers --------*- C++ -*-===//
//
// What the sampling kernel is held against the host's sampler with, on a GPU
// and on threads of the CPU.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_CODEGEN_CUDA_SAMPLINGCASES_H
#define QCC_TESTS_CODEGEN_CUDA_SAMPLINGCASES_H

#include "runtime/api/Sampler.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace qcc::test {

struct SamplingCase {
  std::string name;
  std::vector<float> logits;
};

/// Logits of `vocabulary` tokens: likely ones, ties, infinities, no numbers.
inline std::vector<SamplingCase> samplingCases(uint32_t vocabulary) {
  constexpr float infinity = std::numeric_limits<float>::infinity(),
                  nan = std::numeric_limits<float>::quiet_NaN();
  qrt::Random random(99);
  std::vector<SamplingCase> cases;
  auto add = [&](const char *name, auto logit) {
    SamplingCase made{name, std::vector<float>(vocabulary)};
    for (uint32_t i = 0; i < vocabulary; ++i)
      made.logits[i] = logit(i);
    cases.push_back(std::move(made));
  };
  // About normal, of deviation 1.
  auto normal = [&](uint32_t) {
    double sum = 0;
    for (int i = 0; i < 12; ++i)
      sum += random.uniform();
    return float(sum - 6);
  };
  add("normal", normal);
  add("peaked", [&](uint32_t i) { return 4 * normal(i) - 20; });
  add("ties", [&](uint32_t i) { return std::round(2 * normal(i)) / 2; });
  add("equal", [&](uint32_t) { return -3.0f; });
  add("zeros", [&](uint32_t i) { return i % 3 ? 0.0f : -0.0f; });
  add("close", [&](uint32_t i) { return 1 + 1e-6f * normal(i); });
  add("far",
      [&](uint32_t i) { return (i % 5 ? -3e38f : 3e38f) * (i % 7 != 0); });
  add("holes", [&](uint32_t i) {
    return i % 3 == 0 ? nan : i % 3 == 1 ? -infinity : normal(i);
  });
  add("infinite",
      [&](uint32_t i) { return i % 50 == 7 ? infinity : normal(i); });
  add("single", [&](uint32_t i) { return i == vocabulary / 2 ? -5 : nan; });
  add("none", [&](uint32_t i) { return i % 2 ? nan : -infinity; });
  return cases;
}

inline std::vector<qrt::SamplerOptions> samplingOptions() {
  //       temperature, top-k, top-p, min-p, penalty
  return {{0, 50, 1, 0, 1},        {0, 50, 1, 0, 1.3f},
          {1, 0, 1, 0, 1},         {0.8f, 50, 1, 0, 1},
          {1, 1, 1, 0, 1},         {1, 0, 0.9f, 0, 1},
          {1.5f, 0, 0.05f, 0, 1},  {1, 0, 1, 0.1f, 1},
          {1, 0, 1, 1, 1},         {0.7f, 300, 0.95f, 0.02f, 1.2f},
          {100, 0, 0.5f, 0, 0.8f}, {0.01f, 40, 0.99f, 0, 1},
          {1e-30f, 0, 1, 0, 1}};
}

/// Holds `choose(logits, state, isNewText)`, which returns a token or -1 for
/// none, against the sampler over some draws; the chosen count as text.
template <typename Choose>
void expectSampled(const SamplingCase &given, qrt::SamplerOptions options,
                   uint64_t seed, int draws, Choose choose) {
  const auto vocabulary = uint32_t(given.logits.size());
  SCOPED_TRACE(
      given.name + ", temperature " + std::to_string(options.temperature) +
      ", top-k " + std::to_string(options.topK) + ", top-p " +
      std::to_string(options.topP) + ", min-p " + std::to_string(options.minP) +
      ", penalty " + std::to_string(options.repetitionPenalty) + ", seed " +
      std::to_string(seed));
  options.seed = seed;
  qrt::Sampler sampler(options, vocabulary);
  for (uint32_t i = 0; i < vocabulary; i += 11)
    sampler.accept(int32_t(i));
  for (int i = 0; i < draws; ++i) {
    const qrt::SamplingState state = sampler.state();
    const int32_t found = choose(given.logits, state, i == 0);
    int32_t expected = -1;
    try {
      expected = sampler.sample(given.logits);
    } catch (const qrt::Error &) {
    }
    ASSERT_EQ(found, expected) << "draw " << i;
    sampler.accept(expected);
  }
}

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_CUDA_SAMPLINGCASES_H
