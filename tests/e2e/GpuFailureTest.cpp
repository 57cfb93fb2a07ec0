//===- GpuFailureTest.cpp - GPUs that do not fit, or fail -----------------===//
//
// A library that stands for the driver (FakeCuda.c) is too old, has too little
// memory, or loses its context after some launches. Whoever asked for text is
// told, and the process goes on.
//
//===----------------------------------------------------------------------===//

#include "qrt/qrt.hpp"
#include "tests/e2e/FakeGpu.h"

#include <cstdlib>
#include <dlfcn.h>

namespace qcc::test {
namespace {

class GpuFailure : public FakeGpu {
protected:
  void SetUp() override {
    FakeGpu::SetUp();
    if (!IsSkipped())
      compile("cpu,compute_80");
  }

  /// Makes the artifact, with PTX that nobody looks into.
  void compile(const std::string &targets) {
    Outcome made =
        qcc::test::qcc({"compile", folder.path(""), "--random-weights", "1",
                        "--quiet", "--target", targets, "-o", artifact},
                       {std::string("QCC_NVRTC=") + FAKE_CUDA,
                        "FAKE_NVRTC_ARCHS=80", "FAKE_NVRTC_PTX=none"});
    ASSERT_EQ(made.status, 0) << made.err;
  }

  /// Fifty tokens on such a GPU.
  Outcome generateOn(std::vector<std::string> gpu,
                     const std::vector<std::string> &more = {}) {
    std::vector<std::string> args = {"generate",
                                     artifact,
                                     "--device",
                                     "cuda",
                                     "--token-ids",
                                     "1,2,3",
                                     "--temperature",
                                     "0",
                                     "--ignore-eos",
                                     "--json",
                                     "--quiet",
                                     "--max-new-tokens",
                                     "50"};
    args.insert(args.end(), more.begin(), more.end());
    gpu.push_back(libraryPath());
    return qrt(args, gpu);
  }
  /// On one that lasts for so many launches.
  Outcome generate(int launches, const std::string &choosesOnGpu) {
    return generateOn({"FAKE_CUDA_GPU=90",
                       "FAKE_CUDA_LAUNCHES=" + std::to_string(launches),
                       "QRT_CUDA_SAMPLING=" + choosesOnGpu});
  }
  static void expectLine(const Outcome &outcome, const std::string &part) {
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  }

  const std::string artifact = folder.path("model.qbin");
};

TEST_F(GpuFailure, IsSaidBeforeItRuns) {
  expectLine(generateOn({"FAKE_CUDA_GPU=90", "FAKE_CUDA_DRIVER=11040"}),
             "the NVIDIA driver is for CUDA 11.4, older than the 12.0 that is "
             "needed; use --device cpu");
  expectLine(generateOn({"FAKE_CUDA_GPU=0"}), "finds no GPU");
  expectLine(generateOn({"FAKE_CUDA_GPU=75", "FAKE_CUDA_LAUNCHES=9"}),
             "Fake GPU is sm_75, the artifact has code for cpu, compute_80");
  expectLine(generateOn({"FAKE_CUDA_GPU=90", "FAKE_CUDA_LAUNCHES=9"},
                        {"--context", "100000000"}),
             "1.00 GiB of Fake GPU are free; a context of ");
  // Where there is no code for the CPU, it is no way out.
  compile("compute_80");
  expectLine(generateOn({"FAKE_CUDA_GPU=0"}),
             "finds no GPU; compile the model with --target cpu");
}

TEST_F(GpuFailure, IsOneLineOfTheTool) {
  // What the GPU never wrote are zeros.
  Outcome whole = generate(1000, "0");
  ASSERT_EQ(whole.status, 0) << whole.err;
  for (int launches : {0, 1, 20})
    expectLine(generate(launches, "0"), "the context is gone");
}

// The host looks for tokens in its own memory, where none will come.
TEST_F(GpuFailure, IsNoEndlessWaitForAToken) {
  expectLine(generate(1000, "1"), "a step chose no token");
  expectLine(generate(2, "1"), "the context is gone");
}

TEST_F(GpuFailure, IsAnErrorOfTheApi) {
  ::setenv("FAKE_CUDA_GPU", "90", 1);
  ::setenv("FAKE_CUDA_LAUNCHES", "10", 1);
  ::setenv("QRT_CUDA_SAMPLING", "0", 1);
  ASSERT_NE(::dlopen(FAKE_CUDA, RTLD_NOW), nullptr) << ::dlerror();
  namespace api = ::qrt::api;
  auto load = [&](const char *device) {
    api::ModelOptions options;
    options.device = device;
    return api::Model(artifact, options);
  };
  api::GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_new_tokens = 50;
  options.ignore_eos = 1;
  auto messageOf = [](auto work) {
    try {
      work();
    } catch (const api::Failure &failure) {
      return std::string(failure.what());
    }
    return std::string();
  };
  int tokens = 0;
  const auto count = [&](int32_t token, std::string_view) {
    tokens += token >= 0;
    return true;
  };
  {
    api::Model gpu = load("cuda");
    api::Session session(gpu);
    const auto generate = [&] {
      session.generate(std::vector<int32_t>{1, 2, 3}, count, options);
    };
    EXPECT_NE(messageOf(generate).find("the context is gone"),
              std::string::npos);
    EXPECT_GT(tokens, 0);
    EXPECT_LT(tokens, 50);
    // It stays lost.
    EXPECT_NE(messageOf(generate), "");
    EXPECT_NE(messageOf([&] { api::Session another(gpu); }), "");
    EXPECT_NE(messageOf([&] { load("cuda"); }), "");
  }
  // The process and its other models do not.
  api::Model cpu = load("cpu");
  api::Session session(cpu);
  tokens = 0;
  session.generate(std::vector<int32_t>{1, 2, 3}, count, options);
  EXPECT_EQ(tokens, 50);
}

} // namespace
} // namespace qcc::test
