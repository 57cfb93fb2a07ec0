//===- Phases.h - What CUDA's generators ask of phases ----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_PHASES_H
#define QCC_CODEGEN_CUDA_PHASES_H

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

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_PHASES_H
