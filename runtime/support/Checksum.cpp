//===- Checksum.cpp - XXH64 -----------------------------------------------===//

#include "runtime/support/Checksum.h"

#include <bit>
#include <cstring>

namespace qrt {

static constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
static constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
static constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
static constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
static constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

template <typename T>
static T load(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

static uint64_t round(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

static uint64_t merge(uint64_t hash, uint64_t lane) {
  return (hash ^ round(0, lane)) * kPrime1 + kPrime4;
}

uint64_t checksum(std::span<const uint8_t> bytes) {
  const uint8_t *at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash;
  if (left >= 32) {
    uint64_t a = kPrime1 + kPrime2, b = kPrime2, c = 0, d = -kPrime1;
    for (; left >= 32; left -= 32, at += 32) {
      a = round(a, load<uint64_t>(at));
      b = round(b, load<uint64_t>(at + 8));
      c = round(c, load<uint64_t>(at + 16));
      d = round(d, load<uint64_t>(at + 24));
    }
    hash =
        std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else {
    hash = kPrime5;
  }
  hash += bytes.size();
  for (; left >= 8; left -= 8, at += 8)
    hash =
        std::rotl(hash ^ round(0, load<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (left >= 4) {
    hash =
        std::rotl(hash ^ load<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
    left -= 4;
    at += 4;
  }
  for (; left; --left, ++at)
    hash = std::rotl(hash ^ *at * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

} // namespace qrt
