//===- DatasetsTest.cpp - Texts out of files and caches -------------------===//
//
// The Arrow files in tests/Inputs/datasets were written by pyarrow 22: a table
// of four rows with columns of other types around the text, as a stream and as
// a file, one of large_utf8, and a compressed one.
//
//===----------------------------------------------------------------------===//

#include "runtime/datasets/Arrow.h"
#include "runtime/datasets/Datasets.h"
#include "runtime/support/Error.h"
#include "tests/runtime/support/TemporaryFolder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace fs = std::filesystem;
using namespace qrt;
using qrt::test::FolderTest;

namespace {

std::string input(const std::string &name) {
  return std::string(QCC_TEST_INPUTS) + "/datasets/" + name;
}

std::vector<std::string> strings(const TextRecords &records) {
  return {records.texts.begin(), records.texts.end()};
}

std::string messageOf(const std::string &path) {
  try {
    readTextFile(path);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

void put(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<uint8_t> bytesOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TextFiles, ReadsArrow) {
  std::vector<std::string> expected = {"first text", "", "Zweiter Text \u00fc",
                                       ""};
  EXPECT_EQ(strings(readTextFile(input("stream.arrow"))), expected);
  EXPECT_EQ(strings(readTextFile(input("file.arrow"))), expected);
  EXPECT_EQ(strings(readTextFile(input("large.arrow"))),
            (std::vector<std::string>{"one sentence", "another one"}));
}

TEST(TextFiles, RefusesArrowThatItCannotRead) {
  std::vector<uint8_t> file = bytesOf(input("compressed.arrow"));
  EXPECT_THROW(readArrowTexts(file, "text", "f"), Error);
  file = bytesOf(input("stream.arrow"));
  EXPECT_THROW(readArrowTexts(file, "nothing", "f"), Error);
  EXPECT_THROW(readArrowTexts(file, "n", "f"), Error); // no text
}

TEST(TextFiles, SurvivesDamagedArrow) {
  std::vector<uint8_t> file = bytesOf(input("stream.arrow"));
  for (size_t size = 0; size < file.size(); ++size)
    try {
      readArrowTexts(std::span(file).first(size), "text", "f");
    } catch (const Error &) {
    }
  for (size_t i = 0; i < file.size(); ++i)
    for (uint8_t value : {0x00, 0x7f, 0xff}) {
      std::vector<uint8_t> damaged = file;
      damaged[i] = value;
      try {
        readArrowTexts(damaged, "text", "f");
      } catch (const Error &) {
      }
    }
}

/// Writes the flatbuffer of a message whose header is a schema.
class SchemaWriter {
public:
  SchemaWriter() {
    word(0);
    uint32_t message = table({1, 2});
    point(0, message);
    set(slot(message, 0), 1); // the header is a schema
    uint32_t schema = table({1});
    point(slot(message, 1), schema);
    uint32_t columns = vector(1);
    point(slot(schema, 0), columns);
    column = columns + 4;
  }
  /// A table with 32 bits for each field; returns where it is.
  uint32_t table(const std::vector<unsigned> &fields) {
    unsigned count = fields.empty() ? 0 : fields.back() + 1;
    count += count % 2; // keeps words aligned
    std::vector<uint16_t> places(count);
    for (size_t i = 0; i < fields.size(); ++i)
      places[fields[i]] = uint16_t(4 + 4 * i);
    uint32_t start = size();
    half(uint16_t(4 + 2 * count));
    half(uint16_t(4 + 4 * fields.size()));
    for (uint16_t place : places)
      half(place);
    uint32_t at = size();
    word(at - start);
    for (size_t i = 0; i < fields.size(); ++i)
      word(0);
    return at;
  }
  /// A vector of so many offsets.
  uint32_t vector(uint32_t count) {
    uint32_t at = size();
    word(count);
    for (uint32_t i = 0; i < count; ++i)
      word(0);
    return at;
  }
  void word(uint32_t value) {
    half(uint16_t(value));
    half(uint16_t(value >> 16));
  }
  void text(std::string_view characters) {
    bytes.insert(bytes.end(), characters.begin(), characters.end());
  }
  static uint32_t slot(uint32_t table, uint32_t index) {
    return table + 4 + 4 * index;
  }
  void point(uint32_t from, uint32_t to) { set(from, to - from); }
  uint32_t size() const { return uint32_t(bytes.size()); }

  /// The error of reading a stream of this message.
  std::string error() const {
    SchemaWriter head = *this;
    head.bytes.assign(4, 0xff);
    head.word(size());
    std::vector<uint8_t> file = head.bytes;
    file.insert(file.end(), bytes.begin(), bytes.end());
    try {
      readArrowTexts(file, "text", "f");
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  }

  uint32_t column; ///< where the offset of the one column stands

private:
  void half(uint16_t value) {
    bytes.push_back(uint8_t(value));
    bytes.push_back(uint8_t(value >> 8));
  }
  void set(uint32_t at, uint32_t value) {
    for (int i = 0; i < 4; ++i)
      bytes[at + size_t(i)] = uint8_t(value >> (8 * i));
  }
  std::vector<uint8_t> bytes;
};

TEST(TextFiles, BoundsArrowsVectors) {
  // A name of four characters at the end of the message.
  auto named = [](uint32_t length) {
    SchemaWriter writer;
    uint32_t field = writer.table({0});
    writer.point(writer.column, field);
    writer.point(SchemaWriter::slot(field, 0), writer.size());
    writer.word(length);
    writer.text("text");
    return writer.error();
  };
  EXPECT_NE(named(4).find("has a column of that name that is no plain text"),
            std::string::npos)
      << named(4);
  for (uint32_t length : {5u, 8u, 0xffffffffu})
    EXPECT_NE(named(length).find("has a vector that ends behind it"),
              std::string::npos)
        << named(length);
}

TEST(TextFiles, BoundsArrowsNestedColumns) {
  // 24 levels of four children that are one: 4^24 to look at.
  SchemaWriter writer;
  std::vector<uint32_t> parents = {writer.column};
  for (int level = 0; level < 24; ++level) {
    uint32_t field = writer.table({5});
    for (uint32_t parent : parents)
      writer.point(parent, field);
    uint32_t children = writer.vector(4);
    writer.point(SchemaWriter::slot(field, 0), children);
    parents = {children + 4, children + 8, children + 12, children + 16};
  }
  uint32_t leaf = writer.table({});
  for (uint32_t parent : parents)
    writer.point(parent, leaf);
  EXPECT_NE(writer.error().find("nests its columns too deep"),
            std::string::npos)
      << writer.error();
}

class TextFolder : public FolderTest {};

TEST_F(TextFolder, ReadsJsonLines) {
  std::vector<std::string> expected = {"alpha", "beta", "gamma"};
  EXPECT_EQ(strings(readTextFile(input("records.json.gz"))), expected);
  std::string path = this->path("a.jsonl");
  put(path, "{\"text\": \"alpha\"}\n\n\"beta\"\r\n{\"content\": \"gamma\"}");
  EXPECT_EQ(strings(readTextFile(path)), expected);
  put(path, "{\"text\": \"alpha\"}\n{\"text\": \n");
  EXPECT_EQ(messageOf(path),
            "a line of the file is no JSON in " + path + ", line 2");
  put(path, "{\"number\": 1}\n");
  EXPECT_EQ(messageOf(path),
            "a line of the file holds no text in " + path +
                ", line 1; each is a string or an object with \"text\"");
}

TEST_F(TextFolder, ReadsText) {
  std::string path = this->path("a.txt");
  put(path, "\xef\xbb\xbfplain\ntext\n");
  EXPECT_EQ(strings(readTextFile(path)),
            (std::vector<std::string>{"plain\ntext\n"}));
  put(path, "caf\xe9\n");
  EXPECT_EQ(messageOf(path), "the text is not UTF-8 at byte 3 in " + path +
                                 "; convert it, for example with iconv");
}

TEST_F(TextFolder, RefusesDamagedGzip) {
  std::vector<uint8_t> file = bytesOf(input("records.json.gz"));
  std::string path = this->path("cut.json.gz");
  put(path, std::string(file.begin(), file.begin() + 40));
  EXPECT_NE(messageOf(path), "");
}

class Caches : public FolderTest {
protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (const char *name : {"HF_DATASETS_CACHE", "HF_HUB_CACHE"})
      ::unsetenv(name);
    ::setenv("HF_HOME", this->path("hf").c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("HF_HOME");
    FolderTest::TearDown();
  }
  void copy(const std::string &from, const std::string &to) {
    fs::path path = this->path("hf/" + to);
    fs::create_directories(path.parent_path());
    fs::copy_file(input(from), path);
  }
};

TEST_F(Caches, FindsDatasets) {
  EXPECT_FALSE(findDataset("wikitext2", "train"));
  copy("stream.arrow", "datasets/wikitext/wikitext-2-raw-v1/0.0.0/abc/"
                       "wikitext-train.arrow");
  copy("file.arrow", "datasets/wikitext/wikitext-103-raw-v1/0.0.0/abc/"
                     "wikitext-train.arrow");
  auto records = findDataset("wikitext2", "train");
  ASSERT_TRUE(records);
  EXPECT_EQ(records->texts.size(), 4u);
  EXPECT_FALSE(findDataset("wikitext2", "test"));

  copy("large.arrow", "datasets/ptb_text_only/penn_treebank/1.1.0/x/"
                      "ptb_text_only-train.arrow");
  EXPECT_EQ(strings(*findDataset("ptb-new", "train")),
            (std::vector<std::string>{"one sentence", "another one"}));

  copy("records.json.gz", "hub/datasets--allenai--c4/snapshots/1/en/"
                          "c4-train.00000-of-01024.json.gz");
  EXPECT_EQ(findDataset("c4", "train")->texts.size(), 3u);
  EXPECT_FALSE(findDataset("c4", "validation"));
}

TEST_F(Caches, JoinsShards) {
  for (const char *shard : {"00000-of-00002", "00001-of-00002"})
    copy("stream.arrow",
         std::string("datasets/allenai___c4/default/0.0.0/x/c4-train-") +
             shard + ".arrow");
  EXPECT_EQ(findDataset("c4-new", "train")->texts.size(), 8u);
}

TEST(Names, AreThoseOfTheLoaders) {
  for (const char *name : {"wikitext2", "c4", "c4-new", "ptb", "ptb-new"})
    EXPECT_TRUE(isDatasetName(name)) << name;
  for (const char *name : {"self", "wikitext", "wikitext2-new", "a.txt"})
    EXPECT_FALSE(isDatasetName(name)) << name;
  EXPECT_EQ(recordSeparator("ptb"), "\n\n");
  EXPECT_EQ(recordSeparator("ptb-new"), " ");
  EXPECT_EQ(recordSeparator("wikitext2"), "\n\n");
}

} // namespace
