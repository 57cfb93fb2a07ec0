//===- Segment.h - A piece of the program, compiled -------------*- C++ -*-===//
//
// The calibrator cuts the program where a linear's inputs are wanted. A
// segment is what lies between two cuts: it takes activations that were kept,
// a row a token, and gives one value. It is lowered and compiled like any
// program and run by the same kernels; kept activations come in as tables
// whose rows the "embedding" reads, and the result leaves through the step's
// logits.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_SEGMENT_H
#define QCC_COMPILER_CALIBRATE_SEGMENT_H

#include "compiler/calibrate/ActivationStore.h"
#include "compiler/weights/Sources.h"
#include "runtime/artifact/KernelLibrary.h"
#include "runtime/support/ThreadTeam.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qcc {

/// The calibration data: `samples` sequences of `length` tokens.
struct CalibrationTokens {
  std::vector<int32_t> ids; ///< [samples][length]
  int64_t samples = 0, length = 0;
  int64_t count() const { return samples * length; }
};

/// Where a segment's weights come from: the value of @weights for a leaf of
/// the program, a block's argument or a tfm.weight.
using ResolveWeight = std::function<mlir::Value(mlir::Value leaf)>;

/// Reads rows of weights as the segment is to see them; `value` is what
/// ResolveWeight gives.
using ReadWeight = std::function<void(mlir::Value value, int64_t firstRow,
                                      int64_t rows, float *out)>;

class Segment {
public:
  /// The ops that compute `target` of the values `kept` (activations of the
  /// same function), for `tokens` tokens in all. Throws qrt::Error if it
  /// cannot be compiled.
  Segment(mlir::Value target, llvm::ArrayRef<mlir::Value> kept, int64_t tokens,
          unsigned threads);
  ~Segment();

  /// The kept values that it reads.
  llvm::ArrayRef<mlir::Value> inputs() const { return tables; }

  /// Computes the target for all tokens. `activations` gives each input;
  /// segments that begin at the embedding read the tokens' ids instead.
  void run(const CalibrationTokens &tokens,
           const std::function<const Activations &(mlir::Value)> &activations,
           const ResolveWeight &resolve, const ReadWeight &read,
           qrt::ThreadTeam &team, const std::atomic<bool> *cancelled,
           const Activations &output);

private:
  class Weights;
  void build(mlir::Value target, llvm::ArrayRef<mlir::Value> kept,
             int64_t tokens);
  void compile(unsigned threads);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// @weights without the tables of activations.
  mlir::OwningOpRef<mlir::ModuleOp> weightsOnly;
  std::vector<mlir::Value> tables, leaves;
  bool readsIds = false;
  /// By index in step->weights: a table (>= 0), or the name of a tensor.
  struct Slot {
    int64_t table = -1;
    std::string tensor;
  };
  std::vector<Slot> slots;
  std::unique_ptr<qrt::KernelLibrary> kernels;
};

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_SEGMENT_H
