//===- PanelStream.h - Panels that are written ahead ------------*- C++ -*-===//
//
// Panels of weights depend on nothing that a step computes: they are written on
// a stream of lower priority, in what other kernels leave of the GPU, while the
// product in front reads the other of two panels.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_EXECUTOR_CUDA_PANELSTREAM_H
#define QRT_EXECUTOR_CUDA_PANELSTREAM_H

#include "runtime/executor/cuda/Device.h"

namespace qrt::cuda {

/// The stream, and what orders it and the device's stream: a panel follows the
/// product that read its place before, and a product its panel. Not copied;
/// `device` outlives it.
class PanelStream {
public:
  static constexpr uint32_t kPlaces = 2;

  explicit PanelStream(const Device &device);
  /// Waits for what is on the stream.
  ~PanelStream();
  PanelStream(const PanelStream &) = delete;
  PanelStream &operator=(const PanelStream &) = delete;

  /// The stream, for a panel at `place`; wroteTo() comes after it.
  Stream forPanel(uint32_t place);
  void wroteTo(uint32_t place);
  /// Around a product that reads `place`, on the device's stream.
  void beforeProduct(uint32_t place);
  void afterProduct(uint32_t place);

private:
  void release();

  const Device &device;
  Stream side = nullptr;
  Event written[kPlaces] = {}, read[kPlaces] = {};
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_PANELSTREAM_H
