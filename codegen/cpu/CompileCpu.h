//===- CompileCpu.h - From KRN to one ELF shared object ---------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_COMPILECPU_H
#define QCC_CODEGEN_CPU_COMPILECPU_H

#include "dialects/KRN/KRN.h"
#include "runtime/abi/kernel_abi.h"

#include <string>
#include <vector>

namespace qcc {

struct CompileCpuOptions {
  /// The CPU variants, each at most once; the runtime takes the best that its
  /// CPU can run.
  std::vector<qrt_cpu_level> variants = {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V4,
                                         QRT_CPU_X86_64_AMX};
  /// Threads that compile; 0 for as many as there are CPUs. The bytes of the
  /// result do not depend on it.
  unsigned threads = 0;
  /// 0 to 3, as clang's -O.
  unsigned optLevel = 3;
  /// A folder (it is made) for every intermediate file, or empty for none:
  /// <kernel>_<variant>.ll and entries_<variant>.ll as generated, .opt.ll
  /// optimized with their kernels, and kernels.so.
  std::string saveTemps;
};

/// Compiles a planned krn.program of target "cpu" and returns the bytes of a
/// shared object with the ABI of runtime/abi/kernel_abi.h: it exports
/// `qrt_kernel_table` and imports nothing. The same program and options give
/// the same bytes. Throws qrt::Error; the first error that was emitted at an
/// op becomes its text.
std::vector<char> compileCpu(krn::ProgramOp program,
                             const CompileCpuOptions &options = {});

/// The generated LLVM IR as text: what calls the kernels, for each variant,
/// before the kernels are linked in. Throws qrt::Error.
std::string emitLLVM(krn::ProgramOp program,
                     const CompileCpuOptions &options = {});

} // namespace qcc

#endif // QCC_CODEGEN_CPU_COMPILECPU_H
