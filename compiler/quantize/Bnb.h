//===- Bnb.h - bitsandbytes' blockwise formats ------------------*- C++ -*-===//
//
// nf4 and fp4 as bitsandbytes makes them (quantize_blockwise, functional.py):
// blocks run over the flattened weight, each with its absolute maximum in f32.
// Double quantization and LLM.int8's weights follow below. docs/formats.md
// states the recipes; the tests hold them to bitsandbytes 0.50's own output.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_BNB_H
#define QCC_COMPILER_QUANTIZE_BNB_H

#include "compiler/quantize/Statistics.h"
#include "runtime/formats/Format.h"

#include <cstdint>
#include <vector>

namespace qcc {

/// Quantizes `count` finite values to nf4 or fp4 in blocks of `block`
/// consecutive elements; the first element begins a block and only the last
/// block may be short. Writes one code a byte to codes [count] and the blocks'
/// maxima to absmax [ceil(count / block)].
QuantizeStatistics quantizeBlocks(const float *w, int64_t count, qrt::Code code,
                                  int64_t block, uint8_t *codes, float *absmax);

/// The same for `rows` rows of `columns` values, in a format of nf4 or fp4
/// codes. Flattened formats: the rows must begin a block, that is,
/// firstRow * columns is a multiple of the block; see blockRows(). Formats with
/// groups along the row: blocks begin anew in each row. Scales are rounded to
/// format.scale before the codes are found. Not for nested scales, which need
/// the whole weight: quantizeToScales().
QuantizeStatistics quantizeTableRows(const float *w, int64_t rows,
                                     int64_t columns, const qrt::Format &format,
                                     uint8_t *codes, float *scales);

/// The maxima of blocks of `block` elements, written to absmax [ceil(count /
/// block)].
void blockMaxima(const float *w, int64_t count, int64_t block, float *absmax);

/// Codes of `count` values in flattened blocks of a format with nested scales:
/// by the blocks' own maxima, as bitsandbytes makes them. `scales` [ceil(count
/// / group)] are what the nested scales stand for; they count for the
/// statistics only.
QuantizeStatistics quantizeToScales(const float *w, int64_t count,
                                    const qrt::Format &format,
                                    const float *scales, uint8_t *codes);

/// The fewest rows after which a flattened format's blocks begin anew with a
/// row: stripes of a multiple of this many rows are quantized independently.
/// 1 for formats that are not flattened.
int64_t blockRows(const qrt::Format &format, int64_t columns);

/// bitsandbytes' double quantization of absmax values: the mean is subtracted,
/// the rest quantized in blocks of 256 to 8-bit codes of its dynamic map.
struct NestedScales {
  std::vector<uint8_t> codes; ///< [count]
  std::vector<float> absmax;  ///< [ceil(count / 256)]
  float offset = 0;           ///< the mean
};

/// Quantizes absmax values; the mean is summed in double.
NestedScales quantizeScales(const float *absmax, int64_t count);

/// Blockwise 8-bit quantization by the dynamic map: the nearest value, ties to
/// the lower one.
void quantizeDynamic(const float *values, int64_t count, int64_t block,
                     uint8_t *codes, float *absmax);

/// The absmax values that `nested` stands for, written to out [count].
void dequantizeScales(const NestedScales &nested, float *out);

/// LLM.int8's weights (arXiv 2208.07339): values are rounded to f16, each row
/// has one scale absmax / 127 in f32, codes are round(x * 127 / absmax), two's
/// complement in -127..127. The format is int8.row.sf32.
QuantizeStatistics quantizeLlmInt8Rows(const float *w, int64_t rows,
                                       int64_t columns, uint8_t *codes,
                                       float *scales);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_BNB_H
