//===- Cpu.cpp - What this CPU can run ------------------------------------===//

#include "runtime/support/Cpu.h"

#include "runtime/support/Error.h"

#include <cstdlib>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace qrt {

#if defined(__x86_64__)
/// Tile state needs the kernel's permission once a process (Linux 5.16,
/// Documentation/arch/x86/xstate.rst).
static bool requestAmx() {
  constexpr long archReqXcompPerm = 0x1023, xfeatureTileData = 18;
  return ::syscall(SYS_arch_prctl, archReqXcompPerm, xfeatureTileData) == 0;
}

uint32_t detectCpuLevel() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2"))
    return 0;
  unsigned a, b, c, d;
  constexpr unsigned f16c = 1u << 29;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & f16c))
    return 0;
  if (!__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") ||
      !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512vnni"))
    return QRT_CPU_X86_64_V3;
  constexpr unsigned amxBits = 1u << 22 | 1u << 24 | 1u << 25;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & amxBits) == amxBits &&
      requestAmx())
    return QRT_CPU_X86_64_AMX;
  return QRT_CPU_X86_64_V4;
}
#else
uint32_t detectCpuLevel() { return 0; }
#endif

std::string_view cpuLevelName(uint32_t level) {
  switch (level) {
  case QRT_CPU_X86_64_V3:
    return "x86-64-v3";
  case QRT_CPU_X86_64_V4:
    return "x86-64-v4";
  case QRT_CPU_X86_64_AMX:
    return "amx";
  default:
    return "a CPU below x86-64-v3";
  }
}

uint32_t cpuLevel() {
  uint32_t detected = detectCpuLevel();
  const char *forced = std::getenv("QRT_CPU");
  if (!forced || !*forced)
    return detected;
  for (uint32_t level :
       {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V4, QRT_CPU_X86_64_AMX}) {
    if (cpuLevelName(level) != forced)
      continue;
    if (level > detected)
      throw UsageError("QRT_CPU asks for " + std::string(forced) +
                       ", this machine has " +
                       std::string(cpuLevelName(detected)));
    return level;
  }
  throw UsageError("QRT_CPU is '" + std::string(forced) + "'",
                   "known are x86-64-v3, x86-64-v4 and amx");
}

} // namespace qrt
