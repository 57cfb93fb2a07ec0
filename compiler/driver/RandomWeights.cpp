//===- RandomWeights.cpp - Weights made from a seed -----------------------===//

#include "compiler/driver/RandomWeights.h"

#include "runtime/support/Checksum.h"

#include <cmath>

namespace qcc {

/// The finalizer of SplitMix64 (Steele et al. 2014): a hash of a counter.
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

void randomWeights(uint64_t seed, const std::string &name,
                   std::span<const int64_t> shape, int64_t first, int64_t count,
                   float *out) {
  uint64_t stream =
      mix(seed + qrt::checksum({reinterpret_cast<const uint8_t *>(name.data()),
                                name.size()}));
  bool isMatrix = shape.size() == 2;
  bool isBias = name.ends_with(".bias");
  float mean = isMatrix || isBias ? 0.0f : 1.0f;
  float deviation = isMatrix ? float(1 / std::sqrt(double(shape[1]))) : 0.02f;
  // The sum of four 16-bit uniforms is near normal: variance 4 / 12.
  float scale = deviation * float(std::sqrt(3.0) / 65536.0);
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = mix(stream + uint64_t(first + i) * 0x9e3779b97f4a7c15);
    auto sum = int32_t((bits & 0xffff) + (bits >> 16 & 0xffff) +
                       (bits >> 32 & 0xffff) + (bits >> 48));
    out[i] = mean + float(sum - 131070) * scale;
  }
}

} // namespace qcc
