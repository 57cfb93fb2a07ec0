//===- TokenizerFolderTest.cpp - Tokenizers of folders --------------------===//

#include "TokenizerTestUtils.h"

#include <nlohmann/json.hpp>

using namespace qcc;
using namespace qcc::test;
using nlohmann::json;
using qrt::Tokenizer;

namespace {

using Ids = std::vector<int32_t>;

/// GPT-2's vocabulary in small: the bytes, "ab" (256) and "<|endoftext|>"
/// (257).
std::string smallVocab() {
  json vocab;
  std::string standIn;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bool isPrintable = (byte >= 0x21 && byte <= 0x7e) ||
                       (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    int codepoint = isPrintable ? byte : next++;
    standIn.clear();
    if (codepoint < 0x80) {
      standIn += static_cast<char>(codepoint);
    } else {
      standIn += static_cast<char>(0xc0 | codepoint >> 6);
      standIn += static_cast<char>(0x80 | (codepoint & 0x3f));
    }
    vocab[standIn] = byte;
  }
  vocab["ab"] = 256;
  vocab["<|endoftext|>"] = 257;
  return vocab.dump();
}

const char *const smallMerges = "#version: 0.2\na b\r\n";

TEST(TokenizerFolder, HasNone) {
  TemporaryFolder folder;
  EXPECT_FALSE(importTokenizerFolder(folder.path).has_value());
  folder.write("vocab.json", smallVocab());
  EXPECT_FALSE(importTokenizerFolder(folder.path).has_value());
}

TEST(TokenizerFolder, IsNotThere) {
  EXPECT_EQ(errorOf([] { importTokenizerFolder("no/such/folder"); }),
            "there is no such file or folder in no/such/folder");
}

TEST(TokenizerFolder, RefusesWeights) {
  using namespace std::string_literals;
  TemporaryFolder folder;
  for (auto [bytes, what] :
       {std::pair{""s, "empty"},
        {"PK\3\4 and more"s, "a PyTorch checkpoint"},
        {"\x80\2\x8a\n"s, "a PyTorch checkpoint"},
        {"\x40\0\0\0\0\0\0\0{\"a\": 1}"s, "a safetensors checkpoint"},
        {"QBIN\r\n\x1a\n"s, "an artifact"},
        {"GGUF\3\0\0\0"s, "a GGUF file whose name does not end in .gguf"}}) {
    folder.write("weights.bin", bytes);
    std::string file = folder.path / "weights.bin";
    EXPECT_EQ(errorOf([&] { importTokenizerFolder(file); }),
              "the file is "s + what + ", no tokenizer in " + file +
                  "; name the model's folder or its tokenizer's file");
  }
}

TEST(TokenizerFolder, AddsTokensThatTheModelHasRoomFor) {
  TemporaryFolder folder;
  folder.write("tokenizer.json", R"({"model": {"type": "BPE",
      "vocab": {"a": 0, "b": 1}, "merges": []}})");
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {
      "2": {"content": "<x>"}, "3": {"content": "<y>"}}})");
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 2u);
  folder.write("config.json", R"({"vocab_size": 3})");
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 3u);
  folder.write("config.json", R"({"vocab_size": "?"})");
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 2u);
}

TEST(TokenizerFolder, ReadsVocabAndMerges) {
  TemporaryFolder folder;
  folder.write("vocab.json", smallVocab());
  folder.write("merges.txt", smallMerges);
  Tokenizer tokenizer(*importTokenizerFolder(folder.path));
  EXPECT_EQ(tokenizer.encode("ab a<|endoftext|>"), (Ids{256, ' ', 'a', 257}));
  EXPECT_EQ(tokenizer.eosId(), 257);
  EXPECT_EQ(tokenizer.decode(Ids{256, 257, 'a'}, true), "aba");
}

TEST(TokenizerFolder, ReadsConfigurations) {
  TemporaryFolder folder;
  folder.write("vocab.json", smallVocab());
  folder.write("merges.txt", smallMerges);
  folder.write("special_tokens_map.json",
               R"({"bos_token": "<|endoftext|>", "pad_token": "<pad>"})");
  folder.write("tokenizer_config.json", R"({"add_bos_token": true,
      "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true,
      "added_tokens_decoder": {"258": {"content": "<pad>", "special": true},
                               "259": {"content": "  "}}})");
  Tokenizer tokenizer(*importTokenizerFolder(folder.path));
  EXPECT_EQ(tokenizer.encode("a<pad>"), (Ids{257, ' ', 'a', 258}));
  EXPECT_EQ(tokenizer.encode("a  b", false), (Ids{' ', 'a', 259, ' ', 'b'}));

  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "RobertaTokenizer"})");
  EXPECT_EQ(errorOf([&] { importTokenizerFolder(folder.path); }),
            "'tokenizer_class' is 'RobertaTokenizer', which is not supported "
            "with vocab.json and merges.txt in tokenizer_config.json");
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"x": {"content": "y"}}})");
  EXPECT_EQ(errorOf([&] { importTokenizerFolder(folder.path); }),
            "'added_tokens_decoder.x' is not named by an id in "
            "tokenizer_config.json");
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"99999999": {"content": "yy"}}})");
  EXPECT_NE(
      errorOf([&] { importTokenizerFolder(folder.path); }).find("far beyond"),
      std::string::npos);
}

TEST(TokenizerFolder, CutsQwensWords) {
  TemporaryFolder folder;
  folder.write("vocab.json", smallVocab());
  folder.write("merges.txt", smallMerges);
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "Qwen2Tokenizer",
                   "eos_token": "<|endoftext|>"})");
  auto model = importTokenizerFolder(folder.path);
  EXPECT_EQ(model->normalizers.size(), 1u);
  EXPECT_EQ(model->preTokenizers.size(), 2u);
  EXPECT_EQ(Tokenizer(*model).encode("e\u0301ab"), (Ids{0xc3, 0xa9, 256}));
}

TEST(TokenizerFolder, NamesBadMerges) {
  auto errorOfMerges = [](std::string_view merges) {
    return errorOf([&] { importVocabAndMerges(smallVocab(), merges); });
  };
  EXPECT_EQ(errorOfMerges("a b\na"),
            "'line[2]' does not have two parts in merges.txt");
  EXPECT_EQ(errorOfMerges("a b\nb a"),
            "'line[2]' has 'ba', which is not in the vocabulary in "
            "merges.txt");
  EXPECT_EQ(errorOfMerges("a b\na b c"),
            "'line[2]' does not have two parts in merges.txt");
  EXPECT_EQ(errorOf([] { importVocabAndMerges("[]", ""); }),
            "is not an object in vocab.json");
}

TEST(TokenizerFolder, PrefersTheJson) {
  TemporaryFolder folder;
  folder.write("tokenizer.json",
               readFile(testInputs() / "mini-bpe4096" / "tokenizer.json"));
  folder.write("tokenizer.model", "damaged");
  EXPECT_EQ(importTokenizerFolder(folder.path)->pieces.size(), 4096u);
}

TEST(TokenizerFolder, AddsTokensToSentencePieces) {
  TemporaryFolder folder;
  folder.write("tokenizer.model",
               readFile(testInputs() / "stories260K" / "tokenizer.model"));
  EXPECT_EQ(Tokenizer(*importTokenizerFolder(folder.path)).encode("").front(),
            1);
  folder.write("tokenizer_config.json", R"({"add_bos_token": false,
      "add_eos_token": true, "legacy": false, "eos_token": "</s>",
      "added_tokens_decoder": {"2": {"content": "</s>", "special": true},
                               "512": {"content": "<end>"}}})");
  Tokenizer tokenizer(*importTokenizerFolder(folder.path));
  EXPECT_EQ(tokenizer.vocabSize(), 513);
  Ids once = tokenizer.encode("Once", false);
  Ids expected = once;
  expected.insert(expected.end(), {512, 2, 2});
  EXPECT_EQ(tokenizer.encode("Once<end></s>"), expected);
  EXPECT_EQ(tokenizer.decode(expected), "Once<end></s></s>");
  EXPECT_EQ(tokenizer.decode(expected, true), "Once<end>");
}

TEST(TokenizerFolder, ReadsSingleFiles) {
  EXPECT_EQ(
      importTokenizerFolder(testInputs() / "mini-bpe4096" / "tokenizer.json")
          ->pieces.size(),
      4096u);
  EXPECT_EQ(
      importTokenizerFolder(testInputs() / "stories260K" / "tokenizer.model")
          ->pieces.size(),
      512u);
}

TEST(TokenizerFolder, SurvivesDamage) {
  std::string config = R"({"add_bos_token": true, "bos_token": {"content":
      "<|endoftext|>"}, "added_tokens_decoder": {"258": {"content": "<x>",
      "lstrip": true}}, "tokenizer_class": "GPT2Tokenizer"})";
  damage(config, 1, [](const std::string &damaged) {
    exercise(importVocabAndMerges(smallVocab(), smallMerges, damaged));
  });
  damage(smallMerges, 1, [](const std::string &damaged) {
    exercise(importVocabAndMerges(smallVocab(), damaged));
  });
  damage(smallVocab(), 11, [](const std::string &damaged) {
    exercise(importVocabAndMerges(damaged, smallMerges));
  });
}

TEST(TokenizerFolder, EncodesALongTextInTime) {
  auto model = importTokenizerFolder(testInputs() / "mini-bpe4096");
  Tokenizer tokenizer(*model);
  std::string spaces(1000000, ' '), word, digits(1000000, '7');
  for (uint32_t i = 0; word.size() < 5000000; ++i)
    word += static_cast<char>('a' + i * i % 26);
  for (const std::string &text : {spaces, word, digits}) {
    Ids ids = tokenizer.encode(text, false);
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(streamed(tokenizer, ids), text);
  }
}

} // namespace
