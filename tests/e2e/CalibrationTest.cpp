//===- CalibrationTest.cpp - GPTQ from a checkpoint to an artifact --------===//
//
// On a small model with random weights and a tokenizer of the repository, so
// that a clone alone can run it.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <map>
#include <sstream>

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
    return {"compile",      folder.folder.string(),
            "--quantize",   "gptq.int4",
            "--group-size", "32",
            "--samples",    "8",
            "--random-weights", "1",
            "--sequence-length", "64",
            "--calibration", folder.path("text.txt"),
            "-o",           folder.path(name)};
  }
  std::string bytes(const std::string &name) {
    return readFile(folder.path(name));
  }

  TemporaryFolder folder;
};

TEST_F(Calibration, WritesALogOfEveryModule) {
  Outcome ran = compile("a.qbin", {"--quant-log", folder.path("a.csv")});
  ASSERT_EQ(ran.status, 0) << ran.err;
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
  EXPECT_FALSE(std::filesystem::exists(folder.path("a.qbin.calibration")));

  // GPTQ must do better on the data than rounding to nearest does.
  Outcome text = qrt({"logits", folder.path("a.qbin"), "--token-ids", "5,6,7",
                      "-o", folder.path("l.safetensors")});
  EXPECT_EQ(text.status, 0) << text.err;
}

TEST_F(Calibration, DoesNotDependOnThreads) {
  ASSERT_EQ(compile("a.qbin", {"--threads", "1"}).status, 0);
  ASSERT_EQ(compile("b.qbin", {"--threads", "3"}).status, 0);
  EXPECT_EQ(bytes("a.qbin"), bytes("b.qbin"));
}

TEST_F(Calibration, GoesOnAfterBeingKilled) {
  ASSERT_EQ(compile("whole.qbin").status, 0);
  // Ever later, so that every part of the work is interrupted once.
  bool wentOn = false;
  int status = -1;
  std::string killed = folder.path("killed.qbin");
  for (int i = 0; i < 60 && status != 0; ++i) {
    std::vector<std::string> args = {
        "-s", "KILL", std::to_string(0.3 + 0.15 * i), QCC_BIN};
    for (const std::string &argument : arguments("killed.qbin"))
      args.push_back(argument);
    Outcome ran = run("/usr/bin/timeout", args);
    status = ran.status;
    wentOn |= ran.err.find("going on after layer") != std::string::npos;
    if (status != 0) {
      EXPECT_FALSE(std::filesystem::exists(killed));
    }
  }
  ASSERT_EQ(status, 0);
  EXPECT_EQ(readFile(killed), bytes("whole.qbin"));
  EXPECT_FALSE(std::filesystem::exists(killed + ".calibration"));
}

TEST_F(Calibration, OffersEveryOrder) {
  for (std::vector<std::string> options :
       {std::vector<std::string>{"--act-order"},
        {"--act-order", "--static-groups"},
        {"--group-aware-order"},
        {"--no-group-aware-order", "--no-true-sequential", "--no-mse"}}) {
    Outcome ran = compile("a.qbin", options);
    ASSERT_EQ(ran.status, 0) << options.front() << ran.err;
    Outcome logits =
        qrt({"logits", folder.path("a.qbin"), "--token-ids", "5,6,7,8,9,10,11",
             "-o", folder.path("l.safetensors")});
    ASSERT_EQ(logits.status, 0) << logits.err;
    Outcome base = qcc::test::qcc({"compile", folder.folder.string(),
                                   "--random-weights", "1", "-o",
                                   folder.path("base.qbin")});
    ASSERT_EQ(base.status, 0) << base.err;
    ASSERT_EQ(qrt({"logits", folder.path("base.qbin"), "--token-ids",
                   "5,6,7,8,9,10,11", "-o", folder.path("b.safetensors")})
                  .status,
              0);
    // 4 bits: a wrong order of columns would leave nothing of the logits.
    EXPECT_LT(relativeError(readTensor(folder.path("l.safetensors"), "logits"),
                            readTensor(folder.path("b.safetensors"), "logits")),
              0.35)
        << options.front();
  }
}

TEST_F(Calibration, MixesMethodsAndQuantizesTheHead) {
  Outcome ran = compile("a.qbin", {"--modules", "down_proj=rtn.int8",
                                   "--modules", "layers.1.*q_proj=none",
                                   "--lm-head", "gptq.int8", "--quant-log",
                                   folder.path("a.csv")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  std::map<std::string, int> schemes;
  for (auto &row : readCsv(bytes("a.csv")))
    ++schemes[row["scheme"].substr(0, 4)];
  EXPECT_EQ(schemes["int4"], 17);
  EXPECT_EQ(schemes["int8"], 4);
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
  args.back() = folder.path("b.qbin");
  args.push_back("--calibration");
  args.push_back("self");
  ASSERT_EQ(qcc::test::qcc(args, {cache}).status, 0);
  EXPECT_EQ(bytes("a.qbin"), bytes("b.qbin"));
}

TEST_F(Calibration, WarnsOfShortText) {
  writeFile(folder.path("text.txt"),
            "auto-gptq is an easy-to-use model quantization library.\n");
  Outcome ran = compile("a.qbin");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("warning: the calibration text gives 1 x "),
            std::string::npos)
      << ran.err;
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
      {{"--calibration", folder.path("empty.txt")}, 1,
       "the calibration text is empty"},
      {{"--calibration", folder.path("latin.txt")}, 1,
       "the text is not UTF-8 at byte 3"},
      {{"--calibration", "ptb"}, 1, "the data set 'ptb' is not in"},
      {{"--sequence-length", "512"}, 2, "more than the model's context of 256"},
      {{"--modules", "nothing=none"}, 1, "matches no module"},
      {{"--damp", "2"}, 2, "--damp is not between 0 and 1"},
      {{"--act-order", "--group-aware-order"}, 2, "exclude each other"},
      {{"--block-size", "64"}, 2, "--block-size does not apply"},
      {{"--group-size", "0"}, 2, "--group-size 0"},
      {{"--calibration-device", "tpu"}, 1, "--calibration-device tpu"},
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
