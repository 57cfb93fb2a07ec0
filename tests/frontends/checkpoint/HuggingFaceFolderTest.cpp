//===- HuggingFaceFolderTest.cpp - Tests of folders of safetensors --------===//

#include "tests/frontends/checkpoint/TestFiles.h"

#include <algorithm>

using namespace qcc;
using namespace qcc::test;

namespace {

/// A file with one F32 tensor [n].
std::string oneTensor(const std::string &name,
                      const std::vector<float> &values) {
  return safetensors("{\"" + name + R"(":{"dtype":"F32","shape":[)" +
                         std::to_string(values.size()) +
                         R"(],"data_offsets":[0,)" +
                         std::to_string(values.size() * 4) + "]}}",
                     rawBytes(values));
}

class HuggingFaceFolder : public testing::Test {
protected:
  TempFolder folder;

  void SetUp() override { folder.write("config.json", R"({"a":1})"); }
  std::unique_ptr<Checkpoint> open() { return Checkpoint::open(folder.path()); }
  std::string error() {
    return errorOf([&] { open(); }, folder.path());
  }
  /// Two shards, one tensor in each.
  void writeShards() {
    folder.write("model-1.safetensors", oneTensor("a", {1, 2}));
    folder.write("model-2.safetensors", oneTensor("b", {3}));
    writeIndex(R"({"a":"model-1.safetensors","b":"model-2.safetensors"})");
  }
  void writeIndex(const std::string &map) {
    folder.write("model.safetensors.index.json",
                 R"({"metadata":{},"weight_map":)" + map + '}');
  }
};

TEST_F(HuggingFaceFolder, OpensOneFile) {
  folder.write("model.safetensors", oneTensor("a", {1, 2}));
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->config(), nlohmann::json({{"a", 1}}));
  EXPECT_TRUE(checkpoint->generationConfig().is_null());
  EXPECT_EQ(checkpoint->path(), folder.path());
  EXPECT_FALSE(checkpoint->isGguf());
  EXPECT_EQ(readAll(*checkpoint, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(checkpoint->fileName(*checkpoint->find("a")),
            folder / "model.safetensors");
  EXPECT_EQ(checkpoint->find("b"), nullptr);
}

TEST_F(HuggingFaceFolder, OpensShards) {
  writeShards();
  folder.write("generation_config.json", R"({"eos_token_id":[2]})");
  auto checkpoint = open();
  EXPECT_EQ(readAll(*checkpoint, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(readAll(*checkpoint, "b"), (std::vector<float>{3}));
  EXPECT_EQ(checkpoint->fileName(*checkpoint->find("b")),
            folder / "model-2.safetensors");
  EXPECT_EQ(checkpoint->generationConfig()["eos_token_id"][0], 2);
  checkpoint->release(*checkpoint->find("a"));
  EXPECT_EQ(readAll(*checkpoint, "a"), (std::vector<float>{1, 2}));
}

TEST_F(HuggingFaceFolder, PrefersOneFileAsTransformersDoes) {
  writeShards();
  folder.write("model.safetensors", oneTensor("c", {4}));
  EXPECT_EQ(open()->tensors().size(), 1u);
}

TEST_F(HuggingFaceFolder, ReadsRanges) {
  folder.write("model.safetensors", oneTensor("a", {1, 2, 3, 4}));
  auto checkpoint = open();
  const TensorInfo &info = *checkpoint->find("a");
  float two[2];
  checkpoint->readF32(info, 1, 2, two);
  EXPECT_EQ(two[0], 2);
  EXPECT_EQ(two[1], 3);
  checkpoint->readF32(info, 4, 0, nullptr);
  for (auto [first, count] : {std::pair<int64_t, int64_t>{0, 5},
                              {4, 1},
                              {-1, 1},
                              {0, -1},
                              {INT64_MAX, INT64_MAX}})
    EXPECT_EQ(errorOf([&, f = first,
                       n = count] { checkpoint->readF32(info, f, n, two); },
                      folder.path()),
              "tensor 'a' has 4 elements, not " + std::to_string(count) +
                  " from element " + std::to_string(first) +
                  " on in @/model.safetensors");
}

TEST_F(HuggingFaceFolder, HashesContentNotPlace) {
  folder.write("model.safetensors", oneTensor("a", {1, 2}));
  uint64_t hash = open()->contentHash();
  TempFolder other;
  other.write("config.json", R"({ "a" : 1 })");
  other.write("model-1.safetensors", oneTensor("a", {1, 2}));
  other.write("model.safetensors.index.json",
              R"({"weight_map":{"a":"model-1.safetensors"}})");
  EXPECT_EQ(Checkpoint::open(other.path())->contentHash(), hash);
  other.write("model-1.safetensors", oneTensor("a", {1, 3}));
  EXPECT_NE(Checkpoint::open(other.path())->contentHash(), hash);
  folder.write("config.json", R"({"a":2})");
  EXPECT_NE(open()->contentHash(), hash);
}

TEST_F(HuggingFaceFolder, RefusesPathsAndConfigurations) {
  EXPECT_EQ(errorOf([&] { Checkpoint::open(folder / "none"); }, folder.path()),
            "no such file or folder in @/none");
  EXPECT_EQ(
      errorOf([&] { Checkpoint::open(folder / "config.json"); }, folder.path()),
      "not a GGUF file in @/config.json");
  EXPECT_EQ(error(), "the folder has none of model.safetensors, "
                     "pytorch_model.bin and their .index.json in @; name the "
                     "file of the weights itself");
  folder.write("config.json", "[1]");
  EXPECT_EQ(error(), "the file holds no JSON object in @/config.json");
  folder.write("config.json", "{\"a\":}");
  EXPECT_EQ(error(), "invalid JSON at byte 6 in @/config.json");
  folder.write("config.json", "{\"a\":1e999}");
  EXPECT_EQ(error(), "invalid JSON in @/config.json");
  folder.write("config.json", std::string(1'000'000, '['));
  EXPECT_EQ(error(),
            "JSON is nested more than 64 levels deep in @/config.json");
  std::filesystem::remove(folder / "config.json");
  EXPECT_EQ(error(), "cannot open the file: No such file or directory in "
                     "@/config.json");
}

TEST_F(HuggingFaceFolder, RefusesWhatIsNoPickle) {
  folder.write("pytorch_model.bin", "PK");
  EXPECT_EQ(error(), "the file is none that torch.save writes: neither a zip "
                     "archive nor PyTorch's older format in "
                     "@/pytorch_model.bin");
  folder.write("pytorch_model.bin", "version https://git-lfs.github.com/spec");
  EXPECT_EQ(error(), "the file is a pointer of Git LFS, not the weights in "
                     "@/pytorch_model.bin; fetch them with 'git lfs pull'");
}

TEST_F(HuggingFaceFolder, OpensAFileBesideItsConfiguration) {
  std::string file = folder.write("mine.safetensors", oneTensor("a", {1, 2}));
  auto checkpoint = Checkpoint::open(file);
  EXPECT_EQ(readAll(*checkpoint, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(checkpoint->path(), folder.path());
  EXPECT_EQ(checkpoint->config()["a"], 1);
}

TEST_F(HuggingFaceFolder, RefusesBrokenIndexes) {
  writeShards();
  const std::string in = " in @/model.safetensors.index.json";
  folder.write("model.safetensors.index.json", "{}");
  EXPECT_EQ(error(), "field 'weight_map' is no object with tensors" + in);
  writeIndex("[]");
  EXPECT_EQ(error(), "field 'weight_map' is no object with tensors" + in);
  writeIndex("{}");
  EXPECT_EQ(error(), "field 'weight_map' is no object with tensors" + in);
  writeIndex(R"({"a":1})");
  EXPECT_EQ(error(), "weight_map['a'] is no file name" + in);
  for (const char *name :
       {"", ".", "..", "../x", "/etc/passwd", "sub/model-1.safetensors"}) {
    writeIndex(std::string(R"({"a":")") + name + "\"}");
    EXPECT_EQ(error(), "weight_map['a'] is '" + std::string(name) +
                           "', not the name of a file in this folder" + in);
  }
  writeIndex("{\"a\":\"x\\u0000y\"}");
  EXPECT_EQ(error(), "weight_map['a'] is 'x\\x00y', not the name of a file in "
                     "this folder" +
                         in);
  writeIndex(R"({"a":"model-3.safetensors"})");
  EXPECT_EQ(error(), "shard 'model-3.safetensors' is missing" + in +
                         "; the download may be incomplete");
  writeIndex(R"({"c":"model-1.safetensors"})");
  EXPECT_EQ(error(),
            "tensor 'c' is not in its shard 'model-1.safetensors'" + in);
  // It is in the other one.
  writeIndex(R"({"a":"model-2.safetensors","b":"model-1.safetensors"})");
  EXPECT_EQ(error(),
            "tensor 'a' is not in its shard 'model-2.safetensors'" + in);
}

TEST_F(HuggingFaceFolder, RefusesATensorInTwoShards) {
  writeShards();
  folder.write("model-2.safetensors", oneTensor("a", {3}));
  EXPECT_EQ(error(),
            "tensor 'a' is there twice in @/model-2.safetensors; it is "
            "also in @/model-1.safetensors");
}

/// An error in a shard names the shard.
TEST_F(HuggingFaceFolder, NamesTheBrokenShard) {
  writeShards();
  folder.write("model-2.safetensors", "x");
  EXPECT_EQ(error(), "the file is 1 bytes, too short for safetensors in "
                     "@/model-2.safetensors");
}

} // namespace
