//===- GgufReaderTest.cpp - Tests of the GGUF parser ----------------------===//

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufTokenizerFields.h"
#include "tests/frontends/checkpoint/TestFiles.h"

#include <limits>

using namespace qcc;
using namespace qcc::test;

namespace {

GgufContents parse(const std::string &content) {
  return parseGguf(toBytes(content), "f.gguf");
}

std::string parseError(const std::string &content) {
  return errorOf([&] { parse(content); });
}
std::string parseError(const GgufWriter &writer) {
  return parseError(writer.finish());
}

TEST(GgufReader, ReadsEveryMetadataType) {
  GgufWriter writer;
  writer.value("u8", 0, "\xff")
      .value("i8", 1, "\xff")
      .value("u16", 2, rawBytes(uint16_t(65535)))
      .value("i16", 3, rawBytes(int16_t(-2)))
      .u32("u32", 4'000'000'000)
      .value("i32", 5, rawBytes(int32_t(-3)))
      .f32("f32", 0.5f)
      .value("true", 7, "\1")
      .value("false", 7, std::string(1, '\0'))
      .text("string", "some text")
      .value("u64", 10, rawBytes(UINT64_MAX))
      .value("i64", 11, rawBytes(INT64_MIN))
      .value("f64", 12, rawBytes(0.1));
  GgufMetadata meta = parse(writer.finish()).metadata;
  EXPECT_EQ(meta.values.size(), 13u);
  EXPECT_EQ(meta.integer("u8"), 255);
  EXPECT_EQ(meta.integer("i8"), -1);
  EXPECT_EQ(meta.integer("u16"), 65535);
  EXPECT_EQ(meta.integer("i16"), -2);
  EXPECT_EQ(meta.integer("u32"), 4'000'000'000);
  EXPECT_EQ(meta.integer("i32"), -3);
  EXPECT_EQ(meta.number("f32"), 0.5);
  EXPECT_EQ(meta.number("f64"), 0.1);
  EXPECT_EQ(meta.number("i32"), -3.0);
  EXPECT_EQ(meta.number("u32"), 4e9);
  EXPECT_EQ(meta.boolean("true"), true);
  EXPECT_EQ(meta.boolean("false"), false);
  EXPECT_EQ(meta.string("string"), "some text");
  EXPECT_EQ(meta.integer("i64"), INT64_MIN);
  EXPECT_EQ(errorOf([&] { meta.integer("u64"); }),
            "metadata 'u64' is not an integer in f.gguf");
}

TEST(GgufReader, ReadsEveryArrayType) {
  GgufWriter writer;
  writer.array<uint8_t>("u8", 0, {1, 255})
      .array<int8_t>("i8", 1, {-1, 2})
      .array<uint16_t>("u16", 2, {65535})
      .array<int16_t>("i16", 3, {-5})
      .array<uint32_t>("u32", 4, {4'000'000'000})
      .array<int32_t>("i32", 5, {-7})
      .array<float>("f32", 6, {0.5f, 2})
      .array<uint8_t>("bool", 7, {1, 0})
      .strings("string", {"", "b"})
      .array<uint64_t>("u64", 10, {1})
      .array<int64_t>("i64", 11, {INT64_MIN})
      .array<double>("f64", 12, {0.1})
      .array<float>("empty", 6, {});
  GgufMetadata meta = parse(writer.finish()).metadata;
  using Integers = std::vector<int64_t>;
  EXPECT_EQ(meta.integers("u8"), (Integers{1, 255}));
  EXPECT_EQ(meta.integers("i8"), (Integers{-1, 2}));
  EXPECT_EQ(meta.integers("u16"), (Integers{65535}));
  EXPECT_EQ(meta.integers("i16"), (Integers{-5}));
  EXPECT_EQ(meta.integers("u32"), (Integers{4'000'000'000}));
  EXPECT_EQ(meta.integers("i32"), (Integers{-7}));
  EXPECT_EQ(meta.numbers("f32"), (std::vector<double>{0.5, 2}));
  EXPECT_EQ(meta.integers("bool"), (Integers{1, 0}));
  EXPECT_EQ(meta.strings("string"), (std::vector<std::string>{"", "b"}));
  EXPECT_EQ(meta.integers("u64"), (Integers{1}));
  EXPECT_EQ(meta.integers("i64"), (Integers{INT64_MIN}));
  EXPECT_EQ(meta.numbers("f64"), (std::vector<double>{0.1}));
  EXPECT_TRUE(meta.numbers("empty").empty());
}

TEST(GgufReader, NamesMetadataOfTheWrongKind) {
  GgufWriter writer;
  writer.text("s", "x").u32("n", 1);
  GgufMetadata meta = parse(writer.finish()).metadata;
  EXPECT_TRUE(meta.has("s"));
  EXPECT_FALSE(meta.has("none"));
  EXPECT_EQ(meta.integer("none"), std::nullopt);
  EXPECT_EQ(meta.number("none"), std::nullopt);
  EXPECT_EQ(meta.string("none"), std::nullopt);
  EXPECT_TRUE(meta.strings("none").empty());
  EXPECT_EQ(meta.required("n"), 1);
  EXPECT_EQ(errorOf([&] { meta.integer("s"); }),
            "metadata 's' is not an integer in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.number("s"); }),
            "metadata 's' is not a number in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.boolean("s"); }),
            "metadata 's' is not a boolean in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.string("n"); }),
            "metadata 'n' is not a string in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.strings("n"); }),
            "metadata 'n' is not an array of strings in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.numbers("n"); }),
            "metadata 'n' is not an array of floats in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.integers("n"); }),
            "metadata 'n' is not an array of integers in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.required("none"); }),
            "metadata 'none' is missing in f.gguf");
  EXPECT_EQ(errorOf([&] { meta.requiredNumber("none"); }),
            "metadata 'none' is missing in f.gguf");
}

TEST(GgufReader, ReadsTensorsOfBothVersions) {
  for (uint32_t version : {2, 3})
    for (uint64_t align : {32, 128}) {
      GgufWriter writer;
      writer.version = version;
      writer.align = align;
      writer.u32("general.alignment", uint32_t(align))
          .tensor("a", {3, 2}, 0, rawBytes(std::vector<float>(6, 1.5f)))
          .tensor("b", {32, 1}, 8, std::string(34, '\1'))
          .tensor("scalar", {}, 0, rawBytes(7.0f))
          .tensor("none", {4, 0}, 0, "");
      std::vector<uint8_t> bytes = toBytes(writer.finish());
      GgufContents contents = parseGguf(bytes, "f");
      ASSERT_EQ(contents.tensors.size(), 4u);
      const TensorInfo &a = contents.tensors[0], &b = contents.tensors[1];
      EXPECT_EQ(a.name, "a");
      EXPECT_EQ(a.type, TensorType::F32);
      EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
      EXPECT_EQ(a.bytes, 24u);
      EXPECT_EQ(b.type, TensorType::Q8_0);
      EXPECT_EQ(b.offset, a.offset + align);
      EXPECT_EQ(contents.tensors[2].elements(), 1);
      EXPECT_EQ(contents.tensors[3].bytes, 0u);
      readEverything(contents.tensors, bytes);
    }
}

TEST(GgufReader, RefusesOtherFilesAndVersions) {
  EXPECT_EQ(parseError(""), "not a GGUF file in f.gguf");
  EXPECT_EQ(parseError("GGUF\3\0\0"), "not a GGUF file in f.gguf");
  EXPECT_EQ(parseError("GGML....."), "not a GGUF file in f.gguf");
  GgufWriter writer;
  for (uint32_t version : {0, 1, 4}) {
    writer.version = version;
    EXPECT_EQ(parseError(writer), "GGUF version " + std::to_string(version) +
                                      " is not supported; versions 2 and 3 are "
                                      "in f.gguf");
  }
  writer.version = 0x03000000;
  EXPECT_EQ(parseError(writer), "the file is big-endian in f.gguf; convert it "
                                "to little-endian");
}

TEST(GgufReader, ChecksCountsAgainstTheFile) {
  auto header = [](uint64_t tensors, uint64_t values) {
    return "GGUF" + rawBytes(uint32_t(3)) + rawBytes(tensors) +
           rawBytes(values);
  };
  EXPECT_EQ(
      parseError(header(UINT64_MAX, 0)),
      "the number of tensors is 18446744073709551615, more than fits into "
      "the file (24 bytes) in f.gguf");
  EXPECT_EQ(parseError(header(0, 1)),
            "the number of metadata values is 1, more than fits into the file "
            "(24 bytes) in f.gguf");
  EXPECT_EQ(parseError(header(0, 2'000'000) + std::string(30'000'000, '\0')),
            "the number of metadata values is 2000000, more than 1048576 in "
            "f.gguf");
  EXPECT_EQ(
      parseError(header(0, 1) + rawBytes(uint64_t(1000)) + "key, and more"),
      "the file ends at byte 45 inside a metadata key at byte 32 in f.gguf; "
      "the "
      "file may be truncated");
  GgufWriter writer;
  writer.value("a", 9, rawBytes(uint32_t(5)) + rawBytes(UINT64_MAX));
  EXPECT_EQ(parseError(writer),
            "the length of a metadata array is 18446744073709551615, more than "
            "fits into the file (64 bytes) in f.gguf");
}

TEST(GgufReader, RefusesBrokenMetadata) {
  EXPECT_EQ(parseError(GgufWriter().value("a\n", 13, "")),
            "metadata 'a\\x0a' has the unknown type 13 in f.gguf");
  EXPECT_EQ(parseError(GgufWriter().value("a", 9, rawBytes(uint32_t(13)))),
            "metadata 'a' is an array of the unknown type 13 in f.gguf");
  EXPECT_EQ(parseError(GgufWriter().value("a", 9, rawBytes(uint32_t(9)))),
            "metadata 'a' is an array of arrays, which is not supported in "
            "f.gguf");
  EXPECT_EQ(parseError(GgufWriter().u32("a", 1).u32("a", 2)),
            "metadata 'a' is there twice, with two values in f.gguf");
  EXPECT_EQ(parseError(GgufWriter().u32("a", 1).u32("a", 1)), "no error");
  for (uint32_t value : {0u, 3u, 1u << 21})
    EXPECT_EQ(parseError(GgufWriter().u32("general.alignment", value)),
              "metadata 'general.alignment' is " + std::to_string(value) +
                  ", no power of two up to 1048576 in f.gguf");
  EXPECT_EQ(parseError(GgufWriter().text("general.alignment", "x")),
            "metadata 'general.alignment' is not an integer in f.gguf");
}

TEST(GgufReader, RefusesBrokenTensors) {
  auto error = [](const std::vector<uint64_t> &shape, uint32_t type,
                  uint64_t offset) {
    return parseError(GgufWriter()
                          .tensor("x", {8}, 0, std::string(64, '\0'))
                          .entry("a", shape, type, offset));
  };
  EXPECT_EQ(error({1, 1, 1, 1, 1}, 0, 0),
            "tensor 'a' has rank 5, more than GGUF's 4 in f.gguf");
  EXPECT_EQ(error({32}, 4, 32),
            "tensor 'a' has the ggml type 4, which is not supported in f.gguf");
  EXPECT_EQ(error({32}, 16, 32), "tensor 'a' has the ggml type 16 (IQ2_XXS), "
                                 "which is not supported in f.gguf");
  const std::string shape =
      "tensor 'a' has a shape that is too large, or rows that are no multiple "
      "of ";
  EXPECT_EQ(error({UINT64_MAX}, 0, 0), shape + "1, the block of F32 in f.gguf");
  EXPECT_EQ(error({1ull << 32, 1ull << 32}, 0, 0),
            shape + "1, the block of F32 in f.gguf");
  EXPECT_EQ(error({31, 32}, 2, 0), shape + "32, the block of Q4_0 in f.gguf");
  EXPECT_EQ(error({}, 2, 0), shape + "32, the block of Q4_0 in f.gguf");
  EXPECT_EQ(error({8}, 0, 4),
            "tensor 'a' lies at offset 4, past the end of the "
            "file or no multiple of the alignment 32 in "
            "f.gguf");
  EXPECT_EQ(
      error({8}, 0, 1ull << 63),
      "tensor 'a' lies at offset 9223372036854775808, past the end of the "
      "file or no multiple of the alignment 32 in f.gguf");
  EXPECT_EQ(error({9}, 0, 0),
            "tensors 'x' and 'a' overlap at byte 96 in f.gguf");
  EXPECT_EQ(error({9}, 0, 32),
            "tensor 'a' ends at byte 164, past the end of the file (160 bytes) "
            "in f.gguf; the file may be truncated");
}

std::string exampleFile() {
  return GgufWriter()
      .text("general.architecture", "x")
      .u32("general.alignment", 32)
      .strings("words", {"a", "bc"})
      .array<float>("numbers", 6, {1, 2})
      .value("flag", 7, "\1")
      .tensor("a", {32, 2}, 2, std::string(36, '\x3c'))
      .tensor("b", {3}, 1, std::string(6, '\x3c'))
      .finish();
}

TEST(GgufReader, RefusesEveryTruncation) {
  std::string content = exampleFile();
  EXPECT_EQ(parseError(content), "no error");
  for (size_t size = 0; size < content.size(); ++size)
    EXPECT_NE(parseError(content.substr(0, size)), "no error") << size;
}

TEST(GgufReader, SurvivesChangedBytes) {
  const std::string content = exampleFile();
  for (size_t at = 0; at < content.size(); ++at)
    for (int change = 1; change < 256; ++change) {
      std::string changed = content;
      changed[at] = char(changed[at] ^ change);
      std::vector<uint8_t> bytes = toBytes(changed);
      try {
        readEverything(parseGguf(bytes, "f").tensors, bytes);
      } catch (const qrt::Error &error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
}

TEST(GgufReader, ReadsTheContainerFixtures) {
  auto containers = sharedData() / "containers";
  SKIP_WITHOUT(containers);
  auto parseFile = [&](const char *name) {
    std::string path = containers / name;
    qrt::MappedFile file(path);
    return parseGguf(file.bytes(), path);
  };
  // Their writer says general.architecture twice.
  GgufContents empty = parseFile("empty.gguf");
  EXPECT_TRUE(empty.tensors.empty());
  EXPECT_EQ(empty.metadata.string("general.architecture"), "generic");
  EXPECT_EQ(empty.metadata.integer("metadata_uint32"), 42);
  EXPECT_EQ(empty.metadata.string("metadata_str"), "hello");
  EXPECT_EQ(empty.metadata.strings("metadata_strs"),
            (std::vector<std::string>{"a", "b", "c"}));
  for (const char *name : {"single.gguf", "single_v2.gguf"}) {
    GgufContents single = parseFile(name);
    ASSERT_EQ(single.tensors.size(), 1u);
    EXPECT_EQ(single.tensors[0].name, "tensor0");
    EXPECT_EQ(single.tensors[0].shape, (std::vector<int64_t>{2, 2}));
  }
  EXPECT_EQ(parseFile("multiple.gguf").tensors.size(), 3u);
  EXPECT_EQ(errorOf([&] { parseFile("tiny.gguf"); }, containers.string()),
            "tensor 'test.weight.0' ends at byte 32896, past the end of the "
            "file (122 bytes) in @/tiny.gguf; the file may be truncated");
}

//===----------------------------------------------------------------------===//
// The tokenizer's fields
//===----------------------------------------------------------------------===//

TEST(GgufTokenizerFields, AreNothingWithoutATokenizer) {
  GgufMetadata meta = parse(GgufWriter().finish()).metadata;
  EXPECT_FALSE(readGgufTokenizerFields(meta));
}

TEST(GgufTokenizerFields, AreRead) {
  GgufWriter writer;
  auto key = [](const char *name) {
    return std::string("tokenizer.ggml.") + name;
  };
  writer.text(key("model"), "llama")
      .text(key("pre"), "default")
      .strings(key("tokens"), {"<unk>", "\xff"})
      .array<float>(key("scores"), 6, {0, -1.5f})
      .array<int32_t>(key("token_type"), 5, {2, 6})
      .strings(key("merges"), {"a b"})
      .u32(key("bos_token_id"), 1)
      .u32(key("unknown_token_id"), 0xffffffff)
      .value(key("add_bos_token"), 7, "\1")
      .value(key("remove_extra_whitespaces"), 7, std::string(1, '\0'))
      .array<int8_t>(key("precompiled_charsmap"), 1, {1, -1});
  auto fields = readGgufTokenizerFields(parse(writer.finish()).metadata);
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->model, "llama");
  EXPECT_EQ(fields->pre, "default");
  EXPECT_EQ(fields->tokens, (std::vector<std::string>{"<unk>", "\xff"}));
  EXPECT_EQ(fields->scores, (std::vector<float>{0, -1.5f}));
  EXPECT_EQ(fields->tokenType, (std::vector<int32_t>{2, 6}));
  EXPECT_EQ(fields->merges, (std::vector<std::string>{"a b"}));
  EXPECT_EQ(fields->bosTokenId, 1u);
  EXPECT_EQ(fields->eosTokenId, std::nullopt);
  EXPECT_EQ(fields->unknownTokenId, 0xffffffffu);
  EXPECT_EQ(fields->addBosToken, true);
  EXPECT_EQ(fields->addEosToken, std::nullopt);
  EXPECT_EQ(fields->removeExtraWhitespaces, false);
  EXPECT_EQ(fields->precompiledCharsmap, "\1\xff");
}

TEST(GgufTokenizerFields, AreCheckedForTheirRange) {
  GgufWriter ids;
  ids.text("tokenizer.ggml.model", "llama")
      .value("tokenizer.ggml.bos_token_id", 5, rawBytes(int32_t(-1)));
  GgufMetadata meta = parse(ids.finish()).metadata;
  EXPECT_EQ(errorOf([&] { readGgufTokenizerFields(meta); }),
            "metadata 'tokenizer.ggml.bos_token_id' holds -1, which is out of "
            "range in f.gguf");
}

} // namespace
