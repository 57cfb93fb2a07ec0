//===- GoldenTest.cpp - Logits against transformers -----------------------===//

#include "compiler/quantize/Pack.h"
#include "tests/e2e/Tools.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sstream>

using namespace qcc::test;

namespace {

/// The variant that every CPU of the target runs. One compiles in a third of
/// the time of all; KernelTest holds the kernels of each against one reference.
constexpr const char *kVariant = "x86-64-v3";

/// The largest error of a row of weights that a scheme may make, relative to
/// the row. Of near-normal rows int8 loses its step's uniform error (2^-8 of a
/// range of about 5 sigma, / sqrt(12)), nf4 0.09; in gptq columns make up for
/// others. Rows of another place would be off by sqrt(2).
double rowErrorOf(const std::string &scheme) {
  return scheme == "rtn.int8" ? 0.01 : scheme == "bnb.nf4" ? 0.15 : 0.5;
}

/// The largest relative error of logits against those of the dequantized
/// weights. Int codes multiply activations of 16-bit fixed point: each value is
/// off by up to 1 / 65024 of its row's largest, in a near-normal row 3e-5 of
/// the row's norm. Some 21 linears add that up to 1.4e-4; in GPT-Neo, whose
/// attention does not scale down the scores' errors, to 2.3e-4.
double logitErrorOf(const std::string &scheme) {
  return scheme == "bnb.nf4" ? 2e-5 : 3e-4;
}

/// A golden runs under gptq.int4, which compiles and runs its blocks to
/// calibrate, and under one more scheme; QCC_GOLDEN_SCHEMES in the environment
/// ("rtn.int8 bnb.nf4 gptq.int4") says others.
struct Case {
  const char *model;
  std::string scheme;

  std::vector<std::string> schemes() const {
    const char *said = std::getenv("QCC_GOLDEN_SCHEMES");
    std::istringstream words(said ? said : scheme + " gptq.int4");
    return {std::istream_iterator<std::string>(words), {}};
  }
};

class Golden : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED_DATA();
    model = sharedData() / "goldens" / GetParam().model;
    golden = model / "golden.safetensors";
  }

  void compile(const char *artifact, std::vector<std::string> options) {
    options.insert(options.begin(), {"compile", model, "--quiet", "--dtype",
                                     "f32", "-o", folder.path(artifact)});
    Outcome compiled = qcc::test::qcc(options);
    ASSERT_EQ(compiled.status, 0) << compiled.err;
  }
  /// The logits for the golden's tokens.
  std::vector<double> logits(const char *artifact,
                             const std::vector<std::string> &environment = {}) {
    Outcome ran =
        qcc::test::qrt({"logits", folder.path(artifact), "--token-ids",
                        inputIds(), "-o", folder.path("out.safetensors")},
                       environment);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return readTensor(folder.path("out.safetensors"), "logits");
  }
  std::string inputIds() const {
    return joinIds(readTensor(golden, "input_ids"));
  }

  void expectGreedyTokens(const char *artifact) {
    Outcome ran =
        qcc::test::qrt({"generate", folder.path(artifact), "--token-ids",
                        inputIds(), "--temperature", "0", "--max-new-tokens",
                        "16", "--ignore-eos", "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::vector<double> ids =
        nlohmann::json::parse(ran.out)["token_ids"].get<std::vector<double>>();
    EXPECT_EQ(joinIds(ids), joinIds(readTensor(golden, "greedy")));
  }

  static nlohmann::json tensorsOf(const std::string &artifact) {
    Outcome inspected = qcc::test::qcc({"inspect", artifact, "--json"});
    EXPECT_EQ(inspected.status, 0) << inspected.err;
    return nlohmann::json::parse(inspected.out)["tensors"];
  }

  /// The values of one row-major [rows, columns] tensor, by the scalar
  /// references of layout and formats.
  static std::vector<float> valuesOf(const std::string &bytes,
                                     const nlohmann::json &tensor) {
    auto at = reinterpret_cast<const uint8_t *>(bytes.data()) +
              tensor["offset"].get<size_t>();
    qrt::PackedWeight weight = qcc::unpack(
        qrt::Format::parse(tensor["format"].get<std::string>()),
        tensor["shape"][0], tensor["shape"][1], at, tensor["bytes"]);
    std::vector<float> values(size_t(weight.rows * weight.columns));
    qrt::dequantize(weight, values.data());
    return values;
  }

  /// Checks that each row is near the same row of `original`.
  static void expectNear(const std::vector<float> &values,
                         const std::vector<float> &original, size_t columns,
                         double bound) {
    double worst = 0;
    for (size_t row = 0; row < values.size(); row += columns) {
      double difference = 0, norm = 0;
      for (size_t i = row; i < row + columns; ++i) {
        difference += std::pow(double(values[i]) - original[i], 2);
        norm += std::pow(double(original[i]), 2);
      }
      if (norm > 0)
        worst = std::max(worst, std::sqrt(difference / norm));
    }
    EXPECT_LE(worst, bound);
  }

  /// Writes `values` to a tensor of f32 tiles (docs/formats.md).
  static void store(std::string &bytes, const nlohmann::json &tensor,
                    const std::vector<float> &values) {
    size_t columns = tensor["shape"][1];
    for (size_t i = 0; i < values.size(); ++i) {
      size_t row = i / columns, column = i % columns;
      size_t element = row / 16 * 16 * columns + column * 16 + row % 16;
      std::memcpy(bytes.data() + tensor["offset"].get<size_t>() + 4 * element,
                  &values[i], sizeof(float));
    }
  }

  /// Makes dequantized.qbin: f32.qbin with what quantized.qbin's codes stand
  /// for. Both programs stack and order the rows of their tensors alike, so no
  /// name is mapped; what the rows mean, the logits in f32 have shown.
  void dequantize(const std::string &scheme) {
    std::string quantized = readFile(folder.path("quantized.qbin"));
    std::string f32 = readFile(folder.path("f32.qbin"));
    nlohmann::json from = tensorsOf(folder.path("quantized.qbin"));
    nlohmann::json to = tensorsOf(folder.path("f32.qbin"));
    ASSERT_EQ(from.size(), to.size());
    int replaced = 0;
    for (size_t i = 0; i < from.size(); ++i) {
      SCOPED_TRACE(to[i]["name"].get<std::string>());
      ASSERT_EQ(from[i]["name"], to[i]["name"]);
      ASSERT_EQ(from[i]["shape"], to[i]["shape"]);
      ASSERT_EQ(to[i]["format"], "f32");
      if (from[i]["format"] == "f32")
        continue;
      std::vector<float> values = valuesOf(quantized, from[i]);
      expectNear(values, valuesOf(f32, to[i]), to[i]["shape"][1],
                 rowErrorOf(scheme));
      store(f32, to[i], values);
      ++replaced;
    }
    EXPECT_GT(replaced, 0);
    writeFile(folder.path("dequantized.qbin"), f32);
  }

  std::filesystem::path model, golden;
  TemporaryFolder folder;
};

TEST_P(Golden, LogitsInF32AndQuantized) {
  compile("f32.qbin", {"--cpu-variants", kVariant});
  EXPECT_LE(relativeError(logits("f32.qbin"), readTensor(golden, "logits")),
            2e-5);
  // llama-dynamic's greedy ids come of another rotation at every step.
  if (std::string(GetParam().model) != "llama-dynamic")
    expectGreedyTokens("f32.qbin");

  for (const std::string &scheme : GetParam().schemes()) {
    SCOPED_TRACE(scheme);
    std::vector<std::string> options = {"--cpu-variants", kVariant,
                                        "--quantize", scheme};
    if (scheme.starts_with("gptq"))
      options.insert(options.end(), {"--calibration", "self", "--samples", "2",
                                     "--sequence-length", "32"});
    compile("quantized.qbin", options);
    dequantize(scheme);
    EXPECT_LE(
        relativeError(logits("quantized.qbin"), logits("dequantized.qbin")),
        logitErrorOf(scheme));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, Golden,
    testing::Values(Case{"llama", "rtn.int8"}, Case{"llama3", "bnb.nf4"},
                    Case{"llama-dynamic", "rtn.int8"},
                    Case{"mistral", "bnb.nf4"}, Case{"qwen2", "rtn.int8"},
                    Case{"qwen3", "bnb.nf4"}, Case{"phi", "rtn.int8"},
                    Case{"phi3", "bnb.nf4"}, Case{"phi3-longrope", "rtn.int8"},
                    Case{"gemma", "bnb.nf4"}, Case{"gemma3", "rtn.int8"},
                    Case{"falcon-7b", "bnb.nf4"},
                    Case{"falcon-40b", "rtn.int8"}, Case{"opt", "bnb.nf4"},
                    Case{"bloom", "rtn.int8"}, Case{"gpt-neox", "bnb.nf4"},
                    Case{"gpt2", "rtn.int8"}, Case{"gpt-neo", "bnb.nf4"},
                    Case{"gpt-bigcode", "rtn.int8"}, Case{"mpt", "bnb.nf4"},
                    Case{"olmo", "rtn.int8"}, Case{"cohere", "bnb.nf4"}),
    [](const auto &info) {
      std::string name = info.param.model;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

/// The variant that this CPU takes agrees with the least.
class GoldenVariants : public Golden {};

TEST_P(GoldenVariants, Agree) {
  compile("model.qbin", {});
  std::vector<double> expected = readTensor(golden, "logits");
  EXPECT_LE(relativeError(logits("model.qbin"), expected), 2e-5);
  EXPECT_LE(
      relativeError(logits("model.qbin", {"QRT_CPU=x86-64-v3"}), expected),
      2e-5);
}

INSTANTIATE_TEST_SUITE_P(Llama3, GoldenVariants,
                         testing::Values(Case{"llama3", ""}),
                         [](const auto &) { return std::string("llama3"); });

} // namespace
