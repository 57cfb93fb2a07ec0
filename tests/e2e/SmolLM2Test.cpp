//===- SmolLM2Test.cpp - A real model against transformers ----------------===//
//
// The GGUF that scripts/fetch_smollm2.sh brings, run in f32, against what
// transformers computed from its dequantized weights.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <algorithm>
#include <cmath>

using namespace qcc::test;
using nlohmann::json;

namespace {

class SmolLM2 : public testing::Test {
protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED_DATA();
    std::filesystem::path model = std::filesystem::path(QCC_MODELS) /
                                  "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!std::filesystem::exists(model))
      GTEST_SKIP() << "the model is not there: scripts/fetch_smollm2.sh";
    golden =
        json::parse(readFile(sharedData() / "models" / "smollm2-golden.json"));
    Outcome compiled =
        qcc::test::qcc({"compile", model, "--dtype", "f32", "--quiet", "-o",
                        folder.path("smollm2.qbin")});
    ASSERT_EQ(compiled.status, 0) << compiled.err;
  }

  json golden;
  TemporaryFolder folder;
};

TEST_F(SmolLM2, ComputesWhatTransformersDoes) {
  const json &expected = golden["weights"]["f32_dequant"];

  auto input = golden["input_ids"].get<std::vector<double>>();
  Outcome ran = qrt({"logits", folder.path("smollm2.qbin"), "--token-ids",
                     joinIds(input), "-o", folder.path("out.safetensors")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  std::vector<double> logits =
      readTensor(folder.path("out.safetensors"), "logits");
  size_t vocabulary = logits.size() / input.size();
  for (size_t i = 0; i < input.size(); ++i) {
    auto row = logits.begin() + long(i * vocabulary);
    EXPECT_EQ(std::max_element(row, row + long(vocabulary)) - row,
              expected["argmax_all_positions"][i].get<long>())
        << "position " << i;
  }
  const double *last = logits.data() + (input.size() - 1) * vocabulary;
  for (size_t i = 0; i < 50; ++i)
    EXPECT_NEAR(last[expected["last_top50_ids"][i].get<size_t>()],
                expected["last_top50_logits"][i].get<double>(), 1e-3)
        << "the likeliest but " << i;

  for (const json &text : expected["greedy"]) {
    auto ids = text["greedy_ids"].get<std::vector<double>>();
    ran = qrt({"generate", folder.path("smollm2.qbin"), "--prompt",
               text["prompt"], "--temperature", "0", "--max-new-tokens",
               std::to_string(ids.size()), "--ignore-eos", "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(
        joinIds(json::parse(ran.out)["token_ids"].get<std::vector<double>>()),
        joinIds(ids))
        << text["prompt"];
  }

  const json &chat = expected["chat"];
  ran = qrt({"generate", folder.path("smollm2.qbin"), "--prompt",
             chat["prompt_text"], "--temperature", "0", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["text"], "The capital of France is Paris.");

  // The same by the model's own template and stop token; then a second turn.
  ran = run(QRT_BIN,
            {"chat", folder.path("smollm2.qbin"), "--temperature", "0",
             "--max-new-tokens", "30", "--json"},
            "What is the capital of France?\nAnd of Italy?\n");
  ASSERT_EQ(ran.status, 0) << ran.err;
  size_t end = ran.out.find('\n');
  json first = json::parse(ran.out.substr(0, end));
  EXPECT_EQ(first["content"], "The capital of France is Paris.");
  EXPECT_EQ(first["finish_reason"], "eos");
  json second = json::parse(ran.out.substr(end));
  EXPECT_GT(second["kept_tokens"], first["prompt_tokens"]);
  EXPECT_NE(second["content"].get<std::string>().find("Rome"),
            std::string::npos)
      << second["content"];
}

} // namespace
