//===- Checkpoint.h - Tensors and configuration of a model ------*- C++ -*-===//
//
// One interface over Hugging Face folders (safetensors) and GGUF files. Nothing
// in a file is trusted: every offset, count and shape is checked when the
// checkpoint is opened, with messages that name file and tensor.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H
#define QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H

#include "frontends/checkpoint/TensorType.h"
#include "runtime/support/MappedFile.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace qcc {

/// One tensor, under its Hugging Face name.
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape; ///< PyTorch's order, rows first
  size_t file = 0;            ///< index of the file it lies in
  uint64_t offset = 0;        ///< bytes from the start of the file
  uint64_t bytes = 0;
  /// q and k of GGUF's llama: rows are in rotary pairs.
  bool rotaryPermuted = false;

  int64_t elements() const;
};

/// A model's files, mapped.
class Checkpoint {
public:
  /// Opens a folder in Hugging Face layout or a .gguf file. Throws qrt::Error
  /// naming the file and what is wrong with it.
  static std::unique_ptr<Checkpoint> open(const std::string &path);
  virtual ~Checkpoint() = default;

  const std::vector<TensorInfo> &tensors() const { return infos; }
  /// The tensor of that name, or null.
  const TensorInfo *find(const std::string &name) const;
  std::span<const uint8_t> bytes(const TensorInfo &info) const {
    return files[info.file].bytes().subspan(info.offset, info.bytes);
  }
  /// Elements first .. first + count as f32. Thread-safe.
  void readF32(const TensorInfo &info, int64_t first, int64_t count,
               float *out) const;
  /// Lets the tensor's pages go.
  void release(const TensorInfo &info) const {
    files[info.file].release(info.offset, info.bytes);
  }
  const std::string &fileName(const TensorInfo &info) const {
    return files[info.file].path();
  }

  /// config.json; for GGUF one that says the same.
  const nlohmann::json &config() const { return configuration; }
  /// generation_config.json, or null.
  const nlohmann::json &generationConfig() const { return generation; }
  /// The model's chat template, or empty.
  const std::string &chatTemplate() const { return chat; }
  const std::string &path() const { return location; }
  virtual bool isGguf() const { return false; }

  /// A hash of the configuration and of all tensors' names, types, shapes and
  /// bytes: the source's identity in an artifact. Reads every byte.
  uint64_t contentHash() const;

protected:
  explicit Checkpoint(std::string path) : location(std::move(path)) {}
  /// Adds a tensor; refuses a second one of that name and ranges outside the
  /// file.
  void add(TensorInfo info);

  std::string location;
  std::vector<qrt::MappedFile> files;
  std::vector<TensorInfo> infos;
  std::unordered_map<std::string, size_t> byName;
  nlohmann::json configuration, generation;
  std::string chat;
};

/// Product of a shape, or -1 if it does not fit into 2^62 or a size is
/// negative.
int64_t elementCount(const std::vector<int64_t> &shape);

/// Parses a JSON file of at most 256 MiB; throws qrt::Error naming it.
nlohmann::json readJsonFile(const std::string &path);

std::unique_ptr<Checkpoint> openSafetensorsFolder(const std::string &path);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H
