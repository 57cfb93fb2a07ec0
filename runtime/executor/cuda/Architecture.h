//===- Architecture.h - Which code runs on which GPU ------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_ARCHITECTURE_H
#define QRT_EXECUTOR_CUDA_ARCHITECTURE_H

#include <string_view>

namespace qrt::cuda {

/// The number of "sm_90" or "compute_90"; 0 if the name is neither.
int architectureOf(std::string_view target);

/// How well code for `target` suits a GPU of compute capability `gpu` (90 for
/// 9.0): machine code of its family before PTX, and the newest of each. 0: the
/// GPU cannot run it (CUDA C++ Programming Guide, "Binary Compatibility" and
/// "PTX Compatibility").
int suitability(std::string_view target, int gpu);

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_ARCHITECTURE_H
