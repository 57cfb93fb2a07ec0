//===- Bandwidth.cpp - How fast memory can be read ------------------------===//

#include "runtime/tools/qrt/Bandwidth.h"

#include "runtime/executor/Memory.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace qrt::tool {

/// Reads every byte, 8 lanes wide, so that the compiler uses vectors, of the
/// width that the kernels have.
__attribute__((target_clones("avx512f", "avx2", "default"))) static uint64_t
sumOf(const uint64_t *data, size_t count) {
  uint64_t lanes[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8)
    for (size_t lane = 0; lane < 8; ++lane)
      lanes[lane] += data[i + lane];
  uint64_t sum = 0;
  for (uint64_t lane : lanes)
    sum += lane;
  return sum;
}

double readBandwidth(Executor &executor, uint64_t bytes) {
  constexpr uint64_t smallest = 16 << 20, largest = 2048 << 20;
  Memory block(size_t(std::clamp(bytes, smallest, largest)),
               "measuring the memory's bandwidth",
               /*dense=*/true);
  size_t share = block.size() / executor.threads() / 64 * 64;
  std::atomic<uint64_t> sink = 0;
  // Each thread fills its own part, so that it lies near it.
  executor.parallel([&](uint32_t thread) {
    std::memset(block.data() + thread * share, int(thread + 1), share);
  });
  double best = 0;
  constexpr int passes = 5;
  for (int pass = 0; pass < passes; ++pass) {
    auto start = std::chrono::steady_clock::now();
    executor.parallel([&](uint32_t thread) {
      const char *part = block.data() + thread * share;
      sink += sumOf(reinterpret_cast<const uint64_t *>(part), share / 8);
    });
    std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    best = std::max(best, double(share * executor.threads()) / seconds.count());
  }
  return best;
}

} // namespace qrt::tool
