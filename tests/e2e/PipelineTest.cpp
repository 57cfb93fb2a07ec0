//===- PipelineTest.cpp - The passes are the compiler ---------------------===//

#include "tests/e2e/Tools.h"

#include <algorithm>

using namespace qcc::test;

namespace {

/// A configuration of a tiny model: no weights are needed.
constexpr const char *kTinyLlama = R"({
  "model_type": "llama", "hidden_size": 64, "intermediate_size": 96,
  "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
  "vocab_size": 100, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
  "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "float32"
})";

class Pipeline : public testing::Test {
protected:
  void SetUp() override {
    writeFile(folder.folder / "config.json", kTinyLlama);
  }
  std::vector<std::string> compileArguments() {
    return {"compile",    folder.folder, "--random-weights", "7",
            "--quantize", "rtn.int4",    "--group-size",     "32",
            "--quiet"};
  }
  Outcome compile(std::vector<std::string> more) {
    std::vector<std::string> args = compileArguments();
    args.insert(args.end(), more.begin(), more.end());
    return qcc::test::qcc(args);
  }
  std::vector<double> logitsOf(const std::string &artifact) {
    Outcome ran = qrt({"logits", folder.path(artifact), "--token-ids",
                       "5,17,99,0,3,3,42,8,61,12,77", "-o",
                       folder.path("out.safetensors")});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return readTensor(folder.path("out.safetensors"), "logits");
  }
  TemporaryFolder folder;
};

TEST_F(Pipeline, ReplaysUnderQccOpt) {
  Outcome tfm = compile({"--emit", "tfm"});
  Outcome krn = compile({"--emit", "krn"});
  Outcome pipeline = compile({"--print-pipeline"});
  ASSERT_EQ(pipeline.status, 0) << pipeline.err;
  std::string text = pipeline.out.substr(0, pipeline.out.find('\n'));
  Outcome replayed = run(QCC_OPT_BIN, {"--pass-pipeline=" + text}, tfm.out);
  ASSERT_EQ(replayed.status, 0) << replayed.err;
  EXPECT_EQ(replayed.out, krn.out);
}

TEST_F(Pipeline, StoresATiedHeadOnce) {
  auto storesHead = [&](bool tied, const std::vector<std::string> &more) {
    std::string config = kTinyLlama;
    const std::string field = "\"tie_word_embeddings\": ";
    size_t at = config.find(field);
    EXPECT_NE(at, std::string::npos);
    size_t value = at + field.size();
    config.replace(value, config.find_first_of(",}", value) - value,
                   tied ? "true" : "false");
    writeFile(folder.folder / "config.json", config);
    std::vector<std::string> options = {"--emit", "krn"};
    options.insert(options.end(), more.begin(), more.end());
    Outcome ran = compile(options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out.find("tfm.define \"lm_head\"") != std::string::npos;
  };
  EXPECT_TRUE(storesHead(false, {}));
  EXPECT_FALSE(storesHead(true, {}));
  EXPECT_FALSE(storesHead(true, {"--lm-head", "none"}));
  // The embedding itself is never quantized.
  EXPECT_TRUE(storesHead(true, {"--lm-head", "rtn.int8"}));
}

TEST_F(Pipeline, CompilesTwiceToTheSameBytes) {
  ASSERT_EQ(compile({"-o", folder.path("a.qbin")}).status, 0);
  ASSERT_EQ(compile({"-o", folder.path("b.qbin"), "--threads", "1"}).status, 0);
  EXPECT_EQ(readFile(folder.path("a.qbin")), readFile(folder.path("b.qbin")));
}

TEST_F(Pipeline, FusionChangesPhasesButNotLogits) {
  ASSERT_EQ(compile({"-o", folder.path("fused.qbin")}).status, 0);
  std::vector<double> fused = logitsOf("fused.qbin");
  std::string whole = compile({"--print-pipeline"}).out;
  whole = whole.substr(0, whole.find('\n'));
  std::string phases = compile({"--emit", "krn"}).out;
  for (const char *pass :
       {"fuse-stack-linears", "fuse-glu", "fuse-rope-attention", "fuse-norm",
        "fuse-residual"}) {
    SCOPED_TRACE(pass);
    std::string pipeline = whole;
    size_t at = pipeline.find(pass);
    ASSERT_NE(at, std::string::npos);
    size_t length = std::string(pass).size();
    // The comma behind it, or, at the end of a nest, the one before it.
    if (pipeline[at + length] == ',')
      pipeline.erase(at, length + 1);
    else
      pipeline.erase(at - 1, length + 1);
    Outcome compiled =
        compile({"--pipeline", pipeline, "-o", folder.path("less.qbin")});
    ASSERT_EQ(compiled.status, 0) << compiled.err;
    EXPECT_NE(compile({"--pipeline", pipeline, "--emit", "krn"}).out, phases);
    EXPECT_LE(relativeError(logitsOf("less.qbin"), fused), 1e-4);
  }
}

TEST_F(Pipeline, ProvenanceSaysWhatRan) {
  std::string passes = compile({"--print-pipeline"}).out;
  passes = passes.substr(0, passes.find('\n'));
  auto optionsOf = [&](std::vector<std::string> more) {
    more.insert(more.end(),
                {"--target", "cpu", "-o", folder.path("model.qbin")});
    Outcome compiled = compile(more);
    EXPECT_EQ(compiled.status, 0) << compiled.err;
    return qcc::test::qcc({"inspect", folder.path("model.qbin"), "--json"}).out;
  };
  EXPECT_NE(optionsOf({}).find("\"quantize=rtn:int4.g32.z\""),
            std::string::npos);
  const std::string replaced = optionsOf({"--pipeline", passes});
  EXPECT_NE(replaced.find("\"pipeline=builtin.module("), std::string::npos);
  EXPECT_EQ(replaced.find("\"quantize="), std::string::npos);
}

TEST_F(Pipeline, QuantLogHasALineForEachModule) {
  ASSERT_EQ(compile({"-o", folder.path("model.qbin"), "--quant-log",
                     folder.path("log.csv")})
                .status,
            0);
  std::string log = readFile(folder.path("log.csv"));
  EXPECT_TRUE(log.starts_with(
      "layer,module,scheme,rows,columns,error,damp,seconds,note\n"));
  // Rows are the module's own, wherever it was stacked.
  EXPECT_NE(log.find("0,model.layers.0.self_attn.k_proj,int4.g32.z,32,64,0.0"),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("2,model.layers.2.mlp.up_proj,int4.g32.z,96,64,0.0"),
            std::string::npos)
      << log;
  EXPECT_EQ(std::ranges::count(log, '\n'), 1 + 3 * 7);
}

TEST_F(Pipeline, ThreadsDoNotChangeResults) {
  ASSERT_EQ(compile({"-o", folder.path("model.qbin")}).status, 0);
  auto generate = [&](const char *threads) {
    return qrt({"generate", folder.path("model.qbin"), "--token-ids", "1,2,3",
                "--max-new-tokens", "20", "--seed", "5", "--ignore-eos",
                "--threads", threads, "--json"});
  };
  auto one = nlohmann::json::parse(generate("1").out);
  auto two = nlohmann::json::parse(generate("2").out);
  EXPECT_EQ(one["token_ids"], two["token_ids"]);
  EXPECT_EQ(one["token_ids"].size(), 20u);
}

} // namespace
