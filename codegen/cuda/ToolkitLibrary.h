//===- ToolkitLibrary.h - Libraries of the CUDA toolkit ---------*- C++ -*-===//
//
// NVRTC, cuBLAS and cuSOLVER are opened when they are needed: nothing here is
// linked with CUDA, and what does not need them runs without.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_TOOLKITLIBRARY_H
#define QCC_CODEGEN_CUDA_TOOLKITLIBRARY_H

#include <string>
#include <vector>

namespace qcc::cuda {

/// Opens the first of `names` ("libnvrtc.so.13") that is found: where
/// qrt::openToolkitLibrary looks, or in the Python packages (nvidia/cu13,
/// nvidia/<package>) of the python3 on the PATH. `flags` are dlopen's. The
/// handle is never closed: such a library holds memory that only it can reach.
/// Null if there is none.
void *openToolkitLibrary(const std::vector<std::string> &names,
                         const std::string &package, int flags);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_TOOLKITLIBRARY_H
