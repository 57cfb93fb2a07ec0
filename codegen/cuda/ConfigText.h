//===- ConfigText.h - Constants of a kernel as text -------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_CONFIGTEXT_H
#define QCC_CODEGEN_CUDA_CONFIGTEXT_H

#include "dialects/QNT/QNT.h"
#include "dialects/TFM/TFM.h"
#include "runtime/formats/Format.h"

#include <cstdint>
#include <string>

namespace qcc::cuda {

/// The members of a kernel's struct of constants, in the order in which they
/// were added: equal constants make equal text.
class ConfigText {
public:
  void integer(const char *name, int64_t value);
  void flag(const char *name, bool value);
  /// Exact: printed as a hexadecimal float.
  void real(const char *name, float value);
  /// An enumerator, by its qualified name.
  void value(const char *name, const std::string &enumerator);
  /// A struct of constants.
  void nested(const char *name, const ConfigText &constants);
  const std::string &text() const { return lines; }

private:
  std::string lines;
};

/// What common.cuh calls these.
int codeOf(qrt::Code code);
/// The code whose order of staged elements `code` shares: Int8 or Int4.
int placeCodeOf(qrt::Code code);
int elementOf(qrt::Code code);
int elementOf(qrt::ScaleType type);
int normOf(llvm::StringRef norm);
int activationOf(tfm::Activation activation);

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_CONFIGTEXT_H
