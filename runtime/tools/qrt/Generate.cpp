//===- Generate.cpp - qrt generate ----------------------------------------===//

#include "runtime/api/Generate.h"
#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Support.h"

#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <unistd.h>
#include <utility>

namespace qrt::tool {

namespace {
struct GenerateVerb {
  CommonOptions common;
  std::optional<std::string> prompt;
  std::optional<std::string> promptFile, tokenIds;
  bool noEcho = false;
  std::optional<uint64_t> seed;
  std::optional<uint32_t> maxNewTokens;
  GenerateOptions options;

  void add(CLI::App &verb);
  void run();

private:
  void readPrompt(const Model &model);
  uint32_t contextFor(const Model &model) const;
  void printTiming(const Model &model, const GenerateResult &result) const;
  void printResult(const Model &model, const GenerateResult &result) const;

  std::vector<int32_t> promptIds;
  std::string promptText, newText;
  double firstToken = 0; ///< seconds from the start of loading to it
};
} // namespace

void addSamplerOptions(CLI::App &verb, SamplerOptions &options) {
  verb.add_option("--temperature", options.temperature,
                  "0 always takes the likeliest token");
  verb.add_option("--top-k", options.topK,
                  "Choose among the k likeliest; 0: among all");
  verb.add_option("--top-p", options.topP,
                  "Choose among the likeliest that reach this probability");
  verb.add_option("--min-p", options.minP,
                  "Leave out what has less than this share of the likeliest");
  verb.add_option("--repetition-penalty", options.repetitionPenalty,
                  "Above 1: less of what stands there already");
}

void addSampling(CLI::App &verb, GenerateOptions &options,
                 std::optional<uint64_t> &seed) {
  addSamplerOptions(verb, options.sampling);
  verb.add_option("--seed", seed, "Same seed, same text (default: random)")
      ->check([](const std::string &text) -> std::string {
        uint64_t value;
        const char *end = text.data() + text.size();
        auto [next, error] = std::from_chars(text.data(), end, value);
        return error == std::errc() && next == end
                   ? ""
                   : "'" + text + "' is no integer from 0 to 2^64 - 1";
      });
  verb.add_option("--stop", options.stop, "Stop before this text; repeatable")
      ->expected(1)
      ->take_all();
  verb.add_flag("--ignore-eos", options.ignoreEos,
                "Go on when the model ends the text");
}

void GenerateVerb::add(CLI::App &verb) {
  common.addTo(verb);
  auto *text = verb.add_option("--prompt", prompt, "Text to go on from");
  auto *file =
      verb.add_option("--prompt-file", promptFile, "File with the text");
  auto *ids = verb.add_option("--token-ids", tokenIds,
                              "Token ids to go on from, such as 1,2,3");
  text->excludes(file)->excludes(ids);
  file->excludes(ids);
  verb.add_flag("--no-echo", noEcho, "Leave the prompt out");
  verb.add_option("--max-new-tokens", maxNewTokens,
                  "At most so many new tokens (default: 128)");
  addSampling(verb, options, seed);
  verb.footer("Without a prompt: standard input if it is not a terminal and "
              "has text, else\n\"Hello, my name is\".\nIn --json, `text` and "
              "`token_ids` are what was made, without the prompt.\n"
              "Example: qrt generate "
              "falcon.qbin --prompt \"Once upon a time\" --temperature 0");
}

void GenerateVerb::readPrompt(const Model &model) {
  if (tokenIds) {
    promptIds = parseTokenIds(*tokenIds);
    for (int32_t id : promptIds)
      if (id < 0 || uint32_t(id) >= model.vocabulary())
        throw UsageError("token id " + std::to_string(id) +
                         " is outside the vocabulary of " +
                         std::to_string(model.vocabulary()));
    if (model.tokenizer())
      promptText = model.tokenizer()->decode(promptIds, /*skipSpecial=*/true);
    return;
  }
  if (prompt)
    promptText = *prompt;
  else if (promptFile)
    promptText = readFile(*promptFile);
  else if (!::isatty(STDIN_FILENO))
    promptText = readFile("-");
  // Nothing on standard input is no prompt: scripts run with /dev/null there.
  if (promptText.empty() && !prompt && !promptFile)
    promptText = "Hello, my name is";
  promptIds = model.encodePrompt(promptText);
}

/// Whoever asks for more tokens than a model with a short limit holds wants
/// them; a prompt that is too long by itself stays an error.
uint32_t GenerateVerb::contextFor(const Model &model) const {
  constexpr uint64_t mostByDefault = 4096;
  uint32_t byDefault = model.defaultContext();
  if (common.context || !maxNewTokens || promptIds.size() > byDefault)
    return common.context;
  uint64_t wanted =
      std::min(promptIds.size() + uint64_t(*maxNewTokens), mostByDefault);
  if (model.positions())
    wanted = std::min<uint64_t>(wanted, model.positions());
  return std::max(byDefault, uint32_t(wanted));
}

void GenerateVerb::run() {
  if (!seed)
    seed = std::random_device{}();
  options.sampling.seed = *seed;
  if (maxNewTokens)
    options.maxNewTokens = *maxNewTokens;
  std::optional<TimedPart> untilFirst(firstToken);
  Model model(common.file, common.model());
  readPrompt(model);
  Session session(model, contextFor(model));
  warnBeyondLimit(model, session.capacity(), common.quiet);
  InterruptGuard interrupt(&session);

  bool streams = !common.json, hasText = model.tokenizer();
  // Once the prompt has been read: one that is too long prints nothing.
  auto echo = [&, done = !streams || noEcho]() mutable {
    if (std::exchange(done, true))
      return;
    std::fwrite(promptText.data(), 1, promptText.size(), stdout);
    if (!hasText)
      for (int32_t id : promptIds)
        std::printf("%d ", id);
  };
  GenerateResult result = generate(
      session, promptIds, options, [&](int32_t token, std::string_view text) {
        untilFirst.reset();
        newText += text;
        echo();
        if (streams) {
          if (hasText)
            std::fwrite(text.data(), 1, text.size(), stdout);
          else
            std::printf("%d ", token);
          finishOutput();
        }
        return !InterruptGuard::interrupted();
      });
  untilFirst.reset();
  echo();
  if (streams)
    std::fputc('\n', stdout);
  else
    printResult(model, result);
  finishOutput();
  if (!common.quiet)
    printTiming(model, result);
  InterruptGuard::check();
}

static double rate(size_t tokens, double seconds) {
  return seconds > 0 ? double(tokens) / seconds : 0;
}

/// The first two lines are those of Lit-GPT's generate scripts.
void GenerateVerb::printTiming(const Model &model,
                               const GenerateResult &result) const {
  double total = result.promptSeconds + result.generateSeconds;
  size_t count = result.ids.size(), decoded = count ? count - 1 : 0;
  std::fprintf(stderr,
               "Time for inference 1: %.02f sec total, %.02f tokens/sec\n"
               "Memory used: %.02f GB\n"
               "Prompt: %zu tokens, %.2f tokens/sec; generation: %zu tokens, "
               "%.2f tokens/sec\n",
               total, rate(count, total), double(peakMemory()) / 1e9,
               promptIds.size(), rate(promptIds.size(), result.promptSeconds),
               count, rate(decoded, result.generateSeconds));
  const LoadTimes &load = model.loadTimes();
  std::fprintf(stderr,
               "First token after %.3f sec: file %.3f, device %.3f, kernels "
               "%.3f, memory %.3f, weights %.3f",
               firstToken, load.file, load.device, load.kernels, load.memory,
               load.weights);
  if (load.weights > 0)
    std::fprintf(stderr, " (%.2f GB at %.2f GB/s)",
                 double(load.weightBytes) / 1e9,
                 double(load.weightBytes) / 1e9 / load.weights);
  std::fprintf(stderr, ", graphs %.3f, tokenizer %.3f, prompt %.3f\n",
               load.graphs, load.text, result.promptSeconds);
}

static nlohmann::ordered_json loadJson(const LoadTimes &load) {
  return {{"file_seconds", load.file},
          {"device_seconds", load.device},
          {"kernels_seconds", load.kernels},
          {"memory_seconds", load.memory},
          {"weights_seconds", load.weights},
          {"weights_reading_seconds", load.reading},
          {"weights_waiting_seconds", load.waiting},
          {"weight_bytes", load.weightBytes},
          {"graphs_seconds", load.graphs},
          {"tokenizer_seconds", load.text},
          {"total_seconds", load.total()}};
}

void GenerateVerb::printResult(const Model &model,
                               const GenerateResult &result) const {
  nlohmann::ordered_json json;
  double total = result.promptSeconds + result.generateSeconds;
  size_t count = result.ids.size(), decoded = count ? count - 1 : 0;
  json["text"] = newText;
  json["token_ids"] = result.ids;
  json["prompt_token_ids"] = promptIds;
  json["finish_reason"] = finishReasonName(result.reason);
  json["seed"] = *seed;
  json["timings"] = {
      {"prompt_tokens", promptIds.size()},
      {"prompt_seconds", result.promptSeconds},
      {"prompt_tokens_per_second",
       rate(promptIds.size(), result.promptSeconds)},
      {"new_tokens", count},
      {"generation_seconds", result.generateSeconds},
      {"generation_tokens_per_second", rate(decoded, result.generateSeconds)},
      {"total_seconds", total},
      {"sampled_on_device", result.sampledOnDevice},
      {"first_token_seconds", firstToken},
      {"load", loadJson(model.loadTimes())},
      {"peak_memory", peakMemory()}};
  printJson(json);
}

void addGenerate(CLI::App &app) {
  auto verb = std::make_shared<GenerateVerb>();
  CLI::App *command = app.add_subcommand("generate", "Writes a text on");
  verb->add(*command);
  command->callback([verb] { verb->run(); });
}

} // namespace qrt::tool
