//===- CudaTest.cpp - CUDA targets, from a model to tokens ----------------===//
//
// What needs NVRTC or a GPU is skipped where there is none.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace qcc::test {
namespace {

/// A tiny model's configuration; its weights are random.
std::string writeConfig(const TemporaryFolder &folder) {
  std::ofstream(folder.path("config.json")) << R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320,
    "rms_norm_eps": 1e-5, "max_position_embeddings": 256,
    "rope_theta": 10000.0, "tie_word_embeddings": false,
    "torch_dtype": "bfloat16", "hidden_act": "silu"})";
  return folder.path("");
}

std::vector<std::string> compileArguments(const std::string &model,
                                          const std::string &targets) {
  return {"compile",    model,      "--random-weights", "1",
          "--quantize", "rtn.int4", "--group-size",     "32",
          "--target",   targets,    "--quiet"};
}

bool isWithoutNvrtc(const Outcome &compiled) {
  return compiled.status == 1 &&
         compiled.err.find("needs NVRTC") != std::string::npos;
}

/// What `qcc inspect` says of an artifact.
nlohmann::json inspect(const std::string &artifact) {
  Outcome outcome = qcc({"inspect", artifact, "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out);
}

TEST(Cuda, RefusesUnknownTargetsInOneLine) {
  TemporaryFolder folder;
  auto arguments = compileArguments(writeConfig(folder), "sm_11");
  Outcome outcome = qcc(arguments);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_NE(outcome.err.find("unknown target 'sm_11'; known are cpu, sm_80"),
            std::string::npos)
      << outcome.err;
}

TEST(Cuda, RefusesToEmitCudaForTheCpu) {
  TemporaryFolder folder;
  auto arguments = compileArguments(writeConfig(folder), "cpu");
  arguments.insert(arguments.end(), {"--emit", "cuda"});
  Outcome outcome = qcc(arguments);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_NE(outcome.err.find("needs a CUDA target"), std::string::npos)
      << outcome.err;
}

TEST(Cuda, EmitsKernelsWithoutNvrtcOrGpu) {
  TemporaryFolder folder;
  auto arguments = compileArguments(writeConfig(folder), "sm_90");
  arguments.insert(arguments.end(), {"--emit", "cuda"});
  Outcome outcome = qcc(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("extern \"C\" __global__"), std::string::npos);
  EXPECT_NE(outcome.out.find("qcc::cuda::Gemv<Config>::run"),
            std::string::npos);
}

// On sm_90 steps of 2 to 8 tokens are left to the kernels of up to 64, except
// where these cannot read the weights.
TEST(Cuda, StepsOfFewTokensTakeTheKernelsOfBatches) {
  TemporaryFolder folder;
  const std::string model = writeConfig(folder);
  const auto hasKernelsOfEight = [&](const char *scheme, const char *target) {
    Outcome outcome =
        qcc({"compile", model, "--random-weights", "1", "--quantize", scheme,
             "--target", target, "--emit", "cuda", "--quiet"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("maxTokens = 64;"), std::string::npos);
    return outcome.out.find("maxTokens = 8;") != std::string::npos;
  };
  EXPECT_FALSE(hasKernelsOfEight("rtn.int4", "sm_90"));
  EXPECT_FALSE(hasKernelsOfEight("bnb.nf4-dq", "sm_90"));
  EXPECT_TRUE(hasKernelsOfEight("rtn.int4", "sm_80"));
  EXPECT_TRUE(hasKernelsOfEight("bnb.int8", "sm_90"));
}

// What is short goes with attention: rope_append in steps of up to 64 tokens,
// and where the output is staged for wgmma, the staging.
TEST(Cuda, AttentionTakesItsNeighbours) {
  TemporaryFolder folder;
  const std::string model = writeConfig(folder);
  const auto has = [&](const char *scheme, const char *target,
                       const char *text) {
    Outcome outcome =
        qcc({"compile", model, "--random-weights", "1", "--quantize", scheme,
             "--target", target, "--emit", "cuda", "--quiet"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out.find(text) != std::string::npos;
  };
  EXPECT_TRUE(has("rtn.int4", "sm_90", "appends = true;"));
  EXPECT_TRUE(has("rtn.int4", "sm_90", "stages = true;"));
  EXPECT_TRUE(has("rtn.int4", "sm_80", "appends = true;"));
  EXPECT_FALSE(has("rtn.int4", "sm_80", "stages = true;"));
  EXPECT_TRUE(has("bnb.int8", "sm_90", "appends = true;"));
  EXPECT_FALSE(has("bnb.int8", "sm_90", "stages = true;"));
}

// QKV and the first GEMM of the MLP, in every layer. Nested scales lie in one
// place, which each GEMM fills for itself.
TEST(Cuda, AParallelBlockHasOneLaunchForTwoWeights) {
  TemporaryFolder folder;
  const nlohmann::json config = {{"architectures", {"FalconForCausalLM"}},
                                 {"model_type", "falcon"},
                                 {"hidden_size", 256},
                                 {"num_hidden_layers", 3},
                                 {"num_attention_heads", 4},
                                 {"multi_query", true},
                                 {"parallel_attn", true},
                                 {"new_decoder_architecture", false},
                                 {"bias", false},
                                 {"alibi", false},
                                 {"vocab_size", 320},
                                 {"layer_norm_epsilon", 1e-5},
                                 {"torch_dtype", "bfloat16"}};
  std::ofstream(folder.path("config.json")) << config;
  const auto compile = [&](const char *scheme,
                           const std::vector<std::string> &output) {
    std::vector<std::string> arguments = {
        "compile",  folder.path(""), "--random-weights",
        "1",        "--quantize",    scheme,
        "--target", "sm_90",         "--quiet"};
    arguments.insert(arguments.end(), output.begin(), output.end());
    return qcc(arguments);
  };
  const auto hasPairs = [&](const char *scheme) {
    Outcome outcome = compile(scheme, {"--emit", "cuda"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out.find("hasSecond = true;") != std::string::npos;
  };
  EXPECT_TRUE(hasPairs("rtn.int4"));
  EXPECT_TRUE(hasPairs("none"));
  EXPECT_FALSE(hasPairs("bnb.nf4-dq"));

  const std::string artifact = folder.path("m.qbin");
  Outcome outcome = compile("rtn.int4", {"-o", artifact});
  if (isWithoutNvrtc(outcome))
    GTEST_SKIP() << "no NVRTC here";
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const nlohmann::json described = inspect(artifact);
  // The rope table, the embedding; a layer's staging, pair, attention with its
  // staging, output, staging, down; the last staging and the logits.
  const auto &entries = described["kernels"][0]["entries"];
  const auto batch =
      std::find_if(entries.begin(), entries.end(),
                   [](const auto &entry) { return entry["name"] == "batch"; });
  ASSERT_NE(batch, entries.end());
  EXPECT_EQ((*batch)["launches"], 2 + 3 * 6 + 2);
}

/// The kernels of a llama of so many dimensions, and three layers.
static std::string emitLlama(int hidden, int intermediate, const char *scheme,
                             const std::vector<std::string> &options = {}) {
  TemporaryFolder folder;
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"hidden_size", hidden},
                                 {"intermediate_size", intermediate},
                                 {"num_hidden_layers", 3},
                                 {"num_attention_heads", hidden / 64},
                                 {"vocab_size", 512},
                                 {"rms_norm_eps", 1e-5},
                                 {"max_position_embeddings", 256},
                                 {"tie_word_embeddings", false},
                                 {"torch_dtype", "bfloat16"}};
  std::ofstream(folder.path("config.json")) << config;
  std::vector<std::string> arguments = {
      "compile",    folder.path(""), "--random-weights", "1",
      "--quantize", scheme,          "--target",         "sm_90",
      "--emit",     "cuda"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  Outcome outcome = qcc(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.out;
}

/// The layers of its persistent kernel.
static std::string persistentLayers(int hidden) {
  const std::string source = emitLlama(hidden, 3 * hidden, "rtn.int4");
  const size_t program = source.find("struct Program"),
               begin = source.find("for (int layer", program),
               end = source.find("\n    }\n", begin);
  EXPECT_NE(end, std::string::npos);
  return source.substr(begin, end - begin);
}

// Rows are handed over without a barrier where every block writes a part.
TEST(Cuda, LargeLayersNeedNoBarriers) {
  const std::string large = persistentLayers(3072);
  EXPECT_EQ(large.find("a.barrier()"), std::string::npos) << large;
  EXPECT_NE(large.find("a.tag(4, 0 + layer * 1)"), std::string::npos) << large;
  const std::string small = persistentLayers(256);
  EXPECT_NE(small.find("a.barrier()"), std::string::npos) << small;
  EXPECT_EQ(small.find("a.tag("), std::string::npos) << small;
}

// Table codes are looked up in a spread table, by more warps, where activations
// leave room for one.
TEST(Cuda, LongRowsHaveDenseTables) {
  const auto persistent = [](int intermediate) {
    const std::string source = emitLlama(256, intermediate, "bnb.nf4");
    return source.substr(source.find("#define QCC_CONSUMER_WARPS"));
  };
  const std::string spread = persistent(4096), dense = persistent(24576);
  EXPECT_EQ(spread.find("#define QCC_CONSUMER_WARPS 15\n"), 0U);
  EXPECT_NE(spread.find("isSpread = true"), std::string::npos);
  EXPECT_EQ(dense.find("#define QCC_CONSUMER_WARPS 11\n"), 0U);
  EXPECT_NE(dense.find("isSpread = false"), std::string::npos);
}

// Groups that are smaller than a step of the tensor cores come several in one,
// so that activations of long rows have room beside the ring. Small groups and
// three bits have more warps.
TEST(Cuda, SmallGroupsShareAStep) {
  struct Case {
    const char *scheme, *group; ///< no group: none
    int stepUnits, warps;
  };
  for (const Case &c :
       {Case{"rtn.int3", "32", 4, 15}, Case{"rtn.int3", "64", 2, 15},
        Case{"rtn.int3", "128", 1, 15}, Case{"rtn.int2", "16", 4, 15},
        Case{"rtn.int2", "32", 2, 15}, Case{"rtn.int2", "64", 1, 15},
        Case{"rtn.int2", "128", 1, 11}, Case{"rtn.int4", "32", 1, 15},
        Case{"rtn.int4", "64", 1, 11}, Case{"none", nullptr, 1, 11}}) {
    std::vector<std::string> options;
    if (c.group)
      options = {"--group-size", c.group};
    SCOPED_TRACE(c.scheme + (" " + testing::PrintToString(options)));
    const std::string source = emitLlama(256, 18176, c.scheme, options);
    const size_t kernel =
        source.find("#define QCC_CONSUMER_WARPS " + std::to_string(c.warps));
    ASSERT_NE(kernel, std::string::npos);
    EXPECT_NE(
        source.find("int stepUnits = " + std::to_string(c.stepUnits) + ";",
                    kernel),
        std::string::npos);
  }
}

// Weights that a library multiplies faster have another way in the artifact:
// rows as they are staged for it, panels, and what finishes sums. On other
// architectures, next to small weights and in batches there is none.
TEST(Cuda, LargeWeightsHaveAWayByALibrary) {
  const std::string large = emitLlama(2048, 8192, "rtn.int4"),
                    small = emitLlama(256, 512, "rtn.int4");
  for (const char *part : {"isRowMajor = true", "qcc::cuda::Panel<Config>",
                           "qcc::cuda::Finish<Config>"}) {
    EXPECT_NE(large.find(part), std::string::npos) << part;
    EXPECT_EQ(small.find(part), std::string::npos) << part;
  }
  size_t panels = 0;
  for (size_t at = 0;
       (at = large.find("Panel<Config>::run", at)) != std::string::npos; ++at)
    ++panels;
  // One kernel for each of qkv, o, gate and up, and down.
  EXPECT_EQ(panels, 4U);
}

TEST(Cuda, SaysWhereNvrtcIsMissing) {
  TemporaryFolder folder;
  auto arguments = compileArguments(writeConfig(folder), "sm_90");
  arguments.insert(arguments.end(), {"-o", folder.path("m.qbin")});
  Outcome outcome = qcc(arguments, {"QCC_NVRTC=/nowhere/libnvrtc.so"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("needs NVRTC"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::ifstream(folder.path("m.qbin")).good());
}

TEST(Cuda, KernelsSpillNothing) {
  TemporaryFolder folder;
  std::string artifact = folder.path("m.qbin");
  auto arguments = compileArguments(writeConfig(folder), "cpu,sm_80,sm_90");
  arguments.insert(arguments.end(), {"-o", artifact});
  Outcome outcome = qcc(arguments);
  if (isWithoutNvrtc(outcome))
    GTEST_SKIP() << "no NVRTC here";
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  size_t kernels = 0;
  const nlohmann::json described = inspect(artifact);
  for (const auto &target : described["kernels"])
    if (target.contains("functions"))
      for (const auto &function : target["functions"]) {
        ++kernels;
        EXPECT_EQ(function["local_bytes"], 0) << function << target["target"];
        EXPECT_GT(function["registers"], 0) << function;
        EXPECT_LE(function["registers"], 255) << function;
      }
  EXPECT_GT(kernels, 40U);
  // A token is one kernel where the architecture allows it.
  for (const auto &target : described["kernels"]) {
    size_t persistent = 0;
    for (const auto &entry : target["entries"])
      persistent += entry["name"] == "persistent" && entry["launches"] == 1;
    EXPECT_EQ(persistent, target["target"] == "sm_90" ? 1U : 0U)
        << target["target"];
  }

  // The same tokens on the CPU and, where there is one, on a GPU.
  auto tokens = [&](const char *device, const char *persistent = "1") {
    return qrt({"generate", artifact, "--token-ids", "1,2,3,4,5", "--device",
                device, "--temperature", "0", "--ignore-eos",
                "--max-new-tokens", "8", "--json"},
               {std::string("QRT_CUDA_PERSISTENT=") + persistent});
  };
  Outcome cpu = tokens("cpu");
  ASSERT_EQ(cpu.status, 0) << cpu.err;
  Outcome gpu = tokens("cuda");
  if (gpu.status == 1 && gpu.err.find("driver") != std::string::npos)
    GTEST_SKIP() << "no GPU here: " << gpu.err;
  ASSERT_EQ(gpu.status, 0) << gpu.err;
  EXPECT_EQ(nlohmann::json::parse(cpu.out)["token_ids"],
            nlohmann::json::parse(gpu.out)["token_ids"]);
  // And by the kernels that are the persistent one's oracle.
  Outcome graph = tokens("cuda", "0");
  ASSERT_EQ(graph.status, 0) << graph.err;
  EXPECT_EQ(nlohmann::json::parse(graph.out)["token_ids"],
            nlohmann::json::parse(gpu.out)["token_ids"]);
}

TEST(Cuda, SaysWhyAnEntryIsNotOneKernel) {
  TemporaryFolder folder;
  std::string model = writeConfig(folder);
  // Heads of 256 dimensions are too many for a persistent kernel's registers.
  std::string text;
  {
    std::ifstream file(folder.path("config.json"));
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  size_t at = text.find("\"hidden_size\"");
  ASSERT_NE(at, std::string::npos);
  std::ofstream(folder.path("config.json"))
      << text.insert(at, "\"head_dim\": 256, ");
  std::string artifact = folder.path("m.qbin");
  auto arguments = compileArguments(model, "sm_90");
  arguments.insert(arguments.end(), {"-o", artifact});
  Outcome outcome = qcc(arguments);
  if (isWithoutNvrtc(outcome))
    GTEST_SKIP() << "no NVRTC here";
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  Outcome inspected = qcc({"inspect", artifact, "--json"});
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("no entry persistent: krn.attention has heads "
                               "of 256 dimensions"),
            std::string::npos);
}

} // namespace
} // namespace qcc::test
