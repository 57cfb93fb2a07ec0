//===- LibraryChoice.h - Where a library is faster ---------------*- C++
//-*-===//

#ifndef QCC_CODEGEN_CUDA_LIBRARYCHOICE_H
#define QCC_CODEGEN_CUDA_LIBRARYCHOICE_H

#include "runtime/formats/Format.h"

namespace qcc::cuda {

/// Tokens of a step from which on cuBLASLt multiplies a weight of so many rows
/// and columns faster than wide_gemm.cuh does, with all that its products need
/// around them; 0: it never does.
int64_t fasterByLibrary(const qrt::Format &format, int64_t rows,
                        int64_t columns);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_LIBRARYCHOICE_H
