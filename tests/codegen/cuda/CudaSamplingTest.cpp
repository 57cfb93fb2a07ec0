//===- CudaSamplingTest.cpp - The sampling kernel on a GPU ----------------===//
//
// Needs a GPU and NVRTC and is skipped, with the reason, where there is none.
//
//===----------------------------------------------------------------------===//

#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/kernels/KernelSources.h"
#include "runtime/executor/cuda/TokenSampler.h"
#include "tests/codegen/cuda/SamplingCases.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

using namespace qcc;
using namespace qcc::test;
using namespace qrt::cuda;

namespace {

/// The kernel for one size of vocabulary, loaded.
class GpuSampler {
public:
  GpuSampler(const Device &device, uint32_t vocabulary)
      : device(device), driver(device.driver()),
        logits(device, uint64_t(vocabulary) * 4, "logits"),
        choices(device, vocabulary) {
    const uint32_t threads = 512,
                   blocks = std::clamp((vocabulary + 4095) / 4096, 1U, 64U);
    const std::string source =
        "#include \"codegen/cuda/kernels/sampling.cuh\"\nstruct Config {\n"
        "  static constexpr int vocabulary = " +
        std::to_string(vocabulary) + ", blocks = " + std::to_string(blocks) +
        ", threads = 512;\n};\nextern \"C\" __global__ void "
        "__launch_bounds__(512, 2)\nsample(const __grid_constant__ "
        "qcc::cuda::Sampling sampling) {\n  using Kernel = "
        "qcc::cuda::Sample<Config>;\n  __shared__ Kernel::Shared shared;\n"
        "  Kernel::run(sampling, reinterpret_cast<char *>(&shared));\n}\n";
    code = qcc::cuda::Nvrtc::load()->compile(
        "sample", source, qcc::cuda::kernelSources(),
        "sm_" + std::to_string(device.architecture()));
    driver.check(driver.loadLibrary(&library, code.data(), nullptr, nullptr, 0,
                                    nullptr, nullptr, 0),
                 "no code");
    Kernel kernel = nullptr;
    Function function = nullptr;
    driver.check(driver.libraryKernel(&kernel, library, "sample"), "no kernel");
    driver.check(driver.kernelFunction(&function, kernel), "no kernel");
    EXPECT_TRUE(TokenSampler::fits(device, function, blocks, threads));
    sampler.emplace(device, function, blocks, threads, vocabulary);
  }
  ~GpuSampler() {
    driver.synchronize(device.stream());
    driver.unloadLibrary(library);
  }

  int32_t choose(const std::vector<float> &values,
                 const qrt::SamplingState &state, bool isNewText) {
    if (isNewText) {
      driver.check(driver.copyToDevice(logits.address(), values.data(),
                                       values.size() * 4, device.stream()),
                   "no copy");
      choices.begin(state);
    }
    return choices.wait(sampler->choose(logits.address(), choices));
  }
  /// Microseconds a launch.
  double time(int launches) {
    driver.check(driver.synchronize(device.stream()), "failed");
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < launches; ++i)
      sampler->choose(logits.address(), choices);
    driver.check(driver.synchronize(device.stream()), "failed");
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         begin)
               .count() *
           1e6 / launches;
  }

private:
  const Device &device;
  const Driver &driver;
  std::vector<char> code;
  Library library = nullptr;
  Buffer logits;
  Choices choices;
  std::optional<TokenSampler> sampler;
};

class CudaSamplingTest : public testing::Test {
protected:
  void SetUp() override {
    try {
      qcc::cuda::Nvrtc::load();
      device.emplace(0);
      device->use();
    } catch (const qrt::Error &error) {
      GTEST_SKIP() << error.what();
    }
  }
  std::optional<Device> device;
};

TEST_F(CudaSamplingTest, ChoosesWhatTheSamplerDoes) {
  const auto options = samplingOptions();
  for (uint32_t vocabulary : {1U, 321U, 5003U, 65024U, 152067U}) {
    GpuSampler gpu(*device, vocabulary);
    SCOPED_TRACE(vocabulary);
    // The host sorts slowly.
    const int draws = vocabulary > 10000 ? 2 : 4;
    for (const SamplingCase &given : samplingCases(vocabulary))
      for (size_t i = 0; i < options.size(); ++i)
        expectSampled(
            given, options[i], 17 * i + 3, draws,
            [&](const auto &...arguments) { return gpu.choose(arguments...); });
    std::string times;
    for (size_t i = 0; i < 2; ++i) {
      const SamplingCase given = samplingCases(vocabulary)[i];
      for (const qrt::SamplerOptions &option : options) {
        if (HasFailure() || option.repetitionPenalty != 1)
          continue;
        qrt::Sampler sampler(option, vocabulary);
        gpu.choose(given.logits, sampler.state(), true);
        char text[120];
        std::snprintf(text, sizeof(text),
                      "%u words, %s, temperature %g, top-k %u, top-p %g, "
                      "min-p %g: %.1f us a launch\n",
                      vocabulary, given.name.c_str(),
                      double(option.temperature), option.topK,
                      double(option.topP), double(option.minP), gpu.time(200));
        times += text;
      }
    }
    std::fputs(times.c_str(), stdout);
  }
}

/// 1/2, 1/4, 1/8, 1/16, 1/16 in 10,000 draws.
TEST_F(CudaSamplingTest, FollowsTheProbabilities) {
  GpuSampler gpu(*device, 5);
  const std::vector<float> logits = {std::log(0.0625f), std::log(0.5f),
                                     std::log(0.125f), std::log(0.25f),
                                     std::log(0.0625f)};
  qrt::SamplerOptions options;
  options.temperature = 1;
  options.topK = 0;
  options.seed = 11;
  qrt::Sampler sampler(options, 5);
  int counts[5] = {};
  constexpr int draws = 10000;
  for (int i = 0; i < draws; ++i) {
    const int32_t token = gpu.choose(logits, sampler.state(), i == 0);
    ASSERT_EQ(token, sampler.sample(logits));
    ++counts[token];
  }
  const double expected[] = {0.0625, 0.5, 0.125, 0.25, 0.0625};
  for (int i = 0; i < 5; ++i)
    EXPECT_NEAR(double(counts[i]) / draws, expected[i], 0.02) << i;
}

} // namespace
