//===- ThreadTeamTest.cpp - Threads that work on one step together --------===//

#include "runtime/support/ThreadTeam.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

using namespace qrt;

/// Seconds of CPU that this process has used.
static double cpuSeconds() {
  timespec time;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

TEST(ThreadTeamTest, callsEveryThreadOnce) {
  for (uint32_t size : {1u, 2u, 3u, 8u}) {
    ThreadTeam team(size);
    EXPECT_EQ(team.size(), size);
    std::vector<std::atomic<int>> calls(size);
    auto caller = std::this_thread::get_id();
    std::atomic<bool> firstIsCaller = false;
    for (int i = 0; i < 50; ++i)
      team.run([&](uint32_t thread) {
        ++calls[thread];
        if (thread == 0)
          firstIsCaller = std::this_thread::get_id() == caller;
      });
    for (std::atomic<int> &count : calls)
      EXPECT_EQ(count, 50);
    EXPECT_TRUE(firstIsCaller);
  }
}

/// What was written before a barrier is there after it, phase after phase, with
/// more threads than this machine has cores too.
TEST(ThreadTeamTest, barriersSeparatePhases) {
  for (uint32_t size : {1u, 2u, 5u, 16u}) {
    ThreadTeam team(size);
    std::vector<uint64_t> values(size, 0), sums(size, 0);
    constexpr uint64_t phases = 200;
    std::atomic<int> wrong = 0;
    for (int run = 0; run < 3; ++run)
      team.run([&](uint32_t thread) {
        for (uint64_t phase = 1; phase <= phases; ++phase) {
          values[thread] = phase;
          team.barrier().wait();
          for (uint64_t value : values)
            wrong += value != phase;
          team.barrier().wait();
        }
      });
    EXPECT_EQ(wrong, 0) << size << " threads";
  }
}

TEST(ThreadTeamTest, wakesAfterSleep) {
  ThreadTeam team(4);
  std::atomic<int> calls = 0;
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    team.run([&](uint32_t) { ++calls; });
  }
  EXPECT_EQ(calls, 12);
}

/// A team without work sleeps.
TEST(ThreadTeamTest, doesNotBurnWhileIdle) {
  ThreadTeam team(4);
  team.run([](uint32_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  double before = cpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpuSeconds() - before, 0.05);
}

TEST(ThreadTeamTest, endsRightAwayAndManyTimes) {
  for (int i = 0; i < 50; ++i)
    ThreadTeam team(3);
  for (int i = 0; i < 50; ++i) {
    ThreadTeam team(3);
    team.run([](uint32_t) {});
  }
}
