//===- TestFiles.h - Small model files for the tests ------------*- C++ -*-===//

#ifndef QCC_TESTS_FRONTENDS_CHECKPOINT_TESTFILES_H
#define QCC_TESTS_FRONTENDS_CHECKPOINT_TESTFILES_H

#include "frontends/checkpoint/Checkpoint.h"
#include "runtime/support/Error.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <vector>

namespace qcc::test {

inline std::filesystem::path sharedData() {
  const char *path = std::getenv("QCC_SHARED_DATA");
  return path ? path : QCC_SHARED_DATA;
}

inline std::filesystem::path ggufInputs() {
  return std::filesystem::path(QCC_TEST_INPUTS) / "gguf";
}

/// A folder of its own for the running test; gone when the test ends.
class TempFolder {
public:
  TempFolder() {
    std::filesystem::path temp = testing::TempDir();
    std::string pattern = (temp / "qcc-checkpoint-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
      throw std::runtime_error("cannot make a folder in " + testing::TempDir());
    root = pattern;
  }
  ~TempFolder() {
    std::error_code error;
    std::filesystem::remove_all(root, error);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  std::string path() const { return root.string(); }
  /// The path of `name` in the folder.
  std::string operator/(const std::string &name) const {
    return (root / name).string();
  }
  /// Writes a file, with the folders above it. A file that is there is
  /// replaced, not rewritten: it may be mapped, and some file systems write a
  /// truncated one to the disk at once.
  std::string write(const std::string &name, const std::string &content) const {
    std::filesystem::path file = root / name;
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::remove(file);
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

private:
  std::filesystem::path root;
};

/// The message of the qrt::Error that `call` throws, with `folder` written as
/// "@"; "no error" if it throws none.
template <typename Call>
std::string errorOf(Call call, const std::string &folder = "") {
  try {
    call();
  } catch (const qrt::Error &error) {
    std::string text = error.what(), out;
    size_t from = 0;
    for (size_t at;
         !folder.empty() && (at = text.find(folder, from)) != std::string::npos;
         from = at + folder.size())
      out += text.substr(from, at - from) + '@';
    return out + text.substr(from);
  }
  return "no error";
}

/// The bytes of a number or of an array of numbers.
template <typename T>
std::string rawBytes(T value) {
  return {reinterpret_cast<const char *>(&value), sizeof(T)};
}
template <typename T>
std::string rawBytes(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()),
          values.size() * sizeof(T)};
}

/// A safetensors file with that JSON header.
inline std::string safetensors(const std::string &header,
                               const std::string &data = "") {
  return rawBytes(uint64_t(header.size())) + header + data;
}

/// A copy of exactly its size, so that sanitizers see reads past its end.
inline std::vector<uint8_t> toBytes(const std::string &text) {
  return {text.begin(), text.end()};
}

/// All elements of a tensor.
inline std::vector<float> readAll(const Checkpoint &checkpoint,
                                  const std::string &name) {
  const TensorInfo *info = checkpoint.find(name);
  if (!info)
    throw std::runtime_error("no tensor " + name);
  std::vector<float> out(size_t(info->elements()));
  checkpoint.readF32(*info, 0, info->elements(), out.data());
  return out;
}

/// Reads every byte that `infos` say lies in `bytes`.
inline void readEverything(const std::vector<TensorInfo> &infos,
                           std::span<const uint8_t> bytes) {
  for (const TensorInfo &info : infos) {
    ASSERT_LE(info.offset + info.bytes, bytes.size());
    ASSERT_EQ(info.bytes, uint64_t(byteCount(info.type, info.shape)));
    std::vector<float> out(size_t(info.elements()));
    convertToF32(info.type, bytes.data() + info.offset, info.elements(),
                 out.data());
  }
}

/// Builds GGUF files. Strings and tensors are taken as they are, right or not.
class GgufWriter {
public:
  uint32_t version = 3;
  uint64_t align = 32;

  GgufWriter &value(const std::string &key, uint32_t kind,
                    const std::string &bytes) {
    ++values;
    metadata += string(key) + rawBytes(kind) + bytes;
    return *this;
  }
  GgufWriter &u32(const std::string &key, uint32_t number) {
    return value(key, 4, rawBytes(number));
  }
  GgufWriter &f32(const std::string &key, float number) {
    return value(key, 6, rawBytes(number));
  }
  GgufWriter &text(const std::string &key, const std::string &content) {
    return value(key, 8, string(content));
  }
  template <typename T>
  GgufWriter &array(const std::string &key, uint32_t kind,
                    const std::vector<T> &elements) {
    return value(key, 9,
                 rawBytes(kind) + rawBytes(uint64_t(elements.size())) +
                     rawBytes(elements));
  }
  GgufWriter &strings(const std::string &key,
                      const std::vector<std::string> &elements) {
    std::string bytes =
        rawBytes(uint32_t(8)) + rawBytes(uint64_t(elements.size()));
    for (const std::string &element : elements)
      bytes += string(element);
    return value(key, 9, bytes);
  }
  /// `shape` in GGUF's order, the fastest dimension first.
  GgufWriter &tensor(const std::string &name,
                     const std::vector<uint64_t> &shape, uint32_t type,
                     const std::string &bytes) {
    data.resize((data.size() + align - 1) / align * align);
    entry(name, shape, type, data.size());
    data += bytes;
    return *this;
  }
  GgufWriter &entry(const std::string &name, const std::vector<uint64_t> &shape,
                    uint32_t type, uint64_t offset) {
    ++tensors;
    infos += string(name) + rawBytes(uint32_t(shape.size())) + rawBytes(shape) +
             rawBytes(type) + rawBytes(offset);
    return *this;
  }
  std::string finish() const {
    std::string file = "GGUF" + rawBytes(version) + rawBytes(tensors) +
                       rawBytes(values) + metadata + infos;
    file.resize((file.size() + align - 1) / align * align);
    return file + data;
  }

  static std::string string(const std::string &text) {
    return rawBytes(uint64_t(text.size())) + text;
  }

private:
  uint64_t tensors = 0, values = 0;
  std::string metadata, infos, data;
};

} // namespace qcc::test

#define SKIP_WITHOUT(path)                                                     \
  if (!std::filesystem::exists(path))                                          \
  GTEST_SKIP() << "the shared data has no " << (path).string()

#endif // QCC_TESTS_FRONTENDS_CHECKPOINT_TESTFILES_H
