//===- Cpu.h - What this CPU can run ----------------------------*- C++ -*-===//

#ifndef QRT_SUPPORT_CPU_H
#define QRT_SUPPORT_CPU_H

#include "runtime/abi/kernel_abi.h"

#include <string_view>

namespace qrt {

/// The highest level that CPU and operating system support; 0 below
/// x86-64-v3. Asks the kernel for the permission to use AMX tiles.
uint32_t detectCpuLevel();

/// detectCpuLevel(), or what the environment variable QRT_CPU names
/// (x86-64-v3, x86-64-v4 or amx). Throws qrt::UsageError if QRT_CPU is no such
/// name or asks for more than there is.
uint32_t cpuLevel();

/// "x86-64-v3", "x86-64-v4", "amx".
std::string_view cpuLevelName(uint32_t level);

} // namespace qrt

#endif // QRT_SUPPORT_CPU_H
