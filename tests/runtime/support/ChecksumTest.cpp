//===- ChecksumTest.cpp - XXH64 against its published values --------------===//

#include "runtime/support/Checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace qrt;

static uint64_t checksumOf(std::string_view text) {
  return checksum(
      {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
}

/// Values that xxHash's own implementation gives.
TEST(ChecksumTest, matchesXxHash) {
  EXPECT_EQ(checksum({}), 0xEF46DB3751D8E999u);
  EXPECT_EQ(checksumOf("a"), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(checksumOf("abc"), 0x44BC2CF5AD770999u);
  EXPECT_EQ(checksumOf("xxhash"), 0x32DD38952C4BC720u);
  EXPECT_EQ(checksumOf("Nobody inspects the spammish repetition"),
            0xFBCEA83C8A378BF1u);
}

/// A changed bit, a lost byte and an added one show, at every length.
TEST(ChecksumTest, noticesEveryChange) {
  std::vector<uint8_t> bytes(100);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = uint8_t(i * 37);
  std::set<uint64_t> seen;
  size_t count = 0;
  for (size_t length = 0; length <= bytes.size(); ++length) {
    std::span<uint8_t> part(bytes.data(), length);
    seen.insert(checksum(part));
    ++count;
    for (size_t bit = 0; bit < 8 * length; ++bit) {
      part[bit / 8] ^= uint8_t(1u << bit % 8);
      seen.insert(checksum(part));
      part[bit / 8] ^= uint8_t(1u << bit % 8);
      ++count;
    }
  }
  EXPECT_EQ(seen.size(), count);
}

TEST(ChecksumTest, doesNotDependOnAlignment) {
  constexpr size_t length = 200;
  std::vector<uint8_t> bytes(length), shifted(length + 8);
  for (size_t i = 0; i < length; ++i)
    bytes[i] = uint8_t(i);
  for (size_t shift = 0; shift <= 8; ++shift) {
    std::ranges::copy(bytes, shifted.begin() + std::ptrdiff_t(shift));
    EXPECT_EQ(checksum(std::span(shifted).subspan(shift, length)),
              checksum(bytes));
  }
}
