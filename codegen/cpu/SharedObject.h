//===- SharedObject.h - Links objects in memory -----------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_SHAREDOBJECT_H
#define QCC_CODEGEN_CPU_SHAREDOBJECT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <vector>

namespace qcc::cpu {

/// Links `objects` (the bytes of ELF objects) with lld into one shared object
/// and returns its bytes: the same objects give the same bytes. Checks that it
/// exports only QRT_KERNEL_TABLE_SYMBOL, imports no symbol and needs no
/// library. lld reads and writes files: they lie in a private folder of the
/// system's folder for temporary files while this runs. Thread-safe (lld is
/// not: calls wait for each other). Throws qrt::Error.
std::vector<char>
linkSharedObject(llvm::ArrayRef<llvm::SmallVector<char, 0>> objects);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_SHAREDOBJECT_H
