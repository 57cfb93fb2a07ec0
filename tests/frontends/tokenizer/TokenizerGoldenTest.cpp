//===- TokenizerGoldenTest.cpp - Against other tokenizers' ids ------------===//
//
// Goldens of Hugging Face's tokenizers and of SentencePiece (JSON, see the
// shared data's README.md), and of llama.cpp (.inp and .out).
//
//===----------------------------------------------------------------------===//

#include "TokenizerTestUtils.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace qcc;
using namespace qcc::test;
using nlohmann::json;
using qrt::Tokenizer;

namespace {

/// Checks every case of one golden file.
void checkGolden(const Tokenizer &tokenizer, const json &golden,
                 const json &strings) {
  ASSERT_EQ(golden["vocab_size"].get<int32_t>(), tokenizer.vocabSize());
  // What the AutoTokenizer and SentencePiece goldens leave out was not asked
  // of them, so it says nothing.
  bool isTokenizers = golden["api"] == "tokenizers.Tokenizer";
  size_t count = 0;
  for (const json &item : golden["cases"]) {
    auto text = strings[item["i"].get<size_t>()].get<std::string>();
    SCOPED_TRACE("case " + item["i"].dump() + ": " + text.substr(0, 80));
    auto ids = item["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text, false), ids);
    if (item.contains("ids_special") || isTokenizers) {
      auto expected = item.value("ids_special", ids);
      EXPECT_EQ(tokenizer.encode(text, true), expected);
    }
    if (item.contains("ids_literal") || isTokenizers) {
      auto expected = item.value("ids_literal", ids);
      EXPECT_EQ(tokenizer.encode(text, false, false), expected);
    }
    std::string decoded = item.value("decode", text);
    EXPECT_EQ(tokenizer.decode(ids), decoded);
    EXPECT_EQ(streamed(tokenizer, ids), decoded);
    if (item.contains("decode_skip") || isTokenizers) {
      std::string skipped = item.value("decode_skip", decoded);
      EXPECT_EQ(tokenizer.decode(ids, true), skipped);
      EXPECT_EQ(streamed(tokenizer, ids, true), skipped);
    }
    ++count;
  }
  EXPECT_EQ(count, golden["cases"].size());
  EXPECT_GT(count, 0u);
}

/// The name of a golden file, and the file or folder that was its tokenizer.
struct Golden {
  const char *name, *source;
};

class HuggingFaceGolden : public testing::TestWithParam<Golden> {};

TEST_P(HuggingFaceGolden, EncodesAndDecodesAlike) {
  auto folder = sharedData() / "tokenizers" / "hf";
  auto path = folder / (std::string(GetParam().name) + ".json");
  SKIP_WITHOUT(path);
  json golden = json::parse(readFile(path));
  json strings = json::parse(readFile(folder / "strings.json"));
  auto model = importTokenizerFolder(sharedData() / GetParam().source);
  ASSERT_TRUE(model.has_value());
  checkGolden(Tokenizer(*model), golden, strings);
  std::vector<uint8_t> bytes = qrt::serialize(*model);
  EXPECT_EQ(bytes, qrt::serialize(qrt::deserialize(bytes)));
  checkGolden(Tokenizer(qrt::deserialize(bytes)), golden, strings);
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, HuggingFaceGolden,
    testing::Values(Golden{"falcon", "tokenizers/falcon"},
                    Golden{"gpt2", "tokenizers/gpt2"},
                    Golden{"gptneox", "tokenizers/gptneox"},
                    Golden{"llama2", "tokenizers/llama2"},
                    Golden{"llama2-spm", "tokenizers/llama2/tokenizer.model"},
                    Golden{"llama3", "tokenizers/llama3"},
                    Golden{"phi3", "tokenizers/phi3"},
                    Golden{"opt", "tokenizers/opt"},
                    Golden{"mistral-spm", "tokenizers/mistral"},
                    Golden{"stories260K-spm", "models/stories260K"},
                    Golden{"mini-bpe4096", "minis/llama-mini"}),
    [](const auto &info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

/// The same from a clone alone.
class CarriedGolden : public testing::TestWithParam<Golden> {};

TEST_P(CarriedGolden, EncodesAndDecodesAlike) {
  json golden = json::parse(
      readFile(testInputs() / (std::string(GetParam().name) + ".json")));
  json strings = json::parse(readFile(testInputs() / "strings.json"));
  auto model = importTokenizerFolder(testInputs() / GetParam().source);
  ASSERT_TRUE(model.has_value());
  checkGolden(Tokenizer(*model), golden, strings);
  checkGolden(Tokenizer(qrt::deserialize(qrt::serialize(*model))), golden,
              strings);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, CarriedGolden,
                         testing::Values(Golden{"mini-bpe4096", "mini-bpe4096"},
                                         Golden{"stories260K-spm",
                                                "stories260K"},
                                         Golden{"unigram-spm", "unigram"}),
                         [](const auto &info) {
                           std::string name = info.param.name;
                           return name.substr(0, name.find('-'));
                         });

/// Tokenizers of random components, and what Hugging Face makes of hostile
/// texts with them (tests/Inputs/tokenizer/components/generate.py).
TEST(ComponentGolden, EncodesAndDecodesAlike) {
  int count = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(testInputs() / "components")) {
    std::filesystem::path path = entry.path();
    if (path.extension() != ".golden")
      continue;
    json golden = json::parse(readFile(path));
    auto model = importTokenizerFolder(path.replace_extension(".json"));
    ASSERT_TRUE(model.has_value());
    Tokenizer tokenizer(qrt::deserialize(qrt::serialize(*model)));
    for (const json &item : golden) {
      if (item.contains("decode_ids")) {
        auto ids = item["decode_ids"].get<std::vector<int32_t>>();
        EXPECT_EQ(tokenizer.decode(ids), item["decode"]) << path << item;
        EXPECT_EQ(streamed(tokenizer, ids), item["decode"]) << path << item;
        continue;
      }
      auto text = item["text"].get<std::string>();
      auto ids = item["ids"].get<std::vector<int32_t>>();
      auto special = item["special"].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer.encode(text, false), ids) << path << item;
      EXPECT_EQ(tokenizer.encode(text), special) << path << item;
      EXPECT_EQ(tokenizer.encode(text, false, false),
                item["literal"].get<std::vector<int32_t>>())
          << path << item;
      EXPECT_EQ(tokenizer.decode(ids), item["decode"]) << path << item;
      EXPECT_EQ(tokenizer.decode(special, true), item["skip"]) << path << item;
    }
    ++count;
  }
  EXPECT_GE(count, 28);
}

class LlamaCppGolden : public testing::TestWithParam<Golden> {};

TEST_P(LlamaCppGolden, EncodesAlike) {
  auto folder = sharedData() / "tokenizers";
  std::string name = GetParam().name;
  SKIP_WITHOUT(folder / (name + ".inp"));
  auto model = importTokenizerFolder(folder / GetParam().source);
  ASSERT_TRUE(model.has_value());
  Tokenizer tokenizer(*model);

  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string inputs = readFile(folder / (name + ".inp"));
  std::istringstream outputs(readFile(folder / (name + ".out")));
  size_t count = 0;
  for (size_t begin = 0; begin < inputs.size(); ++count) {
    size_t end = std::min(inputs.find(separator, begin), inputs.size());
    std::string text = inputs.substr(begin, end - begin), line;
    begin = end + separator.size();
    ASSERT_TRUE(std::getline(outputs, line));
    std::istringstream numbers(line);
    std::vector<int32_t> ids{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text, false), ids)
        << "case " << count << ": " << text;
  }
  EXPECT_GT(count, 40u);
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, LlamaCppGolden,
    testing::Values(Golden{"falcon", "falcon"}, Golden{"gpt-2", "gpt2"},
                    Golden{"llama-bpe", "llama3"},
                    Golden{"llama-spm", "llama2"},
                    Golden{"llama-spm", "llama2/tokenizer.model"}),
    [](const auto &info) {
      std::string name = info.param.source;
      for (char &c : name)
        if (!std::isalnum(static_cast<unsigned char>(c)))
          c = '_';
      return name;
    });

} // namespace
