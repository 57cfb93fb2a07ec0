//===- FakeModel.h - Small artifacts for tests ------------------*- C++ -*-===//

#ifndef QRT_TESTS_RUNTIME_ARTIFACT_FAKEMODEL_H
#define QRT_TESTS_RUNTIME_ARTIFACT_FAKEMODEL_H

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qrt::test {

inline constexpr uint32_t kFakeVocabulary = 32;
inline constexpr int32_t kFakeBos = 28, kFakeEos = 29;

struct FakeModelOptions {
  bool tokenizer = true;
  uint32_t context = 64;
  uint32_t positions = 64; ///< of a learned table; 0: none
  int32_t bos = kFakeBos;
  std::string chatTemplate; ///< empty: none
  /// Added to every row of logits; at most 32 values.
  std::vector<float> bias;
};

/// Writes an artifact whose kernels are those of FakeKernels.c. Its tokenizer
/// has a token for each of "abc...z .", then <s>, </s> and the two bytes of é.
void writeFakeModel(const std::string &path,
                    const FakeModelOptions &options = {});

/// What greedy decoding of it gives without a bias.
std::vector<int32_t> fakeGreedy(std::vector<int32_t> prompt, size_t count);

/// A folder that is removed with its content.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  std::string operator/(const std::string &name) const {
    return (path / name).string();
  }

private:
  std::filesystem::path path;
};

std::string readBytes(const std::string &path);
void writeBytes(const std::string &path, const std::string &bytes);

} // namespace qrt::test

#endif // QRT_TESTS_RUNTIME_ARTIFACT_FAKEMODEL_H
