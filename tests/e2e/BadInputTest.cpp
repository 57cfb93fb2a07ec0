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
TEST_F(BadInput, OutputThatIsTheInput) {
  std::string model = folder.path("model.gguf");
  writeFile(model, "GGUF");
  std::filesystem::create_symlink(model, folder.path("link.gguf"));
  for (const char *output : {"model.gguf", "link.gguf"})
    expectRefusal(qcc::test::qcc({"compile", model, "-o", folder.path(output)}),
                  2, "would replace the model");
  EXPECT_EQ(readFile(model), "GGUF");
}

// What is wrong whatever the model is, is said before it is looked for.
TEST_F(BadInput, WrongUsageBeforeTheModel) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--quantize", "rtn.int5"}, "rtn.int5"},
      {{"--quantize", "rtn", "--bits", "1"}, "rtn"},
      {{"--quantize", "rtn"}, "--bits"},
      {{"--quantize", "rtn.int4", "--group-size", "0"}, "--group-size"},
      {{"--quantize", "rtn.int4", "--block-size", "64"}, "--block-size"},
      {{"--quantize", "bnb.nf4", "--block-size", "48"}, "--block-size"},
      {{"--quantize", "bnb.nf4", "--sym"}, "--sym"},
      {{"--quantize", "gptq.int4", "--damp", "2"}, "--damp"},
      {{"--quantize", "gptq.int4", "--act-order", "--group-aware-order"},
       "--group-aware-order"},
      {{"--quantize", "gptq.int4", "--calibration-device", "tpu"}, "tpu"},
      {{"--outlier-threshold", "6"}, "--outlier-threshold"},
      {{"--random-weights", "-1"}, "'-1' is no integer from 0 to 1844674407"},
      {{"--random-weights", "18446744073709551616"}, "--random-weights"},
      {{"--quantize", "gptq.int4", "--seed", "-1"}, "--seed"},
      {{"--quantize", "gptq.int4", "--seed", "1.5"}, "--seed"},
      {{"--quantize", "gptq.int4", "--samples", "0"}, "from 1 to 1048576"},
      {{"--quantize", "rtn.int4", "--group-size", "99999999999999999999"},
       "--group-size"},
      {{"--threads", "-1"}, "--threads"},
      {{"--quantize", "bnb.int8", "--outlier-threshold=-1"}, "--outlier-thre"},
      {{"--modules", "q_proj"}, "REGEX=SCHEME"},
      {{"--modules", "(=rtn.int4"}, "no regular expression"},
      {{"--modules", "q_proj=rtn.int9"}, "rtn.int9"},
      {{"--lm-head", "int4"}, "int4"},
      {{"--dtype", "f64"}, "f64"},
      {{"--kv-dtype", "int8"}, "int8"},
      {{"--activations", "int3"}, "int3"},
      {{"--activations", "bf16"}, "leave it out"},
      {{"--activations", "int8"}, "for bnb.int8 only"},
      {{"--quantize", "rtn.int8", "--activations", "int8"}, "bnb.int8 only"},
      {{"--quantize", "bnb.int8", "--modules", "q_proj=rtn.int4",
        "--activations", "int8"},
       "bnb.int8 only"},
      {{"--quantize", "bnb.int8", "--activations", "f32"}, "contradicts"},
      {{"--activations", "f32", "--target", "sm_90"}, "--activations"},
      {{"--target", "cpu,sm_11"}, "sm_11"},
      {{"--cpu-variants", "i386"}, "i386"},
      {{"--target", "cpu,"}, "unknown target ''"},
      {{"--target", ""}, "--target is empty"},
      {{"--lm-head", ""}, "--lm-head is empty"},
      {{"--emit", "krn", "--print-pipeline"}, "exclude each other"},
      {{"--quant-log", folder.path("out.qbin")}, "the same file"},
      {{"--emit", "ptx"}, "ptx"},
      {{"--emit", "cuda", "--target", "cpu"}, "CUDA target"},
      {{"--emit", "llvm", "--target", "sm_90"}, "target cpu"},
      {{"--emit", "krn", "--quant-log", "q.csv"}, "--quant-log"},
      {{"--pipeline", "builtin.module(no-such-pass)"}, "--pipeline"},
  };
  for (const auto &[options, part] : wrong) {
    std::vector<std::string> args = {"compile", folder.path("no-such-model"),
                                     "-o", folder.path("out.qbin")};
    args.insert(args.end(), options.begin(), options.end());
    expectRefusal(qcc::test::qcc(args), 2, part);
  }
  expectRefusal(qcc::test::qcc({"compile", folder.path("no-such-model")}), 2,
                "-o FILE.qbin");
  expectRefusal(
      qcc::test::qcc({"compile", folder.path("no-such-model"), "-o", "-"}), 2,
      "needs a file");
}

// As in LLVM's tools.
TEST_F(BadInput, DashIsNoFile) {
  config(R"({"model_type": "llama", "hidden_size": 32,
             "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 1, "vocab_size": 64})");
  const std::vector<std::string> emit = {
      "compile", folder.path(""), "--random-weights", "0", "--emit", "krn"};
  std::vector<std::string> toDash = emit;
  toDash.insert(toDash.end(), {"-o", "-"});
  Outcome plain = qcc::test::qcc(emit), dash = qcc::test::qcc(toDash);
  EXPECT_EQ(dash.status, 0) << dash.err;
  EXPECT_NE(dash.out.find("krn.entry"), std::string::npos);
  EXPECT_EQ(dash.out, plain.out);
}

TEST_F(BadInput, FullDisk) {
  if (!std::filesystem::is_character_file("/dev/full"))
    GTEST_SKIP() << "there is no /dev/full";
  config(R"({"model_type": "llama", "hidden_size": 32,
             "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 1, "vocab_size": 64})");
  std::string full = folder.path("full");
  std::filesystem::create_symlink("/dev/full", full);
  auto compile = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"compile", folder.path(""), "--random-weights",
                               "0", "--quiet", "--cpu-variants", "x86-64-v3"});
    return qcc::test::qcc(more);
  };
  for (const char *phase : {"tfm", "qnt", "krn", "llvm"})
    expectRefusal(compile({"--emit", phase, "-o", full}), 1, full);
  expectRefusal(compile({"--print-pipeline", "-o", full}), 1, full);
  expectRefusal(compile({"-o", full}), 1, full);
  std::string good = folder.path("good.qbin");
  expectRefusal(compile({"-o", good, "--quant-log", full}), 1, full);
  EXPECT_FALSE(std::filesystem::exists(good));
  ASSERT_EQ(compile({"-o", good}).status, 0);
  expectRefusal(qrt({"logits", good, "--token-ids", "1", "-o", full}), 1, full);
}
TEST_F(BadInput, MissingModel) {
  expectRefusal(qcc::test::qcc(
                    {"compile", "no-such-model", "-o", folder.path("out.qbin")},
                    {"HF_HUB_CACHE=" + folder.path("hub")}),
                1, folder.path("hub"));
}
TEST_F(BadInput, CpuVariantsThatAreNone) {
  expectRefusal(compile({"--cpu-variants", "x86-64-v9"}), 2, "x86-64-v9");
  expectRefusal(compile({"--cpu-variants", "x86-64-v3", "--target", "sm_90"}),
                2, "--cpu-variants");
}
TEST_F(BadInput, ArtifactThatIsNone) {
  writeFile(folder.folder / "x.qbin", "not an artifact at all");
  expectRefusal(qrt({"generate", folder.path("x.qbin")}), 1, "x.qbin");
  expectRefusal(qcc::test::qcc({"inspect", folder.path("x.qbin")}), 1,
                "x.qbin");
}

} // namespace
