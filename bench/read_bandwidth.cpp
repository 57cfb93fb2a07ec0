//===- read_bandwidth.cpp - How fast this machine reads ---------*- C++ -*-===//
//
// Prints how many GB (1e9 bytes) a second THREADS threads read of a buffer of
// MIB mebibytes: the bound of decoding, which reads every weight once a token.
// A buffer far beyond the last-level cache measures memory, a smaller one the
// cache that it fits into.
//
// Usage: read_bandwidth THREADS MIB [SECONDS]
//
// Each thread reads its own part, again and again, in step with the others; the
// best pass within SECONDS (default 1, at least three passes) counts.
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

/// Eight independent sums, each of a vector's width: enough loads in flight
/// for any of today's cores.
constexpr size_t kLanes = 64;

/// Adds up `count` words, a multiple of kLanes.
uint64_t sum(const uint64_t *words, size_t count) {
  uint64_t lanes[kLanes] = {};
  for (size_t i = 0; i < count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += words[i + lane];
  uint64_t total = 0;
  for (uint64_t lane : lanes)
    total += lane;
  return total;
}

/// Returns the seconds of the best pass over `perThread` words a thread.
double bestPass(const uint64_t *words, size_t perThread, unsigned threads,
                double seconds) {
  std::vector<uint64_t> sums(threads);
  double best = 1e30;
  int passes = 0;
  bool stop = false;
  const auto begin = Clock::now();
  auto start = begin;
  // Runs in one thread between two passes, while the others wait.
  auto finishPass = [&]() noexcept {
    const auto now = Clock::now();
    // The first pass only warms up.
    if (passes++ > 0)
      best = std::min(best, std::chrono::duration<double>(now - start).count());
    stop = passes > 3 &&
           std::chrono::duration<double>(now - begin).count() > seconds;
    start = Clock::now();
  };
  std::barrier barrier(threads, finishPass);
  auto work = [&](unsigned thread) {
    while (!stop) {
      sums[thread] += sum(words + thread * perThread, perThread);
      barrier.arrive_and_wait();
    }
  };
  std::vector<std::jthread> team;
  for (unsigned thread = 1; thread < threads; ++thread)
    team.emplace_back(work, thread);
  work(0);
  team.clear();
  // Lets no compiler drop the reads.
  volatile uint64_t sink = 0;
  for (uint64_t value : sums)
    sink = sink + value;
  return best;
}

} // namespace

int main(int argc, char **argv) {
  const long threads = argc > 2 ? std::atol(argv[1]) : 0;
  const long mebibytes = argc > 2 ? std::atol(argv[2]) : 0;
  const double seconds = argc > 3 ? std::atof(argv[3]) : 1.0;
  if (threads < 1 || threads > 1024 || mebibytes < 1 || mebibytes > 1 << 20) {
    std::fprintf(stderr, "usage: read_bandwidth THREADS MIB [SECONDS]\n");
    return 2;
  }
  size_t perThread = (static_cast<size_t>(mebibytes) << 20) / sizeof(uint64_t) /
                     static_cast<size_t>(threads);
  perThread -= perThread % kLanes;
  const size_t bytes =
      perThread * static_cast<size_t>(threads) * sizeof(uint64_t);
  constexpr size_t kHugePage = size_t{2} << 20;
  void *memory = std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) /
                                                   kHugePage * kHugePage);
  if (!memory) {
    std::fprintf(stderr, "read_bandwidth: error: no %ld MiB of memory\n",
                 mebibytes);
    return 1;
  }
  // Fewer page-table walks; where the kernel declines, nothing is lost.
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 1, bytes);
  const double best = bestPass(static_cast<const uint64_t *>(memory), perThread,
                               static_cast<unsigned>(threads), seconds);
  std::printf("%.2f\n", static_cast<double>(bytes) / best / 1e9);
  std::free(memory);
  return 0;
}
