//===- Sampler.cpp - Chooses the next token -------------------------------===//

#include "runtime/api/Sampler.h"

#include "runtime/abi/sampling.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace qrt {

uint64_t Random::next() { return sampling::random(seed, count++); }

double Random::uniform() { return double(next() >> 11) * 0x1p-53; }

static void require(bool holds, const char *name, float value,
                    const char *range) {
  if (!holds)
    throw UsageError(std::string(name) + " is " + std::to_string(value) +
                     ", it must be " + range);
}

Sampler::Sampler(const SamplerOptions &options, uint32_t vocabulary)
    : options(options),
      leastScaled(options.minP > 0 ? float(std::log(double(options.minP)))
                                   : -INFINITY),
      seen((vocabulary + 31) / 32), vocabulary(vocabulary) {
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "temperature", options.temperature, "0 or more");
  require(options.topP > 0 && options.topP <= 1, "top-p", options.topP,
          "above 0 and at most 1");
  require(options.minP >= 0 && options.minP <= 1, "min-p", options.minP,
          "from 0 to 1");
  require(options.repetitionPenalty > 0 &&
              std::isfinite(options.repetitionPenalty),
          "repetition penalty", options.repetitionPenalty, "above 0");
}

void Sampler::accept(int32_t token) {
  if (token >= 0 && uint32_t(token) < vocabulary)
    seen[size_t(token) / 32] |= 1U << token % 32;
}

void Sampler::took(int32_t token) {
  draws += options.temperature != 0;
  accept(token);
}

float Sampler::penalized(float logit, size_t id) const {
  if (id >= vocabulary || !(seen[id / 32] >> id % 32 & 1))
    return logit;
  return sampling::penalized(logit, options.repetitionPenalty);
}

SamplingState Sampler::state() const {
  return {options.temperature,       options.topK, options.topP, leastScaled,
          options.repetitionPenalty, options.seed, draws,        seen};
}

int32_t Sampler::greedy(std::span<const float> logits) const {
  int32_t best = -1;
  float highest = -INFINITY;
  bool hasPenalty = options.repetitionPenalty != 1;
  for (size_t i = 0; i < logits.size(); ++i) {
    float logit = hasPenalty ? penalized(logits[i], i) : logits[i];
    if (logit > highest) {
      highest = logit;
      best = int32_t(i);
    }
  }
  if (best < 0)
    throw NoFiniteLogits();
  return best;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (options.temperature == 0)
    return greedy(logits);
  candidates.clear();
  candidates.reserve(vocabulary);
  for (size_t i = 0; i < logits.size(); ++i) {
    float logit = penalized(logits[i], i);
    if (logit > -INFINITY) // and no NaN
      candidates.push_back({logit, int32_t(i)});
  }
  if (candidates.empty())
    throw NoFiniteLogits();
  // A total order, so that the result does not hang on the library's sort.
  auto likelier = [](const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  auto scaled = [&](const Candidate &candidate) {
    return sampling::scaled(candidate.logit, candidates[0].logit,
                            options.temperature);
  };
  // Few of the likeliest tokens decide, mostly: the first candidates are in
  // order, as many as `sums` has running sums of weights.
  constexpr size_t kSortedAtFirst = 256;
  sums.clear();
  sums.reserve(vocabulary);
  auto sortUpTo = [&](size_t count) {
    const auto from = candidates.begin() + std::ptrdiff_t(sums.size()),
               to = candidates.begin() + std::ptrdiff_t(count);
    // A few are quickly found by a heap of them.
    if (candidates.end() - to > 64 * (to - from)) {
      std::partial_sort(from, to, candidates.end(), likelier);
    } else {
      if (to != candidates.end())
        std::nth_element(from, to, candidates.end(), likelier);
      std::sort(from, to, likelier);
    }
    for (size_t i = sums.size(); i < count; ++i)
      sums.push_back((i ? sums[i - 1] : 0) +
                     sampling::weight(scaled(candidates[i])));
  };
  auto firstThatReaches = [&](uint64_t sum) {
    while (sums.back() < sum && sums.size() < candidates.size())
      sortUpTo(std::min(candidates.size(), 4 * sums.size()));
    return size_t(std::ranges::lower_bound(sums, sum) - sums.begin());
  };
  sortUpTo(std::min<size_t>(candidates.size(),
                            options.topK ? options.topK : kSortedAtFirst));
  uint64_t total = sums.back();
  if (options.topK)
    candidates.resize(sums.size());
  for (size_t i = sums.size(); i < candidates.size(); ++i)
    total += sampling::weight(scaled(candidates[i]));

  size_t keep = candidates.size();
  if (options.topP < 1)
    keep = firstThatReaches(sampling::reach(options.topP, total)) + 1;
  if (options.minP > 0)
    keep = std::min(keep, size_t(std::ranges::count_if(
                              candidates, [&](const Candidate &candidate) {
                                return !(scaled(candidate) < leastScaled);
                              })));
  if (keep < candidates.size()) {
    if (sums.size() < keep)
      sortUpTo(keep);
    total = sums[keep - 1];
  }
  uint64_t target =
      sampling::target(sampling::random(options.seed, draws++), total);
  return candidates[firstThatReaches(target)].id;
}

} // namespace qrt
