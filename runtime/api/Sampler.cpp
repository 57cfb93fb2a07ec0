//===- Sampler.cpp - Chooses the next token -------------------------------===//

#include "runtime/api/Sampler.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace qrt {

uint64_t Random::next() {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

double Random::uniform() { return double(next() >> 11) * 0x1p-53; }

static void require(bool holds, const char *name, float value,
                    const char *range) {
  if (!holds)
    throw UsageError(std::string(name) + " is " + std::to_string(value) +
                     ", it must be " + range);
}

Sampler::Sampler(const SamplerOptions &options, uint32_t vocabulary)
    : options(options), random(options.seed), seen(vocabulary, false) {
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "temperature", options.temperature, "0 or more");
  require(options.topP > 0 && options.topP <= 1, "top-p", options.topP,
          "above 0 and at most 1");
  require(options.minP >= 0 && options.minP <= 1, "min-p", options.minP,
          "from 0 to 1");
  require(options.repetitionPenalty > 0 &&
              std::isfinite(options.repetitionPenalty),
          "repetition penalty", options.repetitionPenalty, "above 0");
  candidates.reserve(vocabulary);
  weights.reserve(vocabulary);
}

void Sampler::accept(int32_t token) {
  if (token >= 0 && size_t(token) < seen.size())
    seen[size_t(token)] = true;
}

float Sampler::penalized(float logit, size_t id) const {
  if (id >= seen.size() || !seen[id])
    return logit;
  return logit > 0 ? logit / options.repetitionPenalty
                   : logit * options.repetitionPenalty;
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
    throw Error("the model gave no finite logits");
  return best;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (options.temperature == 0)
    return greedy(logits);
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    float logit = penalized(logits[i], i);
    if (logit > -INFINITY) // and no NaN
      candidates.push_back({logit, int32_t(i)});
  }
  if (candidates.empty())
    throw Error("the model gave no finite logits");
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

  double highest = candidates[0].logit, total = 0;
  weights.clear();
  for (const Candidate &candidate : candidates) {
    // An infinite logit leaves only the infinite ones.
    double difference =
        double(candidate.logit) == highest
            ? 0
            : (double(candidate.logit) - highest) / double(options.temperature);
    weights.push_back(std::exp(difference));
    total += weights.back();
  }
  if (options.topP < 1) {
    double sum = 0;
    size_t count = 0;
    while (count < keep && sum < options.topP * total)
      sum += weights[count++];
    keep = count;
    total = sum;
  }
  // The likeliest has weight 1, so the shares are the weights themselves.
  while (keep > 1 && weights[keep - 1] < options.minP)
    total -= weights[--keep];

  double target = random.uniform() * total;
  for (size_t i = 0; i + 1 < keep; ++i) {
    target -= weights[i];
    if (target < 0)
      return candidates[i].id;
  }
  return candidates[keep - 1].id;
}

} // namespace qrt
