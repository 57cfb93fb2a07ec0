//===- PersistentUnit.h - A step as one kernel ------------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_PERSISTENTUNIT_H
#define QCC_CODEGEN_CUDA_PERSISTENTUNIT_H

#include "codegen/cuda/KernelUnits.h"

namespace qcc::cuda {

/// True if blocks of this architecture have the shared memory and the copies
/// that kernels/persistent.cuh needs.
bool hasPersistentKernels(llvm::StringRef architecture);

/// The kernel of an entry that is `persistent`, and its launch.
struct PersistentUnit {
  KernelUnit unit;
  qrt::fb::LaunchT launch;
  /// Of the entry; more than the plan's, for the rests of rows.
  uint64_t arenaBytes;
};

/// Generates the kernel. Throws qrt::Error, which names the phase and why,
/// where an entry cannot be one kernel; the other entries do its work then.
PersistentUnit generatePersistent(krn::EntryOp entry,
                                  const std::string &function);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_PERSISTENTUNIT_H
