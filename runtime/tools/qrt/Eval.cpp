//===- Eval.cpp - qrt eval ------------------------------------------------===//

#include "runtime/support/Error.h"
#include "runtime/tools/qrt/EvalText.h"
#include "runtime/tools/qrt/Perplexity.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

namespace qrt::tool {

namespace {
struct EvalVerb {
  CommonOptions common;
  std::string dataset, base;
  WindowOptions windows;

  void run();

private:
  void checkStride() const;
  void print(const Scores &scores, uint64_t count,
             const OutlierStatistics &outliers) const;
};
} // namespace

void EvalVerb::checkStride() const {
  // Text between windows would count for nothing.
  if (windows.context && windows.stride > windows.context)
    throw UsageError("--stride " + std::to_string(windows.stride) +
                         " is longer than the window of " +
                         std::to_string(windows.context) + " tokens",
                     "use a larger --context");
}

void EvalVerb::run() {
  windows.context = common.context;
  checkStride();
  Model model(common.file, common.model());
  std::optional<Model> baseModel;
  if (!base.empty()) {
    baseModel.emplace(base, common.model());
    if (baseModel->vocabulary() != model.vocabulary())
      throw Error("the base has a vocabulary of " +
                      std::to_string(baseModel->vocabulary()) +
                      ", the model one of " +
                      std::to_string(model.vocabulary()),
                  base);
  }
  uint32_t limit = model.contextLimit();
  windows.context = common.context ? common.context
                    : limit        ? std::min(limit, 2048u)
                                   : 2048;
  uint32_t stride = windows.stride ? windows.stride : windows.context;
  checkStride();
  std::vector<int32_t> tokens =
      readEvalTokens(dataset, model.requireTokenizer(), windows.context);
  uint64_t count = windowCount(tokens.size(), windows);
  if (count == 0 || windows.context < 2)
    throw Error("the text has " + std::to_string(tokens.size()) +
                    " tokens, a window of " + std::to_string(windows.context) +
                    " cannot be scored",
                dataset, "use another --context");

  Session session(model, windows.context);
  warnBeyondLimit(model, session.capacity(), common.quiet);
  std::optional<Session> baseSession;
  if (baseModel)
    baseSession.emplace(*baseModel, windows.context);
  InterruptGuard interrupt(&session);
  Scores scores;
  Progress progress("eval", count, common.quiet);
  auto start = std::chrono::steady_clock::now();
  uint32_t overlap = windows.context - stride;
  for (uint64_t i = 0; i < count; ++i) {
    auto window = std::span(tokens).subspan(i * stride, windows.context);
    scoreWindow(session, baseSession ? &*baseSession : nullptr, window,
                i ? overlap : 0, scores);
    InterruptGuard::check();
    char note[64];
    std::snprintf(note, sizeof(note), "perplexity %.4f", scores.perplexity());
    progress.advance(1, note);
  }
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  print(scores, count, model.executor().outlierStatistics());
  finishOutput();
  if (!common.quiet)
    std::fprintf(stderr, "eval: %.2f sec, %.2f tokens/sec\n", seconds.count(),
                 double(count * windows.context) / seconds.count());
}

void EvalVerb::print(const Scores &scores, uint64_t count,
                     const OutlierStatistics &outliers) const {
  double outlierColumns =
      outliers.linears ? double(outliers.columns) / double(outliers.linears)
                       : 0;
  if (common.json) {
    nlohmann::ordered_json json = {
        {"perplexity", scores.perplexity()},
        {"standard_error", scores.standardError()},
        {"tokens", scores.tokens()},
        {"windows", count},
        {"context", windows.context},
    };
    if (!base.empty()) {
      json["kl_divergence"] = scores.divergence();
      json["kl_99"] = scores.divergence99();
      json["same_top"] = scores.sameTop();
    }
    if (outliers.linears)
      json["outlier_columns"] = outlierColumns;
    printJson(json);
    return;
  }
  std::printf("perplexity %.4f +/- %.4f over %llu tokens in %llu windows\n",
              scores.perplexity(), scores.standardError(),
              static_cast<unsigned long long>(scores.tokens()),
              static_cast<unsigned long long>(count));
  if (!base.empty())
    std::printf("KL divergence %.6f (99 %% quantile %.6f), same top token "
                "%.2f %%\n",
                scores.divergence(), scores.divergence99(),
                100 * scores.sameTop());
  if (outliers.linears)
    std::printf("outlier columns %.2f of a linear's input, mean\n",
                outlierColumns);
}

void addEval(CLI::App &app) {
  auto verb = std::make_shared<EvalVerb>();
  CLI::App *command =
      app.add_subcommand("eval", "Perplexity of a text, and distance to "
                                 "another model");
  verb->common.addTo(*command);
  command
      ->add_option("--dataset", verb->dataset,
                   "File with the text, or wikitext2, ptb, c4")
      ->required();
  command
      ->add_option("--stride", verb->windows.stride,
                   "Tokens between beginnings of windows (default: the "
                   "context); where windows overlap, a token counts once")
      ->check(inRange(1));
  command
      ->add_option("--max-windows", verb->windows.maxWindows,
                   "At most so many windows")
      ->check(inRange(1));
  command->add_option("--base", verb->base,
                      "Artifact to measure the KL divergence from");
  command->footer("Example: qrt eval falcon-int4.qbin --dataset wiki.test.raw "
                  "--context 512 --base falcon.qbin");
  command->callback([verb] { verb->run(); });
}

} // namespace qrt::tool
