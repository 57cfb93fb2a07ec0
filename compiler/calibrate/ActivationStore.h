//===- ActivationStore.h - Where calibration keeps activations --*- C++ -*-===//
//
// A value for every calibration token is large: 128 x 2048 tokens of a 7B model
// are 5 to 20 GB. Up to a limit such values are in memory; beyond it they are
// in files that are mapped, which the system writes out as it needs the memory.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_ACTIVATIONSTORE_H
#define QCC_COMPILER_CALIBRATE_ACTIVATIONSTORE_H

#include "runtime/executor/Memory.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

class ActivationStore;

/// A value for every token: [tokens][columns] f32. Move-only; goes back to its
/// store, which outlives it, when it is destroyed.
class Activations {
public:
  Activations() = default;
  Activations(Activations &&other) noexcept { swap(other); }
  Activations &operator=(Activations &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Activations();

  float *data() const { return reinterpret_cast<float *>(block.start); }
  int64_t tokens() const { return rows; }
  int64_t columns() const { return width; }
  size_t bytes() const { return size_t(rows * width) * sizeof(float); }

private:
  friend class ActivationStore;
  /// In memory, or a mapped file that has no name any more.
  struct Block {
    char *start = nullptr;
    size_t size = 0;
    qrt::Memory memory;
    bool isFile = false;
  };
  void swap(Activations &other) noexcept;

  ActivationStore *store = nullptr;
  int64_t rows = 0, width = 0;
  Block block;
};

class ActivationStore {
public:
  /// Files lie in `folder`; at most `memoryLimit` bytes are in memory.
  ActivationStore(std::string folder, uint64_t memoryLimit);
  ~ActivationStore();
  ActivationStore(const ActivationStore &) = delete;
  ActivationStore &operator=(const ActivationStore &) = delete;

  /// What is in it is arbitrary. Throws qrt::Error if there is neither memory
  /// nor room on the disk.
  Activations make(int64_t tokens, int64_t columns);
  /// Whether something lies, or lay, in a file.
  bool usesFiles() const { return hasFiles; }

private:
  friend class Activations;
  using Block = Activations::Block;
  Block allocate(size_t size);
  Block mapFile(size_t size);
  void takeBack(Block block);
  void discard(Block &block);

  std::string folder;
  uint64_t memoryLimit, inMemory = 0;
  bool hasFiles = false;
  /// Blocks that nobody uses: layers need the same sizes again, and new memory
  /// from the system would have to be cleared.
  std::vector<Block> spare;
};

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_ACTIVATIONSTORE_H
