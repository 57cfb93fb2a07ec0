//===- Bandwidth.h - How fast memory can be read ----------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_BANDWIDTH_H
#define QRT_TOOLS_QRT_BANDWIDTH_H

#include "runtime/executor/Executor.h"

namespace qrt::tool {

/// Bytes a second that the threads of `executor` read: the best of a few passes
/// over a block of `bytes` (2 GiB at most). Where a model's weights fit into a
/// cache, a block of their size does as well: the limit that decoding has.
/// Throws qrt::Error if there is no memory for the block.
double readBandwidth(Executor &executor, uint64_t bytes);

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_BANDWIDTH_H
