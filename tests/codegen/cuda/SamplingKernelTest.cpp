//===- SamplingKernelTest.cpp - The sampling kernel on the CPU's threads --===//

#include "tests/support/CudaThreads.h"

#include "codegen/cuda/kernels/sampling.cuh"
#include "tests/codegen/cuda/SamplingCases.h"

using namespace qcc;
using namespace qcc::test;

namespace {

struct Config {
  static constexpr int vocabulary = 701, blocks = 2, threads = 64;
};
using Kernel = cuda::Sample<Config>;

/// What lies in a GPU's memory for a text.
class KernelText {
public:
  /// What chooses its next token.
  cuda::Sampling prepare(const std::vector<float> &logits,
                         const qrt::SamplingState &state, bool isNewText) {
    if (isNewText)
      seen.assign(state.seen.begin(), state.seen.end());
    cuda::Sampling sampling = {};
    sampling.logits = address(logits.data());
    sampling.seen = address(seen.data());
    sampling.state = address(memory.data());
    sampling.lists = address(lists.data());
    sampling.token = address(&token);
    sampling.result = address(&result);
    sampling.seed = state.seed;
    sampling.draw = state.draws;
    sampling.ticket = ++ticket;
    sampling.turn = ticket % 2;
    sampling.top_k = state.topK;
    sampling.temperature = state.temperature;
    sampling.top_p = state.topP;
    sampling.least_scaled = state.leastScaled;
    sampling.penalty = state.repetitionPenalty;
    return sampling;
  }
  int32_t chosen() const {
    EXPECT_EQ(result >> 32, ticket);
    const auto chosen = int32_t(uint32_t(result));
    EXPECT_EQ(token, std::max(chosen, 0));
    return chosen;
  }

private:
  static uint64_t address(const void *p) {
    return reinterpret_cast<uint64_t>(p);
  }
  std::vector<uint64_t> memory =
      std::vector<uint64_t>(sizeof(cuda::SamplingState) / 8);
  std::vector<uint64_t> lists = std::vector<uint64_t>(2 * Config::vocabulary);
  std::vector<uint32_t> seen;
  uint64_t result = 0;
  int32_t token = 0;
  uint32_t ticket = 0;
};

void run(const cuda::Samplings &samplings, uint32_t rows) {
  std::vector<Kernel::Shared> shared(rows * Config::blocks);
  cuda::runCooperative(Config::blocks, rows, Config::threads, [&] {
    Kernel::run(samplings,
                reinterpret_cast<char *>(
                    &shared[blockIdx.y * Config::blocks + blockIdx.x]));
  });
}

TEST(SamplingKernel, ChoosesWhatTheSamplerDoes) {
  KernelText text;
  auto choose = [&](const auto &...arguments) {
    run({{text.prepare(arguments...)}}, 1);
    return text.chosen();
  };
  size_t turn = 0;
  const auto options = samplingOptions();
  for (const SamplingCase &given : samplingCases(Config::vocabulary))
    // All logits with some options, all options with some logits; a thread of
    // the CPU each makes barriers slow.
    for (int i = 0; i < 4; ++i, ++turn)
      expectSampled(given, options[turn % options.size()], turn, 1, choose);
  // The choice counts as text, and random numbers go on.
  expectSampled(samplingCases(Config::vocabulary)[1], options[9], 5, 6, choose);
  expectSampled(samplingCases(Config::vocabulary)[0], options[1], 5, 4, choose);
}

TEST(SamplingKernel, ChoosesFromSeveralRows) {
  constexpr uint32_t rows = 3;
  const auto cases = samplingCases(Config::vocabulary);
  const qrt::SamplerOptions options[rows] = {
      samplingOptions()[9], samplingOptions()[1], samplingOptions()[5]};
  std::vector<qrt::Sampler> samplers;
  for (const qrt::SamplerOptions &option : options)
    samplers.emplace_back(option, Config::vocabulary);
  KernelText texts[rows];
  for (int draw = 0; draw < 3; ++draw) {
    cuda::Samplings samplings = {};
    for (uint32_t row = 0; row < rows; ++row)
      samplings.rows[row] = texts[row].prepare(
          cases[row].logits, samplers[row].state(), draw == 0);
    run(samplings, rows);
    for (uint32_t row = 0; row < rows; ++row) {
      const int32_t expected = samplers[row].sample(cases[row].logits);
      EXPECT_EQ(texts[row].chosen(), expected) << "row " << row;
      samplers[row].accept(expected);
    }
  }
}

} // namespace
