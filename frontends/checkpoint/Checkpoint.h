//===- Checkpoint.h - Tensors and configuration of a model ------*- C++ -*-===//
//
// One interface over Hugging Face folders (safetensors, PyTorch's pickles) and
// GGUF files. Nothing in a file is trusted or executed: every offset, count and
// shape is checked when the checkpoint is opened, with messages that name file
// and tensor.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H
#define QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H

#include "frontends/checkpoint/TensorInfo.h"
#include "runtime/support/MappedFile.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace qcc {

/// A model's files, mapped. Tensors have their Hugging Face names. All members
/// may be called from several threads at once.
class Checkpoint {
public:
  /// Opens a folder in Hugging Face layout, a file of weights in such a folder,
  /// a .gguf file, or a folder that holds one .gguf file and no config.json.
  /// Throws qrt::Error naming the file
  /// and what is wrong with it.
  static std::unique_ptr<Checkpoint> open(const std::string &path);
  virtual ~Checkpoint() = default;

  const std::vector<TensorInfo> &tensors() const { return infos; }
  /// The tensor of that name, or null.
  const TensorInfo *find(const std::string &name) const;
  /// The bytes of one of tensors(), as they lie in its file; valid as long as
  /// the checkpoint. Throws qrt::Error for a tensor with strides, whose bytes
  /// are not its elements in order.
  std::span<const uint8_t> bytes(const TensorInfo &info) const;
  /// Elements [first, first + count) of one of tensors() as f32, converted or
  /// dequantized; a range need not begin or end with a block. Throws qrt::Error
  /// if the tensor has no such elements.
  void readF32(const TensorInfo &info, int64_t first, int64_t count,
               float *out) const;
  /// Lets the tensor's pages go, so that a model streams through little memory.
  void release(const TensorInfo &info) const {
    files[info.file].release(info.offset, info.bytes);
  }
  const std::string &fileName(const TensorInfo &info) const {
    return files[info.file].path();
  }

  /// config.json, an object; for GGUF one that says the same; null for
  /// openSafetensorsFile().
  const nlohmann::json &config() const { return configuration; }
  /// generation_config.json, or null.
  const nlohmann::json &generationConfig() const { return generation; }
  /// The folder or the .gguf file.
  const std::string &path() const { return location; }
  virtual bool isGguf() const { return false; }

  /// A hash of the configuration and of all tensors' names, types, shapes and
  /// bytes: the source's identity in an artifact, whatever its place and the
  /// cut into files. Reads every byte at each call.
  uint64_t contentHash() const;

protected:
  /// From the first element's byte to the last one's.
  std::span<const uint8_t> range(const TensorInfo &info) const {
    return files[info.file].bytes().subspan(info.offset, info.bytes);
  }
  explicit Checkpoint(std::string path) : location(std::move(path)) {}
  /// Adds a tensor; refuses a second one of that name.
  void add(TensorInfo info);

  std::string location;
  std::vector<qrt::MappedFile> files;
  std::vector<TensorInfo> infos;
  std::unordered_map<std::string, size_t> byName;
  nlohmann::json configuration, generation;
};

/// Parses a JSON file of at most 256 MiB and 64 levels; throws qrt::Error
/// naming it.
nlohmann::json readJsonFile(const std::string &path);

/// A folder in Hugging Face layout. `weights` names the file in it that holds
/// the weights, where that is not one of transformers' names.
std::unique_ptr<Checkpoint>
openHuggingFaceFolder(const std::string &path, const std::string &weights = "");

/// A .safetensors file by itself: tensors without a configuration.
std::unique_ptr<Checkpoint> openSafetensorsFile(const std::string &path);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_CHECKPOINT_H
