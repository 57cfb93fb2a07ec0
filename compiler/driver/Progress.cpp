//===- Progress.cpp - How far a long piece of work is ---------------------===//

#include "compiler/driver/Progress.h"

#include <cstdio>
#include <unistd.h>

namespace qcc {

Progress::Progress(std::string what, bool quiet)
    : what(std::move(what)), quiet(quiet), isTerminal(::isatty(2)),
      start(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (!quiet && isTerminal)
    std::fputs("\r\033[K", stderr);
}

void Progress::update(int64_t done, int64_t total) {
  if (quiet || total <= 0)
    return;
  double fraction = double(done) / double(total);
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  double left = fraction > 0 ? seconds / fraction - seconds : 0;
  if (isTerminal) {
    std::string bar(size_t(fraction * 30), '#');
    bar.resize(30, '.');
    std::fprintf(stderr, "\r%s [%s] %3.0f %%  %.0f s left\033[K", what.c_str(),
                 bar.c_str(), fraction * 100, left);
  } else if (int tenth = int(fraction * 10); tenth > lastTenth) {
    lastTenth = tenth;
    std::fprintf(stderr, "%s: %d %% after %.1f s\n", what.c_str(), tenth * 10,
                 seconds);
  }
}

} // namespace qcc
