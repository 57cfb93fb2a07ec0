//===- Parallel.cpp - Independent pieces of work on all cores -------------===//

#include "compiler/quantize/Parallel.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace qcc {

void parallelFor(unsigned threads, int64_t count,
                 const std::function<void(int64_t)> &work) {
  std::atomic<int64_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  auto run = [&] {
    try {
      for (int64_t i; (i = next++) < count;)
        work(i);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!failure)
        failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> team;
    for (unsigned i = 1; i < threads && int64_t(i) < count; ++i)
      team.emplace_back(run);
    run();
  }
  if (failure)
    std::rethrow_exception(failure);
}

} // namespace qcc
