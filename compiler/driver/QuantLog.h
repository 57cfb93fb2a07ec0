//===- QuantLog.h - What was done to each module ----------------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_QUANTLOG_H
#define QCC_COMPILER_DRIVER_QUANTLOG_H

#include "compiler/weights/WeightStream.h"
#include "runtime/support/AtomicFile.h"

#include <memory>
#include <string>

namespace qcc {

/// --quant-log: one CSV line a module, as interface.md says.
class QuantLog {
public:
  /// Without a path nothing is written.
  explicit QuantLog(const std::string &path);
  void add(const StreamedTensor &tensor);
  void finish();

private:
  std::unique_ptr<qrt::AtomicFile> file;
  std::string text;
};

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_QUANTLOG_H
