//===- Phases.h - What CUDA's generators ask of phases ----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_PHASES_H
#define QCC_CODEGEN_CUDA_PHASES_H

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/kernels/Layout.h"
#include "dialects/KRN/KRN.h"
#include "runtime/support/Error.h"

#include "llvm/Support/raw_ostream.h"

#include <string>

namespace qcc::cuda {

/// Throws qrt::Error, naming the phase that has no kernel.
[[noreturn]] inline void refuse(mlir::Operation *op, const std::string &why) {
  throw qrt::Error(op->getName().getStringRef().str() + " " + why);
}

inline std::string textOf(mlir::Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Elements from one row of a buffer to the next.
inline int64_t strideOf(mlir::Value buffer) {
  return mlir::cast<krn::BufferType>(buffer.getType()).rowStride();
}
inline int64_t columnsOf(mlir::Value buffer) {
  return mlir::cast<krn::BufferType>(buffer.getType()).getColumns();
}

/// What every kernel of krn.embed knows of its table.
inline ConfigText embedConstants(krn::EmbedOp op) {
  qnt::PackedType table = op.getTable().getType();
  const qrt::Format &format = table.getFormat().getValue();
  if (format.isQuantized() || !table.getLayout())
    refuse(op, "needs a table of f32, f16 or bf16, not " + textOf(table));
  int64_t perLine = krn::lineElements(format.codeBits());
  ConfigText c;
  c.integer("hidden", table.getColumns());
  c.integer("element", elementOf(format.code));
  c.flag("isTiled", table.getLayout().getValue() == "t16");
  c.integer("perLine", perLine);
  c.integer("paddedHidden", krn::roundUp(table.getColumns(), perLine));
  c.real("multiplier", op.getMultiplier().convertToFloat());
  return c;
}

/// What every kernel of krn.norm knows.
inline ConfigText normConstants(krn::NormOp op) {
  ConfigText c;
  c.integer("heads", op.getHeads());
  c.integer("columns", columnsOf(op.getInput()) / int64_t(op.getHeads()));
  c.integer("inputStride", strideOf(op.getInput()));
  c.integer("outputStride", strideOf(op.getOutput()));
  c.integer("norm", normOf(op.getNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  c.flag("hasBias", bool(op.getBias()));
  return c;
}

/// What every kernel of krn.gemm knows of its weight's units.
inline void addUnits(ConfigText &c, const GemmLayout &layout) {
  c.integer("unitLines", layout.unitLines);
  c.integer("lastLines", layout.lastLines);
  c.integer("unitsPerRow", layout.units);
  c.integer("unitsPerGroup", layout.unitsPerGroup);
  c.integer("groups", layout.groups);
  c.integer("unitBlocks", layout.unitBlocks);
  c.integer("rowBlocks", layout.rowBlocks);
  c.integer("tileBytes", layout.tileBytes);
}

/// The order that staging reads a row in; null if it is its own.
inline mlir::Value orderOf(krn::StageOp op) { return op.getOrder(); }
inline mlir::Value orderOf(krn::FindOutliersOp) { return {}; }

/// What every kernel that stages rows knows of them; `code` is the weight's.
template <typename Op>
ConfigText rowConstants(Op op, qrt::Code code, bool isFloat) {
  ConfigText c;
  c.integer("columns", op.getOutput().getType().getColumns());
  c.integer("stride", strideOf(op.getInput()));
  c.integer("norm", normOf(op.getNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  c.flag("hasNormBias", bool(op.getNormBias()));
  c.integer("code", isFloat ? codeOf(code) : placeCodeOf(code));
  c.flag("isFloat", isFloat);
  c.flag("gather", op.getGather());
  c.flag("hasOrder", bool(orderOf(op)));
  return c;
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_PHASES_H
