//===- sampler.cpp - What choosing a token takes on the host ----*- C++ -*-===//
//
// Usage: bench_sampler [ROUNDS]
//
// The median time of a choice, for vocabularies of Falcon and Qwen, logits of a
// normal distribution and the usual options, as a table.
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Sampler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

static double medianMicroseconds(const qrt::SamplerOptions &options,
                                 const std::vector<float> &logits, int rounds) {
  using Clock = std::chrono::steady_clock;
  qrt::Sampler sampler(options, uint32_t(logits.size()));
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const auto start = Clock::now();
    sampler.sample(logits);
    times.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - start)
            .count());
  }
  std::ranges::nth_element(times, times.begin() + rounds / 2);
  return times[size_t(rounds / 2)];
}

int main(int argc, char **argv) {
  const int rounds = std::max(1, argc > 1 ? std::atoi(argv[1]) : 51);
  struct Case {
    uint32_t topK;
    float topP, minP;
  };
  constexpr Case cases[] = {
      {50, 1, 0}, {40, 0.95F, 0.05F}, {0, 0.9F, 0}, {0, 1, 0.05F}, {0, 1, 0}};
  std::puts("| words | deviation | top-k | top-p | min-p | us |\n"
            "|---:|---:|---:|---:|---:|---:|");
  std::mt19937 generator(1);
  for (size_t words : {65024U, 152064U})
    for (float deviation : {1.0F, 4.0F}) {
      std::normal_distribution<float> normal(0, deviation);
      std::vector<float> logits(words);
      for (float &logit : logits)
        logit = normal(generator);
      for (const Case &c : cases) {
        qrt::SamplerOptions options;
        options.temperature = 1;
        options.topK = c.topK;
        options.topP = c.topP;
        options.minP = c.minP;
        std::printf("| %zu | %.0f | %u | %.2f | %.2f | %.0f |\n", words,
                    double(deviation), c.topK, double(c.topP), double(c.minP),
                    medianMicroseconds(options, logits, rounds));
      }
    }
}
