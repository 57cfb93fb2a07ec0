//===- QrtToolTest.cpp - The command as scripts see it --------------------===//

#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>

using namespace qrt::test;

namespace {
class QrtToolTest : public testing::Test {
protected:
  struct Result {
    int code;
    std::string out, err;
    nlohmann::json json() const { return nlohmann::json::parse(out); }
  };

  void SetUp() override {
    model = folder / "model.qbin";
    writeFakeModel(model);
  }
  /// Runs qrt in a shell; MODEL stands for the fake model.
  Result run(std::string arguments, const std::string &input = "/dev/null") {
    for (size_t at; (at = arguments.find("MODEL")) != std::string::npos;)
      arguments.replace(at, 5, model);
    std::string out = folder / "out", err = folder / "err";
    std::string command = std::string(QRT_TOOL) + " " + arguments + " <" +
                          input + " >" + out + " 2>" + err;
    int status = std::system(command.c_str());
    return {WEXITSTATUS(status), readBytes(out), readBytes(err)};
  }
  void expectFailure(const std::string &arguments, int code,
                     const std::string &message) {
    Result result = run(arguments);
    EXPECT_EQ(result.code, code) << arguments;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_EQ(result.err.find("qrt: error: "), 0u) << result.err;
    EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1)
        << result.err;
  }

  TemporaryFolder folder;
  std::string model;
};
} // namespace

static const std::vector<int32_t> kHello = {7, 4, 11, 11, 14};

static std::string letters(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += "abcdefghijklmnopqrstuvwxyz ."[id];
  return text;
}

TEST_F(QrtToolTest, echoesThePromptAndTimes) {
  Result result = run("generate MODEL --prompt hello --temperature 0 "
                      "--max-new-tokens 9");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "hello" + letters(fakeGreedy(kHello, 9)) + "\n");
  EXPECT_EQ(result.err.find("Time for inference 1: "), 0u);
  EXPECT_NE(result.err.find(" sec total, "), std::string::npos);
  EXPECT_NE(result.err.find(" tokens/sec\nMemory used: "), std::string::npos);
  EXPECT_NE(result.err.find(" GB\nPrompt: 5 tokens"), std::string::npos);
}

TEST_F(QrtToolTest, leavesThePromptOut) {
  Result result = run("generate MODEL --prompt hello --temperature=0 "
                      "--max_new_tokens=9 --no_echo --quiet");
  EXPECT_EQ(result.out, letters(fakeGreedy(kHello, 9)) + "\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(QrtToolTest, readsPromptsFromWhereTheyAre) {
  writeBytes(folder / "prompt", "hello");
  std::string file = folder / "prompt";
  std::string options = "generate MODEL --temperature 0 --quiet ";
  std::string expected = run(options + "--prompt hello").out;
  EXPECT_EQ(run(options + "--prompt-file " + file).out, expected);
  EXPECT_EQ(run(options, file).out, expected);
  EXPECT_EQ(run(options + "--token-ids 7,4,11,11,14").out, expected);
}

TEST_F(QrtToolTest, printsJson) {
  Result result = run("generate MODEL --prompt hello --temperature 0 "
                      "--max-new-tokens 3 --json --seed 5");
  auto json = result.json();
  EXPECT_EQ(json["text"], letters(fakeGreedy(kHello, 3)));
  EXPECT_EQ(json["token_ids"], nlohmann::json(fakeGreedy(kHello, 3)));
  EXPECT_EQ(json["prompt_token_ids"], nlohmann::json(kHello));
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 5);
  EXPECT_EQ(json["timings"]["new_tokens"], 3);
  EXPECT_EQ(json["timings"]["sampled_on_device"], false);
  EXPECT_GT(json["timings"]["load"]["total_seconds"], 0);
  EXPECT_GE(json["timings"]["first_token_seconds"],
            json["timings"]["load"]["total_seconds"]);
}

TEST_F(QrtToolTest, startsFromNothing) {
  Result result = run("generate MODEL --prompt '' --temperature 0 "
                      "--max-new-tokens 3 --json");
  EXPECT_EQ(result.json()["prompt_token_ids"], nlohmann::json({kFakeBos}));
}

TEST_F(QrtToolTest, printsIdsWithoutATokenizer) {
  FakeModelOptions options;
  options.tokenizer = false;
  writeFakeModel(model, options);
  auto made = fakeGreedy({1, 2}, 3);
  std::string expected = "1 2 ";
  for (int32_t id : made)
    expected += std::to_string(id) + " ";
  Result result = run("generate MODEL --token-ids 1,2 --temperature 0 "
                      "--max-new-tokens 3");
  EXPECT_EQ(result.out, expected + "\n");
  expectFailure("generate MODEL --prompt a", 1, "carries no tokenizer");
}

TEST_F(QrtToolTest, sameSeedSameText) {
  std::string options = "generate MODEL --prompt a --temperature 9 --quiet "
                        "--seed ";
  EXPECT_EQ(run(options + "1").out, run(options + "1").out);
  EXPECT_NE(run(options + "1").out, run(options + "2").out);
}

TEST_F(QrtToolTest, writesLogits) {
  std::string file = folder / "logits.safetensors";
  ASSERT_EQ(run("logits MODEL --token-ids 3,1,4,1,5 -o " + file).code, 0);
  std::string bytes = readBytes(file);
  uint64_t head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  auto json = nlohmann::json::parse(bytes.substr(8, head));
  EXPECT_EQ(json["logits"]["dtype"], "F32");
  EXPECT_EQ(json["logits"]["shape"], nlohmann::json({5, kFakeVocabulary}));
  std::vector<float> logits(5 * kFakeVocabulary);
  ASSERT_EQ(bytes.size(), 8 + head + logits.size() * sizeof(float));
  std::memcpy(logits.data(), bytes.data() + 8 + head,
              logits.size() * sizeof(float));
  auto row = logits.end() - kFakeVocabulary;
  EXPECT_EQ(std::max_element(row, logits.end()) - row,
            fakeGreedy({3, 1, 4, 1, 5}, 1)[0]);
}

TEST_F(QrtToolTest, takesSeedsOf64Bits) {
  for (const char *seed : {"0", "18446744073709551615"})
    EXPECT_EQ(
        run(std::string("generate MODEL --token-ids 1 --seed ") + seed).code, 0)
        << seed;
  for (const char *seed : {"-1", "18446744073709551616", "1.5", "1x"})
    expectFailure(std::string("generate MODEL --token-ids 1 --seed='") + seed +
                      "'",
                  2, "is no integer from 0 to 2^64 - 1");
}

TEST_F(QrtToolTest, evaluates) {
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += char('a' + i * i % 26);
  std::string file = folder / "text";
  writeBytes(file, text);
  auto json = run("eval MODEL --dataset " + file +
                  " --context 16 --max-windows 4 --base MODEL --json")
                  .json();
  EXPECT_EQ(json["tokens"], 60);
  EXPECT_EQ(json["windows"], 4);
  EXPECT_GT(json["perplexity"], 1.0);
  EXPECT_GT(json["standard_error"], 0.0);
  EXPECT_NEAR(json["kl_divergence"], 0, 1e-6);
  EXPECT_NEAR(json["kl_99"], 0, 1e-6);
  EXPECT_EQ(json["same_top"], 1.0);
  // All 6 windows; with overlap, each of the other tokens once.
  EXPECT_EQ(
      run("eval MODEL --context 16 --json --dataset " + file).json()["tokens"],
      90);
  EXPECT_EQ(run("eval MODEL --context 16 --stride 4 --json --dataset " + file)
                .json()["tokens"],
            99);
  expectFailure("eval MODEL --quiet --context 64 --dataset /dev/null", 1,
                "the text has 0 tokens");
  expectFailure("eval MODEL --dataset c4", 1, "'c4'");
  expectFailure("eval MODEL --context 16 --stride 17 --dataset " + file, 2,
                "--stride 17 is longer than the window of 16 tokens");
  expectFailure("eval no-such.qbin --context 16 --stride 17 --dataset " + file,
                2, "--stride 17");
  expectFailure("eval MODEL --stride 999999 --dataset " + file, 2,
                "--stride 999999");
}

TEST_F(QrtToolTest, measures) {
  std::string bench = "bench MODEL -p 8,4 -n 3 -b 1,2 -d 5 -r 2 --threads 2 ";
  auto json = run(bench + "-o json --quiet").json();
  ASSERT_EQ(json.size(), 6u);
  for (const auto &row : json) {
    EXPECT_EQ(row["model_filename"], model);
    EXPECT_EQ(row["n_threads"], 2);
    EXPECT_EQ(row["n_depth"], 5);
    EXPECT_EQ(row["samples_ts"].size(), 2u);
    for (const char *field :
         {"model_size", "model_n_params", "avg_ts", "gbps", "bandwidth_share",
          "read_bandwidth_gbps", "peak_memory"})
      EXPECT_GT(row[field], 0) << field;
    for (const char *field :
         {"build_commit", "cpu_info", "gpu_info", "backends", "n_batch",
          "type_k", "type_v", "test_time", "stddev_ns", "stddev_ts"})
      EXPECT_TRUE(row.contains(field)) << field;
  }
  EXPECT_EQ(json[1]["n_prompt"], 4);
  EXPECT_EQ(json[2]["n_gen"], 3);
  EXPECT_EQ(json[2]["sampling"], "greedy on the host");
  EXPECT_EQ(json[5]["sampling"], "greedy on the host"); // of two sequences
  EXPECT_EQ(run("bench MODEL -p 0 -n 2 -r 1 --temperature 1 -o json")
                .json()[0]["sampling"],
            "sampled on the host");
  EXPECT_EQ(run(bench + "--json").json()["results"].size(), 6u);
  Result table = run("bench MODEL -p 4 -n 0 -r 1");
  EXPECT_NE(table.out.find("| fake |"), std::string::npos);
  EXPECT_NE(table.out.find("| pp4 |"), std::string::npos);
}

TEST_F(QrtToolTest, chats) {
  FakeModelOptions options;
  options.chatTemplate = "{% for m in messages %}"
                         "{% if m.content == 'no' %}"
                         "{{ raise_exception('refused') }}{% endif %}"
                         "{{ m.content }}{% endfor %}";
  writeFakeModel(model, options);
  std::string input = folder / "input", chat = "chat MODEL --temperature 0 "
                                               "--max-new-tokens 3 --quiet ";
  std::string first = letters(fakeGreedy(kHello, 3));
  writeBytes(input, "hello\n\n/reset\nhello\n/nothing\n/exit\nhello\n");
  Result result = run(chat, input);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, first + "\n" + first + "\n");

  writeBytes(input, "hel\\\nlo\n");
  EXPECT_EQ(run(chat, input).code, 0);
  writeBytes(input, "llo");
  EXPECT_EQ(run(chat + "--system he", input).out, first + "\n");
  auto json = run(chat + "--system he --json", input).json();
  EXPECT_EQ(json["content"], first);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["prompt_tokens"], 5);

  writeBytes(input, "no");
  result = run(chat, input);
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "qrt: error: chat template line 1: refused\n");
  writeBytes(input, std::string(64, 'a'));
  result = run(chat, input);
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("the conversation has 64 tokens"),
            std::string::npos)
      << result.err;
  // A full context is said.
  writeBytes(input, "hello\n");
  result = run("chat MODEL --temperature 0 --context 8", input);
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("the context is full"), std::string::npos);
}

TEST_F(QrtToolTest, saysWhatIsWrong) {
  expectFailure("", 2, "subcommand");
  expectFailure("genrate MODEL", 2, "'genrate'");
  expectFailure("generate", 2, "FILE");
  expectFailure("generate MODEL --frobnicate", 2, "--frobnicate");
  expectFailure("generate MODEL --temperature x", 2, "--temperature");
  expectFailure("generate MODEL --temperature -1 --prompt a --no-echo", 2,
                "temperature");
  expectFailure("generate MODEL --prompt a --token-ids 1", 2, "excludes");
  expectFailure("generate MODEL --token-ids 1,x", 2, "'x' is no token id");
  expectFailure("generate MODEL --token-ids 99", 2, "token id 99");
  expectFailure("generate MODEL --context 65 --prompt a", 2, "65");
  expectFailure("generate MODEL --context 4 --prompt hello --no-echo", 2,
                "do not fit");
  expectFailure("generate MODEL --device cuda --prompt a", 1, "'cuda'");
  expectFailure("generate MODEL --device tpu --prompt a", 2, "'tpu'");
  expectFailure("generate missing.qbin --prompt a", 1, "missing.qbin");
  expectFailure("chat MODEL", 1, "carries no chat template");
  expectFailure("logits MODEL --token-ids 1 -o /nowhere/x", 1, "/nowhere/x");
  expectFailure("logits MODEL --token-ids 1 -o MODEL", 2,
                "would replace the artifact");
}

TEST_F(QrtToolTest, helps) {
  for (const char *verb : {"generate", "chat", "logits", "eval", "bench"}) {
    Result result = run(std::string(verb) + " --help");
    EXPECT_EQ(result.code, 0);
    EXPECT_NE(result.out.find(std::string("Example: qrt ") + verb),
              std::string::npos);
  }
  EXPECT_EQ(run("--version").out.find("qrt "), 0u);
  EXPECT_EQ(run("--help").code, 0);
}
