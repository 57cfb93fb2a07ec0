//===- Support.cpp - What the verbs of qrt share --------------------------===//

#include "runtime/tools/qrt/Support.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

namespace qrt::tool {

CLI::Validator inRange(uint32_t least, uint32_t most) {
  auto check = [least, most](const std::string &text) -> std::string {
    uint32_t value = 0;
    const char *end = text.data() + text.size();
    auto [next, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && next == end && value >= least && value <= most)
      return "";
    std::string range = most == UINT32_MAX
                            ? "an integer of at least " + std::to_string(least)
                            : "an integer from " + std::to_string(least) +
                                  " to " + std::to_string(most);
    return "'" + text + "' is not " + range;
  };
  return CLI::Validator(check, "");
}

void CommonOptions::addTo(CLI::App &verb) {
  verb.add_option("FILE", file, "The compiled model, a .qbin")->required();
  verb.add_option("--device", device,
                  "cpu, cuda[:N] or N (default: what there is)");
  verb.add_option("--threads", threads,
                  "Threads (default: one for each physical core)")
      ->check(inRange(1));
  verb.add_option("--context", context,
                  "Tokens of context (default: the model's limit)")
      ->check(inRange(1));
  verb.add_flag("--json", json, "One JSON object on stdout");
  verb.add_flag("--quiet", quiet, "No progress, no timing");
}

std::vector<int32_t> parseTokenIds(std::string_view text) {
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    while (at != end && std::strchr(" ,\t\r\n", *at))
      ++at;
    if (at == end)
      break;
    int32_t id;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() ||
        (next != end && !std::strchr(" ,\t\r\n", *next)))
      throw UsageError("'" + std::string(at, std::find(at, end, ',')) +
                       "' is no token id");
    ids.push_back(id);
    at = next;
  }
  if (ids.empty())
    throw UsageError("no token ids given");
  return ids;
}

std::string readFile(const std::string &path) {
  auto refuse = [&](const char *what) -> Error {
    return Error(std::string(what) + std::strerror(errno), path);
  };
  struct Close {
    void operator()(std::FILE *file) const {
      if (file != stdin)
        std::fclose(file);
    }
  };
  std::unique_ptr<std::FILE, Close> file(
      path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
  if (!file)
    throw refuse("cannot open the file: ");
  std::string text;
  char buffer[1 << 16];
  while (size_t n = std::fread(buffer, 1, sizeof(buffer), file.get()))
    text.append(buffer, n);
  if (std::ferror(file.get()))
    throw refuse("cannot read the file: ");
  return text;
}

void warnBeyondLimit(const Model &model, uint32_t context, bool quiet) {
  uint32_t limit = model.contextLimit();
  if (!quiet && limit && context > limit)
    std::fprintf(stderr,
                 "qrt: warning: a context of %u tokens is more than the %u "
                 "that the model was trained for; text degrades there\n",
                 context, limit);
}

void printJson(const nlohmann::ordered_json &value) {
  std::string text = value.dump(
      2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

void finishOutput() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw Error(std::string("cannot write the output: ") +
                std::strerror(errno));
}

uint64_t peakMemory() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return uint64_t(usage.ru_maxrss) * 1024;
}

static std::atomic<bool> isInterrupted = false;
static std::atomic<Session *> interruptedSession = nullptr;
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<Session *>::is_always_lock_free);

static void onInterrupt(int) {
  isInterrupted = true;
  if (Session *session = interruptedSession)
    session->cancel();
  std::signal(SIGINT, SIG_DFL);
}

InterruptGuard::InterruptGuard(Session *session) {
  interruptedSession = session;
  std::signal(SIGINT, onInterrupt);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  interruptedSession = nullptr;
}

bool InterruptGuard::interrupted() { return isInterrupted; }

bool InterruptGuard::takeInterrupt() { return isInterrupted.exchange(false); }

void InterruptGuard::check() {
  if (isInterrupted)
    throw Error("interrupted", "", "", ErrorKind::Cancelled);
}

Progress::Progress(std::string what, uint64_t total, bool quiet)
    : what(std::move(what)), total(std::max<uint64_t>(total, 1)), quiet(quiet),
      terminal(::isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (!quiet && terminal && shown)
    std::fputs("\r\x1b[K", stderr);
}

void Progress::advance(uint64_t count, const std::string &note) {
  done += count;
  if (quiet)
    return;
  uint64_t steps = terminal ? 100 : 10;
  uint64_t now = done * steps / total;
  if (now == shown)
    return;
  shown = now;
  const char *gap = note.empty() ? "" : ", ";
  if (!terminal) {
    std::fprintf(stderr, "%s: %llu/%llu%s%s\n", what.c_str(),
                 static_cast<unsigned long long>(done),
                 static_cast<unsigned long long>(total), gap, note.c_str());
    return;
  }
  constexpr size_t width = 30;
  size_t full = std::min<size_t>(width, done * width / total);
  std::fprintf(stderr, "\r%s [%s%s] %llu/%llu%s%s\x1b[K", what.c_str(),
               std::string(full, '=').c_str(),
               std::string(width - full, ' ').c_str(),
               static_cast<unsigned long long>(done),
               static_cast<unsigned long long>(total), gap, note.c_str());
}

} // namespace qrt::tool
