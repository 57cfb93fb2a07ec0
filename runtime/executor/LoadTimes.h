//===- LoadTimes.h - Where the time of loading a model goes -----*- C++ -*-===//

#ifndef QRT_EXECUTOR_LOADTIMES_H
#define QRT_EXECUTOR_LOADTIMES_H

#include <chrono>
#include <cstdint>

namespace qrt {

/// Seconds, one part after the other.
struct LoadTimes {
  double file = 0;    ///< mapping and checking the artifact
  double device = 0;  ///< driver and context; threads on a CPU
  double kernels = 0; ///< loading the code
  double memory = 0;  ///< taking and clearing the device's memory
  double weights = 0; ///< from the file to the device; 0: used where they lie
  double graphs = 0;  ///< operands, tables and captured graphs
  double text = 0;    ///< tokenizer and chat templates

  uint64_t weightBytes = 0; ///< that were copied
  /// Of `weights`, how long the threads that copy read the file and waited for
  /// the link to the device, on average.
  double reading = 0, waiting = 0;

  double total() const {
    return file + device + kernels + memory + weights + graphs + text;
  }
};

/// Adds the time until it goes to `seconds`.
class TimedPart {
public:
  explicit TimedPart(double &seconds) : seconds(seconds) {}
  ~TimedPart() { seconds += elapsed(); }
  TimedPart(const TimedPart &) = delete;
  TimedPart &operator=(const TimedPart &) = delete;

private:
  using Clock = std::chrono::steady_clock;
  double elapsed() const {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  double &seconds;
  const Clock::time_point begin = Clock::now();
};

} // namespace qrt

#endif // QRT_EXECUTOR_LOADTIMES_H
