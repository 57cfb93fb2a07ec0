//===- Progress.h - How far a long piece of work is -------------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_PROGRESS_H
#define QCC_COMPILER_DRIVER_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <string>

namespace qcc {

/// A bar on stderr where that is a terminal, a line every tenth otherwise,
/// nothing if quiet.
class Progress {
public:
  Progress(std::string what, bool quiet);
  ~Progress();
  /// `note` stands behind the bar: what was done last.
  void update(int64_t done, int64_t total, const std::string &note = "");

private:
  std::string what;
  bool quiet, isTerminal;
  int lastTenth = 0;
  /// Where the first call stood: work done before does not tell the time left.
  double first = -1;
  std::chrono::steady_clock::time_point start;
};

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_PROGRESS_H
