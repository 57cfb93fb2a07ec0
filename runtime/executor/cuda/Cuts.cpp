//===- Cuts.cpp - Shares of weights for blocks ----------------------------===//

#include "runtime/executor/cuda/Cuts.h"

namespace qrt::cuda {

std::vector<int32_t> cutStream(const StreamShape &stream, uint32_t blocks) {
  uint64_t units = uint64_t(stream.tiles) * stream.units;
  uint64_t item = uint64_t(stream.itemTiles) * stream.units;
  uint64_t items = units / item;
  bool splits = stream.canSplit && stream.itemTiles == 1 &&
                units / blocks >= uint64_t(stream.units) + stream.align;
  std::vector<int32_t> cuts;
  for (uint64_t i = 0; i <= blocks; ++i) {
    uint64_t at = splits ? units * i / blocks : items * i / blocks * item;
    if (splits)
      at -= at % stream.units % stream.align;
    cuts.push_back(int32_t(at));
  }
  return cuts;
}

} // namespace qrt::cuda
