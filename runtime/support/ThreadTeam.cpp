//===- ThreadTeam.cpp - Threads that work on one step together ------------===//

#include "runtime/support/ThreadTeam.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qrt {

// Turns of waiting before a thread sleeps, some 50 ns each. Within a step the
// others are near the barrier, or they wait for a core: then spinning keeps one
// from them. Between steps the next token is near, or there is none.
static constexpr int kBarrierTurns = 1000;
static constexpr int kIdleTurns = 4000;

static void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Waits until `value` is no longer `old`; spins first, then sleeps. Whoever
/// changes the value does so sequentially consistently before notify_all(),
/// which looks for sleepers.
static void waitWhile(const std::atomic<uint32_t> &value, uint32_t old,
                      int turns) {
  for (int turn = 0; turn < turns; ++turn) {
    if (value.load(std::memory_order_acquire) != old)
      return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

void SpinBarrier::wait() {
  // Nobody can pass before this thread has arrived.
  uint32_t now = phase.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < threads)
    return waitWhile(phase, now, kBarrierTurns);
  arrived.store(0, std::memory_order_relaxed);
  phase.store(now + 1);
  phase.notify_all();
}

ThreadTeam::ThreadTeam(uint32_t threads) : count(threads), phases(threads) {
  try {
    members.reserve(count);
    for (uint32_t i = 1; i < count; ++i)
      members.emplace_back([this, i] { loop(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() {
  stopping = true;
  ++generation;
  generation.notify_all();
  for (std::thread &member : members)
    member.join();
}

void ThreadTeam::run(const std::function<void(uint32_t)> &work) {
  current = &work;
  working.store(count - 1, std::memory_order_relaxed);
  ++generation;
  generation.notify_all();
  work(0);
  while (uint32_t left = working.load(std::memory_order_acquire))
    waitWhile(working, left, kBarrierTurns);
}

void ThreadTeam::loop(uint32_t thread) {
  for (uint32_t seen = 0;; ++seen) {
    waitWhile(generation, seen, kIdleTurns);
    if (stopping)
      return;
    (*current)(thread);
    if (--working == 0)
      working.notify_all();
  }
}

} // namespace qrt
