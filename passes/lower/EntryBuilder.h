//===- EntryBuilder.h - One entry of a KRN program --------------*- C++ -*-===//
//
// Internal to lower-to-krn: lowers the phases of one bucket of tokens.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_PASSES_LOWER_ENTRYBUILDER_H
#define QCC_PASSES_LOWER_ENTRYBUILDER_H

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cuda/kernels/Layout.h"
#include "dialects/KRN/KRN.h"
#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

namespace qcc {

/// A bucket of tokens.
struct Bucket {
  llvm::StringRef name;
  int64_t maxTokens;
  bool isPersistent = false;
  /// Few tokens: every thread stages all of them for itself, which costs less
  /// than a barrier, and the kernels are the ones bound by the weights' bytes.
  bool isSmall() const { return maxTokens <= krn::kGemvTokens; }
};

/// Lowers @model into one krn.entry. Failures are emitted at the op.
class EntryBuilder {
public:
  /// `weightIndex`: the number of each weight that @weights defines.
  /// `kvOffsets`: bytes a token in the caches before each layer, and of all.
  EntryBuilder(mlir::ModuleOp module, krn::EntryOp entry, const Bucket &bucket,
               bool isCuda, llvm::StringRef activations,
               const llvm::StringMap<int64_t> &weightIndex,
               llvm::ArrayRef<int64_t> kvOffsets)
      : symbols(module), bucket(bucket), isCuda(isCuda),
        activations(activations), weightIndex(weightIndex),
        kvOffsets(kvOffsets), entry(entry),
        b(mlir::OpBuilder::atBlockBegin(&entry.getBody().front())) {}

  llvm::LogicalResult lower(mlir::func::FuncOp model);

private:
  /// What a value of the program is in KRN: a buffer, a weight, or nothing
  /// (step and caches are implied).
  using Mapping = llvm::DenseMap<mlir::Value, mlir::Value>;

  llvm::LogicalResult lowerOp(mlir::Operation *op, Mapping &map);
  /// Consecutive calls of one block become a repeat over their layers.
  llvm::LogicalResult lowerRun(llvm::ArrayRef<mlir::func::CallOp> calls,
                               Mapping &map);
  llvm::LogicalResult lowerGemm(qnt::FusedGemmOp op, Mapping &map);
  llvm::LogicalResult lowerRopeAttention(qnt::RopeAttentionOp op, Mapping &map);
  llvm::LogicalResult lowerAttention(tfm::AttentionOp op, Mapping &map);
  llvm::LogicalResult lowerRope(tfm::RopeOp op, Mapping &map);

  /// The GEMM's input as its kernel reads it, shared by GEMMs that read the
  /// same rows in the same form; null after an emitted failure.
  krn::StageOp stageInput(qnt::FusedGemmOp op, krn::StagedType type,
                          Mapping &map);
  /// The output of the op that defines `result`: the block's own output
  /// buffer where it is the block's result, else a new one.
  mlir::Value outputFor(mlir::Value result);
  /// Emits the phases of an attention. One that stands in @model itself gets a
  /// repeat of its own, which says where its layer's cache lies.
  llvm::LogicalResult inLayer(mlir::Value cache,
                              llvm::function_ref<void()> emit);
  mlir::Value newBuffer(mlir::Location loc, int64_t columns) {
    return krn::BufferOp::create(
        b, loc, krn::BufferType::get(b.getContext(), columns, 0), -1);
  }
  mlir::Value weight(mlir::Operation *op, mlir::Value value, Mapping &map) {
    mlir::Value mapped = map.lookup(value);
    if (value && !mapped)
      op->emitOpError("uses a weight that is not packed");
    return mapped;
  }
  /// The table of cos and sin for frequencies, made once a step.
  mlir::Value ropeTable(mlir::Location loc, mlir::Value frequencies,
                        float attentionFactor,
                        tfm::LengthScalingAttr lengthScaling);
  llvm::FailureOr<int64_t> indexOf(mlir::Value weight);
  /// Whether rope_append is left to the attention behind it.
  mlir::UnitAttr fusedAttr() {
    const bool isStep = isCuda && bucket.maxTokens <= cuda::kMostSplitTokens;
    return bucket.isPersistent || isStep ? b.getUnitAttr() : mlir::UnitAttr();
  }

  mlir::SymbolTable symbols;
  const Bucket &bucket;
  bool isCuda;
  llvm::StringRef activations;
  const llvm::StringMap<int64_t> &weightIndex;
  llvm::ArrayRef<int64_t> kvOffsets;
  krn::EntryOp entry;
  mlir::OpBuilder b;
  /// Weights of @model, made once an entry.
  llvm::DenseMap<int64_t, mlir::Value> entryWeights;
  struct RopeTable {
    int64_t weight;
    float attentionFactor;
    tfm::LengthScalingAttr lengthScaling;
    mlir::Value buffer;
  };
  llvm::SmallVector<RopeTable> ropeTables;
  /// Stages of this block whose input nothing has overwritten.
  llvm::SmallVector<krn::StageOp> stagedInBlock;
  /// Inside a block: its result and the buffer that must hold it.
  mlir::Value blockResult, blockOutput;
  /// What @model returns, if not logits, and the caller's room for it.
  mlir::Value modelResult, modelOutput;
  /// Inside a block: for each argument, the weight index if all layers of the
  /// run agree on one, or kDiffers.
  static constexpr int64_t kDiffers = -1;
  llvm::DenseMap<mlir::Value, int64_t> commonIndex;
};

} // namespace qcc

#endif // QCC_PASSES_LOWER_ENTRYBUILDER_H
