//===- DetectTargets.h - What this machine's GPUs run -----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_DETECTTARGETS_H
#define QCC_CODEGEN_CUDA_DETECTTARGETS_H

#include <string>
#include <vector>

namespace qcc {

/// The CUDA targets that suit this machine.
struct DetectedTargets {
  /// Of cudaArchitectures(), in their order; one for each kind of GPU.
  std::vector<std::string> architectures;
  /// The GPUs' names, or why there is no target.
  std::string reason;
};

/// Asks NVIDIA's driver for the GPUs and NVRTC for what it compiles: machine
/// code of a GPU's family where both know one, else PTX. Neither needs to be
/// there. Starts the driver, which takes a moment where there is a GPU.
DetectedTargets detectCudaTargets();

/// The target for GPU `ordinal` of this machine. Throws qrt::Error saying what
/// is missing.
std::string cudaTargetOf(int ordinal);

} // namespace qcc

#endif // QCC_CODEGEN_CUDA_DETECTTARGETS_H
