//===- DefaultTargetTest.cpp - What --target is where it is not given -----===//
//
// A library that stands for the driver and for NVRTC (FakeCuda.c) makes the
// machine one with a GPU.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/FakeGpu.h"

namespace qcc::test {
namespace {

class DefaultTarget : public FakeGpu {
protected:
  /// The environment of a machine with such a GPU and such an NVRTC.
  static std::vector<std::string>
  machine(const std::string &gpu, const std::string &archs,
          const std::string &nvrtc = FAKE_CUDA) {
    return {libraryPath(), "FAKE_CUDA_GPU=" + gpu, "FAKE_NVRTC_ARCHS=" + archs,
            "QCC_NVRTC=" + nvrtc};
  }

  /// Passes for a machine with such a GPU and such an NVRTC.
  Outcome passes(const std::string &gpu, const std::string &archs,
                 std::vector<std::string> more = {},
                 const std::string &nvrtc = FAKE_CUDA) {
    std::vector<std::string> args = {"compile", folder.path(""),
                                     "--random-weights", "1",
                                     "--print-pipeline"};
    args.insert(args.end(), more.begin(), more.end());
    return qcc::test::qcc(args, machine(gpu, archs, nvrtc));
  }

  /// Expects these targets, and a note on stderr that says them and `why`.
  void expect(const Outcome &outcome, const std::string &targets,
              const std::string &why) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find("qcc: note: --target " + targets), 0U)
        << outcome.err;
    EXPECT_NE(outcome.err.find(why), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_EQ(outcome.out.find("cuda") != std::string::npos,
              targets.find("_") != std::string::npos &&
                  targets.find("without") == std::string::npos)
        << outcome.out;
    EXPECT_NE(outcome.out.find("lower-to-krn{activations"), std::string::npos)
        << outcome.out;
  }
};

TEST_F(DefaultTarget, IsTheCpuWithoutGpu) {
  expect(passes("0", "80,90"), "cpu: ", "finds no GPU");
}

TEST_F(DefaultTarget, IsTheCpuWithoutNvrtc) {
  expect(passes("90", "", {}, folder.path("none.so")), "cpu: ", "no NVRTC");
}

TEST_F(DefaultTarget, IsTheCpuAndTheGpu) {
  expect(passes("90", "80,90,100"), "cpu,sm_90: ", "Fake GPU");
  // Code of the family runs, and PTX where NVRTC is older than the GPU.
  expect(passes("87", "80,86,90"), "cpu,sm_86: ", "Fake GPU");
  expect(passes("120", "80,90"), "cpu,compute_90: ", "Fake GPU");
}

TEST_F(DefaultTarget, IsTheCpuWhereNoCodeRuns) {
  expect(passes("75", "75,80,90"),
         "cpu: ", "no target for Fake GPU, whose compute capability is 7.5");
}

TEST_F(DefaultTarget, IsTheCpuForWhatCudaRefuses) {
  expect(passes("90", "90", {"--dtype", "f32"}),
         "cpu without sm_90: ", "no CUDA kernel for weights of f32");
  expect(passes("90", "90", {"--kv-dtype", "f32"}),
         "cpu without sm_90: ", "--kv-dtype is f16 or bf16");
  expect(passes("90", "90", {"--activations", "f32"}),
         "cpu: ", "--activations f32");
}

TEST_F(DefaultTarget, RefusesWhatIsAskedForAllTheSame) {
  for (std::vector<std::string> asked :
       {std::vector<std::string>{"--emit", "cuda"},
        {"--emit", "cuda", "--target", "sm_90"}}) {
    asked.insert(asked.end(), {"compile", folder.path(""), "--random-weights",
                               "1", "--dtype", "f32"});
    std::rotate(asked.begin(), asked.end() - 6, asked.end());
    Outcome outcome = qcc::test::qcc(asked, machine("90", "90"));
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("no CUDA kernel for weights of f32"),
              std::string::npos)
        << outcome.err;
  }
}

TEST_F(DefaultTarget, CanBeLeftOut) {
  // This NVRTC compiles nothing.
  Outcome outcome = qcc::test::qcc(
      {"compile", folder.path(""), "--random-weights", "1", "--quiet",
       "--cpu-variants", "x86-64-v3", "-o", folder.path("out.qbin")},
      machine("90", "90"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find(": fake; --target cpu leaves the GPU out\n"),
            std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.qbin")));
}

TEST_F(DefaultTarget, LeavesWhatNvrtcRefuses) {
  const std::string log = "a note\nsome.cuh(3): error: no such thing\nmore\n";
  std::vector<std::string> environment = machine("90", "90");
  environment.push_back("FAKE_NVRTC_LOG=" + log);
  environment.push_back("TMPDIR=" + folder.path("tmp"));
  std::filesystem::create_directory(folder.path("tmp"));
  std::vector<std::string> args = {"compile",
                                   folder.path(""),
                                   "--random-weights",
                                   "1",
                                   "--quiet",
                                   "--target",
                                   "sm_90",
                                   "-o",
                                   folder.path("out.qbin")};
  auto expectLeft = [&](const std::filesystem::path &in) {
    Outcome outcome = qcc::test::qcc(args, environment);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_NE(outcome.err.find(": some.cuh(3): error: no such thing; its "
                               "source and the log are "),
              std::string::npos)
        << outcome.err;
    const std::string before = "cannot compile kernel ";
    const size_t at = outcome.err.find(before) + before.size();
    const std::string kernel =
        outcome.err.substr(at, outcome.err.find(' ', at) - at);
    std::filesystem::path left = in;
    if (left.empty())
      left = std::filesystem::directory_iterator(folder.path("tmp"))->path();
    EXPECT_NE(outcome.err.find(left.string()), std::string::npos)
        << outcome.err;
    EXPECT_EQ(readFile(left / (kernel + ".log")), log);
    EXPECT_NE(readFile(left / (kernel + ".cu")).find("__global__"),
              std::string::npos);
    EXPECT_TRUE(
        std::filesystem::exists(left / "codegen/cuda/kernels/common.cuh"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("out.qbin")));
  };
  expectLeft("");
  args.insert(args.end(), {"--save-temps", folder.path("temps")});
  expectLeft(folder.path("temps"));
}

TEST_F(DefaultTarget, IsNotSaidWhereNobodyAsks) {
  EXPECT_EQ(passes("90", "90", {"--quiet"}).err, "");
  EXPECT_EQ(passes("90", "90", {"--target", "cpu"}).err, "");
}

} // namespace
} // namespace qcc::test
