//===- BenchReport.cpp - What qrt bench prints ----------------------------===//

#include "runtime/tools/qrt/BenchReport.h"

#include "runtime/tools/qrt/Support.h"

#include <cmath>
#include <cstdio>
#include <numeric>

namespace qrt::tool {

static double mean(const std::vector<double> &values) {
  if (values.empty())
    return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) /
         double(values.size());
}

static double deviation(const std::vector<double> &values) {
  if (values.size() < 2)
    return 0;
  double average = mean(values), squares = 0;
  for (double value : values)
    squares += (value - average) * (value - average);
  return std::sqrt(squares / double(values.size() - 1));
}

std::vector<double> BenchResult::rates() const {
  std::vector<double> values;
  for (double second : seconds)
    values.push_back(double(tokens) / second);
  return values;
}

double BenchResult::averageRate() const { return mean(rates()); }
double BenchResult::rateDeviation() const { return deviation(rates()); }
double BenchResult::averageSeconds() const { return mean(seconds); }
double BenchResult::secondsDeviation() const { return deviation(seconds); }

double BenchResult::bandwidth() const {
  double average = averageSeconds();
  return average > 0 ? double(bytesRead) / average : 0;
}

std::string BenchResult::name() const {
  std::string text = promptTokens ? "pp" + std::to_string(promptTokens)
                                  : "tg" + std::to_string(newTokens);
  return depth ? text + " @ d" + std::to_string(depth) : text;
}

static nlohmann::ordered_json toJson(const BenchModel &model,
                                     const BenchResult &result) {
  auto nanoseconds = [](double seconds) {
    return uint64_t(std::llround(seconds * 1e9));
  };
  std::vector<uint64_t> samples;
  for (double seconds : result.seconds)
    samples.push_back(nanoseconds(seconds));
  nlohmann::ordered_json row = {
      {"build_commit", "qrt " QRT_VERSION},
      {"cpu_info", model.cpu},
      {"gpu_info", model.gpu},
      {"model_filename", model.file},
      {"model_type", model.type},
      {"model_size", model.size},
      {"model_n_params", model.parameters},
      {"backends", model.backend},
      {"n_threads", model.threads},
      {"n_batch", result.batch},
      {"type_k", model.kvDtype},
      {"type_v", model.kvDtype},
      {"n_prompt", result.promptTokens},
      {"n_gen", result.newTokens},
      {"n_depth", result.depth},
      {"test_time", model.startTime},
      {"avg_ns", nanoseconds(result.averageSeconds())},
      {"stddev_ns", nanoseconds(result.secondsDeviation())},
      {"avg_ts", result.averageRate()},
      {"stddev_ts", result.rateDeviation()},
      {"samples_ns", samples},
      {"samples_ts", result.rates()},
      {"gbps", result.bandwidth() / 1e9},
      {"bandwidth_share", result.bandwidth() / model.readBandwidth},
      {"read_bandwidth_gbps", model.readBandwidth / 1e9},
      {"peak_memory", result.peakMemory},
  };
  if (!result.sampling.empty())
    row["sampling"] = result.sampling;
  if (result.promptTokens && !model.promptLibrary.empty())
    row["prompt_library"] = model.promptLibrary;
  if (model.checkPerplexity)
    row["check_perplexity"] = *model.checkPerplexity;
  return row;
}

static void printMarkdown(const BenchModel &model,
                          const std::vector<BenchResult> &results) {
  std::printf("| model | size | params | backend | threads | n_batch | test | "
              "t/s | GB/s | bandwidth | memory |\n"
              "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | "
              "---: | ---: |\n");
  constexpr double mebibyte = 1 << 20;
  for (const BenchResult &result : results)
    std::printf("| %s | %.2f MiB | %.2f M | %s | %u | %u | %s | %.2f ± %.2f | "
                "%.2f | %.1f %% | %.2f MiB |\n",
                model.type.c_str(), double(model.size) / mebibyte,
                double(model.parameters) / 1e6, model.backend, model.threads,
                result.batch, result.name().c_str(), result.averageRate(),
                result.rateDeviation(), result.bandwidth() / 1e9,
                100 * result.bandwidth() / model.readBandwidth,
                double(result.peakMemory) / mebibyte);
  for (const BenchResult &result : results)
    if (result.batch == 1 && result.newTokens) {
      std::printf("\nsampling: %s; none with more than one sequence\n",
                  result.sampling.c_str());
      break;
    }
  if (!model.promptLibrary.empty())
    std::printf("\nlong prompts: %s\n", model.promptLibrary.c_str());
  std::printf("\nread bandwidth: %.2f GB/s\n", model.readBandwidth / 1e9);
  if (model.checkPerplexity)
    std::printf("check: perplexity %.4f\n", *model.checkPerplexity);
}

/// The fields of the JSON output, arrays left out.
static void printCsv(const nlohmann::ordered_json &rows) {
  bool isFirst = true;
  for (const auto &row : rows) {
    std::string head, line;
    for (const auto &[key, value] : row.items()) {
      if (value.is_array())
        continue;
      std::string quoted = "\"";
      std::string text =
          value.is_string() ? value.get<std::string>() : value.dump();
      for (char c : text)
        quoted += c == '"' ? "\"\"" : std::string(1, c);
      head += (head.empty() ? "" : ",") + key;
      line += (line.empty() ? "" : ",") + quoted + "\"";
    }
    if (isFirst)
      std::printf("%s\n", head.c_str());
    isFirst = false;
    std::printf("%s\n", line.c_str());
  }
}

void printBench(const BenchModel &model,
                const std::vector<BenchResult> &results, BenchFormat format) {
  if (format == BenchFormat::Markdown)
    return printMarkdown(model, results);
  auto rows = nlohmann::ordered_json::array();
  for (const BenchResult &result : results)
    rows.push_back(toJson(model, result));
  if (format == BenchFormat::Csv)
    printCsv(rows);
  else if (format == BenchFormat::Rows)
    printJson(rows);
  else
    printJson({{"results", rows}});
}

} // namespace qrt::tool
