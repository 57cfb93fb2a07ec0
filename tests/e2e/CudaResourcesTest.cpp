//===- CudaResourcesTest.cpp - What kernels use, for every architecture ---===//
//
// Every kind of kernel that models of real shapes get is compiled with NVRTC
// for every architecture, without a GPU: no spills, registers and shared memory
// within what a multiprocessor has. Of kernels that differ in shapes alone the
// first is taken.
//
//===----------------------------------------------------------------------===//

#include "codegen/cuda/CubinInfo.h"
#include "codegen/cuda/KernelUnits.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/kernels/KernelSources.h"
#include "tests/e2e/Tools.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace qcc::test {
namespace {

struct Architecture {
  const char *name;
  uint64_t sharedBytes; ///< of a multiprocessor
  bool isSampled;       ///< generated like the one before: one format will do
};

class CudaResources : public testing::TestWithParam<Architecture> {};

/// A Llama of `heads` heads of `dim` dimensions, one layer.
std::string writeModel(const TemporaryFolder &folder, int dim) {
  std::ofstream(folder.path("config.json"))
      << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 1,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 1024,
    "rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "hidden_act": "silu", "head_dim": )"
      << dim << "}";
  return folder.path("");
}

/// The units of a model, by name.
std::vector<std::pair<std::string, std::string>>
unitsOf(const std::string &model, const std::vector<std::string> &format,
        const std::string &architecture) {
  std::vector<std::string> arguments = {
      "compile", model,  "--random-weights", "1", "--target", architecture,
      "--emit",  "cuda", "--quiet"};
  arguments.insert(arguments.end(), format.begin(), format.end());
  Outcome emitted = qcc(arguments);
  EXPECT_EQ(emitted.status, 0) << emitted.err;
  std::vector<std::pair<std::string, std::string>> units;
  const std::string mark = "//===- ";
  for (size_t at = emitted.out.find(mark); at != std::string::npos;) {
    const size_t line = emitted.out.find('\n', at),
                 dot = emitted.out.find(".cu", at),
                 next = emitted.out.find("\n" + mark, line);
    units.emplace_back(
        emitted.out.substr(at + mark.size(), dot - at - mark.size()),
        emitted.out.substr(line + 1, next - line));
    at = next == std::string::npos ? next : next + 1;
  }
  return units;
}

uint64_t numberAfter(const std::string &text, const std::string &pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern))
             ? std::stoull(match[1])
             : 0;
}

TEST_P(CudaResources, KernelsFit) {
  std::shared_ptr<const cuda::Nvrtc> nvrtc = cuda::Nvrtc::tryLoad();
  if (!nvrtc)
    GTEST_SKIP() << "no NVRTC here";
  const Architecture architecture = GetParam();
  if (!nvrtc->supports(architecture.name))
    GTEST_SKIP() << "nvrtc " << nvrtc->version() << " has no target "
                 << architecture.name;

  // A persistent kernel may keep a few words over a phase, outside its loops.
  // Attention of heads of 128 dimensions keeps its output in registers, beside
  // what the rest of the kernel keeps in them. Next to table codes, three bits
  // and small groups threads have 128 registers only.
  struct Variant {
    int dim;
    std::vector<std::string> format;
    const char *only;             ///< kinds of kernels
    uint32_t persistentBytes = 0; ///< spilled by a persistent kernel, at most
  };
  const std::vector<Variant> variants = {
      {128,
       {"--quantize", "rtn.int4", "--asym"},
       architecture.isSampled ? ".*int4|.*attention|stage|persistent|sample"
                              : ".*",
       144},
      {64, {"--quantize", "rtn.int8"}, "persistent|.*attention|.*int8", 16},
      {128, {"--quantize", "bnb.nf4"}, "persistent|.*nf4", 144},
      {128,
       {"--quantize", "rtn.int3", "--group-size", "32"},
       "persistent",
       144},
      {128,
       {"--quantize", "rtn.int2", "--group-size", "64"},
       "persistent",
       144},
      {128, {"--quantize", "bnb.int8"}, "stage|find.*|.*int8"},
  };
  std::map<std::string, int> seen;
  TemporaryFolder folder;
  for (const Variant &variant : variants) {
    if (architecture.isSampled && &variant != &variants.front())
      break;
    std::map<std::string, bool> taken;
    for (const auto &[name, source] :
         unitsOf(writeModel(folder, variant.dim), variant.format,
                 architecture.name)) {
      const std::string kind = name.substr(0, name.rfind('_'));
      if (!std::regex_match(kind, std::regex(variant.only)) ||
          !taken.try_emplace(kind, true).second)
        continue;
      std::vector<char> cubin = nvrtc->compile(
          name, source, cuda::kernelSources(), architecture.name);
      std::vector<cuda::CubinFunction> functions = cuda::readCubin(cubin);
      const uint64_t threads =
                         numberAfter(source, "__launch_bounds__\\(([0-9]+)"),
                     blocks = numberAfter(
                         source, "__launch_bounds__\\([0-9]+, ([0-9]+)\\)"),
                     shared = numberAfter(source, "sharedBytes =+ ([0-9]+)");
      ASSERT_GT(threads * blocks, 0U) << name;
      for (const cuda::CubinFunction &function : functions) {
        if (function.name != name)
          continue;
        ++seen[kind];
        SCOPED_TRACE(name + " of " + variant.format[1]);
        // LLM.int8 calls a function for outlier columns, which needs a frame.
        const bool hasCall = variant.format[1] == "bnb.int8";
        EXPECT_LE(function.localBytes, kind == "persistent"
                                           ? variant.persistentBytes
                                       : hasCall ? 64
                                                 : 0);
        EXPECT_GT(function.registers, 0U);
        // Registers are given to warps in units of 8 a thread.
        EXPECT_LE((function.registers + 7) / 8 * 8 * threads * blocks, 65536U);
        // One block has to fit (the system's kilobyte is in the cubin's
        // number); qrt asks the driver how many do.
        EXPECT_LE(shared + function.staticShared, architecture.sharedBytes)
            << shared << " and " << function.staticShared;
      }
    }
  }
  const bool hasPersistent = std::string(architecture.name) == "sm_90" ||
                             std::string(architecture.name) == "sm_100";
  EXPECT_EQ(seen["persistent"], !hasPersistent           ? 0
                                : architecture.isSampled ? 1
                                                         : 5);
  EXPECT_GT(seen["gemv_int4"], 0);
  EXPECT_GT(seen["sample"], 0);
  EXPECT_EQ(seen["gemv_nf4"] > 0, !architecture.isSampled);
  EXPECT_GT(seen.size(), architecture.isSampled ? 4U : 12U);
}

// Large vocabularies: a thread's logits stay in registers.
TEST(CudaSampler, Fits) {
  std::shared_ptr<const cuda::Nvrtc> nvrtc = cuda::Nvrtc::tryLoad();
  if (!nvrtc)
    GTEST_SKIP() << "no NVRTC here";
  for (int64_t vocabulary : {152064, 1 << 20}) {
    const cuda::KernelUnit unit = cuda::samplingUnit("sample", vocabulary);
    std::vector<char> cubin = nvrtc->compile(unit.function, unit.source,
                                             cuda::kernelSources(), "sm_80");
    for (const cuda::CubinFunction &function : cuda::readCubin(cubin)) {
      EXPECT_EQ(function.localBytes, 0U) << vocabulary;
      EXPECT_LE(function.registers, vocabulary > 262144 ? 128U : 64U);
      EXPECT_LE(function.staticShared, 48U * 1024);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, CudaResources,
    testing::Values(Architecture{"sm_80", 164 * 1024, false},
                    Architecture{"sm_86", 100 * 1024, true},
                    Architecture{"sm_89", 100 * 1024, true},
                    Architecture{"sm_90", 228 * 1024, false},
                    Architecture{"sm_100", 228 * 1024, true},
                    Architecture{"sm_120", 100 * 1024, true}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace qcc::test
