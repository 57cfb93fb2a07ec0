//===- KernelSources.h - The kernels' files, embedded -----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_KERNELSOURCES_H
#define QCC_CODEGEN_CUDA_KERNELS_KERNELSOURCES_H

#include "codegen/cuda/Nvrtc.h"

namespace qcc::cuda {

/// Everything that a generated unit includes, by the name it includes it by.
std::vector<HeaderText> kernelSources();

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_KERNELSOURCES_H
