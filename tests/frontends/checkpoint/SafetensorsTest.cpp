//===- SafetensorsTest.cpp - Tests of the safetensors reader --------------===//

#include "frontends/checkpoint/Safetensors.h"

#include "tests/frontends/checkpoint/TestFiles.h"

using namespace qcc;
using namespace qcc::test;

namespace {

std::string parseError(const std::string &content) {
  std::vector<uint8_t> bytes = toBytes(content);
  return errorOf([&] { parseSafetensors(bytes, "f.safetensors"); });
}

/// The error of a file whose header is `header`, with 8 bytes of data.
std::string headerError(const std::string &header) {
  return parseError(safetensors(header, "01234567"));
}

std::string entry(const std::string &name, const std::string &dtype,
                  const std::string &shape, int from, int to) {
  return '"' + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
         R"(,"data_offsets":[)" + std::to_string(from) + ',' +
         std::to_string(to) + "]}";
}

TEST(Safetensors, ReadsEveryDtype) {
  struct {
    const char *dtype;
    TensorType type;
    std::string bytes; ///< of 1 and 3
  } cases[] = {
      {"F64", TensorType::F64, rawBytes(std::vector<double>{1, 3})},
      {"F32", TensorType::F32, rawBytes(std::vector<float>{1, 3})},
      {"F16", TensorType::F16, rawBytes(std::vector<uint16_t>{0x3c00, 0x4200})},
      {"BF16", TensorType::BF16,
       rawBytes(std::vector<uint16_t>{0x3f80, 0x4040})},
      {"I64", TensorType::I64, rawBytes(std::vector<int64_t>{1, 3})},
      {"I32", TensorType::I32, rawBytes(std::vector<int32_t>{1, 3})},
      {"I16", TensorType::I16, rawBytes(std::vector<int16_t>{1, 3})},
      {"I8", TensorType::I8, "\1\3"},
      {"U64", TensorType::U64, rawBytes(std::vector<uint64_t>{1, 3})},
      {"U32", TensorType::U32, rawBytes(std::vector<uint32_t>{1, 3})},
      {"U16", TensorType::U16, rawBytes(std::vector<uint16_t>{1, 3})},
      {"U8", TensorType::U8, "\1\3"},
  };
  TempFolder folder;
  for (const auto &c : cases) {
    SCOPED_TRACE(c.dtype);
    std::string path = folder.write(
        "f",
        safetensors('{' + entry("a", c.dtype, "[2,1]", 0, int(c.bytes.size())) +
                        '}',
                    c.bytes));
    auto file = openSafetensorsFile(path);
    ASSERT_EQ(file->tensors().size(), 1u);
    const TensorInfo &info = file->tensors()[0];
    EXPECT_EQ(info.type, c.type);
    EXPECT_EQ(info.shape, (std::vector<int64_t>{2, 1}));
    EXPECT_EQ(std::string(file->bytes(info).begin(), file->bytes(info).end()),
              c.bytes);
    EXPECT_EQ(readAll(*file, "a"), (std::vector<float>{1, 3}));
    EXPECT_TRUE(file->config().is_null());
  }
}

TEST(Safetensors, ReadsScalarsEmptyTensorsAndMetadata) {
  std::vector<uint8_t> bytes =
      toBytes(safetensors(R"({"__metadata__":{"format":"pt","dtype":"x"},)" +
                              entry("c", "BOOL", "[0,7]", 1, 1) + ',' +
                              entry("b", "F32", "[]", 1, 5) + ',' +
                              entry("a", "BOOL", "[1]", 0, 1) + "}   ",
                          std::string(1, '\1') + rawBytes(2.5f)));
  std::vector<TensorInfo> infos = parseSafetensors(bytes, "f");
  ASSERT_EQ(infos.size(), 3u);
  EXPECT_EQ(infos[0].name, "a");
  EXPECT_EQ(infos[1].elements(), 1);
  EXPECT_TRUE(infos[1].shape.empty());
  EXPECT_EQ(infos[2].bytes, 0u);
  readEverything(infos, bytes);
  EXPECT_TRUE(parseSafetensors(toBytes(safetensors("{}")), "f").empty());
}

TEST(Safetensors, RefusesBrokenHeaders) {
  EXPECT_EQ(parseError(""), "the file is 0 bytes, too short for safetensors "
                            "in f.safetensors");
  EXPECT_EQ(parseError("1234567"), "the file is 7 bytes, too short for "
                                   "safetensors in f.safetensors");
  EXPECT_EQ(parseError(rawBytes(uint64_t(3)) + "{}"),
            "the header's length is 3 in a file of 10 bytes in f.safetensors");
  EXPECT_EQ(parseError(rawBytes(UINT64_MAX) + "{}"),
            "the header's length is 18446744073709551615 in a file of 10 bytes "
            "in f.safetensors");
  EXPECT_EQ(parseError(safetensors("")),
            "the header is no valid JSON at byte 9 in f.safetensors");
  EXPECT_EQ(parseError(safetensors("{\"a\":}")),
            "the header is no valid JSON at byte 14 in f.safetensors");
  EXPECT_EQ(parseError(safetensors("{\"\xff\":1}")),
            "the header is no valid JSON at byte 11 in f.safetensors");
  EXPECT_EQ(parseError(safetensors(R"({"a":1e999})")),
            "the header is no valid JSON in f.safetensors");
  EXPECT_EQ(parseError(safetensors("[]")),
            "the header is no JSON object in f.safetensors");
  EXPECT_EQ(parseError(safetensors(std::string(100'000, '['))),
            "the header is nested too deeply in f.safetensors");
}

TEST(Safetensors, RefusesBrokenEntries) {
  EXPECT_EQ(headerError(R"({"a":[]})"),
            "tensor 'a' has an entry that is no object in f.safetensors");
  EXPECT_EQ(headerError(R"({"a\n":{"shape":[],"data_offsets":[0,8]}})"),
            "tensor 'a\\x0a' has no field 'dtype' in f.safetensors");
  EXPECT_EQ(headerError(R"({"a":{"dtype":"F64","data_offsets":[0,8]}})"),
            "tensor 'a' has no field 'shape' in f.safetensors");
  EXPECT_EQ(headerError(R"({"a":{"dtype":"F64","shape":[]}})"),
            "tensor 'a' has no field 'data_offsets' in f.safetensors");
  EXPECT_EQ(headerError(R"({"a":{"dtype":1,"shape":[],"data_offsets":[0,8]}})"),
            "tensor 'a' has a 'dtype' that is no string in f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F8_E4M3", "[8]", 0, 8) + '}'),
            "tensor 'a' has the dtype 'F8_E4M3', which is not supported in "
            "f.safetensors");
  // GGUF's types are no dtypes.
  EXPECT_EQ(headerError('{' + entry("a", "Q4_0", "[8]", 0, 8) + '}'),
            "tensor 'a' has the dtype 'Q4_0', which is not supported in "
            "f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F64", "1", 0, 8) + '}'),
            "tensor 'a' has a 'shape' that is no array in f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F64", "[-1]", 0, 8) + '}'),
            "tensor 'a' has '-1' in 'shape', not a size in f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F64", "[1.0]", 0, 8) + '}'),
            "tensor 'a' has '1.0' in 'shape', not a size in f.safetensors");
  EXPECT_EQ(
      headerError('{' + entry("a", "F64", "[4611686018427387905]", 0, 8) + '}'),
      "tensor 'a' has '4611686018427387905' in 'shape', not a size in "
      "f.safetensors");
  EXPECT_EQ(headerError(
                '{' + entry("a", "F64", "[4294967296,4294967296]", 0, 0) + '}'),
            "tensor 'a' has a shape that is too large in f.safetensors");
  EXPECT_EQ(
      headerError(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0]}})"),
      "tensor 'a' has 'data_offsets' that are no two numbers in "
      "f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F64", "[2]", 0, 8) + '}'),
            "tensor 'a' has the data_offsets 0 and 8 but 16 bytes by its shape "
            "and dtype in f.safetensors");
  EXPECT_EQ(headerError('{' + entry("a", "F64", "[1]", 8, 0) + '}'),
            "tensor 'a' has the data_offsets 8 and 0 but 8 bytes by its shape "
            "and dtype in f.safetensors");
}

TEST(Safetensors, RefusesDuplicateKeys) {
  std::string a = entry("a", "U8", "[4]", 0, 4),
              b = entry("a", "U8", "[4]", 4, 8);
  EXPECT_EQ(headerError('{' + a + ',' + b + '}'),
            "tensor 'a' is there twice in f.safetensors");
  EXPECT_EQ(
      headerError(
          R"({"a":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}})"),
      "field 'dtype' is there twice in one entry in f.safetensors");
}

TEST(Safetensors, RefusesOverlapsHolesAndEnds) {
  auto two = [](int from, int to, int count) {
    return '{' + entry("a", "U8", "[4]", 0, 4) + ',' +
           entry("b", "U8", '[' + std::to_string(count) + ']', from, to) + '}';
  };
  EXPECT_EQ(headerError(two(4, 8, 4)), "no error");
  std::string header = two(3, 8, 5);
  EXPECT_EQ(headerError(header), "tensors 'a' and 'b' overlap at byte " +
                                     std::to_string(header.size() + 11) +
                                     " in f.safetensors");
  header = two(5, 8, 3);
  EXPECT_EQ(headerError(header), "bytes " + std::to_string(header.size() + 12) +
                                     " to " +
                                     std::to_string(header.size() + 13) +
                                     " belong to no tensor in f.safetensors");
  header = two(4, 7, 3);
  EXPECT_EQ(headerError(header), "bytes " + std::to_string(header.size() + 15) +
                                     " to " +
                                     std::to_string(header.size() + 16) +
                                     " belong to no tensor in f.safetensors");
  header = two(4, 9, 5);
  EXPECT_EQ(headerError(header),
            "tensor 'b' ends at byte " + std::to_string(header.size() + 17) +
                ", past the end of the file (" +
                std::to_string(header.size() + 16) +
                " bytes) in f.safetensors; the file may be truncated");
}

std::string exampleFile() {
  return safetensors(R"({"__metadata__":{"format":"pt"},)" +
                         entry("a", "F16", "[2,2]", 0, 8) + ',' +
                         entry("b", "F32", "[3]", 8, 20) + '}',
                     std::string(20, '\x3c'));
}

TEST(Safetensors, RefusesEveryTruncation) {
  std::string content = exampleFile();
  EXPECT_EQ(parseError(content), "no error");
  for (size_t size = 0; size < content.size(); ++size)
    EXPECT_NE(parseError(content.substr(0, size)), "no error") << size;
}

/// Whatever a byte is changed to: an error, or tensors inside the file.
TEST(Safetensors, SurvivesChangedBytes) {
  const std::string content = exampleFile();
  for (size_t at = 0; at < content.size(); ++at)
    for (int change = 1; change < 256; ++change) {
      std::string changed = content;
      changed[at] = char(changed[at] ^ change);
      std::vector<uint8_t> bytes = toBytes(changed);
      try {
        readEverything(parseSafetensors(bytes, "f"), bytes);
      } catch (const qrt::Error &error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
}

TEST(Safetensors, ReadsTheContainerFixtures) {
  auto containers = sharedData() / "containers";
  SKIP_WITHOUT(containers);
  EXPECT_TRUE(
      openSafetensorsFile(containers / "empty.safetensors")->tensors().empty());
  auto single = openSafetensorsFile(containers / "single.safetensors");
  EXPECT_EQ(readAll(*single, "tensor0"), std::vector<float>(4));
  auto multiple = openSafetensorsFile(containers / "multiple.safetensors");
  ASSERT_EQ(multiple->tensors().size(), 3u);
  EXPECT_EQ(multiple->find("tensor2")->shape, (std::vector<int64_t>{4, 3}));
  // Five bytes too many, which the format's own implementation refuses, too.
  EXPECT_EQ(
      errorOf([&] { openSafetensorsFile(containers / "tiny.safetensors"); },
              containers.string()),
      "bytes 32851 to 32856 belong to no tensor in @/tiny.safetensors");
}

} // namespace
