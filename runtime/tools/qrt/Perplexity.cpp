//===- Perplexity.cpp - How well a model predicts a text ------------------===//

#include "runtime/tools/qrt/Perplexity.h"

#include <algorithm>
#include <cmath>

namespace qrt::tool {

namespace {
/// A row's log-sum-exp and its likeliest token (the first of equals).
struct Normalizer {
  double logSum;
  size_t top;

  explicit Normalizer(std::span<const float> row)
      : top(size_t(std::ranges::max_element(row) - row.begin())) {
    float highest = row[top];
    double sum = 0;
    for (float logit : row)
      sum += double(std::exp(logit - highest));
    logSum = double(highest) + std::log(sum);
  }
};
} // namespace

static RowScore scoreRow(std::span<const float> row,
                         std::span<const float> base, int32_t target) {
  RowScore score;
  Normalizer own(row);
  if (target >= 0)
    score.loss = own.logSum - double(row[size_t(target)]);
  if (base.empty())
    return score;
  Normalizer other(base);
  double sum = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    double logBase = double(base[i]) - other.logSum;
    double share = double(std::exp(float(logBase)));
    // A token that the base rules out takes no part (0 log 0 = 0).
    if (share > 0)
      sum += share * (logBase - (double(row[i]) - own.logSum));
  }
  // Rounding alone can make it negative.
  score.divergence = std::max(sum, 0.0);
  score.sameTop = own.top == other.top;
  return score;
}

void scoreRows(Executor &executor, std::span<const float> logits,
               std::span<const float> base, std::span<const int32_t> targets,
               std::span<RowScore> scores) {
  size_t vocabulary = executor.vocabulary();
  executor.parallel([&](uint32_t thread) {
    for (size_t i = thread; i < scores.size(); i += executor.threads()) {
      auto other =
          base.empty() ? base : base.subspan(i * vocabulary, vocabulary);
      scores[i] = scoreRow(logits.subspan(i * vocabulary, vocabulary), other,
                           targets[i]);
    }
  });
}

uint64_t windowCount(uint64_t tokens, const WindowOptions &options) {
  if (tokens < options.context)
    return 0;
  uint64_t stride = options.stride ? options.stride : options.context;
  uint64_t count = (tokens - options.context) / stride + 1;
  return options.maxWindows ? std::min(count, options.maxWindows) : count;
}

void Scores::addLoss(double loss) {
  ++count;
  sum += loss;
  squares += loss * loss;
}

void Scores::addDivergence(double divergence, bool sameTop) {
  divergences.push_back(divergence);
  same += sameTop;
}

double Scores::perplexity() const {
  return count ? std::exp(sum / double(count)) : 0;
}

double Scores::standardError() const {
  if (count < 2)
    return 0;
  double mean = sum / double(count);
  double variance = std::max(squares / double(count) - mean * mean, 0.0);
  return perplexity() * std::sqrt(variance / double(count - 1));
}

double Scores::divergence() const {
  double total = 0;
  for (double divergence : divergences)
    total += divergence;
  return divergences.empty() ? 0 : total / double(divergences.size());
}

double Scores::divergence99() const {
  if (divergences.empty())
    return 0;
  std::vector<double> sorted = divergences;
  size_t rank = (sorted.size() * 99 + 99) / 100 - 1;
  std::ranges::nth_element(sorted, sorted.begin() + std::ptrdiff_t(rank));
  return sorted[rank];
}

double Scores::sameTop() const {
  return divergences.empty() ? 0 : double(same) / double(divergences.size());
}

/// Rows of logits to make at once: 64 MiB of them, and no more than the
/// kernels take in one call.
static size_t pieceSize(const Executor &executor) {
  constexpr size_t budget = size_t(64) << 20;
  size_t rows = budget / (size_t(executor.vocabulary()) * sizeof(float));
  return std::min<size_t>(std::clamp<size_t>(rows, 64, 512),
                          executor.maxTokens());
}

void scoreWindow(Session &session, Session *base,
                 std::span<const int32_t> window, uint32_t skip,
                 Scores &scores) {
  session.truncate(0);
  if (base)
    base->truncate(0);
  Executor &executor = session.model().executor();
  size_t piece = pieceSize(executor);
  std::vector<RowScore> rows(piece);
  std::vector<int32_t> targets(piece);
  for (size_t at = 0; at < window.size(); at += piece) {
    auto part = window.subspan(at, std::min(piece, window.size() - at));
    // Row i predicts token i + 1.
    bool counts = at + part.size() >= skip;
    LogitRows wanted = counts ? LogitRows::All : LogitRows::None;
    session.feed(part, wanted);
    if (base)
      base->feed(part, wanted);
    if (!counts)
      continue;
    for (size_t i = 0; i < part.size(); ++i)
      targets[i] = at + i + 1 < window.size() ? window[at + i + 1] : -1;
    scoreRows(executor, session.logits(),
              base ? base->logits() : std::span<const float>(),
              std::span(targets).first(part.size()),
              std::span(rows).first(part.size()));
    for (size_t i = 0; i < part.size(); ++i) {
      if (targets[i] >= 0 && at + i + 1 >= skip)
        scores.addLoss(rows[i].loss);
      if (base && at + i >= skip)
        scores.addDivergence(rows[i].divergence, rows[i].sameTop);
    }
  }
}

} // namespace qrt::tool
