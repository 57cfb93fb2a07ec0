//===- BadInputTest.cpp - One clear line for what cannot work -------------===//

#include "tests/e2e/Tools.h"

using namespace qcc::test;

namespace {

/// One line "qcc: error: ..." that holds `part`, the exit code, and no file.
void expectRefusal(const Outcome &outcome, int status,
                   const std::string &part) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
      << outcome.err;
  EXPECT_NE(outcome.err.find(": error: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
}

class BadInput : public testing::Test {
protected:
  Outcome compile(std::vector<std::string> more) {
    std::vector<std::string> args = {"compile", folder.folder, "-o",
                                     folder.path("out.qbin"), "--quiet"};
    args.insert(args.end(), more.begin(), more.end());
    return qcc::test::qcc(args);
  }
  void config(const std::string &text) {
    writeFile(folder.folder / "config.json", text);
  }
  void expectNoOutput() {
    for (auto &entry : std::filesystem::directory_iterator(folder.folder))
      EXPECT_EQ(entry.path().filename(), "config.json");
  }
  TemporaryFolder folder;
};

TEST_F(BadInput, UnknownScheme) {
  expectRefusal(compile({"--quantize", "rtn.int1"}), 2, "rtn.int1");
}
TEST_F(BadInput, OptionThatDoesNotApply) {
  expectRefusal(compile({"--quantize", "bnb.nf4", "--group-size", "32"}), 2,
                "--group-size");
  for (const char *option : {"--damp=0.1", "--act-order", "--samples=4"})
    expectRefusal(compile({"--quantize", "rtn.int4", option}), 2,
                  std::string(option).substr(0, 6));
}
TEST_F(BadInput, UnknownOption) {
  expectRefusal(compile({"--no-such-option"}), 2, "--no-such-option");
}
TEST_F(BadInput, MissingConfig) {
  expectRefusal(compile({}), 1, "config.json");
}
TEST_F(BadInput, UnknownArchitecture) {
  config(R"({"model_type": "perceiver"})");
  expectRefusal(compile({"--random-weights", "0"}), 1, "perceiver");
  expectNoOutput();
}
TEST_F(BadInput, MissingField) {
  config(R"({"model_type": "llama", "vocab_size": 10})");
  expectRefusal(compile({"--random-weights", "0"}), 1, "hidden_size");
}
TEST_F(BadInput, BrokenJson) {
  config("{\"model_type\": ");
  expectRefusal(compile({"--random-weights", "0"}), 1, "config.json");
}
TEST_F(BadInput, MissingModel) {
  expectRefusal(qcc::test::qcc(
                    {"compile", "no-such-model", "-o", folder.path("out.qbin")},
                    {"HF_HUB_CACHE=" + folder.path("hub")}),
                1, folder.path("hub"));
}
TEST_F(BadInput, CpuVariantsThatAreNone) {
  expectRefusal(compile({"--cpu-variants", "x86-64-v9"}), 2, "x86-64-v9");
  expectRefusal(
      compile({"--cpu-variants", "x86-64-v3", "--target", "sm_90"}), 2,
      "--cpu-variants");
}
TEST_F(BadInput, ArtifactThatIsNone) {
  writeFile(folder.folder / "x.qbin", "not an artifact at all");
  expectRefusal(qrt({"generate", folder.path("x.qbin")}), 1, "x.qbin");
  expectRefusal(qcc::test::qcc({"inspect", folder.path("x.qbin")}), 1,
                "x.qbin");
}

} // namespace
