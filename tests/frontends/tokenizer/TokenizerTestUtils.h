//===- TokenizerTestUtils.h - What tokenizer tests share --------*- C++ -*-===//

#ifndef QCC_TESTS_FRONTENDS_TOKENIZER_TOKENIZERTESTUTILS_H
#define QCC_TESTS_FRONTENDS_TOKENIZER_TOKENIZERTESTUTILS_H

#include "frontends/tokenizer/TokenizerImport.h"
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
