//===- TokenizerTestUtils.h - What tokenizer tests share --------*- C++ -*-===//

#ifndef QCC_TESTS_FRONTENDS_TOKENIZER_TOKENIZERTESTUTILS_H
#define QCC_TESTS_FRONTENDS_TOKENIZER_TOKENIZERTESTUTILS_H

#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/support/Error.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <vector>

namespace qcc::test {

inline std::filesystem::path sharedData() {
  const char *path = std::getenv("QCC_SHARED_DATA");
  return path ? path : QCC_SHARED_DATA;
}

inline std::filesystem::path testInputs() {
  return std::filesystem::path(QCC_TEST_INPUTS) / "tokenizer";
}

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What \p call throws; empty if nothing.
template <typename Callable>
std::string errorOf(Callable call) {
  try {
    call();
  } catch (const qrt::Error &error) {
    return error.what();
  }
  return {};
}

/// A folder that is gone after the test.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = testing::TempDir() + "qccXXXXXX";
    if (!mkdtemp(name.data()))
      ADD_FAILURE() << "cannot make the folder " << name;
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  void write(const std::string &name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
  }

  std::filesystem::path path;
};

/// Damages \p bytes in many ways; \p run gets each of them, and may throw
/// qrt::Error, but nothing else. \p step: every how many bytes.
template <typename Callable>
void damage(const std::string &bytes, size_t step, Callable run) {
  for (size_t i = 0; i < bytes.size(); i += step) {
    std::string damaged = bytes.substr(0, i);
    errorOf([&] { run(damaged); });
    for (unsigned flip : {0x01u, 0x20u, 0x80u, 0xffu}) {
      damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      errorOf([&] { run(damaged); });
    }
    damaged = bytes;
    damaged.erase(i, 1);
    errorOf([&] { run(damaged); });
  }
}

/// Uses a model that may be damaged in all ways there are.
inline void exercise(const qrt::TokenizerModel &model) {
  qrt::Tokenizer tokenizer(qrt::deserialize(qrt::serialize(model)));
  auto ids = tokenizer.encode("Hi <s>\xff you're 12345 \u4f60  \n<|end|>");
  tokenizer.decode(ids, true);
}

/// The ids decoded one by one.
inline std::string streamed(const qrt::Tokenizer &tokenizer,
                            const std::vector<int32_t> &ids,
                            bool skipSpecial = false) {
  qrt::StreamDecoder decoder(tokenizer, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    text += decoder.push(id);
  return text + decoder.flush();
}

} // namespace qcc::test

#define SKIP_WITHOUT(path)                                                     \
  if (!std::filesystem::exists(path))                                          \
  GTEST_SKIP() << "the shared data has no " << (path).string()

#endif // QCC_TESTS_FRONTENDS_TOKENIZER_TOKENIZERTESTUTILS_H
