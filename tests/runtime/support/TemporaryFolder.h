//===- TemporaryFolder.h - A folder for one test ----------------*- C++ -*-===//

#ifndef QRT_TESTS_RUNTIME_SUPPORT_TEMPORARYFOLDER_H
#define QRT_TESTS_RUNTIME_SUPPORT_TEMPORARYFOLDER_H

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace qrt::test {

/// A test with a folder of its own, which is removed with its content.
class FolderTest : public testing::Test {
protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "qrt-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  std::string path(const std::string &name) const {
    return (folder / name).string();
  }
  size_t fileCount() const {
    return size_t(
        std::distance(std::filesystem::directory_iterator(folder), {}));
  }
  void write(const std::string &name, const std::string &content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  std::string read(const std::string &name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder;
};

} // namespace qrt::test

#endif // QRT_TESTS_RUNTIME_SUPPORT_TEMPORARYFOLDER_H
