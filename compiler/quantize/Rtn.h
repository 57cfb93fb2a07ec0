//===- Rtn.h - Round-to-nearest quantization --------------------*- C++ -*-===//
//
// Integer codes of 2, 3, 4 or 8 bits with one scale (and, asymmetric, one zero
// point) a group, as `--nearest` of GPTQ-for-LLaMa makes them (quant/
// quantizer.py, Quantizer.find_params); docs/formats.md states the recipe and
// the two places where this one differs.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_RTN_H
#define QCC_COMPILER_QUANTIZE_RTN_H

#include "compiler/quantize/Statistics.h"
#include "runtime/formats/Format.h"

#include <cstdint>

namespace qcc {

/// How the scale of a group is found.
struct RtnOptions {
  /// Search for the scale with the least error instead of taking the range:
  /// the range is shrunk by 1/grid at a time, maxShrink * grid times, and the
  /// sum of |error|^norm decides.
  bool mse = false;
  int grid = 100;
  double maxShrink = 0.8;
  double norm = 2.4;
};

/// Scale and zero point of one group. The zero point is that of the unsigned
/// code: 2^(bits-1) for symmetric formats.
struct GroupParameters {
  float scale;
  int32_t zero;
};

/// Scale and zero point for the `count` finite values at `w`; the scale is
/// rounded to format.scale (and never 0). Adds to the scale counters of
/// `statistics` if that is not null. GPTQ calls this for each group as it comes
/// to it.
GroupParameters findGroupParameters(const float *w, int64_t count,
                                    const qrt::Format &format,
                                    const RtnOptions &options,
                                    QuantizeStatistics *statistics = nullptr);

/// Quantizes `rows` rows of `columns` finite values to an int format with
/// groups along the row. Writes codes [rows][columns], scales
/// [rows][groupsPerRow] and, if format.zero, zeros [rows][groupsPerRow] as
/// qrt::PackedWeight holds them (int8 without zero points: two's complement).
/// Rows are independent: any range of rows gives what the whole would. Throws
/// qrt::Error unless the format is valid and has int codes.
QuantizeStatistics quantizeRows(const float *w, int64_t rows, int64_t columns,
                                const qrt::Format &format,
                                const RtnOptions &options, uint8_t *codes,
                                float *scales, uint8_t *zeros);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_RTN_H
