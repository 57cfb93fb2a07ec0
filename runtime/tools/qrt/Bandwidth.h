//===- Bandwidth.h - How fast memory can be read ----------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_BANDWIDTH_H
#define QRT_TOOLS_QRT_BANDWIDTH_H

#include "runtime/executor/Executor.h"

namespace qrt::tool {

/// Bytes a second that the threads of `executor` read from memory: the best of
/// a few passes over a block larger than the caches. Throws qrt::Error if there
/// is no memory for the block.
double readBandwidth(Executor &executor);

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_BANDWIDTH_H
