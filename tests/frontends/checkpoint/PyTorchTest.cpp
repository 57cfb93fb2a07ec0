//===- PyTorchTest.cpp - Tests of torch.save's files ----------------------===//

#include "frontends/checkpoint/PyTorch.h"

#include "frontends/checkpoint/ZipDirectory.h"
#include "tests/frontends/checkpoint/PickleWriter.h"

#include <algorithm>

using namespace qcc;
using namespace qcc::test;
namespace p = qcc::test::pickle;

namespace {

std::filesystem::path inputs() {
  return std::filesystem::path(QCC_TEST_INPUTS) / "pytorch";
}

std::string content(const std::string &name) {
  std::ifstream file(inputs() / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string errorIn(const std::string &bytes) {
  std::vector<uint8_t> copy = toBytes(bytes);
  return errorOf([&] { parsePyTorch(copy, "f"); });
}

std::string replaced(std::string text, const std::string &what,
                     const std::string &by) {
  size_t at = text.find(what);
  if (at == std::string::npos || what.size() != by.size())
    throw std::runtime_error("no such text to replace");
  return text.replace(at, what.size(), by);
}

/// Both formats, and a dictionary within one, against the values that PyTorch
/// has: tied, sliced, transposed, permuted and expanded views in every type.
class PyTorchFiles : public testing::TestWithParam<const char *> {};

TEST_P(PyTorchFiles, HasPyTorchsValues) {
  TempFolder folder;
  folder.write("config.json", "{}");
  std::string file = folder.write(GetParam(), content(GetParam()));
  auto checkpoint = Checkpoint::open(file);
  auto values = openSafetensorsFile(inputs() / "values.safetensors");
  EXPECT_EQ(checkpoint->tensors().size(), values->tensors().size());
  for (const TensorInfo &want : values->tensors()) {
    SCOPED_TRACE(want.name);
    const TensorInfo *info = checkpoint->find(want.name);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->shape, want.shape);
    std::vector<float> expected = readAll(*values, want.name);
    EXPECT_EQ(readAll(*checkpoint, want.name), expected);
    // Ranges that begin and end anywhere.
    for (size_t first = 0; first < expected.size(); ++first) {
      std::vector<float> part((expected.size() - first + 1) / 2);
      checkpoint->readF32(*info, int64_t(first), int64_t(part.size()),
                          part.data());
      EXPECT_TRUE(
          std::equal(part.begin(), part.end(), expected.begin() + first));
    }
  }
  auto typeOf = [&](const char *name) { return checkpoint->find(name)->type; };
  EXPECT_EQ(typeOf("half"), TensorType::F16);
  EXPECT_EQ(typeOf("bfloat"), TensorType::BF16);
  EXPECT_EQ(typeOf("double"), TensorType::F64);
  EXPECT_EQ(typeOf("int64"), TensorType::I64);
  EXPECT_EQ(typeOf("bool"), TensorType::Bool);

  EXPECT_EQ(checkpoint->find("tied")->offset,
            checkpoint->find("dense")->offset);
  // Rows of a matrix are in order; its columns are not.
  EXPECT_EQ(checkpoint->bytes(*checkpoint->find("rows")).size(), 3u * 8 * 4);
  EXPECT_EQ(errorOf([&] { checkpoint->bytes(*checkpoint->find("columns")); },
                    folder.path()),
            "tensor 'columns' is a view with strides, which is supported for "
            "float weights only in @/" +
                std::string(GetParam()) + "; save a contiguous copy of it");
  EXPECT_NE(checkpoint->contentHash(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Formats, PyTorchFiles,
                         testing::Values("zip.bin", "legacy.bin", "nested.pt"),
                         [](const auto &info) {
                           std::string name = info.param;
                           return name.substr(0, name.find('.'));
                         });

/// Whatever is cut off: an error, never a read past the end.
TEST(PyTorch, RefusesEveryTruncation) {
  for (const char *name : {"zip.bin", "legacy.bin"}) {
    const std::string bytes = content(name);
    for (size_t size = 0; size < bytes.size(); ++size) {
      std::string error = errorIn(bytes.substr(0, size));
      EXPECT_NE(error, "no error") << name << " " << size;
      EXPECT_EQ(error.find('\n'), std::string::npos);
    }
  }
}

/// Whatever is damaged: an error, or tensors that lie inside the file.
TEST(PyTorch, SurvivesEveryDamagedByte) {
  for (const char *name : {"zip.bin", "legacy.bin"}) {
    const std::vector<uint8_t> bytes = toBytes(content(name));
    for (size_t at = 0; at < bytes.size(); ++at)
      for (uint8_t flip : {0x01, 0xff}) {
        std::vector<uint8_t> damaged = bytes;
        damaged[at] ^= flip;
        errorOf([&] {
          for (const TensorInfo &info : parsePyTorch(damaged, "f")) {
            ASSERT_LE(info.offset, damaged.size());
            ASSERT_LE(info.bytes, damaged.size() - info.offset);
          }
        });
      }
  }
}

TEST(PyTorch, RefusesOtherFiles) {
  EXPECT_EQ(errorIn("GGUF"),
            "the file is none that torch.save writes: neither a zip archive "
            "nor PyTorch's older format in f");
  const std::string zip = content("zip.bin");
  EXPECT_EQ(errorIn(replaced(zip, "little", "biglit")),
            "the byte order is 'biglit', not 'little' in f");
  const std::string legacy = content("legacy.bin");
  EXPECT_EQ(errorIn(replaced(legacy, "little_endian\x71\x02\x88",
                             "little_endian\x71\x02\x89")),
            "the byte order is big-endian in f");
  EXPECT_EQ(errorIn(replaced(legacy, "FloatStorage", "FloatXtorage")),
            "the pickle names the function or class 'torch.FloatXtorage', "
            "which weights do not need at byte 234 in f; nothing was executed");
}

//===----------------------------------------------------------------------===//
// Zip archives
//===----------------------------------------------------------------------===//

struct ZipFile {
  std::string name, bytes;
  uint16_t method = 0, flags = 0;
  uint32_t size = UINT32_MAX; ///< as the directory says it; max: the right one
};

/// Builds an archive, right or not.
std::string makeZip(const std::vector<ZipFile> &files) {
  std::string out, directory;
  auto u16 = [](size_t v) { return rawBytes(uint16_t(v)); };
  auto u32 = [](size_t v) { return rawBytes(uint32_t(v)); };
  for (const ZipFile &file : files) {
    size_t size = file.size == UINT32_MAX ? file.bytes.size() : file.size;
    std::string common = u16(20) + u16(file.flags) + u16(file.method) + u32(0) +
                         u32(0) + u32(file.bytes.size()) + u32(size) +
                         u16(file.name.size()) + u16(0);
    directory += "PK\1\2" + u16(20) + common + u16(0) + u16(0) + u16(0) +
                 u32(0) + u32(out.size()) + file.name;
    out += "PK\3\4" + common + file.name + file.bytes;
  }
  size_t at = out.size();
  return out + directory + "PK\5\6" + u16(0) + u16(0) + u16(files.size()) +
         u16(files.size()) + u32(directory.size()) + u32(at) + u16(0);
}

std::string zipError(const std::vector<ZipFile> &files) {
  return errorIn(makeZip(files));
}

TEST(ZipDirectory, FindsFiles) {
  std::string zip = makeZip({{"a/x", "one"}, {"a/y", ""}});
  // A comment may follow the directory's end.
  zip[zip.size() - 2] = 4;
  zip += "PK\5\6";
  std::vector<uint8_t> bytes = toBytes(zip);
  ASSERT_TRUE(isZip(bytes));
  auto entries = readZipDirectory(bytes, "f");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(zip.substr(entries["a/x"].offset, entries["a/x"].bytes), "one");
  EXPECT_EQ(entries["a/y"].bytes, 0u);
}

TEST(ZipDirectory, RefusesWhatIsNotStored) {
  EXPECT_EQ(zipError({{"x", "one", 8}}),
            "file 'x' of the archive is compressed in f; save it with "
            "torch.save, which does not");
  EXPECT_EQ(zipError({{"x", "one", 0, 1}}),
            "file 'x' of the archive is encrypted in f");
  EXPECT_EQ(zipError({{"x", "one", 0, 0, 5}}),
            "file 'x' of the archive has two sizes, 3 and 5 in f");
  EXPECT_EQ(zipError({{"x", "one"}, {"x", "two"}}),
            "file 'x' is in the archive twice in f");
  EXPECT_EQ(zipError({{"x", "one"}}),
            "the zip archive has no data.pkl in f; torch.save writes one");
  EXPECT_EQ(zipError({{"m/data.pkl", "\x80\2}."}, {"m/constants.pkl", ""}}),
            "the file is a TorchScript program in f; save the model's "
            "state_dict() with torch.save");
  EXPECT_EQ(zipError({{"m/data.pkl", "\x80\2}."}}),
            "the pickle is no dictionary of tensors in f; save the model's "
            "state_dict()");
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

/// An archive of tensor "w" and of storage "0" with four f32.
std::string withStorage(const std::string &tensor) {
  return makeZip({{"m/data.pkl", p::dict(p::text("w") + tensor)},
                  {"m/data/0", rawBytes(std::vector<float>{1, 2, 3, 4})}});
}

TEST(PyTorchViews, LieInTheirStorage) {
  std::vector<uint8_t> bytes =
      toBytes(withStorage(p::tensor(4, 1, {3, 1}, {1, 7})));
  std::vector<TensorInfo> infos = parsePyTorch(bytes, "f");
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].bytes, 12u);
  // The stride of a dimension of one element says nothing.
  EXPECT_TRUE(infos[0].strides.empty());
  float out[3];
  convertToF32(TensorType::F32, bytes.data() + infos[0].offset, 3, out);
  EXPECT_EQ(out[0], 2);
  EXPECT_EQ(out[2], 4);
  EXPECT_EQ(errorIn(withStorage(p::tensor(4, 4, {0}, {1}))), "no error");
}

TEST(PyTorchViews, RefusesWhatLiesOutside) {
  const std::string want = "tensor 'w' lies past the end of its storage '0' of "
                           "4 elements in f";
  for (auto [offset, size, stride] : {std::tuple<int, int, int>{0, 5, 1},
                                      {1, 4, 1},
                                      {4, 1, 1},
                                      {5, 0, 1},
                                      {0, 2, 4},
                                      {INT32_MAX, 1, 1},
                                      {0, INT32_MAX, INT32_MAX}})
    EXPECT_EQ(errorIn(withStorage(p::tensor(4, offset, {size}, {stride}))),
              want)
        << offset << " " << size << " " << stride;
  EXPECT_EQ(
      errorIn(withStorage(p::tensor(4, 0, {INT32_MAX, INT32_MAX}, {0, 0}))),
      "tensor 'w' has a shape that is too large in f");
  EXPECT_EQ(errorIn(withStorage(p::tensor(5, 0, {4}, {1}))),
            "storage '0' has 16 bytes, not 5 elements of F32 in f");
  EXPECT_EQ(zipError({{"m/data.pkl",
                       p::dict(p::text("w") + p::tensor(1, 0, {1}, {1}))}}),
            "storage '0' of tensor 'w' is missing in f");
}

} // namespace
