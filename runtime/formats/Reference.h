//===- Reference.h - The scalar reference of every format -------*- C++ -*-===//
//
// What a packed weight means, element by element, in the plainest code there
// is: the oracle for the packers and for every kernel. docs/formats.md says
// the same in words.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_FORMATS_REFERENCE_H
#define QRT_FORMATS_REFERENCE_H

#include "runtime/formats/Format.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qrt {

/// The 16 values of nf4 by code, ascending: QLoRA (arXiv 2305.14314), appendix
/// E, in the f32 values that bitsandbytes uses.
extern const float kNf4Table[16];
/// The 16 values of bitsandbytes' fp4 by code: bit 3 is the sign; codes 0 and
/// 8 are both zero.
extern const float kFp4Table[16];

/// The 256 values of bitsandbytes' signed 8-bit dynamic map by code, ascending
/// (create_dynamic_map; Dettmers, arXiv 1511.04561): the type of nested scales.
const float *dynamicMap();

/// A weight of [rows, columns] in logical order, before any physical layout.
struct PackedWeight {
  Format format;
  int64_t rows = 0;
  int64_t columns = 0;
  /// Row-major. Quantized formats: one byte an element: int4, int3, int2, nf4
  /// and fp4 in the low bits; int8 two's complement, or 0..255 with `zero`.
  /// f32, f16 and bf16: the element's 4 or 2 bytes, little-endian.
  std::vector<uint8_t> codes;
  /// [rows][groupsPerRow], or one a flattened block; values that the format's
  /// scale type represents exactly.
  std::vector<float> scales;
  /// [rows][groupsPerRow] if format.zero, else empty.
  std::vector<uint8_t> zeros;
  /// If format.nested, in place of `scales`: their codes, in the same order,
  /// one nested scale for each format.nested of them, and the offset of all.
  std::vector<uint8_t> scaleCodes;
  std::vector<float> nestedScales;
  float nestedOffset = 0;
};

/// Throws qrt::Error, citing the constraint of docs/formats.md, unless the
/// sizes fit the shape and every code, scale and zero point is in range.
void verify(const PackedWeight &weight);

/// Scale `index` of a weight that verify() accepts; nested ones are dynamicMap
/// [code] * nested scale + offset, each rounded to f32.
float scaleOf(const PackedWeight &weight, int64_t index);

/// Writes the weight's values, row-major f32 [rows, columns], to `out`. Calls
/// verify() first.
void dequantize(const PackedWeight &weight, float *out);

/// The values of `codes` that share a scale and a zero point: scale * (code -
/// zero) for int codes, table[code] * scale for nf4 and fp4. Codes and `zero`
/// as PackedWeight stores them; `zero` is ignored unless the format has zero
/// points.
void dequantizeGroup(const Format &format, std::span<const uint8_t> codes,
                     float scale, uint8_t zero, float *out);

/// `scale` rounded to what `type` can hold (nearest, ties to even; infinite
/// where it is too large).
float roundToScaleType(float scale, ScaleType type);

} // namespace qrt

#endif // QRT_FORMATS_REFERENCE_H
