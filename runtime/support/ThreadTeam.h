//===- ThreadTeam.h - Threads that work on one step together ----*- C++ -*-===//

#ifndef QRT_SUPPORT_THREADTEAM_H
#define QRT_SUPPORT_THREADTEAM_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qrt {

/// All threads of a team meet at a barrier. Waiting spins briefly (phases are
/// microseconds long), then yields, so that a machine with fewer free cores
/// than threads still makes progress.
class SpinBarrier {
public:
  explicit SpinBarrier(uint32_t threads) : threads(threads) {}
  void wait();

private:
  const uint32_t threads;
  alignas(64) std::atomic<uint32_t> arrived = 0;
  alignas(64) std::atomic<uint32_t> phase = 0;
};

/// A persistent team; the caller of run() is thread 0. Between runs threads
/// spin for a moment (the next token is near), then sleep. Not for use by two
/// callers at once.
class ThreadTeam {
public:
  /// Throws std::system_error if threads cannot be made.
  explicit ThreadTeam(uint32_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam &) = delete;
  ThreadTeam &operator=(const ThreadTeam &) = delete;

  uint32_t size() const { return count; }
  /// Calls work(thread) on every thread and returns when all have returned.
  /// `work` must not throw.
  void run(const std::function<void(uint32_t)> &work);
  SpinBarrier &barrier() { return phases; }

private:
  void loop(uint32_t thread);

  const uint32_t count;
  SpinBarrier phases;
  std::mutex mutex;
  std::condition_variable wake;
  const std::function<void(uint32_t)> *current = nullptr;
  std::atomic<uint64_t> generation = 0;
  std::atomic<uint32_t> working = 0;
  std::atomic<bool> stopping = false;
  std::vector<std::thread> members;
};

} // namespace qrt

#endif // QRT_SUPPORT_THREADTEAM_H
