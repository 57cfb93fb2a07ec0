//===- PhaseEffects.h - What a phase reads and writes -----------*- C++ -*-===//

#ifndef QCC_PASSES_LOWER_PHASEEFFECTS_H
#define QCC_PASSES_LOWER_PHASEEFFECTS_H

#include "dialects/KRN/KRN.h"

namespace qcc {

/// The data that a phase touches: results of krn.buffer and
/// krn.staged_buffer, seen through views. The KV cache of the layer is one
/// more piece of data.
struct PhaseEffects {
  llvm::SmallVector<mlir::Value> reads, writes;
  bool readsCache = false, writesCache = false;

  /// Adds those of `more`, but for private buffers, which no other thread sees.
  void add(const PhaseEffects &more);
  /// True if a phase with these effects must not begin before phases with the
  /// `earlier` ones have ended.
  bool conflictsWith(const PhaseEffects &earlier) const;
};

/// The effects of `op`, or nothing if it is no phase.
std::optional<PhaseEffects> phaseEffects(mlir::Operation *op);

/// True for a staged buffer that every thread has for itself.
bool isPrivate(mlir::Value buffer);

} // namespace qcc

#endif // QCC_PASSES_LOWER_PHASEEFFECTS_H
