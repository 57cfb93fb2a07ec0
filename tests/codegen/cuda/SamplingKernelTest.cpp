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

/// The kernel with what lies in a GPU's memory.
class KernelSampler {
public:
  int32_t choose(const std::vector<float> &logits,
                 const qrt::SamplingState &state, bool isNewText) {
    if (isNewText)
      seen.assign(state.seen.begin(), state.seen.end());
    cuda::Sampling sampling = {};
    sampling.logits = address(logits.data());
    sampling.seen = address(seen.data());
    sampling.state = address(memory.data());
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
    Kernel::Shared shared[Config::blocks];
    cuda::runCooperative(Config::blocks, Config::threads, [&] {
      Kernel::run(sampling, reinterpret_cast<char *>(&shared[blockIdx.x]));
    });
    EXPECT_EQ(result >> 32, ticket);
    const auto chosen = int32_t(uint32_t(result));
    EXPECT_EQ(token, std::max(chosen, 0));
    return chosen;
  }

private:
  static uint64_t address(const void *p) {
    return reinterpret_cast<uint64_t>(p);
  }
  std::vector<uint64_t> memory = std::vector<uint64_t>(
      sizeof(cuda::SamplingState) / 8 + 2 * Config::vocabulary);
  std::vector<uint32_t> seen;
  uint64_t result = 0;
  int32_t token = 0;
  uint32_t ticket = 0;
};

TEST(SamplingKernel, ChoosesWhatTheSamplerDoes) {
  KernelSampler kernel;
  auto choose = [&](const auto &...arguments) {
    return kernel.choose(arguments...);
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

} // namespace
