//===- Parallel.h - Independent pieces of work on all cores -----*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_PARALLEL_H
#define QCC_COMPILER_QUANTIZE_PARALLEL_H

#include <cstdint>
#include <functional>

namespace qcc {

/// Calls work(i) for i in [0, count) on at most `threads` threads, this one
/// among them. The first exception ends it and is thrown here.
void parallelFor(unsigned threads, int64_t count,
                 const std::function<void(int64_t)> &work);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_PARALLEL_H
