//===- HostCopies.h - Large copies to and from a GPU ------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H
#define QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H

#include "runtime/executor/cuda/Device.h"

#include <cstdint>
#include <span>

namespace qcc::cuda {

/// Pinned memory of at least so many bytes: `buffer`, which grows for it and
/// then loses what it held.
std::span<char> reserve(qrt::cuda::PinnedBuffer &buffer,
                        const qrt::cuda::Device &device, uint64_t bytes);

/// Copies between ordinary host memory and a GPU's at the speed of the link:
/// piece by piece through two pinned buffers, which `threads` threads fill and
/// empty while the GPU copies.
class HostCopies {
public:
  explicit HostCopies(const qrt::cuda::Device &device);
  ~HostCopies();
  HostCopies(const HostCopies &) = delete;
  HostCopies &operator=(const HostCopies &) = delete;

  /// Pinned memory of at least so many bytes, which toDevice() copies at once
  /// and which loses what it held when it grows.
  std::span<char> room(uint64_t bytes) {
    return reserve(pinned, device, bytes);
  }

  /// On the device's stream. `from` may be changed when this returns, but not
  /// room(), before the stream has got so far.
  void toDevice(qrt::cuda::DevicePointer to, const void *from, uint64_t bytes,
                unsigned threads);
  /// Waits for everything on the device's stream.
  void toHost(void *to, qrt::cuda::DevicePointer from, uint64_t bytes,
              unsigned threads);

private:
  struct Half {
    qrt::cuda::PinnedBuffer buffer;
    qrt::cuda::Event done = nullptr;
  };
  void wait(const Half &half) const;

  const qrt::cuda::Device &device;
  Half halves[2];
  qrt::cuda::PinnedBuffer pinned; ///< room()'s
};

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H
