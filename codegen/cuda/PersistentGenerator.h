//===- PersistentGenerator.h - How a step becomes a kernel ------*- C++ -*-===//
//
// The generator of PersistentUnit.h: PersistentUnit.cpp walks an entry and lays
// out shared memory, PersistentPhases.cpp turns phases into calls.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_PERSISTENTGENERATOR_H
#define QCC_CODEGEN_CUDA_PERSISTENTGENERATOR_H

#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/PersistentTags.h"
#include "codegen/cuda/PersistentUnit.h"
#include "codegen/cuda/Phases.h"
#include "codegen/cuda/kernels/Layout.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallSet.h"

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qcc::cuda {

/// Tiles of one token whose sums meet, or few where activations and tables take
/// more than `kMuchShared`.
constexpr int64_t kSumTiles = 32, kFewSumTiles = 8, kMuchShared = 150 * 1024;
/// Parts that attentions are cut into at most, one a block.
constexpr int64_t kMostParts = 256;
/// Scales of at most so many slots are one copy.
constexpr int64_t kMostChunkSlots = 8;

/// The column of its root at which a view begins.
int64_t columnOf(mlir::Value buffer);

inline bool isTableCode(qrt::Code code) {
  return code == qrt::Code::NF4 || code == qrt::Code::FP4;
}

/// Makes the source of the kernel of one entry.
class PersistentGenerator {
public:
  PersistentGenerator(krn::EntryOp entry, std::string function)
      : entry(entry), function(std::move(function)) {}

  PersistentUnit run();

private:
  void addBlock(mlir::Block &block, const std::string &indent);
  void addPhase(mlir::Operation *op, const std::string &indent);
  void addRepeat(krn::RepeatOp op, const std::string &indent);
  void add(krn::StageOp op);
  void add(krn::GemmOp op);
  void add(krn::AttentionOp op);
  void add(krn::EmbedOp op);
  void add(krn::RopeTableOp op);
  void add(krn::NormOp op);
  void add(krn::RopeOp op);
  void addElementwise(const char *kind, mlir::Value a, mlir::Value b,
                      mlir::Value output, int activation);

  /// Finds the buffers whose rows may lie in two parts, and the largest room
  /// for activations.
  void findRests();
  /// Finds what a warp has of a slot: what suits the weights of the layers. (A
  /// slot half of which is empty is half of what should be on its way.)
  /// And the room for sums.
  void findSlots();
  bool mayHaveRest(mlir::Value buffer) const;
  int64_t tableBytes() const {
    return isSpread ? kSpreadTableBytes
                    : int64_t(tables.size()) * kPairTableBytes;
  }
  /// Bytes between activations and tables.
  int64_t sumsRoom() const { return sumsInTable ? 0 : sumsBytes; }
  /// Room that an attention takes from activations and sums, for queries and
  /// for results of so many warps.
  int64_t attentionBytes(krn::AttentionOp op, int64_t warps) const;
  int64_t consumers() const { return consumerWarps * 32; }
  bool canSplit(krn::GemmOp gemm) const;
  /// Of a weight in slots: copies that begin at a line of 128 bytes are the
  /// fast ones.
  static int64_t alignment(int64_t unitBytes, int64_t scaleLine);
  int64_t sharesOf(krn::GemmOp gemm) const;
  /// Query rows of a block that attends.
  static int64_t liveRows(krn::AttentionOp op);
  /// Of the result of some positions: rows of a head, the largest score, the
  /// sum.
  static int64_t elementsOfPart(krn::AttentionOp op);
  /// Of a row that a stage leaves and of the weights that read it.
  static GemmLayout layoutOf(mlir::Value staged);
  bool hasRest(mlir::Value buffer) const {
    return buffer && rests.count(rootOf(buffer));
  }
  static bool isLinear(krn::GemmOp gemm) {
    return !gemm.getGlu() && !gemm.getGather() &&
           (!gemm.getActivation() ||
            *gemm.getActivation() == tfm::Activation::None);
  }

  /// The number of an operand in the table.
  size_t wordOf(qrt::fb::Operand operand);
  /// C++ for the address of a buffer or of a weight's data, or 0.
  std::string address(mlir::Value value, int64_t bytes = 0);
  std::string rest(mlir::Value buffer);
  std::string vector(mlir::Operation *op, mlir::Value value);
  /// Adds a struct of constants; its name.
  std::string config(const char *name, const ConfigText &constants);
  /// Adds a call of the program.
  void call(const std::string &member, const std::string &config,
            std::initializer_list<std::string> operands);

  krn::EntryOp entry;
  std::string function;

  std::string configs, body, indent;
  std::vector<qrt::fb::Operand> words, layerWords;
  std::vector<std::unique_ptr<qrt::fb::StreamT>> streams;
  llvm::DenseMap<mlir::Value, int64_t> rests; ///< bytes into the arena
  std::optional<PersistentTags> tags;
  /// Of a repeat's arguments, while it is generated.
  llvm::DenseMap<mlir::Value, size_t> layerArguments;
  std::string kvOffset = "0";
  int64_t arena = 0, xBytes = 0, slotBytes = 0, roomBytes = 0;
  int64_t warpBytes = 0; ///< a warp's part of a slot, at most
  int64_t sumsBytes = 0, consumerWarps = kConsumerWarps;
  llvm::SmallSet<qrt::Code, 2> tables; ///< codes that are looked up
  bool isSpread = false;               ///< their tables' entries are apart
  bool sumsInTable = false;            ///< between the entries of the only one
  bool hasNested = false;
  int64_t chunkBytes = 0, leastChunkSlots = kMostChunkSlots;
  int64_t partsAt = 0; ///< room for parts of attentions, in the arena
  /// Layers of the repeat, and gemvs and attentions of a step so far.
  int64_t layers = 1, streamed = 0;
  /// Blocks that attended, where no gemm stands between.
  std::optional<int64_t> attended;
  /// The last of `streams`.
  krn::GemmOp lastGemm;
  int64_t lastUnitBytes = 0;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_PERSISTENTGENERATOR_H
