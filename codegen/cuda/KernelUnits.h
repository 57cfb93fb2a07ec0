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
  /// One for each krn.entry, by ascending max_tokens.
  std::vector<std::vector<qrt::fb::LaunchT>> launches;
};

/// Generates the kernels and launches of a planned krn.program of target
/// "cuda". Throws qrt::Error; an op that has no kernel is named with the
/// reason.
CudaProgram generateKernels(krn::ProgramOp program);

/// The entries of a program by ascending max_tokens.
std::vector<krn::EntryOp> sortedEntries(krn::ProgramOp program);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELUNITS_H
