//===- LowerKrnToLLVM.h - From KRN to the LLVM dialect ----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_LOWERKRNTOLLVM_H
#define QCC_CODEGEN_CPU_LOWERKRNTOLLVM_H

#include "codegen/cpu/KernelCalls.h"
#include "dialects/KRN/KRN.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <string>

namespace qcc::cpu {

/// The function that `entry` becomes: `<entry>_<suffix>`.
std::string entryFunctionName(krn::EntryOp entry, llvm::StringRef suffix);

/// Modules of the LLVM dialect that are compiled apart and linked together.
struct LoweredProgram {
  /// The entries' functions. They call the specialised kernels.
  mlir::OwningOpRef<mlir::ModuleOp> entries;
  /// By a kernel's name: its specialisations, which call the kernel itself.
  std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>> kernels;
};

/// Makes one function `void <entry>_<suffix>(ptr %step, i32 %thread)` (a
/// qrt_entry_fn of runtime/abi/kernel_abi.h) for each of `entries`, and what it
/// calls, specialisations of kernels by the names that `kernelSuffix` gives
/// them: the same entries number them alike for every variant. Loads the LLVM
/// dialect into the context. Where an entry says what the CPU's kernels cannot
/// do, emits an error at the op and fails.
mlir::FailureOr<LoweredProgram>
lowerKrnToLLVM(llvm::ArrayRef<krn::EntryOp> entries, llvm::StringRef suffix,
               const KernelSuffix &kernelSuffix);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_LOWERKRNTOLLVM_H
