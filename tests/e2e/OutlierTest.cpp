//===- OutlierTest.cpp - LLM.int8's split, on outliers that are planted ---===//
//
// Trained models of more than 6 billion parameters have a few channels whose
// activations are many times larger than all others; small ones have none. So
// they are planted: two channels of llama-mini are multiplied by 128 in the
// norms, and divided by it in the columns of the weights that read them. Powers
// of two change no other bit of bf16: the model computes what it did.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <cstring>

using namespace qcc::test;

namespace {

constexpr int64_t kChannels[] = {7, 201};
constexpr int kExponent = 7;

/// Adds `exponent` to that of the bf16 at `at`.
void scale(std::string &bytes, size_t at, int exponent) {
  uint16_t bits;
  std::memcpy(&bits, bytes.data() + at, 2);
  ASSERT_GT((bits >> 7 & 0xff) + exponent, 0);
  bits = uint16_t(bits + exponent * 128);
  std::memcpy(bytes.data() + at, &bits, 2);
}

/// The bytes of model.safetensors with outliers in it.
std::string plant(std::string bytes) {
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  auto header = nlohmann::json::parse(bytes.substr(8, length));
  for (auto &[name, entry] : header.items()) {
    bool isNorm = name.find("input_layernorm") != std::string::npos ||
                  name.find("post_attention_layernorm") != std::string::npos;
    bool readsNorm = false;
    for (const char *module :
         {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"})
      readsNorm |= name.find(module) != std::string::npos;
    if (!isNorm && !readsNorm)
      continue;
    size_t begin = 8 + length + entry["data_offsets"][0].get<size_t>();
    int64_t rows = isNorm ? 1 : entry["shape"][0].get<int64_t>();
    int64_t columns = entry["shape"].back();
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t channel : kChannels)
        scale(bytes, begin + size_t(row * columns + channel) * 2,
              isNorm ? kExponent : -kExponent);
  }
  return bytes;
}

TEST(Outliers, TheSplitKeepsPerplexity) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path model = sharedData() / "minis" / "llama-mini";
  TemporaryFolder folder;
  std::filesystem::path planted = folder.folder / "planted";
  std::filesystem::create_directory(planted);
  for (const char *name : {"config.json", "generation_config.json",
                           "tokenizer.json", "tokenizer_config.json"})
    writeFile(planted / name, readFile(model / name));
  writeFile(planted / "model.safetensors",
            plant(readFile(model / "model.safetensors")));

  auto evaluate = [&](std::vector<std::string> options) {
    std::string artifact = folder.path("model.qbin");
    options.insert(options.begin(),
                   {"compile", planted, "--quiet", "-o", artifact});
    Outcome compiled = qcc::test::qcc(options);
    EXPECT_EQ(compiled.status, 0) << compiled.err;
    Outcome ran = qrt({"eval", artifact, "--dataset",
                       sharedData() / "text" / "wiki.test.raw", "--context",
                       "512", "--max-windows", "10", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
  };
  auto unquantized = evaluate({});
  auto none = evaluate({"--quantize", "bnb.int8", "--outlier-threshold", "0"});
  auto split = evaluate({"--quantize", "bnb.int8"});
  EXPECT_FALSE(unquantized.contains("outlier_columns"));
  double base = unquantized["perplexity"];
  EXPECT_GT(none["perplexity"].get<double>(), 1.03 * base);
  EXPECT_EQ(none["outlier_columns"].get<double>(), 0);
  EXPECT_LT(split["perplexity"].get<double>(), 1.01 * base);
  // Five of seven linears of a layer read the two channels.
  EXPECT_GE(split["outlier_columns"].get<double>(), 2 * 5.0 / 7);
  EXPECT_LE(split["outlier_columns"].get<double>(), 32);
}

} // namespace
