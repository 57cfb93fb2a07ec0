//===- Backend.h - The machine that a calibration runs on -------*- C++ -*-===//
//
// What the calibrator has a CPU or a GPU do: keep activations, run segments,
// sum Hessians, factor them and quantize by them. How the program is cut, in
// which order its weights are quantized and what is kept is the calibrator's
// business (Calibrator.h) and the same on all machines.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_BACKEND_H
#define QCC_COMPILER_CALIBRATE_BACKEND_H

#include "compiler/calibrate/ActivationStore.h"
#include "compiler/calibrate/Segment.h"
#include "compiler/quantize/Gptq.h"

#include "llvm/ADT/MapVector.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace qcc {

/// A value for every calibration token, f32 [tokens][columns()].
class KeptValue {
public:
  virtual ~KeptValue() = default;
  virtual int64_t columns() const = 0;
};
using KeptValues = llvm::MapVector<mlir::Value, std::unique_ptr<KeptValue>>;

/// A segment with its code.
class CompiledSegment {
public:
  CompiledSegment(mlir::Value target, llvm::ArrayRef<mlir::Value> kept,
                  int64_t tokens, const SegmentTarget &segmentTarget)
      : segment(target, kept, tokens, segmentTarget) {}
  virtual ~CompiledSegment() = default;
  Segment segment;
};

/// The sum of x x^T over inputs x of a linear (Hessian.h).
class HessianSum {
public:
  virtual ~HessianSum() = default;
  virtual void scale(double factor) = 0;
};

/// A Hessian in an order of columns, factored (GptqFactor).
class FactoredHessian {
public:
  virtual ~FactoredHessian() = default;
  /// Order, damping and note; elsewhere than on the CPU without matrices.
  virtual const GptqFactor &factor() const = 0;
};

/// What a segment runs on.
struct SegmentInputs {
  const KeptValues &kept;
  const ResolveWeight &resolve;
  const ReadWeight &read;
};

class CalibrationClock;

/// Seconds.
struct CalibrationTimes {
  double activations = 0, hessians = 0, factors = 0, quantization = 0,
         weights = 0, state = 0;
  CalibrationClock *running = nullptr;
};

/// Adds the seconds of its life to one of the times, but for those of other
/// clocks that begin and end in it.
class CalibrationClock {
public:
  CalibrationClock(CalibrationTimes &times, double CalibrationTimes::*which)
      : times(times), seconds(times.*which), outer(times.running) {
    if (outer)
      outer->stop();
    times.running = this;
  }
  ~CalibrationClock() {
    stop();
    times.running = outer;
    if (outer)
      outer->start = Clock::now();
  }
  CalibrationClock(const CalibrationClock &) = delete;
  CalibrationClock &operator=(const CalibrationClock &) = delete;

private:
  using Clock = std::chrono::steady_clock;
  void stop() {
    seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }

  CalibrationTimes &times;
  double &seconds;
  CalibrationClock *outer;
  Clock::time_point start = Clock::now();
};

/// Not for several threads. All functions throw qrt::Error, of kind Cancelled
/// once `cancelled` is set.
class CalibrationBackend {
public:
  CalibrationBackend(const CalibrationTokens &tokens, unsigned threads,
                     const std::atomic<bool> *cancelled)
      : tokens(tokens), threads(threads), cancelled(cancelled) {}
  virtual ~CalibrationBackend() = default;

  virtual std::unique_ptr<CompiledSegment>
  compile(mlir::Value target, llvm::ArrayRef<mlir::Value> kept) = 0;

  /// Whether what a segment computes is kept for later segments, which else
  /// compute it again. What a layer returns is kept whatever this says.
  virtual bool keeps(const Segment &segment) const = 0;
  virtual std::unique_ptr<KeptValue> makeValue(int64_t columns) = 0;
  virtual std::unique_ptr<KeptValue> copy(const KeptValue &value) = 0;
  /// Whether `output` of run() may be one of its inputs.
  virtual bool runsInPlace() const = 0;
  /// Whether the calibration's state holds a layer's input: not where computing
  /// it again takes no longer.
  virtual bool storesActivations() const = 0;
  /// The value in memory, for the state; null if that does not hold it.
  virtual const Activations *stored(const KeptValue &value) const = 0;

  /// Runs a segment on all tokens: into `output`, if it is not null, and adding
  /// what it computes to `hessian`, if that is not null.
  virtual void run(CompiledSegment &segment, const SegmentInputs &inputs,
                   KeptValue *output, HessianSum *hessian) = 0;

  virtual std::unique_ptr<HessianSum> makeHessian(int64_t columns) = 0;
  virtual void add(HessianSum &hessian, const KeptValue &value) = 0;
  virtual std::unique_ptr<FactoredHessian>
  factor(const HessianSum &hessian, int64_t groupSize,
         const GptqOptions &options) = 0;
  /// Host memory for a weight that quantize() is to get; what was in it is
  /// lost.
  virtual std::span<float> weightRoom(int64_t elements) = 0;
  /// As quantizeGptq(); `w` is in host memory.
  virtual GptqResult quantize(const float *w, int64_t rows, int64_t columns,
                              const qrt::Format &format,
                              const FactoredHessian &factor,
                              const GptqOptions &options) = 0;

  CalibrationTimes times;

protected:
  const CalibrationTokens &tokens;
  const unsigned threads;
  const std::atomic<bool> *const cancelled;
};

/// On the CPU: at most `activationMemory` bytes of activations in memory, the
/// rest in files in `folder`.
std::unique_ptr<CalibrationBackend>
makeCpuBackend(const CalibrationTokens &tokens, unsigned threads,
               const std::atomic<bool> *cancelled, const std::string &folder,
               uint64_t activationMemory);

/// On a GPU: at most `activationMemory` bytes of activations beside a layer's
/// input, 14 GiB or half of what is free if none are given; what does not fit
/// is computed again.
std::unique_ptr<CalibrationBackend>
makeCudaBackend(const CalibrationTokens &tokens, unsigned threads,
                const std::atomic<bool> *cancelled, int gpu,
                std::optional<uint64_t> activationMemory);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_BACKEND_H
