//===- Gguf.h - GGUF files --------------------------------------*- C++ -*-===//
//
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md,
// versions 2 and 3, little-endian.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_GGUF_H
#define QCC_FRONTENDS_CHECKPOINT_GGUF_H

#include "frontends/checkpoint/Checkpoint.h"

#include <map>
#include <optional>
#include <variant>

namespace qcc {

/// A metadata value: numbers are widened, arrays are of one kind (booleans are
/// integers there).
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string,
                               std::vector<std::string>, std::vector<int64_t>,
                               std::vector<double>>;

/// The key-value part of a GGUF file, with typed access: a value of the wrong
/// kind is a qrt::Error that names the key. A key that is not there gives
/// nothing, or an empty array.
class GgufMetadata {
public:
  std::map<std::string, GgufValue> values;
  std::string file;

  bool has(const std::string &key) const { return values.contains(key); }
  std::optional<int64_t> integer(const std::string &key) const;
  /// A float or an integer.
  std::optional<double> number(const std::string &key) const;
  std::optional<bool> boolean(const std::string &key) const;
  std::optional<std::string> string(const std::string &key) const;
  std::vector<std::string> strings(const std::string &key) const;
  std::vector<double> numbers(const std::string &key) const;
  std::vector<int64_t> integers(const std::string &key) const;
  /// integer() and number(), or an error that says that the key is missing.
  int64_t required(const std::string &key) const;
  double requiredNumber(const std::string &key) const;
};

/// What a GGUF file says before its tensors' bytes.
struct GgufContents {
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors; ///< under GGUF's names, in the file's order
};

/// Parses a file with the content `bytes`. Throws qrt::Error, naming `file`,
/// for whatever does not follow the format.
GgufContents parseGguf(std::span<const uint8_t> bytes, const std::string &file);

/// A GGUF file under Hugging Face names (GgufArchitecture.h).
class GgufCheckpoint : public Checkpoint {
public:
  /// Throws qrt::Error if that is no such file.
  explicit GgufCheckpoint(const std::string &path);
  bool isGguf() const override { return true; }
  const GgufMetadata &metadata() const { return meta; }
  /// True if a tensor is in a block type.
  bool isQuantized() const;

private:
  /// Maps the file, or all files that a split model has, and reads the metadata
  /// of the first. Returns the tensors under GGUF's names.
  std::vector<TensorInfo> openParts(const std::string &path);

  GgufMetadata meta;
};

std::unique_ptr<Checkpoint> openGguf(const std::string &path);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_GGUF_H
