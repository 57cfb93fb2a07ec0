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
              expectValid({tiles, units, itemTiles, align, canSplit}, blocks);
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

} // namespace
} // namespace qrt::cuda
