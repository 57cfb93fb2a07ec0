//===- CutsTest.cpp - Shares of weights for blocks ------------------------===//

#include "runtime/executor/cuda/Cuts.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qrt::cuda {
namespace {

/// What the kernels rely on.
void expectValid(const StreamShape &stream, uint32_t blocks) {
  std::vector<int32_t> cuts = cutStream(stream, blocks);
  ASSERT_EQ(cuts.size(), blocks + 1);
  EXPECT_EQ(cuts.front(), 0);
  EXPECT_EQ(uint64_t(cuts.back()), uint64_t(stream.tiles) * stream.units);
  EXPECT_TRUE(std::ranges::is_sorted(cuts));
  auto item = int32_t(stream.itemTiles * stream.units);
  for (uint32_t i = 0; i < blocks; ++i) {
    if (!stream.canSplit)
      EXPECT_EQ(cuts[i] % item, 0);
    // No tile has more than two parts.
    if (cuts[i] % int32_t(stream.units) && i + 1 < blocks)
      EXPECT_GE(cuts[i + 1] - cuts[i],
                int32_t(stream.units) - cuts[i] % int32_t(stream.units));
  }
}

TEST(CutStream, KeepsItemsWholeAndTilesInTwoParts) {
  for (uint32_t blocks : {1U, 7U, 78U, 114U, 132U, 148U})
    for (uint32_t tiles : {2U, 20U, 256U, 284U, 1428U, 4064U})
      for (uint32_t units : {1U, 3U, 36U, 142U})
        for (bool canSplit : {false, true})
          for (uint32_t align : {1U, 4U})
            for (uint32_t itemTiles : {1U, 2U})
              for (uint32_t busyUnits : {0U, 5U, 128U, 100000U})
                expectValid({tiles, units, itemTiles, align, canSplit,
                             /*busyBlocks=*/busyUnits ? 8U : 0U, busyUnits},
                            blocks);
}

TEST(CutStream, SharesDifferLittle) {
  // falcon-7b's down projection: 284 tiles for 132 blocks.
  std::vector<int32_t> cuts = cutStream({284, 142, 1, 4, true}, 132);
  int32_t least = cuts.back(), most = 0;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    least = std::min(least, cuts[i + 1] - cuts[i]);
    most = std::max(most, cuts[i + 1] - cuts[i]);
  }
  EXPECT_LE(most - least, 8);
}

TEST(CutStream, BusyBlocksHaveLess) {
  // falcon-7b's up projection: 8.6 tiles a block, of which 3 are spared.
  StreamShape stream = {1136, 36, 1, 4, false, 5, 128};
  std::vector<int32_t> cuts = cutStream(stream, 132);
  for (size_t i = 0; i < 132; ++i) {
    const int32_t tiles = (cuts[i + 1] - cuts[i]) / 36;
    EXPECT_GE(tiles, i < 5 ? 5 : 8) << i;
    EXPECT_LE(tiles, i < 5 ? 6 : 9) << i;
  }
  // Never more than half of a share.
  stream.busyUnits = 100000;
  cuts = cutStream(stream, 132);
  for (size_t i = 0; i < 132; ++i)
    EXPECT_GE((cuts[i + 1] - cuts[i]) / 36, i < 5 ? 4 : 8) << i;
}

} // namespace
} // namespace qrt::cuda
