//===- Tools.h - Running qcc and qrt in tests -------------------*- C++ -*-===//

#ifndef QCC_TESTS_E2E_TOOLS_H
#define QCC_TESTS_E2E_TOOLS_H

#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace qcc::test {

/// A command that ran.
struct Outcome {
  int status = -1; ///< exit status; 128 + n for a signal
  std::string out, err;
};

/// Runs a program with arguments, without a shell; `input` is its standard
/// input, `environment` holds "NAME=value" on top of the test's own.
Outcome run(const std::string &program, const std::vector<std::string> &args,
            const std::string &input = "",
            const std::vector<std::string> &environment = {});
/// Runs qcc as on a machine without a GPU, so that the default of --target is
/// the same everywhere.
inline Outcome qcc(std::vector<std::string> args,
                   std::vector<std::string> environment = {}) {
  environment.insert(environment.begin(), "CUDA_VISIBLE_DEVICES=");
  return run(QCC_BIN, args, "", environment);
}
inline Outcome qrt(std::vector<std::string> args,
                   const std::vector<std::string> &environment = {}) {
  return run(QRT_BIN, args, "", environment);
}

/// A folder that is removed with the object.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string path(const std::string &name) const {
    return (folder / name).string();
  }
  const std::filesystem::path folder;
};

/// The shared test data, or an empty path.
std::filesystem::path sharedData();

std::string readFile(const std::filesystem::path &path);
void writeFile(const std::filesystem::path &path, const std::string &bytes);

/// A tensor of a golden file, as double.
std::vector<double> readTensor(const std::filesystem::path &file,
                               const std::string &name);

/// "1,2,3"
std::string joinIds(const std::vector<double> &ids);

/// |a - b| / |b|
double relativeError(const std::vector<double> &a,
                     const std::vector<double> &b);

} // namespace qcc::test

#define SKIP_WITHOUT_SHARED_DATA()                                             \
  if (qcc::test::sharedData().empty())                                         \
  GTEST_SKIP() << "the shared test data is not there"

#endif // QCC_TESTS_E2E_TOOLS_H
