//===- CubinInfo.h - What a compiled kernel uses ----------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_CUBININFO_H
#define QCC_CODEGEN_CUDA_CUBININFO_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qcc::cuda {

struct CubinFunction {
  std::string name;
  uint32_t registers = 0;    ///< a thread
  uint32_t localBytes = 0;   ///< a thread: stack, where spills lie
  uint32_t staticShared = 0; ///< bytes a block
};

/// The kernels of a cubin (an ELF file), in the order of its sections. Throws
/// qrt::Error if it is none.
std::vector<CubinFunction> readCubin(std::span<const char> cubin);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_CUBININFO_H
