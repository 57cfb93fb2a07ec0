//===- Device.h - One GPU and its memory ------------------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_DEVICE_H
#define QRT_EXECUTOR_CUDA_DEVICE_H

#include "runtime/executor/cuda/Driver.h"

#include <optional>
#include <string>
#include <utility>

namespace qrt::cuda {

/// The number of "cuda", "cuda:1" or "1"; nothing for other names.
std::optional<int> gpuNumber(std::string device);

/// Whether the environment variable is 0.
bool isSwitchedOff(const char *variable);

/// A GPU's primary context with a stream. Not copied; outlives everything that
/// is made with it.
class Device {
public:
  /// Throws qrt::Error if there is no driver, with `hint`, or no such device.
  explicit Device(int ordinal, const std::string &hint = "use --device cpu");
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const Driver &driver() const { return *api; }
  Stream stream() const { return queue; }
  const std::string &name() const { return label; }
  int multiprocessors() const { return attribute(MultiprocessorCount); }
  /// 90 for compute capability 9.0.
  int architecture() const {
    return attribute(ComputeMajor) * 10 + attribute(ComputeMinor);
  }
  int attribute(int which) const;
  /// Makes the context this thread's. Throws qrt::Error if it is lost.
  void use() const;
  /// The same for destructors: a lost context is no concern of theirs.
  void tryUse() const noexcept { api->setContext(context); }
  /// Bytes a second that the memory's clock and width give.
  double nominalBandwidth() const;
  /// Bytes that nobody uses.
  uint64_t freeBytes() const;

private:
  const Driver *api = nullptr;
  DeviceId id = 0;
  Context context = nullptr;
  Stream queue = nullptr;
  std::string label;
};

/// Device memory. Move-only.
class Buffer {
public:
  Buffer() = default;
  /// Throws qrt::Error with the bytes needed and free, what they are for, and
  /// `hint`.
  Buffer(const Device &device, uint64_t bytes, const std::string &what,
         const std::string &hint = "");
  ~Buffer();
  Buffer(Buffer &&other) noexcept { *this = std::move(other); }
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(owner, other.owner);
    std::swap(start, other.start);
    std::swap(length, other.length);
    return *this;
  }
  DevicePointer address() const { return start; }
  uint64_t size() const { return length; }

private:
  const Device *owner = nullptr;
  DevicePointer start = 0;
  uint64_t length = 0;
};

/// Host memory that the GPU reads and writes at the link's speed. Move-only.
class PinnedBuffer {
public:
  PinnedBuffer() = default;
  PinnedBuffer(const Device &device, uint64_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer &&other) noexcept { *this = std::move(other); }
  PinnedBuffer &operator=(PinnedBuffer &&other) noexcept {
    std::swap(owner, other.owner);
    std::swap(start, other.start);
    std::swap(length, other.length);
    return *this;
  }
  char *data() const { return static_cast<char *>(start); }
  uint64_t size() const { return length; }

private:
  const Device *owner = nullptr;
  void *start = nullptr;
  uint64_t length = 0;
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_DEVICE_H
