//===- LibraryChoice.cpp - Where a library is faster ----------------------===//

#include "codegen/cuda/LibraryChoice.h"

using namespace qcc;

// Measured on an H200 with cuBLASLt 13.1 by bench/gpu_prompts.cpp
// (docs/adr/0010-cublaslt.md). Weights of few rows are the library's, which
// splits k: wide_gemm.cuh has too few tiles of them. Those of many rows are
// bound by their bytes in short steps, and panels have more. Next to codes of
// three bits and less the tensor cores wait less for wide_gemm.cuh, and panels
// take longer.
int64_t cuda::fasterByLibrary(const qrt::Format &format, int64_t rows,
                              int64_t columns) {
  constexpr int64_t never = 0, always = 65, leastWeights = 3 << 19,
                    fewRows = 8192, manyRows = 24576;
  if (rows * columns < leastWeights || format.codeBits() < 4)
    return never;
  if (rows <= fewRows)
    return always;
  if (format.codeBits() < 16)
    return 384;
  return rows <= manyRows ? 768 : 1536;
}
