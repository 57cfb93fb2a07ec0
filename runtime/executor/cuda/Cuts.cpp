//===- Cuts.cpp - Shares of weights for blocks ----------------------------===//

#include "runtime/executor/cuda/Cuts.h"

#include <algorithm>

namespace qrt::cuda {

std::vector<int32_t> cutStream(const StreamShape &stream, uint32_t blocks) {
  uint64_t units = uint64_t(stream.tiles) * stream.units;
  uint64_t item = uint64_t(stream.itemTiles) * stream.units;
  bool splits = stream.canSplit && stream.itemTiles == 1 &&
                units / blocks >= uint64_t(stream.units) + stream.align;
  const uint64_t unit = splits ? 1 : item, total = units / unit;
  const uint64_t share = total / blocks,
                 least = splits ? uint64_t(stream.units) + stream.align : 1;
  uint64_t busy = stream.busyBlocks < blocks ? stream.busyBlocks : 0;
  uint64_t spared = std::min<uint64_t>(stream.busyUnits / unit, share / 2);
  spared = std::min(spared, share > least ? share - least : 0);
  std::vector<int32_t> cuts;
  for (uint64_t i = 0; i <= blocks; ++i) {
    uint64_t at = (total + busy * spared) * i / blocks;
    at = (at - spared * std::min(i, busy)) * unit;
    if (splits)
      at -= at % stream.units % stream.align;
    cuts.push_back(int32_t(at));
  }
  return cuts;
}

} // namespace qrt::cuda
