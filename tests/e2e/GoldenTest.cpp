//===- GoldenTest.cpp - Logits against transformers -----------------------===//

#include "tests/e2e/Tools.h"

using namespace qcc::test;

namespace {

/// A checkpoint with the logits that transformers computed in float64.
class Golden : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED_DATA();
    model = sharedData() / "goldens" / GetParam();
    golden = model / "golden.safetensors";
  }

  void compile(const std::vector<std::string> &options) {
    std::vector<std::string> arguments = {"compile", model, "--quiet", "-o",
                                          folder.path("model.qbin")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    Outcome compiled = qcc::test::qcc(arguments);
    EXPECT_EQ(compiled.status, 0) << compiled.err;
  }
  /// The logits for the golden's tokens.
  std::vector<double> logits(const std::vector<std::string> &environment = {}) {
    Outcome ran = qrt({"logits", folder.path("model.qbin"), "--token-ids",
                       joinIds(readTensor(golden, "input_ids")), "-o",
                       folder.path("out.safetensors")},
                      environment);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return readTensor(folder.path("out.safetensors"), "logits");
  }

  std::filesystem::path model, golden;
  TemporaryFolder folder;
};

TEST_P(Golden, LogitsAndGreedyTokensInF32) {
  std::vector<double> expected = readTensor(golden, "logits");
  compile({"--dtype", "f32"});
  EXPECT_LE(relativeError(logits(), expected), 2e-5);
  // Every CPU variant agrees.
  EXPECT_LE(relativeError(logits({"QRT_CPU=x86-64-v3"}), expected), 2e-5);
  if (std::string(GetParam()) == "llama-dynamic")
    return; // its greedy ids come of another rotation at every step

  Outcome ran = qrt({"generate", folder.path("model.qbin"), "--token-ids",
                     joinIds(readTensor(golden, "input_ids")), "--temperature",
                     "0", "--max-new-tokens", "16", "--ignore-eos", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  std::vector<double> ids =
      nlohmann::json::parse(ran.out)["token_ids"].get<std::vector<double>>();
  EXPECT_EQ(joinIds(ids), joinIds(readTensor(golden, "greedy")));
}

TEST_P(Golden, Int8StaysNear) {
  // Each of some 21 linears adds about 0.7 % of noise (the step of 8 bits over
  // the range of 128 near-normal weights); independent, they add up to 3 %.
  compile({"--quantize", "rtn.int8"});
  EXPECT_LE(relativeError(logits(), readTensor(golden, "logits")), 4e-2);
}

INSTANTIATE_TEST_SUITE_P(Architectures, Golden,
                         testing::Values("llama", "llama3", "llama-dynamic",
                                         "mistral", "qwen2", "qwen3", "phi",
                                         "phi3", "phi3-longrope", "gemma",
                                         "gemma3", "falcon-7b", "falcon-40b",
                                         "opt", "bloom", "gpt-neox", "gpt2",
                                         "gpt-neo", "gpt-bigcode", "mpt",
                                         "olmo", "cohere"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
