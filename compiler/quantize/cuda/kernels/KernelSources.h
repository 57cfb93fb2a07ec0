//===- KernelSources.h - GPTQ's kernels, embedded ---------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_KERNELSOURCES_H
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_KERNELSOURCES_H

#include "codegen/cuda/Nvrtc.h"

namespace qcc::cuda {

/// What gptq.cuh includes beside codegen/cuda/kernels/common.cuh, and itself.
std::vector<HeaderText> gptqKernelSources();

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_KERNELSOURCES_H
