//===- BenchReport.h - What qrt bench prints --------------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_BENCHREPORT_H
#define QRT_TOOLS_QRT_BENCHREPORT_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qrt::tool {

/// What was measured; names are those of llama-bench.
struct BenchResult {
  uint32_t promptTokens = 0; ///< one of these two is 0
  uint32_t newTokens = 0;
  uint32_t depth = 0;          ///< tokens in the cache before
  uint32_t batch = 1;          ///< sequences at once
  std::vector<double> seconds; ///< one a repetition
  uint64_t tokens = 0;         ///< of all sequences, in one repetition
  uint64_t bytesRead = 0;      ///< weights and cache, in one repetition
  uint64_t peakMemory = 0;
  std::string sampling; ///< of new tokens: "greedy on the GPU", "none"

  std::vector<double> rates() const; ///< tokens a second
  double averageRate() const;
  double rateDeviation() const; ///< of the sample
  double averageSeconds() const;
  double secondsDeviation() const;
  /// Bytes read a second.
  double bandwidth() const;
  /// "pp512", "tg128 @ d1024".
  std::string name() const;
};

/// What is the same in every row.
struct BenchModel {
  std::string file, type;
  uint64_t size = 0, parameters = 0;
  uint32_t threads = 0;
  const char *backend = "CPU";
  std::string cpu, gpu; ///< names; `gpu` is empty where none is used
  std::string kvDtype;  ///< "f32", "f16", "bf16"
  /// What multiplied long prompts: "cuBLASLt 13.1.0", or why it did not.
  std::string promptLibrary;
  std::string startTime; ///< in UTC, as ISO 8601 has it
  /// Bytes a second: measured, or a GPU's nominal figure.
  double readBandwidth = 0;
  std::optional<double> checkPerplexity;
};

/// Rows and Csv are llama-bench's `-o json` (an array) and `-o csv`; Json is
/// one object, as every `--json` prints, with that array as `results`.
enum class BenchFormat { Markdown, Json, Rows, Csv };

/// Prints a row for each result on stdout.
void printBench(const BenchModel &model,
                const std::vector<BenchResult> &results, BenchFormat format);

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_BENCHREPORT_H
