//===- KernelBitcode.h - The kernels as LLVM bitcode ------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELBITCODE_H
#define QCC_CODEGEN_CPU_KERNELBITCODE_H

#include "runtime/abi/kernel_abi.h"

#include <span>

namespace qcc {

/// The kernels' bitcode (kernels.h) for a CPU variant, embedded when qcc is
/// built; empty for a level that there is none for. Owned by the program.
///
/// It is not optimized. Its functions say by attributes what CPU they are for
/// ("target-cpu", "target-features", "prefer-vector-width"): a caller needs the
/// same ones, or LLVM does not inline them. Entries have no attribute that
/// asks for it.
std::span<const char> kernelBitcode(qrt_cpu_level level);

} // namespace qcc

#endif // QCC_CODEGEN_CPU_KERNELBITCODE_H
