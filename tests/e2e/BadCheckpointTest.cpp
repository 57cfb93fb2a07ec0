//===- BadCheckpointTest.cpp - Checkpoints that are damaged ---------------===//
//
// Each case damages a good checkpoint in one place; qcc must name that place in
// one line, and leave no file.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <cstring>
#include <functional>

using namespace qcc::test;
using nlohmann::json;

namespace {

/// A safetensors file, as its parts.
struct Tensors {
  json header;
  std::string data;

  explicit Tensors(const std::string &file) {
    uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    header = json::parse(file.substr(8, length));
    data = file.substr(8 + length);
  }
  std::string bytes() const {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    uint64_t length = text.size();
    return std::string(reinterpret_cast<const char *>(&length), 8) + text +
           data;
  }
};

struct Damage {
  const char *name;
  std::function<void(Tensors &tensors, json &config)> apply;
  const char *message; ///< a part of the error
};

constexpr const char *kTensor = "model.layers.0.self_attn.q_proj.weight";

const Damage damages[] = {
    {"NaN",
     [](Tensors &t, json &) {
       size_t at = t.header[kTensor]["data_offsets"][0];
       std::memcpy(t.data.data() + at + 4, "\xff\xff\xff\x7f", 4);
     },
     "tensor 'model.layers.0.self_attn.q_proj.weight' holds a NaN at element "
     "1"},
    {"Truncated", [](Tensors &t, json &) { t.data.resize(t.data.size() / 2); },
     "past the end of the file"},
    {"HugeOffset",
     [](Tensors &t, json &) {
       t.header[kTensor]["data_offsets"] = {0, uint64_t(1) << 62};
     },
     kTensor},
    {"OverlappingTensors",
     [](Tensors &t, json &) {
       json first = t.header[kTensor]["data_offsets"];
       t.header["model.layers.0.self_attn.o_proj.weight"]["data_offsets"] =
           first;
     },
     "overlap"},
    {"WrongShape",
     [](Tensors &t, json &) { t.header[kTensor]["shape"] = {1, 2}; }, kTensor},
    {"WrongDtype",
     [](Tensors &t, json &) { t.header[kTensor]["dtype"] = "Q9"; }, "'Q9'"},
    {"MissingTensor",
     [](Tensors &t, json &) {
       json moved = t.header[kTensor];
       t.header.erase(kTensor);
       t.header["unrelated"] = moved;
     },
     kTensor},
    {"ConfigThatDoesNotFit",
     [](Tensors &, json &config) {
       config["hidden_size"] = config["hidden_size"].get<int>() * 2;
     },
     "embed_tokens"},
    {"NegativeCount",
     [](Tensors &, json &config) { config["num_hidden_layers"] = -1; },
     "num_hidden_layers"},
    {"HugeCount",
     [](Tensors &, json &config) {
       config["num_hidden_layers"] = uint64_t(1) << 40;
     },
     "num_hidden_layers"},
    {"CountAsText",
     [](Tensors &, json &config) { config["hidden_size"] = "64"; },
     "hidden_size"},
    {"UnknownActivation",
     [](Tensors &, json &config) { config["hidden_act"] = "foo"; }, "'foo'"},
};

// Rounding to f16 gives infinity from 65520 on.
TEST(BadWeights, AreTooLargeForF16) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path good = sharedData() / "goldens" / "llama";
  Tensors tensors(readFile(good / "model.safetensors"));
  ASSERT_EQ(tensors.header[kTensor]["dtype"], "F32");
  TemporaryFolder folder;
  writeFile(folder.folder / "config.json", readFile(good / "config.json"));
  for (float value : {65519.0F, -65520.0F}) {
    size_t at = tensors.header[kTensor]["data_offsets"][0];
    std::memcpy(tensors.data.data() + at, &value, 4);
    writeFile(folder.folder / "model.safetensors", tensors.bytes());
    Outcome outcome = qcc::test::qcc(
        {"compile", folder.folder, "--dtype", "f16", "--quiet",
         "--cpu-variants", "x86-64-v3", "-o", folder.path("out.qbin")});
    EXPECT_EQ(outcome.status, value > 0 ? 0 : 1) << outcome.err;
    if (value > 0)
      std::filesystem::remove(folder.path("out.qbin"));
    else
      EXPECT_NE(outcome.err.find("-65520.000000, too large for f16; use "
                                 "--dtype bf16 or f32"),
                std::string::npos)
          << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("out.qbin")));
  }
}

class BadCheckpoint : public testing::TestWithParam<Damage> {};

TEST_P(BadCheckpoint, IsNamed) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path good = sharedData() / "goldens" / "llama";
  Tensors tensors(readFile(good / "model.safetensors"));
  json config = json::parse(readFile(good / "config.json"));
  GetParam().apply(tensors, config);
  TemporaryFolder folder;
  writeFile(folder.folder / "model.safetensors", tensors.bytes());
  writeFile(folder.folder / "config.json", config.dump());

  Outcome outcome =
      qcc::test::qcc({"compile", folder.folder, "--quantize", "rtn.int4",
                      "--quiet", "-o", folder.path("out.qbin")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.err.starts_with("qcc: error: ")) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
      << outcome.err;
  EXPECT_NE(outcome.err.find(GetParam().message), std::string::npos)
      << outcome.err;
  size_t files = 0;
  for ([[maybe_unused]] auto &entry :
       std::filesystem::directory_iterator(folder.folder))
    ++files;
  EXPECT_EQ(files, 2u);
}

INSTANTIATE_TEST_SUITE_P(Damages, BadCheckpoint, testing::ValuesIn(damages),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

} // namespace
