//===- CudaKernels.h - GPTQ's kernels on one GPU ----------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_CUDAKERNELS_H
#define QCC_COMPILER_QUANTIZE_CUDA_CUDAKERNELS_H

#include "runtime/executor/cuda/Device.h"

#include <array>
#include <cstdint>

namespace qcc::cuda {

/// kernels/gptq.cuh says what each takes.
enum class GptqKernel {
  Quantize,
  Refine,
  Solve,
  Groups,
  Permute,
  Store,
  Steps,
  Errors,
  Fit,
  WideFit,
  Sums,
  Squares,
  GatherF32,
  GatherF64,
  Reverse,
  ReverseF64,
  Round,
  Scale,
  Diagonal,
  OffDiagonal,
};
constexpr int kGptqKernels = 20;

/// The kernels, compiled for the GPU by NVRTC.
class CudaKernels {
public:
  /// Throws qrt::Error if there is no NVRTC that knows the GPU.
  explicit CudaKernels(const qrt::cuda::Device &device);
  ~CudaKernels();
  CudaKernels(const CudaKernels &) = delete;
  CudaKernels &operator=(const CudaKernels &) = delete;

  /// Starts `blocks` blocks of a kernel on the device's stream; `arguments` is
  /// the struct of Arguments.h that it takes.
  template <class Arguments>
  void launch(GptqKernel kernel, int64_t blocks,
              const Arguments &arguments) const {
    start(kernel, blocks, const_cast<Arguments *>(&arguments));
  }

private:
  void start(GptqKernel kernel, int64_t blocks, void *arguments) const;

  const qrt::cuda::Device &device;
  qrt::cuda::Library library = nullptr;
  std::array<qrt::cuda::Function, kGptqKernels> functions{};
};

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_CUDAKERNELS_H
