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
  size_t keep = candidates.size();
  if (options.topK)
    keep = std::min<size_t>(keep, options.topK);
  std::partial_sort(candidates.begin(),
                    candidates.begin() + std::ptrdiff_t(keep), candidates.end(),
                    likelier);
  candidates.resize(keep);

  const float highest = candidates[0].logit;
  auto scaled = [&](size_t i) {
    return sampling::scaled(candidates[i].logit, highest, options.temperature);
  };
  sums.clear();
  uint64_t total = 0;
  for (size_t i = 0; i < keep; ++i)
    sums.push_back(total += sampling::weight(scaled(i)));
  auto firstThatReaches = [&](uint64_t sum) {
    return size_t(std::ranges::lower_bound(sums, sum) - sums.begin());
  };
  if (options.topP < 1)
    keep = firstThatReaches(sampling::reach(options.topP, total)) + 1;
  while (scaled(keep - 1) < leastScaled)
    --keep;
  uint64_t target =
      sampling::target(sampling::random(options.seed, draws++), sums[keep - 1]);
  return candidates[firstThatReaches(target)].id;
}

} // namespace qrt
