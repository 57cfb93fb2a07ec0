//===- Safetensors.h - Goldens for tests ------------------------*- C++ -*-===//
//
// A reader of trusted safetensors files, so that the tests of a layer do not
// depend on the frontends above it. Finding files: inputs of the repository,
// and the shared data, without which a test is skipped.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_SUPPORT_SAFETENSORS_H
#define QCC_TESTS_SUPPORT_SAFETENSORS_H

#include "runtime/formats/HalfFloat.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace qcc::test {

/// `path` below the shared test data: $QCC_SHARED_DATA, else the folder that
/// CMake recorded.
inline std::filesystem::path sharedData(const std::string &path) {
  const char *folder = std::getenv("QCC_SHARED_DATA");
  return std::filesystem::path(folder ? folder : QCC_SHARED_DATA) / path;
}

/// `path` below tests/Inputs.
inline std::filesystem::path testInput(const std::string &path) {
  return std::filesystem::path(QCC_TEST_INPUTS) / path;
}

/// Skips the test, saying why, where the shared data is absent.
#define QCC_REQUIRE_FILE(path)                                                 \
  do {                                                                         \
    if (!std::filesystem::exists(path))                                        \
      GTEST_SKIP() << "needs the shared test data: " << (path).string();       \
  } while (false)

struct GoldenTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  /// The elements as T, whose size must be the stored one.
  template <class T>
  std::vector<T> as() const {
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty())
      std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }

  /// F32, F16 or BF16 elements as f32.
  std::vector<float> floats() const {
    if (dtype == "F32")
      return as<float>();
    std::vector<float> values;
    for (uint16_t half : as<uint16_t>())
      values.push_back(dtype == "F16" ? qrt::halfToFloat(half)
                                      : qrt::bfloatToFloat(half));
    return values;
  }
};

/// All tensors of a file by name.
class Goldens {
public:
  explicit Goldens(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    std::string data((std::istreambuf_iterator<char>(file)), {});
    uint64_t header;
    std::memcpy(&header, data.data(), sizeof(header));
    auto entries = nlohmann::json::parse(data.substr(8, header));
    for (auto &[name, entry] : entries.items()) {
      if (name == "__metadata__")
        continue;
      GoldenTensor tensor;
      tensor.dtype = entry["dtype"];
      tensor.shape = entry["shape"].get<std::vector<int64_t>>();
      auto offsets = entry["data_offsets"].get<std::vector<size_t>>();
      auto begin = data.begin() + std::ptrdiff_t(8 + header);
      tensor.bytes.assign(begin + std::ptrdiff_t(offsets[0]),
                          begin + std::ptrdiff_t(offsets[1]));
      tensors.emplace(name, std::move(tensor));
    }
  }

  bool has(const std::string &name) const { return tensors.count(name) > 0; }
  const GoldenTensor &operator[](const std::string &name) const {
    auto it = tensors.find(name);
    if (it == tensors.end())
      throw std::runtime_error("no golden tensor '" + name + "'");
    return it->second;
  }
  auto begin() const { return tensors.begin(); }
  auto end() const { return tensors.end(); }

private:
  std::map<std::string, GoldenTensor> tensors;
};

} // namespace qcc::test

#endif // QCC_TESTS_SUPPORT_SAFETENSORS_H
