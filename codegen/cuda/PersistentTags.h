//===- PersistentTags.h - Rows that need no barrier -------------*- C++ -*-===//
//
// In a step that is one kernel (PersistentUnit.h), phases hand rows over either
// through a barrier of the grid or, in a tagged program, through the rows'
// elements themselves: the lowest bit of each says how often it has been
// written, modulo 2 (kernels/persistent.cuh). That saves most of a hand-over's
// time, and is possible where no element can be written before all blocks have
// read what it held.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_PERSISTENTTAGS_H
#define QCC_CODEGEN_CUDA_PERSISTENTTAGS_H

#include "dialects/KRN/KRN.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <string>

namespace qcc::cuda {

using krn::rootOf;

class PersistentTags {
public:
  /// Decides whether `entry` can be tagged. `shares`: into how many parts the
  /// rows of a GEMM can be cut for blocks.
  PersistentTags(krn::EntryOp entry,
                 llvm::function_ref<int64_t(krn::GemmOp)> shares);

  bool isTagged() const { return tagged; }
  bool isTagged(mlir::Value buffer) const {
    return tagged && buffer && rows.count(rootOf(buffer));
  }
  /// Barriers that are left, of a step.
  int64_t barriers() const { return tagged ? barriersLeft : 1; }

  // C++ for the tag of a buffer's elements, at the point of the program that
  // the generator has come to.
  std::string read(mlir::Value buffer) const;
  /// The same for elements that are written now.
  std::string write(mlir::Value buffer);
  void beginRepeat(int64_t layers);
  void endRepeat();

private:
  struct Row {
    int64_t total = 0; ///< writings in a step
    // Those up to now: before the repeat that is open, in each of its layers,
    // and in this layer.
    int64_t before = 0, perLayer = 0, inLayer = 0;
  };
  bool count(krn::EntryOp entry, llvm::function_ref<int64_t(krn::GemmOp)>);
  bool areApart() const;
  std::string tag(const Row &row) const;

  bool tagged = false;
  int64_t barriersLeft = 0;
  int64_t openLayers = 0; ///< 0 outside a repeat
  llvm::MapVector<mlir::Value, Row> rows;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_PERSISTENTTAGS_H
