//===- Sampling.h - What a device that chooses tokens goes by ---*- C++ -*-===//

#ifndef QRT_EXECUTOR_SAMPLING_H
#define QRT_EXECUTOR_SAMPLING_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <span>

namespace qrt {

/// What there is to choose from has no logit that is a number above -infinity.
class NoFiniteLogits : public Error {
public:
  NoFiniteLogits() : Error("the model gave no finite logits") {}
};

/// A sampler's options, checked, and how far it has come
/// (runtime/api/Sampler.h).
struct SamplingState {
  float temperature = 0; ///< 0: the likeliest
  uint32_t topK = 0;     ///< 0: all
  float topP = 1;
  /// Min-p: the least of (logit - highest) / temperature.
  float leastScaled = 0;
  float repetitionPenalty = 1;
  uint64_t seed = 0;
  uint64_t draws = 0; ///< random numbers so far
  /// A bit a token: whether it stands in the text.
  std::span<const uint32_t> seen;
};

} // namespace qrt

#endif // QRT_EXECUTOR_SAMPLING_H
