//===- Upload.h - Copies weights to a GPU -----------------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_UPLOAD_H
#define QRT_EXECUTOR_CUDA_UPLOAD_H

#include "runtime/executor/LoadTimes.h"
#include "runtime/executor/cuda/Device.h"

#include <span>

namespace qrt::cuda {

struct UploadPiece {
  std::span<const uint8_t> from; ///< in a mapped file
  DevicePointer to;
};

/// Copies all pieces and returns when they are there. One thread reads a file
/// that is in memory at a fraction of the link's speed, so several do, into
/// pinned buffers that are copied while others are filled. Fills in the fields
/// of `times` that are about weights. Throws qrt::Error if the device fails.
void upload(const Device &device, std::span<const UploadPiece> pieces,
            LoadTimes &times);

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_UPLOAD_H
