//===- Pack.h - The CPU's physical layout of weights ------------*- C++ -*-===//
//
// Packs logical codes, scales and zero points into the layout "t16" that
// codegen/cpu/kernels/kernels.h describes, and back. All functions work on a
// range of rows, so that a weight streams through in stripes and threads: a
// range begins at a multiple of 16 rows (a tile) of the tensor and ends at one
// or at the tensor's last row.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_PACK_H
#define QCC_COMPILER_QUANTIZE_PACK_H

#include "runtime/formats/Format.h"
#include "runtime/formats/Reference.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace qcc {

/// Where the three planes of a packed tensor lie, in bytes from its start. The
/// third is zero points or, for nested scales, a NestedPlane.
/// Offsets and totalBytes are multiples of 64.
struct PackedLayout {
  int64_t codesOffset = 0, codesBytes = 0;
  int64_t scalesOffset = 0, scalesBytes = 0; ///< 0 bytes for unscaled codes
  int64_t zerosOffset = 0, zerosBytes = 0;   ///< 0 bytes without either
  int64_t totalBytes = 0;

  /// Bytes that one tile of 16 rows takes in each plane: the plane of rows
  /// [16 i, ...) begins i times this many bytes into the plane.
  int64_t tileCodesBytes = 0, tileScalesBytes = 0, tileZerosBytes = 0;
};

/// The format as it lies in memory: groups along the row. A flattened block
/// that divides the row becomes a group; another is cut to groups of
/// gcd(block, columns) with repeated scales. Nothing if that is below 8: the
/// caller stores the dequantized weight as f32 instead.
std::optional<qrt::Format> packedFormat(const qrt::Format &format,
                                        int64_t columns);

/// The layout of a tensor. `format` is packedFormat()'s; throws qrt::Error if
/// it is flattened or invalid, or if rows or columns are not positive or the
/// size exceeds 2^62 bytes.
PackedLayout t16Layout(const qrt::Format &format, int64_t rows,
                       int64_t columns);

/// What turns the codes of nested scales into scales. Scale g of row r (of
/// the 16) of a tile has nested scale (origin + r * groups + g) / nested, in
/// the tensor's list, and the tile's offset: the rows of a tile belong to one
/// of the weights that are stacked in the tensor.
struct NestedPlane {
  struct Tile {
    uint32_t origin;
    float offset;
  };
  std::vector<Tile> tiles;
  std::vector<float> scales;
};

/// The plane of one weight. `packed` is packedFormat()'s.
NestedPlane nestedPlane(const qrt::Format &packed, int64_t rows,
                        int64_t columns, std::vector<float> scales,
                        float offset);

/// Packs codes of scales [rows][groups] to tiles of tileScalesBytes.
void packScaleCodes(const qrt::Format &format, int64_t rows, int64_t columns,
                    const uint8_t *codes, uint8_t *out);

/// Writes the third plane of a tensor with nested scales: for every tile those
/// that it needs.
void packNestedScales(const qrt::Format &format, int64_t columns,
                      const NestedPlane &nested, uint8_t *out);

/// Packs rows of logical codes [rows][columns], one byte each as in
/// qrt::PackedWeight, to the tiles at `out` (tileCodesBytes each); rows that
/// pad the last tile are 0. For quantized formats.
void packCodes(const qrt::Format &format, int64_t rows, int64_t columns,
               const uint8_t *codes, uint8_t *out);

/// Packs f32 rows to f32, f16 or bf16 tiles, rounding to nearest even.
void packFloats(const qrt::Format &format, int64_t rows, int64_t columns,
                const float *w, uint8_t *out);

/// Packs f16 or bf16 rows, given as the bits that the format stores.
void packHalves(const qrt::Format &format, int64_t rows, int64_t columns,
                const uint16_t *w, uint8_t *out);

/// Packs scales [rows][groups] to tiles of tileScalesBytes, in the format's
/// scale type (rounding to nearest even).
void packScales(const qrt::Format &format, int64_t rows, int64_t columns,
                const float *scales, uint8_t *out);

/// Packs zero points [rows][groups] to tiles of tileZerosBytes.
void packZeros(const qrt::Format &format, int64_t rows, int64_t columns,
               const uint8_t *zeros, uint8_t *out);

/// Spreads the scales of flattened blocks over the groups of packedFormat():
/// out [rows][columns / group of packed]. The rows begin at `firstElement` of
/// the flattened weight; `absmax` begins with the block that holds it.
void expandBlockScales(const qrt::Format &flattened, int64_t firstElement,
                       int64_t rows, int64_t columns, const float *absmax,
                       float *out);

/// The same for codes of scales.
void expandBlockScales(const qrt::Format &flattened, int64_t firstElement,
                       int64_t rows, int64_t columns, const uint8_t *codes,
                       uint8_t *out);

/// Packs a whole weight, flattened or not, into `out` of
/// t16Layout(...).totalBytes bytes. Throws qrt::Error if packedFormat() has
/// none for it. (For small weights and tests; the weight stream packs stripes.)
void packWeight(const qrt::PackedWeight &weight, uint8_t *out);

/// The inverse: reads a packed tensor of `size` bytes. Nested scales come back
/// as the f32 scales that they stand for, in the format that says so. Scalar;
/// for tests and `qcc inspect`. Throws qrt::Error if the tensor does not fit
/// into `size`.
qrt::PackedWeight unpack(const qrt::Format &format, int64_t rows,
                         int64_t columns, const uint8_t *data, int64_t size);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_PACK_H
