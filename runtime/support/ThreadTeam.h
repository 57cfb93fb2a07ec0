//===- ThreadTeam.h - Threads that work on one step together ----*- C++ -*-===//

#ifndef QRT_SUPPORT_THREADTEAM_H
#define QRT_SUPPORT_THREADTEAM_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace qrt {

/// All threads of a team meet at a barrier. Waiting spins briefly (phases are
/// microseconds long), then sleeps, so that a machine with fewer free cores
/// than threads gives them to the threads that have work left.
class SpinBarrier {
public:
  explicit SpinBarrier(uint32_t threads) : threads(threads) {}
  /// Returns when all threads have called it. What any of them wrote before is
  /// visible to all of them afterwards.
  void wait();

private:
  const uint32_t threads;
  // Apart, so that arrivals do not disturb those who watch the phase.
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
  /// Ends and joins the members.
  void stop();

  const uint32_t count;
  SpinBarrier phases;
  const std::function<void(uint32_t)> *current = nullptr;
  /// Counts the calls of run(); the members wait for it to change.
  alignas(64) std::atomic<uint32_t> generation = 0;
  alignas(64) std::atomic<uint32_t> working = 0;
  std::atomic<bool> stopping = false;
  std::vector<std::thread> members;
};

} // namespace qrt

#endif // QRT_SUPPORT_THREADTEAM_H
