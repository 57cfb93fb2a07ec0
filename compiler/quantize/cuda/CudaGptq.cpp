//===- CudaGptq.cpp - GPTQ on an NVIDIA GPU -------------------------------===//

#include "compiler/quantize/cuda/CudaGptq.h"

namespace qcc {

CudaGptq::CudaGptq(const qrt::cuda::Device &device)
    : gpu(device), products(device), functions(device), transfers(device) {}

void CudaGptq::place(std::initializer_list<Part> parts,
                     const std::string &what) {
  constexpr int64_t kAlignment = 256;
  auto padded = [](int64_t bytes) {
    return uint64_t((bytes + kAlignment - 1) / kAlignment * kAlignment);
  };
  uint64_t total = 0;
  for (const Part &part : parts)
    total += padded(part.bytes);
  if (total > workspace.size()) {
    workspace = {}; // before the new one is asked for
    workspace = qrt::cuda::Buffer(gpu, total, what);
  }
  uint64_t at = workspace.address();
  for (const Part &part : parts) {
    part.at = at;
    at += padded(part.bytes);
  }
}

void CudaGptq::send(qrt::cuda::DevicePointer to, const void *from,
                    int64_t bytes) const {
  gpu.driver().check(
      gpu.driver().copyToDevice(to, from, size_t(bytes), gpu.stream()),
      "cannot copy to the GPU");
}

void CudaGptq::fetch(void *to, qrt::cuda::DevicePointer from,
                     int64_t bytes) const {
  gpu.driver().check(
      gpu.driver().copyToHost(to, from, size_t(bytes), gpu.stream()),
      "cannot copy from the GPU");
  gpu.driver().check(gpu.driver().synchronize(gpu.stream()),
                     "a kernel of GPTQ failed");
}

void CudaGptq::clear(qrt::cuda::DevicePointer at, int64_t bytes) const {
  gpu.driver().check(gpu.driver().fill(at, 0, size_t(bytes), gpu.stream()),
                     "cannot clear the GPU's memory");
}

} // namespace qcc
