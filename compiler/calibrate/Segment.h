//===- Segment.h - A piece of the program -----------------------*- C++ -*-===//
//
// The calibrator cuts the program where a linear's inputs are wanted. A
// segment is what lies between two cuts: it takes activations that were kept,
// a row a token, and gives one value. It is lowered like any program, to be
// run by the same kernels (Backend.h); kept activations come in as tables
// whose rows the "embedding" reads, and the result leaves through the step's
// logits.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_SEGMENT_H
#define QCC_COMPILER_CALIBRATE_SEGMENT_H

#include "compiler/weights/WeightStream.h"
#include "dialects/KRN/KRN.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>
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

/// What segments are lowered for: kernels of the CPU compute in f32; those for
/// CUDA take weights in f16, keep keys and values in 16 bits, and have
/// activations in f32 between them.
struct SegmentTarget {
  bool isCuda = false;
  int64_t maxTokens = 0; ///< tokens that the kernels take at once
};

/// The values of `kept` that `target` is computed from.
llvm::SmallVector<mlir::Value> keptInputs(mlir::Value target,
                                          llvm::ArrayRef<mlir::Value> kept);

class Segment {
public:
  /// The ops that compute `target` of the values `kept` (activations of the
  /// same function), for `tokens` tokens in all. Throws qrt::Error if it
  /// cannot be lowered.
  Segment(mlir::Value target, llvm::ArrayRef<mlir::Value> kept, int64_t tokens,
          const SegmentTarget &segmentTarget);

  krn::ProgramOp program();
  /// The kept values that it reads.
  llvm::ArrayRef<mlir::Value> inputs() const { return tables; }
  /// Columns of what it computes.
  int64_t columns() const { return width; }
  /// Whether a product is in it.
  bool isCostly() const { return hasProduct; }
  /// Whether it begins at the embedding, of the tokens' ids.
  bool readsIds() const { return hasEmbedding; }

  /// What the program's weights are, by their index.
  struct Slot {
    int64_t table = -1; ///< of inputs(), or
    std::string tensor; ///< what streamTensors() calls it
  };
  llvm::ArrayRef<Slot> slots() const { return weightSlots; }
  /// Packs its weights, those that are no tables.
  void streamTensors(const ResolveWeight &resolve, const ReadWeight &read,
                     const WeightStreamOptions &options,
                     const std::function<void(const StreamedTensor &)> &sink);

private:
  void build(mlir::Value target, llvm::ArrayRef<mlir::Value> kept,
             int64_t tokens);
  void lower();

  SegmentTarget segmentTarget;
  int64_t width;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// @weights without the tables of activations.
  mlir::OwningOpRef<mlir::ModuleOp> weightsOnly;
  std::vector<mlir::Value> tables, leaves;
  std::vector<Slot> weightSlots;
  bool hasEmbedding = false, hasProduct = false;
};

/// Tokens that a segment computes at once.
struct SegmentStep {
  int64_t firstRow = 0; ///< of all calibration tokens
  /// A sequence, or a piece of a long one.
  struct Sequence {
    int64_t first, tokens; ///< tokens of the step
    int64_t past;          ///< tokens of it in earlier steps
    int64_t cache;         ///< which of sequencesAtOnce() caches is its own
  };
  std::vector<Sequence> sequences;
  /// Token ids, or rows of tables, and their positions.
  std::vector<int32_t> ids, positions;
};

/// Short sequences go together, long ones in pieces.
int64_t sequencesAtOnce(const CalibrationTokens &tokens, int64_t maxTokens);

/// Calls work(step) for all tokens, in order.
void forEachStep(const CalibrationTokens &tokens, int64_t maxTokens,
                 bool readsIds,
                 const std::function<void(const SegmentStep &)> &work);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_SEGMENT_H
