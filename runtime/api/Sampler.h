//===- Sampler.h - Chooses the next token -----------------------*- C++ -*-===//

#ifndef QRT_API_SAMPLER_H
#define QRT_API_SAMPLER_H

#include "runtime/executor/Sampling.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qrt {

/// A small random generator: SplitMix64 (Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014). The same on every machine,
/// which the standard library's distributions are not.
class Random {
public:
  explicit Random(uint64_t seed) : seed(seed) {}
  uint64_t next();
  /// In [0, 1), with 53 random bits.
  double uniform();

private:
  uint64_t seed, count = 0;
};

/// Applied in this order, which is transformers': repetition penalty,
/// temperature, top-k, top-p, min-p.
struct SamplerOptions {
  float temperature = 0.8f;    ///< 0: greedy, ties go to the lowest id
  uint32_t topK = 50;          ///< only the k likeliest; 0: all
  float topP = 1;              ///< the fewest that reach this probability
  float minP = 0;              ///< only those with this share of the likeliest
  float repetitionPenalty = 1; ///< Keskar et al., "CTRL" (arXiv 1909.05858)
  uint64_t seed = 0;
};

/// Chooses tokens; the same options and the same logits give the same tokens,
/// here and on a GPU (runtime/abi/sampling.h).
class Sampler {
public:
  /// Throws qrt::UsageError for an option outside its range.
  Sampler(const SamplerOptions &options, uint32_t vocabulary);

  /// The next token for `logits` [vocabulary]. NaNs are never chosen. Throws
  /// qrt::Error if there is no finite logit.
  int32_t sample(std::span<const float> logits);
  /// Tells that `token` stands in the text; what the repetition penalty goes
  /// by. Ids outside the vocabulary have no effect.
  void accept(int32_t token);
  /// The same for a token that a device chose by state().
  void took(int32_t token);
  /// What a device goes by that chooses on from here. Valid until the next
  /// accept().
  SamplingState state() const;

private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  float penalized(float logit, size_t id) const;
  int32_t greedy(std::span<const float> logits) const;

  SamplerOptions options;
  float leastScaled; ///< what min-p is of (logit - highest) / temperature
  uint64_t draws = 0;
  std::vector<uint32_t> seen; ///< a bit a token
  uint32_t vocabulary;
  std::vector<Candidate> candidates;
  std::vector<uint64_t> sums; ///< of weights, of those candidates in order
};

} // namespace qrt

#endif // QRT_API_SAMPLER_H
