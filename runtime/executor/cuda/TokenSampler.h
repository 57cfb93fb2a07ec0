//===- TokenSampler.h - Chooses tokens on a GPU -----------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_TOKENSAMPLER_H
#define QRT_EXECUTOR_CUDA_TOKENSAMPLER_H

#include "runtime/executor/Sampling.h"
#include "runtime/executor/cuda/Device.h"

#include <atomic>

namespace qrt::cuda {

/// Where the tokens of one text are chosen: the last of them and what stands in
/// the text in device memory, the latest of them in pinned memory. Reused by
/// one text after the other. Move-only; `device` outlives it.
class Choices {
public:
  /// Throws qrt::Error if there is not enough memory.
  Choices(const Device &device, uint32_t vocabulary);

  /// A new text begins.
  void begin(const SamplingState &sampling);
  /// Where the device has the token that was chosen last.
  DevicePointer token() const { return memory.address(); }
  /// Waits for the choice of a launch. -1: no logit is a number. Throws
  /// qrt::Error if the device failed.
  int32_t wait(uint32_t ticket) const;

private:
  friend class TokenSampler;
  /// The host waits for one of two launches at most.
  static constexpr uint32_t kResults = 4;
  static constexpr uint64_t kSeenAt = 256; ///< in both kinds of memory

  const Device *owner;
  Buffer memory;
  PinnedBuffer pinned;
  DevicePointer results = 0; ///< the device's address of `pinned`
  SamplingState state;       ///< without `seen`, which the device keeps
  uint32_t tickets = 0;
};

/// The kernel that chooses a token from a row of logits, and what its blocks
/// share (runtime/abi/cuda_abi.h). Its launches follow each other on the
/// device's stream.
class TokenSampler {
public:
  /// Whether `blocks` of `threads` of it run at once, as they must.
  static bool fits(const Device &device, Function function, uint32_t blocks,
                   uint32_t threads);
  /// Throws qrt::Error if there is not enough memory.
  TokenSampler(const Device &device, Function function, uint32_t blocks,
               uint32_t threads, uint32_t vocabulary);

  /// Puts a launch on the stream; its ticket.
  uint32_t choose(DevicePointer logits, Choices &choices);

private:
  const Device &device;
  Function function;
  uint32_t blocks, threads, turn = 0;
  Buffer state;
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_TOKENSAMPLER_H
