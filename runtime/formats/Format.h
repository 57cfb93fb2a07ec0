//===- Format.h - How a packed weight is stored, as one value ---*- C++ -*-===//
//
// A format says everything about a packed weight of shape [rows, columns]:
// the code of an element, the group of elements that shares a scale, and the
// types of scale and offset. docs/formats.md defines each format bit by bit;
// there is one grammar, spelled alike in IR, kernel names, artifact and logs:
//
//   IR        #qnt.format<int4, group = 128, zero>
//   mangled   int4.g128.z
//
//===----------------------------------------------------------------------===//

#ifndef QRT_FORMATS_FORMAT_H
#define QRT_FORMATS_FORMAT_H

#include <cstdint>
#include <string>
#include <string_view>

namespace qrt {

/// The code of one element. The numeric values stand in artifacts: append
/// only.
enum class Code : uint8_t {
  F32 = 0,
  F16 = 1,
  BF16 = 2,
  Int8 = 3, ///< two's complement with scale; offset-128 unsigned with zero
  Int4 = 4, ///< unsigned 0..15, zero point 8 unless `zero`
  Int3 = 5, ///< unsigned 0..7, zero point 4 unless `zero`
  Int2 = 6, ///< unsigned 0..3, zero point 2 unless `zero`
  NF4 = 7,  ///< QLoRA's NormalFloat4 table, bitsandbytes' values
  FP4 = 8,  ///< bitsandbytes' fp4 (e2m1 with its own table)
};

/// The type of a scale (absmax for nf4 and fp4). U8: a code of bitsandbytes'
/// dynamic map, times a nested scale, plus an offset.
enum class ScaleType : uint8_t { None = 0, F32 = 1, F16 = 2, BF16 = 3, U8 = 4 };

/// How a weight is stored. Two formats are equal when all fields are.
struct Format {
  Code code = Code::F32;
  /// Elements along a row that share one scale; -1 for the whole row, 0 for
  /// the unscaled codes (f32, f16, bf16). A row's last group may be short.
  /// With `flattened`, blocks run over the row-major weight and may cross
  /// rows (bitsandbytes).
  int64_t group = 0;
  bool flattened = false;
  /// A stored zero point a group (u8): value = scale * (code - zero).
  bool zero = false;
  ScaleType scale = ScaleType::None;
  /// Double quantization (QLoRA, section 3): scales are codes (ScaleType::U8),
  /// of which so many in a row share an f32 nested scale; 0: they are not.
  int64_t nested = 0;

  bool operator==(const Format &) const = default;

  /// Bits of one element's code: 32, 16, 8, 4, 3 or 2.
  int codeBits() const;
  /// True for codes that are looked up or computed with a scale.
  bool isQuantized() const { return group != 0; }
  /// Elements of a group in a row of `columns` elements (resolves -1).
  int64_t groupSize(int64_t columns) const {
    return group > 0 ? group : columns;
  }
  /// Scales in a row of `columns` elements: 0 for unscaled codes; throws
  /// qrt::Error for flattened formats, whose blocks belong to no row.
  int64_t groupsPerRow(int64_t columns) const;
  /// Scales of a whole weight, flattened or not (0 for unscaled codes).
  int64_t scaleCount(int64_t rows, int64_t columns) const;
  /// Nested scales of a whole weight: 0 unless `nested`.
  int64_t nestedCount(int64_t rows, int64_t columns) const;
  /// Average bits of one weight, scales (nested ones, too) and zero points
  /// included.
  double bitsPerWeight(int64_t rows, int64_t columns) const;

  /// `int4.g128.z`, `int8.row`, `nf4.b64`, `bf16`. Non-default scale types
  /// are a suffix: `int4.g128.sf32`. Defaults: f16 for int codes, f32 for nf4
  /// and fp4. Nested scales are `.d` and their count: `nf4.b64.d256`.
  std::string mangled() const;
  /// Parses what mangled() prints; throws qrt::Error naming the bad token.
  static Format parse(std::string_view mangled);

  /// The constraint of docs/formats.md that this value breaks, as
  /// "format_c1: group 0 is neither positive nor -1"; empty if it is valid.
  std::string violation() const;
  /// Throws qrt::Error with violation() if there is one.
  void verify() const;
};

/// The name of a code as the grammar spells it ("int4", "nf4", "bf16").
std::string_view codeName(Code code);
/// The name of a scale type ("f32", "f16", "bf16", "u8", "none").
std::string_view scaleTypeName(ScaleType type);
/// The scale type that the grammar leaves out: f16 for the int codes, f32 for
/// nf4 and fp4, none for the unscaled codes.
ScaleType defaultScaleType(Code code);
/// Bytes of one scale: 4, 2, 1 or 0.
int64_t scaleTypeBytes(ScaleType type);
/// True for Int8, Int4, Int3 and Int2.
bool isIntCode(Code code);
/// The zero point of a code without stored zero points, for its *unsigned*
/// form: 128, 8, 4, 2 for the int codes, 0 for all others.
int32_t defaultZero(Code code);

} // namespace qrt

#endif // QRT_FORMATS_FORMAT_H
