//===- Cuts.h - Shares of weights for blocks --------------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_CUTS_H
#define QRT_EXECUTOR_CUDA_CUTS_H

#include <cstdint>
#include <vector>

namespace qrt::cuda {

/// A weight that a persistent kernel streams (fb::Stream).
struct StreamShape {
  uint32_t tiles, units, itemTiles, align;
  bool canSplit;
  /// The first blocks get so many units less, but no less than half a share.
  uint32_t busyBlocks = 0, busyUnits = 0;
};

/// Where each of `blocks` blocks begins, in units, and the end of all:
/// [blocks + 1] ascending numbers. Shares differ by an item, or by `align`
/// units where items can be split and every share is at least a tile, so that
/// no tile has more than two parts; busy blocks have less. The one place where
/// shares are decided: the kernels take any that keep to this.
std::vector<int32_t> cutStream(const StreamShape &stream, uint32_t blocks);

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_CUTS_H
