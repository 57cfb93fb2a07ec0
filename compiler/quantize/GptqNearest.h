//===- GptqNearest.h - GPTQ without a usable Hessian ------------*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_GPTQNEAREST_H
#define QCC_COMPILER_QUANTIZE_GPTQNEAREST_H

#include "compiler/quantize/Gptq.h"

namespace qcc {

/// Throws qrt::Error unless `format` is an int format and the factor is of so
/// many columns.
void checkGptqFormat(int64_t columns, const qrt::Format &format,
                     const GptqFactor &factor);

/// Room for the codes, scales and zero points of a weight [rows][columns], for
/// which checkGptqFormat() must not throw.
GptqResult makeGptqResult(int64_t rows, int64_t columns,
                          const qrt::Format &format, const GptqFactor &factor);

/// Fills `result` by round-to-nearest, with the factor's order of columns.
void roundToNearest(const float *w, int64_t rows, int64_t columns,
                    const qrt::Format &format, const GptqFactor &factor,
                    const GptqOptions &options, GptqResult &result);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_GPTQNEAREST_H
