//===- ThreadTeam.cpp - Threads that work on one step together ------------===//

#include "runtime/support/ThreadTeam.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qrt {

static void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Spins until `done()`, politely after a while. False if it gave up after
/// `limit` turns (0: never).
template <typename Done>
static bool spin(Done done, int limit) {
  constexpr int busyTurns = 4096;
  for (int turn = 0; !done(); ++turn) {
    if (limit && turn >= limit)
      return false;
    if (turn < busyTurns)
      pause();
    else
      std::this_thread::yield();
  }
  return true;
}

void SpinBarrier::wait() {
  uint32_t now = phase.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
    arrived.store(0, std::memory_order_relaxed);
    phase.store(now + 1, std::memory_order_release);
    return;
  }
  spin([&] { return phase.load(std::memory_order_acquire) != now; }, 0);
}

ThreadTeam::ThreadTeam(uint32_t threads) : count(threads), phases(threads) {
  try {
    for (uint32_t i = 1; i < count; ++i)
      members.emplace_back([this, i] { loop(i); });
  } catch (...) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    for (std::thread &member : members)
      member.join();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread &member : members)
    member.join();
}

void ThreadTeam::run(const std::function<void(uint32_t)> &work) {
  current = &work;
  working.store(count - 1, std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(mutex);
    generation.fetch_add(1, std::memory_order_release);
  }
  wake.notify_all();
  work(0);
  spin([&] { return working.load(std::memory_order_acquire) == 0; }, 0);
}

void ThreadTeam::loop(uint32_t thread) {
  uint64_t seen = 0;
  constexpr int idleTurns = 20000;
  for (;;) {
    auto called = [&] {
      return generation.load(std::memory_order_acquire) != seen || stopping;
    };
    if (!spin(called, idleTurns)) {
      std::unique_lock<std::mutex> lock(mutex);
      wake.wait(lock, called);
    }
    if (stopping)
      return;
    seen = generation.load(std::memory_order_acquire);
    (*current)(thread);
    working.fetch_sub(1, std::memory_order_release);
  }
}

} // namespace qrt
