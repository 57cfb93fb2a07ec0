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

void Progress::update(int64_t done, int64_t total, const std::string &note) {
  if (quiet || total <= 0)
    return;
  double fraction = double(done) / double(total);
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  if (first < 0)
    first = fraction > 0.1 ? fraction : 0;
  double gained = fraction - first;
  double left = gained > 0 ? seconds * (1 - fraction) / gained : 0;
  if (isTerminal) {
    std::string bar(size_t(fraction * 30), '#');
    bar.resize(30, '.');
    std::fprintf(stderr, "\r%s [%s] %3.0f %%  %.0f s left  %s\033[K",
                 what.c_str(), bar.c_str(), fraction * 100, left, note.c_str());
  } else if (int tenth = int(fraction * 10); tenth > lastTenth) {
    lastTenth = tenth;
    std::fprintf(stderr, "%s: %d %% after %.1f s%s%s\n", what.c_str(),
                 tenth * 10, seconds, note.empty() ? "" : ", ", note.c_str());
  }
}

} // namespace qcc
