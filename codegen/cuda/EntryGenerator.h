//===- EntryGenerator.h - The launches of one entry -------------*- C++ -*-===//
//
// Internal to generateKernels: kernels and launches of an entry that runs as a
// graph.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_ENTRYGENERATOR_H
#define QCC_CODEGEN_CUDA_ENTRYGENERATOR_H

#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/KernelUnits.h"
#include "codegen/cuda/Phases.h"
#include "codegen/cuda/kernels/Layout.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

namespace qcc::cuda {

/// Generates the launches of one entry.
class EntryGenerator {
public:
  EntryGenerator(krn::EntryOp entry, CudaProgram &program,
                 llvm::StringMap<uint32_t> &known, llvm::StringRef architecture)
      : entry(entry), tokens(entry.getMaxTokens()),
        isWide(architecture == "sm_90" && tokens >= kLeastWideTokens),
        program(program), known(known) {}

  /// True if steps of few tokens are left to the entry for more of them, whose
  /// kernels are faster for all but one.
  static bool isLeftOut(krn::EntryOp entry, llvm::StringRef architecture) {
    if (architecture != "sm_90" || entry.getMaxTokens() == 1 ||
        int64_t(entry.getMaxTokens()) >= kLeastWideTokens)
      return false;
    return !entry
                .walk([](krn::GemmOp gemm) {
                  return canTakeWide(gemm) ? mlir::WalkResult::advance()
                                           : mlir::WalkResult::interrupt();
                })
                .wasInterrupted();
  }

  std::vector<qrt::fb::LaunchT> run() {
    prepareLibrary();
    addBlock(entry.getBody().front(), 0);
    return std::move(launches);
  }
  /// What the launches need of working memory, if more than the entry says.
  uint64_t arenaBytes() const { return uint64_t(arena); }
  /// What launches for a library need of memory of their own.
  uint64_t libraryBytes() const { return uint64_t(library); }

private:
  void addBlock(mlir::Block &block, int64_t kvOffset);
  void addPhase(mlir::Operation *op, int64_t kvOffset);
  void addRepeat(krn::RepeatOp op);

  void add(krn::EmbedOp op);
  void add(krn::RopeTableOp op);
  void add(krn::FindOutliersOp op);
  void add(krn::StageOp op);
  /// The constants of a kernel that stages rows, and its threads.
  struct StageConfig {
    ConfigText text;
    int64_t threads;
  };
  /// The code of the weight that reads it, which says how elements are ordered.
  static std::optional<qrt::Code> codeBehind(krn::StageOp op);
  /// `code` is the weight's. `threads` 0: as many as suit the row.
  template <typename Op>
  StageConfig stageConstants(Op op, qrt::Code code, bool needsSums,
                             double threshold, int64_t threads = 0) const;
  void add(krn::GemmOp op);
  /// What becomes of a gemm's sums, but for the residual.
  static void addEpilogueConstants(krn::GemmOp op, ConfigText &c);
  /// Outliers have no wide kernels.
  static bool canTakeWide(krn::GemmOp gemm) {
    return gemm.getInput().getType().getActivations() != "split8";
  }
  /// True if what stands in `staged` is for wgmma: everything that reads it can
  /// take it so. Outliers cannot.
  bool takesWide(mlir::Value staged) const {
    return isWide &&
           mlir::cast<krn::StagedType>(staged.getType()).getActivations() !=
               "split8";
  }
  /// Says in the op what it became.
  static void explain(krn::GemmOp op, const std::string &kernel,
                      const std::string &reason) {
    op.setKernel(kernel);
    op.setReason(reason);
  }
  /// Has the scales of a weight of nested ones written as f32; where.
  qrt::fb::Operand addUnnest(krn::GemmOp op, const GemmLayout &layout,
                             qrt::fb::Operand codes, qrt::fb::Operand nested);
  /// The operands of a GEMM; codes, scales and zeros are the weight's, the
  /// scales may be those of addUnnest.
  struct GemmOperands {
    qrt::fb::Operand codes, scales, zeros, bias, residual, output, input;
  };
  /// What every kernel for a gemm takes.
  struct GemmKernel {
    ConfigText constants;
    GemmLayout layout;
    GemmOperands operands;
  };
  /// Adds the launch in front that unnests scales, if it takes one.
  GemmKernel describe(krn::GemmOp op);
  /// For 2 to 64 tokens, with that of batchedWith.
  void addBatchGemm(krn::GemmOp op, GemmKernel kernel);
  /// The gemm in the same phase that the launch of `op` does as well, or null.
  krn::GemmOp batchedWith(krn::GemmOp op) const;
  void addWideGemm(krn::GemmOp op, ConfigText &c, const GemmLayout &layout,
                   const GemmOperands &operands);
  /// Tokens of a step from which on a library multiplies what is staged there,
  /// where it is present; 0: never. All products of it or none.
  int64_t libraryFrom(mlir::Value staged) const;
  /// Where the factors of its rows are when it is staged for a library.
  qrt::fb::Operand factorsOf(mlir::Value staged) const;
  /// Where the panel `place` of two is; 2: what lies behind them.
  qrt::fb::Operand panelAt(uint32_t place) const;
  void prepareLibrary();
  /// How a library multiplies for a gemm.
  struct LibraryPlan {
    bool isSimple;  ///< the products are the result
    bool isInPlace; ///< sums are left in the output
    int64_t panelStride, panelRows;
    int64_t sumsAt; ///< in the memory for the library
    int64_t bytes;  ///< of that, in all
    int64_t sumStride;
  };
  LibraryPlan planLibrary(krn::GemmOp op) const;
  bool isAlignedForVectors(mlir::Value buffer) const;
  /// The gemm whose epilogue is left to the staging of its result for another
  /// product of the library, in steps of so many tokens and more; or null.
  struct FinishedGemm {
    krn::GemmOp gemm;
    int64_t from;
  };
  FinishedGemm finishedBy(krn::StageOp stage) const;
  /// The constants of what stands for a gemm's epilogue.
  void addFinishConstants(krn::GemmOp op, ConfigText &c);
  /// The library's ways of a stage and of a gemm, whose constants are `c`
  /// (LibraryGemms.cpp). `code` is that of the weight.
  void addLibraryStage(krn::StageOp op, qrt::Code code);
  void addLibraryStage(krn::StageOp op, qrt::Code code, krn::GemmOp source);
  void addLibraryGemm(krn::GemmOp op, const ConfigText &c,
                      const GemmLayout &layout, const GemmOperands &operands);
  /// Which of two ways the launches are that are added now.
  void setWay(int64_t from, bool isLibrary, int64_t below = 0) {
    wayFrom = from;
    wayBelow = below;
    isWayOfLibrary = isLibrary;
  }
  void add(krn::RopeAppendOp op, int64_t kvOffset);
  void add(krn::AttentionOp op, int64_t kvOffset);
  /// The rope_append that the attention's kernel does, and the staging of its
  /// output, with the code of the weight; or null.
  krn::RopeAppendOp appendedBy(krn::AttentionOp op) const;
  struct StagedOutput {
    krn::StageOp stage;
    qrt::Code code;
  };
  StagedOutput stagedBy(krn::AttentionOp op) const;
  void add(krn::NormOp op);
  void add(krn::RopeOp op);
  void addElementwise(const char *kind, mlir::Value a, mlir::Value b,
                      mlir::Value output, int activation = 0, float value = 0);

  /// A launch of the kernel `type`<constants>, which is made if it is new.
  qrt::fb::LaunchT &launch(const std::string &type, const char *file,
                           const std::string &name, const ConfigText &constants,
                           int64_t threads, int64_t blocksPerSm,
                           int64_t sharedBytes,
                           llvm::ArrayRef<qrt::fb::Operand> operands,
                           int64_t cluster = 1);

  /// The address of a buffer or of a weight's data.
  qrt::fb::Operand address(mlir::Value value) const {
    if (!value)
      return qrt::fb::Operand(qrt::fb::OperandKind::None, 0, 0);
    auto it = addresses.find(value);
    if (it == addresses.end())
      throw qrt::Error("a phase reads what nothing wrote: " +
                       textOf(value.getType()));
    return it->second;
  }
  static qrt::fb::Operand immediate(int64_t value) {
    return qrt::fb::Operand(qrt::fb::OperandKind::Immediate, 0,
                            uint64_t(value));
  }
  static qrt::fb::Operand plus(qrt::fb::Operand operand, int64_t bytes) {
    return qrt::fb::Operand(operand.kind(), operand.tensor(),
                            operand.offset() + uint64_t(bytes));
  }
  /// A vector of f32, or null.
  qrt::fb::Operand vector(mlir::Operation *op, mlir::Value value) const {
    if (!value)
      return address(value);
    auto type = mlir::cast<qnt::PackedType>(value.getType());
    if (type.getFormat().getValue().code != qrt::Code::F32 ||
        !type.getLayout() || type.getLayout().getValue() != "rows")
      refuse(op,
             "needs vectors of f32 in layout \"rows\", not " + textOf(type));
    return address(value);
  }

  krn::EntryOp entry;
  int64_t tokens;
  /// GEMMs may take wgmma.
  bool isWide;
  CudaProgram &program;
  llvm::StringMap<uint32_t> &known;
  /// Bytes of working memory, where that is more than the entry says.
  int64_t arena = 0, library = 0;
  /// Inputs that may be staged for a library, in their order.
  llvm::DenseMap<mlir::Value, unsigned> factors;
  /// Bytes of the largest panel, and the place of the next.
  int64_t panelBytes = 0;
  uint32_t panelPlace = 0;
  int64_t wayFrom = 0, wayBelow = 0;
  bool isWayOfLibrary = false;
  llvm::DenseMap<mlir::Value, qrt::fb::Operand> addresses;
  /// Phases that a kernel in front of them does.
  llvm::DenseSet<mlir::Operation *> done;
  std::vector<qrt::fb::LaunchT> launches;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_ENTRYGENERATOR_H
