//===- SharedModelsTest.cpp - Real checkpoints ----------------------------===//

#include "frontends/checkpoint/Gguf.h"
#include "tests/frontends/checkpoint/TestFiles.h"

#include <algorithm>
#include <cmath>

using namespace qcc;
using namespace qcc::test;
namespace fs = std::filesystem;

namespace {

bool isFinite(const std::vector<float> &values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

/// Every folder opens and every weight can be read, pickles too.
TEST(SharedModels, GoldensOpen) {
  auto goldens = sharedData() / "goldens";
  SKIP_WITHOUT(goldens);
  int opened = 0;
  for (const auto &entry : fs::directory_iterator(goldens)) {
    std::string name = entry.path().filename();
    SCOPED_TRACE(name);
    auto checkpoint = Checkpoint::open(entry.path());
    EXPECT_TRUE(checkpoint->config().contains("model_type"));
    EXPECT_FALSE(checkpoint->tensors().empty());
    for (const TensorInfo &info : checkpoint->tensors())
      EXPECT_TRUE(isFinite(readAll(*checkpoint, info.name))) << info.name;
    ++opened;
  }
  EXPECT_GE(opened, 22);
}

TEST(SharedModels, ShardsOfFalcon) {
  auto folder = sharedData() / "goldens/falcon-7b";
  SKIP_WITHOUT(folder);
  auto checkpoint = Checkpoint::open(folder);
  nlohmann::json index =
      readJsonFile(folder / "model.safetensors.index.json")["weight_map"];
  EXPECT_EQ(checkpoint->tensors().size(), index.size());
  int64_t bytes = 0;
  for (const TensorInfo &info : checkpoint->tensors()) {
    EXPECT_EQ(fs::path(checkpoint->fileName(info)).filename(),
              index[info.name].get<std::string>());
    bytes += int64_t(info.bytes);
  }
  EXPECT_EQ(
      bytes,
      readJsonFile(folder /
                   "model.safetensors.index.json")["metadata"]["total_size"]);
}

/// The head and the embedding are one storage of a pickle.
TEST(SharedModels, PickleWithSharedStorage) {
  auto folder = sharedData() / "models/pickle-shared-storage";
  SKIP_WITHOUT(folder);
  auto checkpoint = Checkpoint::open(folder);
  const TensorInfo *head = checkpoint->find("lm_head.weight");
  const TensorInfo *embedding = checkpoint->find("model.embed_tokens.weight");
  ASSERT_TRUE(head && embedding);
  EXPECT_EQ(head->offset, embedding->offset);
  EXPECT_EQ(head->shape, (std::vector<int64_t>{3000, 128}));
  EXPECT_TRUE(isFinite(readAll(*checkpoint, head->name)));
}

/// Integer tensors of quantized checkpoints keep their types.
TEST(SharedModels, PrequantizedOpen) {
  auto folder = sharedData() / "prequantized";
  SKIP_WITHOUT(folder);
  int integers = 0;
  for (const auto &entry : fs::directory_iterator(folder)) {
    if (!fs::exists(entry.path() / "config.json"))
      continue;
    SCOPED_TRACE(entry.path().filename().string());
    auto checkpoint = Checkpoint::open(entry.path());
    for (const TensorInfo &info : checkpoint->tensors())
      integers += !traits(info.type).isFloat;
  }
  EXPECT_GT(integers, 0);
}

class Stories : public testing::Test {
protected:
  void SetUp() override {
    SKIP_WITHOUT(sharedData() / "models/stories260K-gguf");
    plain = Checkpoint::open(sharedData() / "models/stories260K");
  }
  static std::unique_ptr<Checkpoint> openGguf(const std::string &kind) {
    return Checkpoint::open(sharedData() / "models/stories260K-gguf" /
                            ("stories260K-" + kind + ".gguf"));
  }
  /// The rows of a rotary-permuted [heads * 8][columns] tensor as transformers
  /// has them: row j * 4 + i of a head lies at 2 * i + j.
  static std::vector<float> unpermute(const std::vector<float> &values,
                                      int64_t columns) {
    std::vector<float> out(values.size());
    int64_t rows = int64_t(values.size()) / columns;
    for (int64_t row = 0; row < rows; ++row) {
      int64_t in = row % 8, from = row - in + 2 * (in % 4) + in / 4;
      std::copy_n(values.begin() + from * columns, columns,
                  out.begin() + row * columns);
    }
    return out;
  }

  std::unique_ptr<Checkpoint> plain;
};

TEST_F(Stories, ConfigurationSaysTheSame) {
  auto gguf = openGguf("f32");
  for (const char *key :
       {"model_type", "hidden_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim",
        "intermediate_size", "vocab_size", "rope_theta", "torch_dtype",
        "attention_bias", "mlp_bias", "bos_token_id", "eos_token_id"})
    EXPECT_EQ(gguf->config()[key], plain->config()[key]) << key;
  EXPECT_FLOAT_EQ(gguf->config()["rms_norm_eps"].get<float>(), 1e-5f);
  EXPECT_EQ(gguf->config()["tie_word_embeddings"],
            gguf->find("lm_head.weight") == nullptr);
}

TEST_F(Stories, TensorsAreTheSame) {
  auto gguf = openGguf("f32");
  EXPECT_EQ(static_cast<GgufCheckpoint &>(*gguf).isQuantized(), false);
  for (const TensorInfo &info : plain->tensors()) {
    SCOPED_TRACE(info.name);
    const TensorInfo *other = gguf->find(info.name);
    ASSERT_TRUE(other);
    EXPECT_EQ(other->shape, info.shape);
    std::vector<float> values = readAll(*gguf, info.name);
    if (other->rotaryPermuted)
      values = unpermute(values, info.shape[1]);
    EXPECT_EQ(values, readAll(*plain, info.name));
  }
}

/// Half precision and quantized blocks are near the plain values.
TEST_F(Stories, QuantizedTensorsAreNear) {
  for (auto [kind, tolerance] :
       {std::pair<const char *, double>{"F16", 1e-3}, {"Q4_K_M", 0.05}}) {
    auto gguf = openGguf(kind);
    for (const TensorInfo &info : plain->tensors()) {
      SCOPED_TRACE(info.name);
      std::vector<float> values = readAll(*gguf, info.name);
      if (gguf->find(info.name)->rotaryPermuted)
        values = unpermute(values, info.shape[1]);
      std::vector<float> want = readAll(*plain, info.name);
      ASSERT_EQ(values.size(), want.size());
      double error = 0, norm = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        error += std::pow(double(values[i]) - want[i], 2);
        norm += std::pow(double(want[i]), 2);
      }
      EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm));
    }
  }
}

} // namespace
