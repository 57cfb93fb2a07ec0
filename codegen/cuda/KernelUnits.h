//===- KernelUnits.h - From KRN to units of CUDA and launches ---*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELUNITS_H
#define QCC_CODEGEN_CUDA_KERNELUNITS_H

#include "dialects/KRN/KRN.h"
#include "runtime/schema/qbin_generated.h"

#include <string>
#include <vector>

namespace qcc::cuda {

/// One kernel: a struct of constants and an `extern "C"` instantiation of a
/// template of kernels/.
struct KernelUnit {
  std::string function;
  std::string source;
};

/// A program for CUDA. Launches name their unit by `image` (units are images
/// of one function until they are compiled).
struct CudaProgram {
  /// Kernels of equal constants are one.
  std::vector<KernelUnit> units;
  struct Entry {
    std::string name;
    uint32_t maxTokens;
    /// At least what the plan says.
    uint64_t arenaBytes = 0;
    /// What launches for a library need besides.
    uint64_t libraryBytes = 0;
    std::vector<qrt::fb::LaunchT> launches;
  };
  /// By ascending max_tokens, persistent ones first.
  std::vector<Entry> entries;
  /// Chooses tokens; threads 0 if the program makes no logits.
  qrt::fb::LaunchT sampling;
  /// Which entries were left out, and why.
  std::vector<std::string> notes;
};

/// Generates the kernels and launches of a planned krn.program of target
/// "cuda" for an architecture ("sm_90"), and says in every krn.gemm which
/// kernel it became and why. Persistent entries are left out for architectures
/// that do not have what they need (PersistentUnit.h). Throws qrt::Error; an op
/// that has no kernel is named with the reason.
CudaProgram generateKernels(krn::ProgramOp program,
                            llvm::StringRef architecture);

/// The kernel `function` that chooses one of `vocabulary` tokens
/// (kernels/sampling.cuh).
KernelUnit samplingUnit(const std::string &function, int64_t vocabulary);
/// Its launch, of unit `image`.
qrt::fb::LaunchT samplingLaunch(uint32_t image, int64_t vocabulary);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELUNITS_H
