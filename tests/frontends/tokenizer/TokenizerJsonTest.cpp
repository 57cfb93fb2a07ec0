//===- TokenizerJsonTest.cpp - Reading tokenizer.json ---------------------===//

#include "TokenizerTestUtils.h"

#include <nlohmann/json.hpp>

using namespace qcc;
using namespace qcc::test;
using nlohmann::json;
using qrt::Tokenizer;

namespace {

using Ids = std::vector<int32_t>;

/// A small tokenizer.json with characters as symbols.
json smallJson() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 5, "content": "<s>", "single_word": false,
      "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
      "continuing_subword_prefix": null, "end_of_word_suffix": null,
      "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
      "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "▁": 4},
      "merges": ["a b"]}})");
}

/// What importing the small tokenizer throws after a change.
template <typename Change>
std::string errorAfter(Change change) {
  json document = smallJson();
  change(document);
  return errorOf([&] { importTokenizerJson(document.dump()); });
}

Ids encodedAfter(std::string_view path, const char *value,
                 std::string_view text) {
  json document = smallJson();
  document[json::json_pointer(std::string(path))] = json::parse(value);
  return Tokenizer(importTokenizerJson(document.dump())).encode(text, true);
}

TEST(TokenizerJson, ReadsBothKindsOfMerges) {
  EXPECT_EQ(encodedAfter("/version", "\"1.0\"", "ab<s>c"), (Ids{3, 5, 0}));
  EXPECT_EQ(encodedAfter("/model/merges", R"([["a", "b"]])", "aab"),
            (Ids{1, 3}));
  EXPECT_EQ(encodedAfter("/model/merges", R"(["#version: 0.2", "a b"])", "ab"),
            Ids{3});
}

TEST(TokenizerJson, ReadsPostProcessors) {
  const char *path = "/post_processor";
  EXPECT_EQ(encodedAfter(path, R"({"type": "TemplateProcessing", "single":
      [{"SpecialToken": {"id": "<s>", "type_id": 0}},
       {"Sequence": {"id": "A", "type_id": 0}},
       {"SpecialToken": {"id": "<s>", "type_id": 0}}], "pair": [],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [5, 4],
                                 "tokens": ["<s>", "▁"]}}})",
                         "a"),
            (Ids{5, 4, 1, 5, 4}));
  EXPECT_EQ(encodedAfter(path, R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "RobertaProcessing", "cls": ["<s>", 5], "sep": ["▁", 4]}]})",
                         "a"),
            (Ids{5, 1, 4}));
}

TEST(TokenizerJson, ReadsNormalizersAndPreTokenizers) {
  EXPECT_EQ(encodedAfter("/normalizer", R"({"type": "Sequence", "normalizers":
      [{"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"},
       {"type": "Replace", "pattern": {"Regex": "x+"}, "content": "b"},
       {"type": "Strip", "strip_left": false, "strip_right": true}]})",
                         "AXX "),
            (Ids{4, 3}));
  EXPECT_EQ(encodedAfter("/pre_tokenizer", R"({"type": "Metaspace",
      "replacement": "▁", "prepend_scheme": "first", "split": true})",
                         "a b<s>a"),
            (Ids{4, 1, 4, 2, 5, 1}));
  EXPECT_EQ(encodedAfter("/pre_tokenizer", R"({"type": "Metaspace",
      "replacement": "▁", "add_prefix_space": true})",
                         "a<s>a"),
            (Ids{4, 1, 5, 4, 1}));
  EXPECT_EQ(encodedAfter("/pre_tokenizer", R"({"type": "Split", "pattern":
      {"String": "a"}, "behavior": "MergedWithPrevious", "invert": false})",
                         "ab"),
            (Ids{1, 2}));
  EXPECT_EQ(
      encodedAfter("/pre_tokenizer", R"({"type": "WhitespaceSplit"})", " a b "),
      (Ids{1, 2}));
}

TEST(TokenizerJson, AddsTokensByContent) {
  // The vocabulary's id counts, and a text that is new gets its own.
  EXPECT_EQ(encodedAfter("/added_tokens", R"([{"id": 4, "content": "a"},
      {"id": 6, "content": "<x>"}])",
                         "ba<x>"),
            (Ids{2, 1, 6}));
}

TEST(TokenizerJson, ReadsItsConfiguration) {
  auto import = [](const char *config) {
    return importTokenizerJson(smallJson().dump(), config);
  };
  qrt::TokenizerModel model = import(
      R"({"bos_token": {"content": "<s>"}, "eos_token": "b", "pad_token": null,
          "add_bos_token": true, "add_eos_token": true})");
  EXPECT_EQ(model.bosId, 5);
  EXPECT_EQ(model.eosId, 2);
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.encode("a"), (Ids{5, 1, 2}));
  EXPECT_TRUE(tokenizer.isSpecial(2));
  EXPECT_EQ(Tokenizer(import(R"({"bos_token": "<s>"})")).encode("a"), Ids{1});
  EXPECT_EQ(errorOf([&] { import("{"); }),
            "no JSON: the parser stops at byte 2 of 1 in "
            "tokenizer_config.json");
  EXPECT_EQ(errorOf([&] { import(R"({"add_bos_token": 1})"); }),
            "'add_bos_token' is not true or false in tokenizer_config.json");
}

// What transformers 5 makes of the same two files.
TEST(TokenizerJson, TakesInConfiguredTokens) {
  const char *config = R"({"eos_token": "<end>", "pad_token": "<unk>",
      "added_tokens_decoder": {
        "3": {"content": "ab", "special": false},
        "5": {"content": "<s>", "rstrip": true, "special": false},
        "9": {"content": "<x>", "special": true}}})";
  auto import = [&](int64_t vocabulary) {
    return Tokenizer(importTokenizerJson(smallJson().dump(), config,
                                         "tokenizer.json", vocabulary));
  };
  Tokenizer tokenizer = import(8);
  // Flags are new, but what was special remains so; new tokens follow in the
  // order of their ids, named ones last.
  EXPECT_EQ(tokenizer.encode("<s>  ab<x><end><unk>b"), (Ids{5, 3, 6, 7, 0, 2}));
  EXPECT_EQ(tokenizer.decode(Ids{5, 3, 6, 7, 0, 2}, true), "abb");
  EXPECT_EQ(tokenizer.eosId(), 7);
  // Without a row in the embedding there is no token.
  EXPECT_EQ(import(7).vocabSize(), 7);
  EXPECT_EQ(import(7).eosId(), -1);
  EXPECT_EQ(import(0).encode("<s> ab<x>"), (Ids{5, 3, 0, 0, 0}));
}

TEST(TokenizerJson, NamesWhatItDoesNotUnderstand) {
  for (const auto &[path, value, error] :
       std::vector<std::tuple<const char *, const char *, const char *>>{
           {"/normalizer", R"({"type": "New"})",
            "'normalizer' is the normalizer 'New', which is not supported in "
            "tokenizer.json"},
           {"/normalizer",
            R"({"type": "Precompiled", "precompiled_charsmap": "?"})",
            "'normalizer.precompiled_charsmap' is no Base64 in "
            "tokenizer.json"},
           {"/pre_tokenizer",
            R"({"type": "Sequence", "pretokenizers": [{"type": "New"}]})",
            "'pre_tokenizer.pretokenizers[0]' is the pre-tokenizer 'New', "
            "which is not supported in tokenizer.json"},
           {"/decoder", R"({"type": "CTC"})",
            "'decoder' is the decoder 'CTC', which is not supported in "
            "tokenizer.json"},
           {"/post_processor", R"({"type": "New"})",
            "'post_processor' is the post-processor 'New', which is not "
            "supported in tokenizer.json"},
           {"/model/type", R"("WordPiece")",
            "'model' is the model 'WordPiece', which is not supported in "
            "tokenizer.json"},
           {"/model/dropout", "0.1",
            "'model.dropout' is not 0, which is not supported in "
            "tokenizer.json"},
           {"/model/end_of_word_suffix", R"("</w>")",
            "'model.end_of_word_suffix' is not empty, which is not supported "
            "in tokenizer.json"},
           {"/model/new", "1",
            "'model' has the member 'new', which is not understood in "
            "tokenizer.json"},
           {"/new", "1",
            "has the member 'new', which is not understood in "
            "tokenizer.json"},
           {"/model/unk_token", R"("?")",
            "'model.unk_token' is not in the vocabulary in tokenizer.json"},
           {"/model/merges/0", R"("a c")",
            "'model.merges[0]' has 'c', which is not in the vocabulary in "
            "tokenizer.json"},
           {"/model/merges/0", R"("a  b")",
            "'model.merges[0]' does not have two parts in tokenizer.json"},
           {"/model/merges/0", R"(["a"])",
            "'model.merges[0]' has 1 parts, not two in tokenizer.json"},
           {"/model/vocab/a", "2",
            "'model.vocab.b' has the id 2, which another piece has in "
            "tokenizer.json"},
           {"/model/vocab/a", "4000000000",
            "'model.vocab.a' is not between 0 and 65546 in tokenizer.json"},
           {"/model/vocab/a", "-1",
            "'model.vocab.a' is not between 0 and 65546 in tokenizer.json"},
           {"/model/vocab/a", "1.5",
            "'model.vocab.a' is not an integer in tokenizer.json"},
           {"/added_tokens/0/id", "1000000",
            "'added_tokens[0]' has the id 1000000, far beyond the 6 tokens in "
            "tokenizer.json"},
           {"/added_tokens/0/id", "3",
            "'added_tokens[0]' has the id 3, which another token has in "
            "tokenizer.json"},
           {"/added_tokens/0/content", "1",
            "'added_tokens[0].content' is not a string in tokenizer.json"},
           {"/post_processor",
            R"({"type": "BertProcessing", "cls": ["x"], "sep": ["x", 1]})",
            "'post_processor.cls' has only 1 elements in tokenizer.json"},
           {"/post_processor",
            R"({"type": "BertProcessing", "cls": ["x", 99], "sep": ["x", 1]})",
            "the id 99 is not one of 6 in prefixIds[0] of the tokenizer"},
           {"/post_processor",
            R"({"type": "TemplateProcessing", "single": [],
                "special_tokens": {}})",
            "'post_processor.single' names the text 0 times, not once in "
            "tokenizer.json"},
           {"/pre_tokenizer",
            R"({"type": "Split", "pattern": {"Regex": "a"},
                "behavior": "Odd"})",
            "'pre_tokenizer.behavior' is 'Odd', which is not understood in "
            "tokenizer.json"},
           {"/model", R"({"type": "Unigram", "vocab": [["a"]]})",
            "'model.vocab[0]' is no text with a score in tokenizer.json"},
           {"/model", R"({"type": "Unigram", "vocab": [["a", -1]],
                          "unk_id": 1})",
            "'model.unk_id' is not between 0 and 0 in tokenizer.json"}}) {
    EXPECT_EQ(errorAfter([&](json &document) {
                document[json::json_pointer(path)] = json::parse(value);
              }),
              error);
  }
  EXPECT_EQ(errorAfter([](json &document) { document.erase("model"); }),
            "'model' is missing in tokenizer.json");
}

TEST(TokenizerJson, NamesTheExpressionThatDoesNotCompile) {
  json document = smallJson();
  document["pre_tokenizer"] = json::parse(
      R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior":
          "Isolated"})");
  std::string error = errorOf(
      [&] { Tokenizer tokenizer(importTokenizerJson(document.dump())); });
  EXPECT_NE(error.find("does not compile"), std::string::npos) << error;
  EXPECT_NE(error.find("preTokenizers[0].pattern"), std::string::npos) << error;
}

TEST(TokenizerJson, RefusesWhatIsNoJson) {
  EXPECT_EQ(errorOf([] { importTokenizerJson(""); }),
            "no JSON: the parser stops at byte 1 of 0 in tokenizer.json");
  EXPECT_NE(errorOf([] { importTokenizerJson("\"\xff\""); }), "");
  EXPECT_NE(errorOf([] { importTokenizerJson(R"({"version": "\ud800"})"); }),
            "");
  EXPECT_NE(errorOf([] { importTokenizerJson("1e999"); }), "");
  EXPECT_EQ(errorOf([] { importTokenizerJson("[]"); }),
            "is not an object in tokenizer.json");
}

TEST(TokenizerJson, TakesDeepNesting) {
  EXPECT_NE(errorOf([] { importTokenizerJson(std::string(1000000, '[')); }),
            "");
  std::string deep = "{\"version\":" + std::string(200000, '[') +
                     std::string(200000, ']') + "}";
  EXPECT_NE(errorOf([&] { importTokenizerJson(deep); }), "");
  std::string open, close;
  for (int i = 0; i < 100; ++i) {
    open += R"({"type": "Sequence", "normalizers": [)";
    close += "]}";
  }
  json document = smallJson();
  document["normalizer"] = json::parse(open + close);
  std::string error = errorOf([&] { importTokenizerJson(document.dump()); });
  EXPECT_NE(error.find("nested more than 16 deep"), std::string::npos) << error;
}

TEST(TokenizerJson, SurvivesDamage) {
  json document = smallJson();
  document["pre_tokenizer"] = json::parse(R"({"type": "Sequence",
      "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"},
      {"type": "Split", "pattern": {"Regex": "\\s+|[a-c]{1,3}"}, "behavior":
       "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      {"type": "Digits", "individual_digits": false}]})");
  document["decoder"] = {{"type", "ByteLevel"}};
  document["normalizer"] = json::parse(R"({"type": "Sequence", "normalizers":
      [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": "x"},
        "content": "y"}]})");
  damage(document.dump(), 1, [](const std::string &bytes) {
    exercise(importTokenizerJson(bytes));
  });
}

} // namespace
