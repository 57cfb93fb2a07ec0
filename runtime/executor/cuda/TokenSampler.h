//===- TokenSampler.h - Chooses tokens on a GPU -----------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_TOKENSAMPLER_H
#define QRT_EXECUTOR_CUDA_TOKENSAMPLER_H

#include "runtime/abi/cuda_abi.h"
#include "runtime/executor/Sampling.h"
#include "runtime/executor/cuda/Device.h"

#include <span>
#include <vector>

namespace qrt::cuda {

/// Where the tokens of some texts are chosen, one of each at a time: the last
/// of them and what stands in the texts in device memory, the latest of them in
/// pinned memory. Reused by some texts after the others. Move-only; `device`
/// outlives it.
class Choices {
public:
  /// For up to `room` texts. Throws qrt::Error if there is not enough memory.
  Choices(const Device &device, uint32_t vocabulary, uint32_t room);

  uint32_t room() const { return most; }
  /// New texts begin, at most room() of them.
  void begin(std::span<const SamplingState> sampling);
  /// Where the device has the tokens that were chosen last: int32 [texts].
  DevicePointer tokens() const { return memory.address(); }
  /// Waits for what a call of choose() chose for a text. -1: no logit is a
  /// number. Throws qrt::Error if the device failed.
  int32_t wait(uint32_t ticket, uint32_t text) const;
  /// Waits for whatever was chosen here. Throws as wait() does.
  void waitForAll() const;

private:
  friend class TokenSampler;
  /// The host waits for one of two choices at most.
  static constexpr uint32_t kResults = 4;

  /// Of the texts' bits of tokens, in both kinds of memory.
  uint64_t seenAt(uint64_t text) const { return headBytes + text * seenBytes; }
  uint32_t resultAt(uint32_t ticket, uint32_t text) const {
    return ticket % kResults * most + text;
  }

  const Device *owner;
  uint32_t most;
  uint64_t headBytes; ///< of tokens, and of results
  uint64_t seenBytes; ///< of a text
  Buffer memory;
  PinnedBuffer pinned;
  DevicePointer results = 0;        ///< the device's address of `pinned`
  std::vector<SamplingState> texts; ///< without `seen`, which the device keeps
  uint32_t tickets = 0;
};

/// The kernel that chooses tokens from rows of logits, and what its blocks
/// share (runtime/abi/cuda_abi.h). Its launches follow each other on the
/// device's stream.
class TokenSampler {
public:
  /// Whether `blocks` of `threads` of it run at once, as those of a row must.
  static bool fits(const Device &device, Function function, uint32_t blocks,
                   uint32_t threads);
  /// Throws qrt::Error if there is not enough memory.
  TokenSampler(const Device &device, Function function, uint32_t blocks,
               uint32_t threads, uint32_t vocabulary);

  /// Makes room for steps of so many texts. Throws qrt::Error if there is not
  /// enough memory.
  void reserve(uint32_t texts);
  /// Puts the choice for each of the texts on the stream, by its row of
  /// `logits`; the choice's ticket.
  uint32_t choose(DevicePointer logits, Choices &choices);

private:
  /// Rows whose blocks run at once, at most what a launch takes.
  static uint32_t rowsAtOnce(const Device &device, Function function,
                             uint32_t blocks, uint32_t threads);
  void launch(const qrt_cuda_samplings &samplings, uint32_t rows,
              bool isCooperative);

  const Device &device;
  Function function;
  uint32_t blocks, threads, vocabulary, mostRows;
  /// Of the rows of a launch.
  uint32_t turns[QRT_CUDA_SAMPLING_ROWS] = {};
  Buffer states, lists;
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_TOKENSAMPLER_H
