//===- Support.h - What the verbs of qrt share ------------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_SUPPORT_H
#define QRT_TOOLS_QRT_SUPPORT_H

#include "runtime/api/Generate.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qrt::tool {

/// Options that every verb takes.
struct CommonOptions {
  std::string file;
  std::string device = "auto";
  uint32_t threads = 0;
  uint32_t context = 0;
  bool json = false;
  bool quiet = false;

  void addTo(CLI::App &verb);
  ModelOptions model() const { return {device, threads}; }
};

/// Checks that an option is an integer from `least` to `most`.
CLI::Validator inRange(uint32_t least, uint32_t most = UINT32_MAX);

/// The verbs. Each adds itself to the command; parsing then runs it.
void addGenerate(CLI::App &app);
void addLogits(CLI::App &app);
void addEval(CLI::App &app);
void addBench(CLI::App &app);
void addChat(CLI::App &app);

/// Adds the options that say how a token is chosen.
void addSamplerOptions(CLI::App &verb, SamplerOptions &options);

/// Options of sampling and of what ends a text, for verbs that make text.
void addSampling(CLI::App &verb, GenerateOptions &options,
                 std::optional<uint64_t> &seed);

/// "1,2,3" or "1 2 3". Throws qrt::UsageError for anything else.
std::vector<int32_t> parseTokenIds(std::string_view text);
/// All of a file, of a pipe, or for "-" of standard input. Throws qrt::Error.
std::string readFile(const std::string &path);
/// Says on stderr that a session is longer than the model was trained for.
void warnBeyondLimit(const Model &model, uint32_t context, bool quiet);
/// Prints one JSON object and a newline on stdout; text that is no UTF-8 is
/// made so.
void printJson(const nlohmann::ordered_json &value);
/// Flushes stdout; throws qrt::Error if something could not be written.
void finishOutput();
/// The most memory this process had resident so far, in bytes.
uint64_t peakMemory();

/// While one lives, SIGINT interrupts: interrupted() says so, and a session's
/// step that is running throws. The second SIGINT ends the process.
class InterruptGuard {
public:
  explicit InterruptGuard(Session *session = nullptr);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard &) = delete;
  InterruptGuard &operator=(const InterruptGuard &) = delete;

  static bool interrupted();
  /// The same, and forgets it.
  static bool takeInterrupt();
  /// Throws qrt::Error of kind Cancelled if interrupted().
  static void check();
};

/// Progress on stderr: a bar on a terminal, otherwise a line for each tenth.
class Progress {
public:
  Progress(std::string what, uint64_t total, bool quiet);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  void advance(uint64_t count = 1, const std::string &note = "");

private:
  std::string what;
  uint64_t total, done = 0, shown = 0;
  bool quiet, terminal;
};

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_SUPPORT_H
