//===- FiniteCheck.cpp - Finding NaN and infinity in weights --------------===//

#include "compiler/quantize/FiniteCheck.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qcc {

namespace {

/// True if any of up to one chunk of values has all exponent bits set. No early
/// exit, so that the loop is vectorized.
bool anyNonFinite(const float *values, int64_t count) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    found |= (bits & kExponent) == kExponent ? 1u : 0u;
  }
  return found != 0;
}

} // namespace

std::optional<int64_t> findNonFinite(const float *values, int64_t count) {
  constexpr int64_t kChunk = 4096;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    int64_t size = std::min(kChunk, count - begin);
    if (!anyNonFinite(values + begin, size))
      continue;
    const float *chunk = values + begin;
    return begin + (std::find_if(chunk, chunk + size,
                                 [](float v) { return !std::isfinite(v); }) -
                    chunk);
  }
  return std::nullopt;
}

void checkFinite(const float *w, int64_t rows, int64_t columns,
                 const std::string &name, int64_t firstRow) {
  std::optional<int64_t> at = findNonFinite(w, rows * columns);
  if (!at)
    return;
  throw qrt::Error("weight '" + name + "' holds " +
                   (std::isnan(w[*at]) ? "a NaN" : "an infinity") + " at [" +
                   std::to_string(firstRow + *at / columns) + ", " +
                   std::to_string(*at % columns) + "]");
}

} // namespace qcc
