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

/// A metadata value: numbers are widened, arrays are of one kind.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string,
                               std::vector<std::string>, std::vector<int64_t>,
                               std::vector<double>>;

/// The key-value part of a GGUF file, with typed access: a value of the wrong
/// kind is a qrt::Error that names the key.
class GgufMetadata {
public:
  std::map<std::string, GgufValue> values;
  std::string file;

  bool has(const std::string &key) const { return values.contains(key); }
  std::optional<int64_t> integer(const std::string &key) const;
  std::optional<double> number(const std::string &key) const;
  std::optional<bool> boolean(const std::string &key) const;
  std::optional<std::string> string(const std::string &key) const;
  std::vector<std::string> strings(const std::string &key) const;
  std::vector<double> numbers(const std::string &key) const;
  std::vector<int64_t> integers(const std::string &key) const;
  /// integer(), or an error that says that the key is missing.
  int64_t required(const std::string &key) const;
};

/// A GGUF file under Hugging Face names. Architectures: llama.
class GgufCheckpoint : public Checkpoint {
public:
  explicit GgufCheckpoint(const std::string &path) : Checkpoint(path) {}
  bool isGguf() const override { return true; }
  const GgufMetadata &metadata() const { return meta; }
  /// True if a weight is in a block type, or in 8 bits.
  bool isQuantized() const;

private:
  friend std::unique_ptr<Checkpoint> openGguf(const std::string &path);
  void open();
  void makeConfig();

  GgufMetadata meta;
};

std::unique_ptr<Checkpoint> openGguf(const std::string &path);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_GGUF_H
