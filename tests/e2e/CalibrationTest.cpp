//===- CalibrationTest.cpp - GPTQ from a checkpoint to an artifact --------===//
//
// On a small model with random weights and a tokenizer of the repository, so
// that a clone alone can run it.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <map>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace qcc::test;

namespace {

/// Lines of a CSV file by the names in its head.
std::vector<std::map<std::string, std::string>>
readCsv(const std::string &text) {
  std::vector<std::map<std::string, std::string>> rows;
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> cells;
    std::istringstream parts(line + ",");
    for (std::string cell; std::getline(parts, cell, ',');)
      cells.push_back(cell);
    if (names.empty()) {
      names = cells;
      continue;
    }
    std::map<std::string, std::string> row;
    for (size_t i = 0; i < names.size() && i < cells.size(); ++i)
      row[names[i]] = cells[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

class Calibration : public testing::Test {
protected:
  void SetUp() override {
    std::filesystem::path tokenizer =
        std::filesystem::path(QCC_TEST_INPUTS) / "tokenizer" / "mini-bpe4096";
    for (const auto &entry : std::filesystem::directory_iterator(tokenizer))
      std::filesystem::copy_file(entry.path(),
                                 folder.folder / entry.path().filename());
    writeFile(folder.folder / "config.json", R"({
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 3,
      "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 4096,
      "rms_norm_eps": 1e-5, "max_position_embeddings": 256,
      "tie_word_embeddings": true, "hidden_act": "silu",
      "torch_dtype": "float32"})");
    std::string words;
    for (int i = 0; i < 3000; ++i)
      words += "word" + std::to_string(i * i % 977) + (i % 9 ? " " : ".\n");
    writeFile(folder.path("text.txt"), words);
  }

  /// Compiles to `name` with GPTQ on 8 sequences of 64 tokens.
  Outcome compile(const std::string &name,
                  const std::vector<std::string> &more = {}) {
    std::vector<std::string> args = arguments(name);
    args.insert(args.end(), more.begin(), more.end());
    return qcc::test::qcc(args);
  }
  std::vector<std::string> arguments(const std::string &name) {
    return {"compile",
            folder.folder.string(),
            "--quantize",
            "gptq.int4",
            "--group-size",
            "32",
            "--samples",
            "8",
            "--random-weights",
            "1",
            "--sequence-length",
            "64",
            "--calibration",
            folder.path("text.txt"),
            "--target",
            "cpu",
            "-o",
            folder.path(name)};
  }
  /// Runs qcc until `file` appears (or it ends), then kills it.
  void runUntil(std::vector<std::string> args, const std::string &file) {
    args.insert(args.begin(), QCC_BIN);
    std::vector<char *> pointers;
    for (std::string &argument : args)
      pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    std::string log = folder.path("killed.log");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(),
                                     O_CREAT | O_WRONLY | O_TRUNC, 0666);
    pid_t child = 0;
    ASSERT_EQ(posix_spawn(&child, QCC_BIN, &actions, nullptr, pointers.data(),
                          environ),
              0);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    while (!std::filesystem::exists(file)) {
      if (waitpid(child, &status, WNOHANG) != 0)
        return; // it has ended by itself
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  std::string bytes(const std::string &name) {
    return readFile(folder.path(name));
  }

  TemporaryFolder folder;
};

TEST_F(Calibration, GivesTheSameWithActivationsInFiles) {
  Outcome inMemory = compile("memory.qbin", {"--cpu-variants", "native"});
  ASSERT_EQ(inMemory.status, 0) << inMemory.err;
  Outcome inFiles = compile("files.qbin", {"--cpu-variants", "native",
                                           "--calibration-memory", "0"});
  ASSERT_EQ(inFiles.status, 0) << inFiles.err;
  EXPECT_TRUE(bytes("memory.qbin") == bytes("files.qbin"));
}

TEST_F(Calibration, GoesOnAfterBeingKilled) {
  Outcome ran = compile("whole.qbin", {"--quant-log", folder.path("a.csv"),
                                       "--threads", "3"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("whole.qbin.calibration")));
  auto rows = readCsv(bytes("a.csv"));
  ASSERT_EQ(rows.size(), 21u);
  for (auto &row : rows) {
    double error = std::stod(row["error"]);
    EXPECT_GT(error, 0) << row["module"];
    EXPECT_LT(error, 0.05) << row["module"];
    EXPECT_GT(std::stod(row["damp"]), 0) << row["module"];
    EXPECT_TRUE(row["scheme"].starts_with("int4.g32")) << row["scheme"];
  }
  EXPECT_EQ(rows.front()["layer"], "0");
  EXPECT_EQ(rows.back()["layer"], "2");

  // Killed as soon as its first, then its second layer is finished, on another
  // number of threads: the bytes must be the same.
  for (int layer : {0, 1}) {
    std::vector<std::string> args = arguments("killed.qbin");
    args.insert(args.end(), {"--threads", "1"});
    std::string file = folder.path("killed.qbin.calibration/layer-000") +
                       std::to_string(layer) + ".bin";
    runUntil(args, file);
    ASSERT_TRUE(std::filesystem::exists(file));
    EXPECT_FALSE(std::filesystem::exists(folder.path("killed.qbin")));
  }
  ran = compile("killed.qbin", {"--threads", "1"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("calibration: going on after layer "),
            std::string::npos)
      << ran.err;
  EXPECT_EQ(bytes("killed.qbin"), bytes("whole.qbin"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("killed.qbin.calibration")));
}

TEST_F(Calibration, OffersEveryOrder) {
  Outcome base = qcc::test::qcc({"compile", folder.folder.string(),
                                 "--random-weights", "1", "-o",
                                 folder.path("base.qbin")});
  ASSERT_EQ(base.status, 0) << base.err;
  ASSERT_EQ(qrt({"logits", folder.path("base.qbin"), "--token-ids",
                 "5,6,7,8,9,10,11", "-o", folder.path("b.safetensors")})
                .status,
            0);
  for (std::vector<std::string> options :
       {std::vector<std::string>{"--act-order"},
        {"--no-group-aware-order", "--no-true-sequential", "--no-mse"}}) {
    Outcome ran = compile("a.qbin", options);
    ASSERT_EQ(ran.status, 0) << options.front() << ran.err;
    Outcome logits =
        qrt({"logits", folder.path("a.qbin"), "--token-ids", "5,6,7,8,9,10,11",
             "-o", folder.path("l.safetensors")});
    ASSERT_EQ(logits.status, 0) << logits.err;
    // 4 bits: a wrong order of columns would leave nothing of the logits.
    EXPECT_LT(relativeError(readTensor(folder.path("l.safetensors"), "logits"),
                            readTensor(folder.path("b.safetensors"), "logits")),
              0.35)
        << options.front();
  }
}

TEST_F(Calibration, MixesMethodsAndQuantizesTheHead) {
  // One sentence, as in the Hugging Face blog, is little, but it is data.
  writeFile(folder.path("text.txt"),
            "auto-gptq is an easy-to-use model quantization library.\n");
  // The calibration reads nested scales, too.
  Outcome ran = compile(
      "a.qbin",
      {"--modules", "down_proj=rtn.int8", "--modules", "layers.1.*q_proj=none",
       "--modules", "up_proj=bnb.nf4-dq", "--lm-head", "gptq.int8",
       "--cpu-variants", "native", "--quant-log", folder.path("a.csv")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("warning: the calibration text gives 1 x "),
            std::string::npos)
      << ran.err;
  std::map<std::string, int> schemes;
  for (auto &row : readCsv(bytes("a.csv")))
    ++schemes[row["scheme"].substr(0, 4)];
  EXPECT_EQ(schemes["int4"], 14);
  EXPECT_EQ(schemes["int8"], 4);
  EXPECT_EQ(schemes["nf4."], 3);
}

TEST_F(Calibration, WritesItsOwnText) {
  std::vector<std::string> args = {
      "compile",   folder.folder.string(), "--quantize",        "gptq.int8",
      "--samples", "3",                    "--sequence-length", "20",
      "--seed",    "4",                    "--random-weights",  "1",
      "-o",        folder.path("a.qbin")};
  std::string cache = "HF_HOME=" + folder.path("empty");
  Outcome ran = qcc::test::qcc(args, {cache});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("no wikitext2 in"), std::string::npos) << ran.err;
}

TEST_F(Calibration, RefusesBadInput) {
  struct Case {
    std::vector<std::string> options;
    int status;
    const char *message;
  };
  writeFile(folder.path("empty.txt"), "\n \n");
  writeFile(folder.path("latin.txt"), "caf\xe9 au lait");
  const std::vector<Case> cases = {
      {{"--calibration", folder.path("none.txt")}, 1, "none.txt"},
      {{"--calibration", folder.path("empty.txt")},
       1,
       "the calibration text is empty"},
      {{"--calibration", folder.path("latin.txt")},
       1,
       "the text is not UTF-8 at byte 3"},
      {{"--calibration", "ptb"}, 1, "the data set 'ptb' is not in"},
      {{"--sequence-length", "512"}, 2, "more than the model's context of 256"},
      {{"--modules", "nothing=none"}, 1, "matches no module"},
      {{"--damp", "2"}, 2, "--damp is not between 0 and 1"},
      {{"--act-order", "--group-aware-order"}, 2, "exclude each other"},
      {{"--block-size", "64"}, 2, "--block-size does not apply"},
      {{"--group-size", "0"}, 2, "--group-size 0"},
      {{"--calibration-device", "tpu"}, 2, "--calibration-device tpu"},
  };
  for (const Case &one : cases) {
    // The last of an option's values counts.
    std::vector<std::string> args = arguments("a.qbin");
    for (size_t i = 0; i + 1 < one.options.size(); i += 2)
      for (size_t j = 0; j + 1 < args.size(); ++j)
        if (args[j] == one.options[i])
          args.erase(args.begin() + long(j), args.begin() + long(j) + 2);
    args.insert(args.end(), one.options.begin(), one.options.end());
    Outcome ran =
        qcc::test::qcc(args, {"HF_HOME=" + folder.path("no-cache")});
    EXPECT_EQ(ran.status, one.status) << one.options.front() << ran.err;
    EXPECT_NE(ran.err.find(one.message), std::string::npos) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("a.qbin")));
  }
}

} // namespace
