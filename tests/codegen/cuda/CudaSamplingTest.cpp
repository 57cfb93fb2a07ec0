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

/// The kernel for one size of vocabulary, loaded, and some rows of logits.
class GpuSampler {
public:
  GpuSampler(const Device &device, uint32_t vocabulary, uint32_t rows = 1)
      : device(device), driver(device.driver()), vocabulary(vocabulary),
        logits(device, uint64_t(vocabulary) * 4 * rows, "logits"),
        choices(device, vocabulary, rows) {
    const uint32_t threads = 512,
                   blocks = std::clamp((vocabulary + 4095) / 4096, 1U, 64U);
    const std::string source =
        "#include \"codegen/cuda/kernels/sampling.cuh\"\nstruct Config {\n"
        "  static constexpr int vocabulary = " +
        std::to_string(vocabulary) + ", blocks = " + std::to_string(blocks) +
        ", threads = 512;\n};\nextern \"C\" __global__ void "
        "__launch_bounds__(512, 2)\nsample(const __grid_constant__ "
        "qcc::cuda::Samplings sampling) {\n  using Kernel = "
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
    sampler->reserve(rows);
  }
  ~GpuSampler() {
    driver.synchronize(device.stream());
    driver.unloadLibrary(library);
  }

  int32_t choose(const std::vector<float> &values,
                 const qrt::SamplingState &state, bool isNewText) {
    if (isNewText)
      begin({&values}, {&state, 1});
    return chooseAll()[0];
  }
  /// New texts.
  void begin(const std::vector<const std::vector<float> *> &values,
             std::span<const qrt::SamplingState> states) {
    for (size_t i = 0; i < values.size(); ++i)
      driver.check(driver.copyToDevice(logits.address() + i * vocabulary * 4,
                                       values[i]->data(), vocabulary * 4,
                                       device.stream()),
                   "no copy");
    choices.begin(states);
  }
  /// A token of every row.
  std::vector<int32_t> chooseAll() {
    const uint32_t ticket = sampler->choose(logits.address(), choices);
    std::vector<int32_t> tokens;
    for (uint32_t i = 0; i < choices.room(); ++i)
      tokens.push_back(choices.wait(ticket, i));
    return tokens;
  }
  /// Microseconds a choice for all rows.
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
  const uint32_t vocabulary;
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

TEST_F(CudaSamplingTest, ChoosesFromManyRows) {
  std::string times;
  for (uint32_t vocabulary : {321U, 65024U, 152067U}) {
    const auto options = samplingOptions();
    const auto cases = samplingCases(vocabulary);
    SCOPED_TRACE(vocabulary);
    for (uint32_t rows : {2U, 16U, 45U}) {
      GpuSampler gpu(*device, vocabulary, rows);
      // The same options for all, and others for each.
      for (size_t same : {0U, 3U, 5U, 99U}) {
        std::vector<qrt::Sampler> samplers;
        std::vector<const std::vector<float> *> logits;
        std::vector<qrt::SamplingState> states;
        for (uint32_t i = 0; i < rows; ++i) {
          // Not those without a number.
          logits.push_back(&cases[same < 99 ? 0 : i % 10].logits);
          qrt::SamplerOptions option =
              options[same < 99 ? same : i % options.size()];
          option.seed = i;
          samplers.emplace_back(option, vocabulary);
        }
        for (qrt::Sampler &sampler : samplers)
          states.push_back(sampler.state());
        gpu.begin(logits, states);
        for (int draw = 0; draw < 2; ++draw) {
          const std::vector<int32_t> tokens = gpu.chooseAll();
          for (uint32_t i = 0; i < rows; ++i) {
            ASSERT_EQ(tokens[i], samplers[i].sample(*logits[i]))
                << rows << " rows, options " << same << ", row " << i;
            samplers[i].accept(tokens[i]);
          }
        }
        char text[100];
        std::snprintf(text, sizeof(text),
                      "%u words, %u rows, options %zu: %.1f us\n", vocabulary,
                      rows, same, gpu.time(50));
        times += text;
      }
    }
  }
  std::fputs(times.c_str(), stdout);
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
