//===- HostCopies.h - Large copies to and from a GPU ------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H
#define QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H

#include "runtime/executor/cuda/Device.h"

namespace qcc::cuda {

/// Copies between ordinary host memory and a GPU's at the speed of the link:
/// piece by piece through two pinned buffers, which `threads` threads fill and
/// empty while the GPU copies.
class HostCopies {
public:
  explicit HostCopies(const qrt::cuda::Device &device);
  ~HostCopies();
  HostCopies(const HostCopies &) = delete;
  HostCopies &operator=(const HostCopies &) = delete;

  /// On the device's stream. `from` may be changed when this returns.
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
};

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_HOSTCOPIES_H
