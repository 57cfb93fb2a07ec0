//===- KernelBitcode.h - The kernels as LLVM bitcode ------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELBITCODE_H
#define QCC_CODEGEN_CPU_KERNELBITCODE_H

#include "runtime/abi/kernel_abi.h"

#include <span>

namespace qcc {

/// The kernels' bitcode for a CPU variant, embedded when qcc is built.
std::span<const char> kernelBitcode(qrt_cpu_level level);

} // namespace qcc

#endif // QCC_CODEGEN_CPU_KERNELBITCODE_H
