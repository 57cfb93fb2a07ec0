//===- GgufTokenizerTest.cpp - Tokenizers of GGUF files -------------------===//

#include "frontends/tokenizer/GgufTokenizer.h"

#include "TokenizerTestUtils.h"

#include "runtime/tokenizer/Unicode.h"

#include <nlohmann/json.hpp>

using namespace qcc;
using namespace qcc::test;
using nlohmann::json;
using qrt::Tokenizer;

namespace {

using Ids = std::vector<int32_t>;

/// The fields that a tokenizer.json would be converted to.
GgufTokenizerFields fieldsOf(const std::filesystem::path &path,
                             const std::string &pre) {
  json document = json::parse(readFile(path));
  GgufTokenizerFields fields;
  fields.model = "gpt2";
  fields.pre = pre;
  for (const auto &[text, id] : document["model"]["vocab"].items()) {
    fields.tokens.resize(
        std::max<size_t>(fields.tokens.size(), id.get<size_t>() + 1));
    fields.tokens[id.get<size_t>()] = text;
  }
  fields.tokenType.assign(fields.tokens.size(), 1);
  for (const json &token : document["added_tokens"]) {
    auto id = token["id"].get<size_t>();
    if (id >= fields.tokens.size()) {
      fields.tokens.resize(id + 1);
      fields.tokenType.resize(id + 1, 1);
    }
    fields.tokens[id] = token["content"].get<std::string>();
    fields.tokenType[id] = token["special"].get<bool>() ? 3 : 4;
  }
  for (const json &merge : document["model"]["merges"])
    fields.merges.push_back(merge.is_string()
                                ? merge.get<std::string>()
                                : merge[0].get<std::string>() + " " +
                                      merge[1].get<std::string>());
  return fields;
}

void expectGolden(const Tokenizer &tokenizer, const json &golden) {
  json strings = json::parse(readFile(testInputs() / "strings.json"));
  for (const json &item : golden["cases"]) {
    auto text = strings[item["i"].get<size_t>()].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, false), item["ids"].get<Ids>()) << text;
    EXPECT_EQ(tokenizer.decode(item["ids"].get<Ids>()),
              item.value("decode", text));
  }
}

TEST(GgufTokenizer, ReadsByteLevelBpe) {
  auto path = testInputs() / "mini-bpe4096" / "tokenizer.json";
  GgufTokenizerFields fields = fieldsOf(path, "gpt-2");
  fields.bosTokenId = fields.eosTokenId = 0;
  fields.unknownTokenId = 0xffffffff;
  qrt::TokenizerModel model = importGgufTokenizer(fields, "x.gguf");
  EXPECT_EQ(model.eosId, 0);
  EXPECT_EQ(model.unknownId, -1);
  EXPECT_TRUE(model.prefixIds.empty());
  json golden = json::parse(readFile(testInputs() / "mini-bpe4096.json"));
  expectGolden(Tokenizer(model), golden);
}

TEST(GgufTokenizer, CutsAsEachModelDoes) {
  for (const auto &[name, pre] :
       std::vector<std::pair<std::string, std::string>>{
           {"gpt2", "gpt-2"}, {"falcon", "falcon"}, {"llama3", "llama-bpe"}}) {
    auto folder = sharedData() / "tokenizers";
    SKIP_WITHOUT(folder / name);
    json golden = json::parse(readFile(folder / "hf" / (name + ".json")));
    GgufTokenizerFields fields =
        fieldsOf(folder / name / "tokenizer.json", pre);
    SCOPED_TRACE(name);
    expectGolden(Tokenizer(importGgufTokenizer(fields, "x.gguf")), golden);
  }
}

TEST(GgufTokenizer, SplitsDigitsForSmolLm) {
  auto path = testInputs() / "mini-bpe4096" / "tokenizer.json";
  Tokenizer gpt2(importGgufTokenizer(fieldsOf(path, "gpt-2"), "x"));
  Tokenizer smollm(importGgufTokenizer(fieldsOf(path, "smollm"), "x"));
  Ids joined;
  for (const char *part : {"in", " ", "2", "0", "2", "4"})
    for (int32_t id : gpt2.encode(part, false))
      joined.push_back(id);
  EXPECT_EQ(smollm.encode("in 2024", false), joined);
}

TEST(GgufTokenizer, ReadsScoredPieces) {
  auto spm = importTokenizerFolder(testInputs() / "stories260K");
  ASSERT_TRUE(spm.has_value());
  GgufTokenizerFields fields;
  fields.model = "llama";
  for (const qrt::Piece &piece : spm->pieces) {
    fields.tokens.push_back(piece.text);
    fields.scores.push_back(piece.score);
    fields.tokenType.push_back(static_cast<int32_t>(piece.type));
  }
  fields.bosTokenId = 1;
  fields.eosTokenId = 2;
  fields.unknownTokenId = 0;
  fields.removeExtraWhitespaces = true;
  fields.precompiledCharsmap = spm->sentencePiece.charsmap;
  Tokenizer tokenizer(importGgufTokenizer(fields, "x.gguf"));
  json strings = json::parse(readFile(testInputs() / "strings.json"));
  json golden = json::parse(readFile(testInputs() / "stories260K-spm.json"));
  for (const json &item : golden["cases"]) {
    auto text = strings[item["i"].get<size_t>()].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, false, /*parseSpecial=*/false),
              item["ids"].get<Ids>());
  }
  // Unlike SentencePiece, llama.cpp finds control tokens in text.
  EXPECT_EQ(tokenizer.encode("<s>", true), (Ids{1, 1}));
  EXPECT_EQ(tokenizer.decode(Ids{1}, /*skipSpecial=*/true), "");
}

/// Every kind of words that llama.cpp knows by name, and hostile text in time
/// that grows with its length.
TEST(GgufTokenizer, CutsByEveryName) {
  GgufTokenizerFields fields;
  fields.model = "gpt2";
  for (int byte = 0; byte < 256; ++byte) {
    std::string standIn;
    qrt::unicode::appendChar(standIn, qrt::unicode::byteStandIns()[byte]);
    fields.tokens.push_back(standIn);
  }
  const std::string text = "It's 12345 caf\u00e9s, \u6f22\u5b57!\r\n  x\t";
  std::string hostile = std::string(20'000, ' ') + std::string(20'000, 'a');
  for (int i = 0; i < 5'000; ++i)
    hostile += "\r\n \u6f22A1'";
  for (const char *pre : {"default",
                          "llama3",
                          "llama-v3",
                          "llama-bpe",
                          "falcon3",
                          "falcon-h1",
                          "pixtral",
                          "midm-2.0",
                          "lfm2",
                          "jina-v5-nano",
                          "deepseek-llm",
                          "deepseek-coder",
                          "deepseek-v3",
                          "spark2_5",
                          "youtu",
                          "falcon",
                          "mpt",
                          "starcoder",
                          "gpt-2",
                          "phi-2",
                          "jina-es",
                          "jina-de",
                          "gigachat",
                          "jina-v2-es",
                          "jina-v2-de",
                          "a.x-4.0",
                          "mellum",
                          "modern-bert",
                          "jais-2",
                          "refact",
                          "command-r",
                          "qwen2",
                          "deepseek-r1-qwen",
                          "kormo",
                          "f2llmv2",
                          "qwen35",
                          "stablelm2",
                          "olmo",
                          "dbrx",
                          "smaug-bpe",
                          "poro-chat",
                          "chatglm-bpe",
                          "glm4",
                          "glm5",
                          "viking",
                          "jais",
                          "tekken",
                          "smollm",
                          "codeshell",
                          "bloom",
                          "gpt3-finnish",
                          "exaone",
                          "exaone4",
                          "exaone-moe",
                          "minerva-7b",
                          "megrez",
                          "gpt-4o",
                          "llama4",
                          "kanana2",
                          "talkie",
                          "granite-embed-multi-97m",
                          "tiny_aya",
                          "cohere2moe",
                          "superbpe",
                          "trillion",
                          "granite-docling",
                          "bailingmoe",
                          "bailingmoe2",
                          "llada-moe",
                          "seed-coder",
                          "hunyuan",
                          "hunyuan-dense",
                          "hy_v4",
                          "joyai-llm",
                          "kimi-k2",
                          "ufakzeka",
                          "grok-2",
                          "laguna",
                          "minimax-m2",
                          "solar-open",
                          "mellum2"}) {
    SCOPED_TRACE(pre);
    fields.pre = pre;
    Tokenizer tokenizer(importGgufTokenizer(fields, "x.gguf"));
    // There are no merges: ids are bytes, however words are cut.
    Ids bytes;
    for (unsigned char c : text)
      bytes.push_back(c);
    EXPECT_EQ(tokenizer.encode(text, false), bytes);
    EXPECT_EQ(tokenizer.encode(hostile, false).size(), hostile.size());
  }
}

TEST(GgufTokenizer, HasUnigram) {
  GgufTokenizerFields fields;
  fields.model = "t5";
  fields.tokens = {"<unk>", "</s>", "\u2581", "a", "b", "\u2581ab"};
  fields.scores = {0, 0, -2, -3, -3, -9};
  fields.tokenType = {2, 3, 1, 1, 1, 1};
  fields.unknownTokenId = 0;
  fields.eosTokenId = 1;
  Tokenizer tokenizer(importGgufTokenizer(fields, "x.gguf"));
  EXPECT_EQ(tokenizer.encode("abxya"), (Ids{2, 3, 4, 0, 3, 1}));
}

TEST(GgufTokenizer, NamesWhatItRefuses) {
  GgufTokenizerFields good;
  good.model = "gpt2";
  good.tokens = {"a", "b", "ab"};
  good.merges = {"a b"};
  auto errorAfter = [&](auto change) {
    GgufTokenizerFields fields = good;
    change(fields);
    return errorOf([&] { importGgufTokenizer(fields, "x.gguf"); });
  };
  EXPECT_EQ(errorAfter([](GgufTokenizerFields &) {}), "");
  EXPECT_EQ(errorAfter([](auto &f) { f.model = "bert"; }),
            "'tokenizer.ggml.model' is 'bert', which is not supported in "
            "x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.pre = "new"; }),
            "'tokenizer.ggml.pre' is 'new', which is not supported in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.merges = {"ab"}; }),
            "'tokenizer.ggml.merges[0]' does not have two parts in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.merges = {"b a"}; }),
            "'tokenizer.ggml.merges[0]' has 'ba', which is not in the "
            "vocabulary in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.tokenType = {1}; }),
            "'tokenizer.ggml.token_type' has 1 elements, not 3 in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.tokenType = {1, 0, 1}; }),
            "'tokenizer.ggml.token_type[1]' is 0, not 1 to 6 in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.tokens[1] = "\xff"; }),
            "'tokenizer.ggml.tokens[1]' is not UTF-8 in x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) { f.bosTokenId = 3; }),
            "'tokenizer.ggml.bos_token_id' is 3, not one of 3 tokens in "
            "x.gguf");
  EXPECT_EQ(errorAfter([](auto &f) {
              f.model = "llama";
              f.merges.clear();
            }),
            "'tokenizer.ggml.scores' is missing in x.gguf");
  EXPECT_NE(errorAfter([](auto &f) { f.tokens.clear(); }), "");
}

} // namespace
