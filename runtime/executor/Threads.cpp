//===- Threads.cpp - How many threads to run on ---------------------------===//

#include "runtime/executor/Threads.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sched.h>
#include <set>
#include <string>
#include <thread>
#include <utility>

namespace qrt {

/// The quota in CPUs that cgroup v2's cpu.max or v1's cfs_quota gives, or 0.
static double cpuQuota() {
  double quota = 0, period = 0;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max");
      file && file >> quota >> period && period > 0)
    return quota / period;
  std::ifstream quotaFile("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream periodFile("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quotaFile >> quota && periodFile >> period && quota > 0 && period > 0)
    return quota / period;
  return 0;
}

/// Cores among the CPUs of this process: two hyperthreads of a core share its
/// arithmetic and its caches, so the second one only adds to the barriers.
static uint32_t physicalCores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return std::thread::hardware_concurrency();
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed))
      continue;
    std::string folder =
        "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = 0;
    std::ifstream packageFile(folder + "physical_package_id");
    std::ifstream coreFile(folder + "core_id");
    if (!(packageFile >> package) || !(coreFile >> core))
      return uint32_t(CPU_COUNT(&allowed));
    cores.insert({package, core});
  }
  return uint32_t(cores.size());
}

uint32_t defaultThreads() {
  uint32_t threads = physicalCores();
  if (double quota = cpuQuota(); quota > 0)
    threads = std::min(threads, uint32_t(std::ceil(std::min(quota, 1e6))));
  return std::clamp(threads, 1u, kMaxThreads);
}

} // namespace qrt
