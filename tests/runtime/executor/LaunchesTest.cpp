//===- LaunchesTest.cpp - Which launches a step has -----------------------===//

#include "runtime/executor/cuda/Launches.h"

#include <gtest/gtest.h>

namespace qrt::cuda {
namespace {

TEST(Launches, TakeOneOfTwoWays) {
  flatbuffers::FlatBufferBuilder builder;
  auto taken = [&](uint32_t from, bool isForLibrary, uint32_t tokens,
                   bool hasLibrary, uint32_t forced = 0, uint32_t below = 0) {
    fb::LaunchT launch;
    launch.library_from = from;
    launch.for_library = isForLibrary;
    launch.library_below = below;
    builder.Clear();
    builder.Finish(fb::Launch::Pack(builder, &launch));
    return isTaken(
        *flatbuffers::GetRoot<fb::Launch>(builder.GetBufferPointer()), tokens,
        hasLibrary, forced);
  };
  // Most launches have no other way.
  EXPECT_TRUE(taken(0, false, 1, false));
  EXPECT_TRUE(taken(0, false, 2048, true));
  for (bool isForLibrary : {false, true}) {
    EXPECT_EQ(taken(512, isForLibrary, 2048, false), !isForLibrary);
    EXPECT_EQ(taken(512, isForLibrary, 511, true), !isForLibrary);
    EXPECT_EQ(taken(512, isForLibrary, 512, true), isForLibrary);
    EXPECT_EQ(taken(512, isForLibrary, 65, true, 65), isForLibrary);
    EXPECT_EQ(taken(512, isForLibrary, 600, true, 1024), !isForLibrary);
  }
  // What another launch of the library's way does for more tokens.
  EXPECT_TRUE(taken(128, true, 511, true, 0, 512));
  EXPECT_FALSE(taken(128, true, 512, true, 0, 512));
  EXPECT_FALSE(taken(128, true, 200, true, 65, 512));
}

} // namespace
} // namespace qrt::cuda
