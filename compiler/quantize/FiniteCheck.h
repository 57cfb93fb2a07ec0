//===- FiniteCheck.h - Finding NaN and infinity in weights ------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_FINITECHECK_H
#define QCC_COMPILER_QUANTIZE_FINITECHECK_H

#include <cstdint>
#include <optional>
#include <string>

namespace qcc {

/// The index of the first NaN or infinity among `count` values, if any.
std::optional<int64_t> findNonFinite(const float *values, int64_t count);

/// Throws qrt::Error "weight 'name' holds a NaN at [row, column]" (or "an
/// infinity") unless all of w [rows, columns] is finite. `firstRow` is the row
/// of the whole weight that w begins with.
void checkFinite(const float *w, int64_t rows, int64_t columns,
                 const std::string &name, int64_t firstRow = 0);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_FINITECHECK_H
