//===- KernelTable.h - The one symbol that the object exports ---*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_KERNELTABLE_H
#define QCC_CODEGEN_CPU_KERNELTABLE_H

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace qcc::cpu {

/// What the table says; see runtime/abi/kernel_abi.h for each field.
struct KernelTable {
  struct Entry {
    std::string name;
    std::string function; ///< a hidden symbol of another object
    uint64_t arenaBytes = 0, scratchBytes = 0;
    uint32_t maxTokens = 0;
  };
  struct Variant {
    uint32_t cpuLevel = 0;
    std::vector<Entry> entries; ///< by ascending maxTokens
  };
  std::vector<Variant> variants; ///< by ascending cpuLevel
  uint64_t kvBytesPerToken = 0;
  uint32_t vocabulary = 0;
  uint32_t weightCount = 0;
};

/// A module that defines `qrt_kernel_table` and, as hidden symbols, the memory
/// functions that LLVM may call (memcpy, memmove, memset).
std::unique_ptr<llvm::Module> makeKernelTableModule(llvm::LLVMContext &context,
                                                    const KernelTable &table);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_KERNELTABLE_H
