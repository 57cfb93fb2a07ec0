//===- Threads.h - How many threads to run on -------------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_THREADS_H
#define QRT_EXECUTOR_THREADS_H

#include <cstdint>

namespace qrt {

/// More threads than this are refused.
inline constexpr uint32_t kMaxThreads = 1024;

/// One thread for each physical core that this process may run on, within its
/// control group's CPU quota; at least 1.
uint32_t defaultThreads();

} // namespace qrt

#endif // QRT_EXECUTOR_THREADS_H
