//===- Executor.h - Runs a model's steps on one device ----------*- C++ -*-===//
//
// What a device must do to run a compiled model. One step takes tokens of any
// number of sequences at once; how they are cut into calls of the compiled
// entries is the executor's business and changes no result.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_EXECUTOR_EXECUTOR_H
#define QRT_EXECUTOR_EXECUTOR_H

#include "runtime/executor/LoadTimes.h"
#include "runtime/executor/Sampling.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

namespace qrt {

/// The keys and values of one sequence. Made by an executor, for that executor
/// only, and not by itself safe for several threads.
class KvCache {
public:
  virtual ~KvCache() = default;
  KvCache(const KvCache &) = delete;
  KvCache &operator=(const KvCache &) = delete;

  /// Positions that it has room for.
  uint32_t capacity() const { return room; }
  /// Positions in it.
  uint32_t length() const { return used; }
  /// Forgets every position from `length` on; longer than it is: no effect.
  void truncate(uint32_t length) { used = length < used ? length : used; }

protected:
  explicit KvCache(uint32_t capacity) : room(capacity) {}

private:
  friend class Executor;
  const uint32_t room;
  uint32_t used = 0;
};

/// Which tokens of a sequence want logits.
enum class LogitRows : uint8_t { None, Last, All };

/// The new tokens of one sequence in a step.
struct StepSequence {
  KvCache *cache = nullptr;
  std::span<const int32_t> tokens; ///< at least one
  LogitRows rows = LogitRows::Last;
  /// Where its logits go: [rowCount()][vocabulary]. Null: behind those of the
  /// sequence in front, in the buffer given to step().
  float *logits = nullptr;
  /// Ends the whole step once it is set.
  const std::atomic<bool> *cancelled = nullptr;

  uint64_t rowCount() const {
    return rows == LogitRows::All    ? tokens.size()
           : rows == LogitRows::Last ? 1
                                     : 0;
  }
};

/// A sequence whose tokens the device chooses.
struct SampledSequence {
  KvCache *cache = nullptr;
  SamplingState sampling;
  int32_t first = 0; ///< the token that comes behind what the cache has
};

/// The steps of sequences whose tokens the device chooses and goes on with by
/// itself, one of each sequence in a step: the next step is on its way before
/// the host has seen the tokens that it takes. What is under way when this is
/// destroyed is dropped: it lies behind the caches' lengths. Other steps of the
/// executor may come between, but none of the same caches.
class TokenSteps {
public:
  virtual ~TokenSteps() = default;
  /// Appends the token chosen last of each sequence to its cache, as
  /// Executor::step() would, and stores the next of each in `tokens`. Throws
  /// qrt::Error, and changes no cache, if a sequence has no logit that is a
  /// number or the device failed.
  virtual void next(std::span<int32_t> tokens) = 0;
  /// The same for what is under way, with which the steps end. False, and no
  /// change, if nothing is.
  virtual bool finish(std::span<int32_t> tokens) = 0;
  /// From now on, the sequence's cache is left alone and its tokens mean
  /// nothing. Only finish() may follow.
  virtual void leave(size_t sequence) = 0;
};

/// What LLM.int8 split off, in all steps so far.
struct OutlierStatistics {
  uint64_t linears = 0; ///< products, each of all tokens of a call
  uint64_t columns = 0; ///< outlier columns of all of them
};

/// Memory for logits.
using LogitMemory = std::unique_ptr<float[], std::function<void(float *)>>;

/// Runs one model on one device.
class Executor {
public:
  virtual ~Executor() = default;

  virtual uint32_t vocabulary() const = 0;
  virtual uint32_t threads() const = 0;
  /// The most tokens that one call of the kernels takes.
  virtual uint32_t maxTokens() const = 0;
  /// Bytes of KV cache that one position takes.
  virtual uint64_t kvBytesPerToken() const = 0;
  /// Where the time of making it went; zeros for what it did not measure.
  const LoadTimes &loadTimes() const { return times; }
  /// Zeros for a model without LLM.int8. Not during a step.
  virtual OutlierStatistics outlierStatistics() const { return {}; }
  /// A cache with room for `capacity` >= 1 positions. Throws qrt::Error if
  /// there is not enough memory.
  virtual std::unique_ptr<KvCache> createCache(uint32_t capacity) = 0;
  /// Memory for `count` values that logits reach without a detour, such as
  /// pinned memory. The executor must outlive it. Throws std::bad_alloc.
  virtual LogitMemory allocateLogits(size_t count);
  /// Calls work(thread) on every thread; for work between steps, such as
  /// reductions over logits. `work` must not throw.
  void parallel(const std::function<void(uint32_t)> &work);

  /// Appends every sequence's tokens to its cache and writes the logits that
  /// were asked for to StepSequence::logits, or where that is null to `logits`
  /// [sum of rowCount()][vocabulary()], sequence by sequence. All or nothing:
  /// when it throws, no cache has changed its length. Throws qrt::UsageError
  /// for a token outside the vocabulary, a full or a repeated cache; qrt::Error
  /// of kind Cancelled once a sequence's `*cancelled` is set. May be called by
  /// several threads; steps run one after the other.
  void step(std::span<const StepSequence> sequences, std::span<float> logits);

  /// Steps of different sequences, at least one. next() is called at most
  /// `most` times, for which all caches have room. Null if this executor leaves
  /// the choice, or that of so many sequences, to the host.
  virtual std::unique_ptr<TokenSteps>
  tokenSteps(std::span<const SampledSequence> /*sequences*/,
             uint32_t /*most*/) {
    return nullptr;
  }

protected:
  /// Adds positions to a cache.
  static void extend(KvCache &cache, uint32_t positions) {
    cache.used += positions;
  }
  /// Tokens of one sequence in one call of the kernels.
  struct Part {
    KvCache *cache;
    std::span<const int32_t> tokens;
    uint32_t past;      ///< positions in the cache before this call
    uint32_t logitRows; ///< how many of its last tokens want logits
    uint32_t length;    ///< positions once the step's last call is done
    float *logits;      ///< [logitRows][vocabulary()]
  };
  /// Runs the kernels once on at most maxTokens() tokens.
  virtual void runParts(std::span<const Part> parts) = 0;
  virtual void runTeam(const std::function<void(uint32_t)> &work) = 0;

  LoadTimes times;
  std::mutex running; ///< held by who puts steps on the device
};

} // namespace qrt

#endif // QRT_EXECUTOR_EXECUTOR_H
