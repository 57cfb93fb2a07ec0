//===- Bench.cpp - qrt bench ----------------------------------------------===//

#include "runtime/api/Sampler.h"
#include "runtime/api/TokenSource.h"
#include "runtime/executor/cuda/CudaExecutor.h"
#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Bandwidth.h"
#include "runtime/tools/qrt/BenchReport.h"
#include "runtime/tools/qrt/Perplexity.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <memory>

namespace qrt::tool {

namespace {
struct BenchVerb {
  CommonOptions common;
  std::vector<uint32_t> prompts = {512}, news = {128}, depths = {0},
                        batches = {1};
  uint32_t repetitions = 5;
  BenchFormat format = BenchFormat::Markdown;
  std::string check;
  SamplerOptions sampling;

  void run();
};

/// Runs one model's tests.
class Bench {
public:
  Bench(Model &model, uint32_t repetitions, const SamplerOptions &sampling)
      : model(model), repetitions(repetitions), sampling(sampling),
        weightBytes(countWeights()) {}

  /// Of the weights that a step reads.
  uint64_t bytesAStep() const { return weightBytes; }
  BenchResult prompt(uint32_t tokens, uint32_t depth, uint32_t batch);
  BenchResult generation(uint32_t tokens, uint32_t depth, uint32_t batch);

private:
  uint64_t countWeights() const;
  /// Any ids do: dense models take the same time for all.
  std::vector<int32_t> randomTokens(size_t count);
  /// Times `work` on sessions that hold `depth` tokens and have room for
  /// `tokens` more. The first repetition warms up.
  template <typename Work>
  void measure(BenchResult &result, uint32_t tokens, Work work);
  void step(std::span<Session *const> sessions,
            std::span<const std::vector<int32_t>> tokens);
  /// `tokens` steps of a token a session, with the choice of the next ones;
  /// where tokens were chosen.
  std::string generate(std::span<Session *const> sessions, uint32_t tokens);

  Model &model;
  const uint32_t repetitions;
  const SamplerOptions sampling;
  const uint64_t weightBytes;
  Random random{1};
};
} // namespace

/// Bytes of the weights that a step reads. Of a table of embeddings it reads
/// single rows; that is the one in rows of two tensors with a vocabulary.
uint64_t Bench::countWeights() const {
  uint64_t total = 0, table = 0;
  int vocabularies = 0;
  for (const fb::Tensor *tensor : *model.artifact().manifest().tensors()) {
    total += tensor->data()->length();
    if (tensor->rows() != model.vocabulary())
      continue;
    ++vocabularies;
    if (tensor->layout()->string_view() == "rows")
      table = std::max(table, tensor->data()->length());
  }
  return vocabularies > 1 ? total - table : total;
}

std::vector<int32_t> Bench::randomTokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = int32_t(random.next() % model.vocabulary());
  return tokens;
}

void Bench::step(std::span<Session *const> sessions,
                 std::span<const std::vector<int32_t>> tokens) {
  std::vector<StepSequence> sequences(sessions.size());
  for (size_t i = 0; i < sessions.size(); ++i)
    sequences[i].tokens = tokens[i];
  stepSessions(model, sessions, sequences);
}

template <typename Work>
void Bench::measure(BenchResult &result, uint32_t tokens, Work work) {
  std::vector<std::unique_ptr<Session>> owned;
  std::vector<Session *> sessions;
  for (uint32_t i = 0; i < result.batch; ++i) {
    owned.push_back(std::make_unique<Session>(model, result.depth + tokens));
    sessions.push_back(owned.back().get());
    if (result.depth)
      sessions.back()->feed(randomTokens(result.depth), LogitRows::None);
  }
  for (uint32_t i = 0; i <= repetitions; ++i) {
    for (Session *session : sessions)
      session->truncate(result.depth);
    auto start = std::chrono::steady_clock::now();
    work(std::span<Session *const>(sessions));
    std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    InterruptGuard::check();
    if (i > 0)
      result.seconds.push_back(seconds.count());
  }
  result.tokens = uint64_t(tokens) * result.batch;
  result.peakMemory = peakMemory();
}

BenchResult Bench::prompt(uint32_t tokens, uint32_t depth, uint32_t batch) {
  BenchResult result;
  result.promptTokens = tokens;
  result.depth = depth;
  result.batch = batch;
  std::vector<std::vector<int32_t>> ids;
  for (uint32_t i = 0; i < batch; ++i)
    ids.push_back(randomTokens(tokens));
  measure(result, tokens,
          [&](std::span<Session *const> sessions) { step(sessions, ids); });
  uint64_t most = model.executor().maxTokens();
  uint64_t calls = (result.tokens + most - 1) / most;
  result.bytesRead =
      calls * weightBytes +
      batch * uint64_t(depth + tokens) * model.executor().kvBytesPerToken();
  return result;
}

std::string Bench::generate(std::span<Session *const> sessions,
                            uint32_t tokens) {
  std::vector<Sampler> samplers(sessions.size(),
                                Sampler(sampling, model.vocabulary()));
  TokenSource source(model);
  for (size_t i = 0; i < sessions.size(); ++i)
    source.add(*sessions[i], samplers[i], tokens, randomTokens(1)[0]);
  for (uint32_t i = 0; i < tokens; ++i)
    source.next();
  return std::string(sampling.temperature == 0 ? "greedy" : "sampled") +
         (source.isOnDevice() ? " on the GPU" : " on the host");
}

BenchResult Bench::generation(uint32_t tokens, uint32_t depth, uint32_t batch) {
  BenchResult result;
  result.newTokens = tokens;
  result.depth = depth;
  result.batch = batch;
  measure(result, tokens, [&](std::span<Session *const> sessions) {
    result.sampling = generate(sessions, tokens);
  });
  uint64_t positions =
      uint64_t(tokens) * depth + uint64_t(tokens) * (uint64_t(tokens) + 1) / 2;
  result.bytesRead = tokens * weightBytes +
                     batch * positions * model.executor().kvBytesPerToken();
  return result;
}

static std::string cpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "unknown";
}

static std::string utcNow() {
  std::time_t now = std::time(nullptr);
  std::tm parts = {};
  char text[32] = "";
  if (::gmtime_r(&now, &parts))
    std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

/// GPTQ-for-LLaMa's --benchmark N --check: the text token by token, so that it
/// is the decode path whose predictions count.
static double checkPerplexity(Model &model, const std::string &path,
                              uint32_t count) {
  std::vector<int32_t> tokens = model.requireTokenizer().encode(
      readFile(path), /*addSpecialTokens=*/false);
  if (uint32_t limit = model.contextLimit())
    count = std::min(count, limit);
  if (tokens.size() > count)
    tokens.resize(count);
  if (tokens.size() < 2)
    throw Error("the text has " + std::to_string(tokens.size()) +
                    " tokens, at least 2 are needed",
                path);
  Session session(model, uint32_t(tokens.size()));
  Scores scores;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    InterruptGuard::check();
    session.feed({&tokens[i], 1});
    RowScore score;
    scoreRows(model.executor(), session.logits(), {}, {&tokens[i + 1], 1},
              {&score, 1});
    scores.addLoss(score.loss);
  }
  return scores.perplexity();
}

void BenchVerb::run() {
  if (common.json)
    format = BenchFormat::Json;
  Model model(common.file, common.model());
  InterruptGuard interrupt;
  BenchModel about;
  about.file = common.file;
  about.type = model.artifact().model().architecture()
                   ? model.artifact().model().architecture()->str()
                   : "unknown";
  about.size = model.artifact().size();
  about.parameters = model.artifact().model().parameters();
  about.threads = model.executor().threads();
  about.cpu = cpuName();
  if (const auto *type = model.artifact().manifest().kv_dtype())
    about.kvDtype = type->str();
  about.startTime = utcNow();

  Bench bench(model, repetitions, sampling);
  std::vector<BenchResult> results;
  auto isSome = [](uint32_t tokens) { return tokens > 0; };
  uint64_t tests = depths.size() * batches.size() *
                   uint64_t(std::ranges::count_if(prompts, isSome) +
                            std::ranges::count_if(news, isSome));
  Progress progress("bench", tests, common.quiet);
  for (uint32_t depth : depths)
    for (uint32_t batch : batches) {
      for (uint32_t tokens : prompts)
        if (tokens) {
          results.push_back(bench.prompt(tokens, depth, batch));
          progress.advance(1, results.back().name());
        }
      for (uint32_t tokens : news)
        if (tokens) {
          results.push_back(bench.generation(tokens, depth, batch));
          progress.advance(1, results.back().name());
        }
    }
  if (!check.empty()) {
    uint32_t count = std::max(*std::ranges::max_element(news), 2u);
    about.checkPerplexity = checkPerplexity(model, check, count);
  }
  // Last, since its block would count as memory that the model needs.
  if (auto *gpu = dynamic_cast<CudaExecutor *>(&model.executor())) {
    about.backend = "CUDA";
    about.gpu = gpu->gpu().name();
    about.promptLibrary = gpu->promptLibrary();
    about.readBandwidth = gpu->gpu().nominalBandwidth();
  } else {
    about.readBandwidth = readBandwidth(model.executor(), bench.bytesAStep());
  }
  printBench(about, results, format);
}

void addBench(CLI::App &app) {
  auto verb = std::make_shared<BenchVerb>();
  CLI::App *command =
      app.add_subcommand("bench", "Measures speed as llama-bench does");
  verb->common.addTo(*command);
  verb->sampling.temperature = 0;
  addSamplerOptions(*command, verb->sampling);
  auto addList = [&](const char *names, std::vector<uint32_t> &values,
                     const char *description, uint32_t least) {
    command->add_option(names, values, description)
        ->delimiter(',')
        ->check(inRange(least, uint32_t(1) << 20));
  };
  addList("-p,--n-prompt", verb->prompts, "Tokens of prompts; 0: no such test",
          0);
  addList("-n,--n-gen", verb->news,
          "Tokens to generate, each of them chosen; 0: no such test", 0);
  addList("-d,--n-depth", verb->depths, "Tokens in the cache before", 0);
  addList("-b,--n-batch", verb->batches, "Sequences at once", 1);
  command->add_option("-r,--repetitions", verb->repetitions, "Of each test")
      ->check(inRange(1, 1000));
  command->add_option_function<std::string>(
      "-o,--output",
      [verb](const std::string &name) {
        if (name == "md")
          verb->format = BenchFormat::Markdown;
        else if (name == "json")
          verb->format = BenchFormat::Rows;
        else if (name == "csv")
          verb->format = BenchFormat::Csv;
        else
          throw UsageError("unknown --output '" + name + "'",
                           "known are md, json and csv");
      },
      "md, json or csv (default: md)");
  command->add_option("--check", verb->check,
                      "Also the perplexity of this text's first tokens (as "
                      "many as are generated), one step a token");
  command->footer("Example: qrt bench falcon.qbin -p 512 -n 128 -b 1,8");
  command->callback([verb] { verb->run(); });
}

} // namespace qrt::tool
