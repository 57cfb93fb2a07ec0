//===- WeightStream.h - Executes @weights -----------------------*- C++ -*-===//
//
// Reads, converts, quantizes and packs one tensor after the other, each in
// stripes on all cores. Memory stays near twice the largest packed tensor (one
// is written while the next is made), whatever the model's size.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_WEIGHTS_WEIGHTSTREAM_H
#define QCC_COMPILER_WEIGHTS_WEIGHTSTREAM_H

#include "compiler/quantize/Pack.h"
#include "compiler/weights/Sources.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <atomic>
#include <functional>
#include <span>

namespace qcc {

/// A tensor as it goes into the artifact.
struct StreamedTensor {
  std::string name;
  std::vector<std::string> modules; ///< checkpoint modules in it
  qrt::Format format;               ///< as it lies in memory
  std::string layout;               ///< "t16" or "rows"
  int64_t rows = 0, columns = 0;
  PackedLayout planes;
  std::span<const uint8_t> data; ///< valid during the call of the sink
  std::vector<QuantizeStatistics> statistics; ///< of each module
  /// Of each module: what calibration says of it, or null.
  std::vector<std::shared_ptr<const CalibratedWeight>> calibrations;
  double seconds = 0;
};

struct WeightStreamOptions {
  unsigned threads = 1;
  /// Checked between stripes; a set flag ends the stream with qrt::Error of
  /// kind Cancelled.
  const std::atomic<bool> *cancelled = nullptr;
  /// Where tensors are packed, if not in memory of the stream's own: `bytes`
  /// bytes in one of two places (`turn` is 0 or 1), which stay as they are
  /// until the same place is asked for again, after its tensor's sink returned.
  std::function<std::span<uint8_t>(int turn, uint64_t bytes)> room;
  /// Called after each tensor with the bytes of parameters read so far and in
  /// all.
  std::function<void(int64_t done, int64_t total)> progress;
};

/// Executes every tfm.define of `weights` in order and hands its tensor to
/// `sink`, in order. Throws qrt::Error for a NaN or infinity in a weight, or
/// what reader and sink throw.
void streamWeights(mlir::func::FuncOp weights, const ParameterReader &reader,
                   const WeightStreamOptions &options,
                   const std::function<void(const StreamedTensor &)> &sink);

} // namespace qcc

#endif // QCC_COMPILER_WEIGHTS_WEIGHTSTREAM_H
