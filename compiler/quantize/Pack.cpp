//===- Pack.cpp - The CPU's physical layout of weights --------------------===//
//
// In t16 a row of a tile owns one dword of every 64-byte line. Eight 4-bit
// codes become a dword with one shift and one or on a 64-bit word; the other
// widths are as simple, so plain integer code packs at memory speed.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/Pack.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace qcc {

using krn::kLineBytes;
using krn::kTileRows;

namespace {

/// Groups below this size are not worth their scales.
constexpr int64_t kLeastGroup = 8;

uint32_t loadWord(const uint8_t *from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

void storeWord(uint8_t *to, uint32_t word) {
  std::memcpy(to, &word, sizeof(word));
}

/// How one row's run of elements becomes dwords. Each encoder takes
/// `elements` codes of `bytes` bytes each and writes `lines` dwords, one to
/// each of as many consecutive lines.
struct Int8Encoder {
  static constexpr int64_t elements = 4, bytes = 1, lines = 1;
  uint32_t flip; ///< turns two's complement into code + 128
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, loadWord(codes) ^ flip);
  }
};

struct FourBitEncoder {
  static constexpr int64_t elements = 8, bytes = 1, lines = 1;
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, loadWord(codes) | loadWord(codes + 4) << 4);
  }
};

uint32_t twoBitWord(const uint8_t *codes) {
  constexpr uint32_t kLowBits = 0x03030303u;
  uint32_t word = 0;
  for (int64_t i = 0; i < 4; ++i)
    word |= (loadWord(codes + 4 * i) & kLowBits) << 2 * i;
  return word;
}

struct TwoBitEncoder {
  static constexpr int64_t elements = 16, bytes = 1, lines = 1;
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, twoBitWord(codes));
  }
};

struct ThreeBitEncoder {
  static constexpr int64_t elements = 32, bytes = 1, lines = 3;
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, twoBitWord(codes));
    storeWord(out + kLineBytes, twoBitWord(codes + 16));
    uint32_t high = 0;
    for (int64_t i = 0; i < 8; ++i)
      high |= (loadWord(codes + 4 * i) >> 2 & 0x01010101u) << i;
    storeWord(out + 2 * kLineBytes, high);
  }
};

struct HalfEncoder {
  static constexpr int64_t elements = 2, bytes = 2, lines = 1;
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, loadWord(codes));
  }
};

struct FloatEncoder {
  static constexpr int64_t elements = 1, bytes = 4, lines = 1;
  void operator()(const uint8_t *codes, uint8_t *out) const {
    storeWord(out, loadWord(codes));
  }
};

/// Packs one tile of `rows` <= 16 rows, `rowBytes` apart, group by group.
template <class Encoder>
void packTile(const Encoder &encode, int64_t rows, int64_t columns,
              int64_t group, const uint8_t *codes, int64_t rowBytes,
              uint8_t *out) {
  for (int64_t begin = 0; begin < columns; begin += group) {
    int64_t end = std::min(begin + group, columns);
    int64_t k = begin;
    for (; k + Encoder::elements <= end; k += Encoder::elements) {
      for (int64_t row = 0; row < rows; ++row)
        encode(codes + row * rowBytes + k * Encoder::bytes, out + 4 * row);
      out += Encoder::lines * kLineBytes;
    }
    if (k == end)
      continue;
    // The group's last elements, padded to whole lines with code 0.
    for (int64_t row = 0; row < rows; ++row) {
      std::array<uint8_t, Encoder::elements * Encoder::bytes> padded{};
      std::memcpy(padded.data(), codes + row * rowBytes + k * Encoder::bytes,
                  static_cast<size_t>((end - k) * Encoder::bytes));
      encode(padded.data(), out + 4 * row);
    }
    out += Encoder::lines * kLineBytes;
  }
}

/// Packs `rows` rows, tile by tile.
template <class Encoder>
void packTiles(const Encoder &encode, const qrt::Format &format, int64_t rows,
               int64_t columns, const uint8_t *codes, uint8_t *out) {
  int64_t group = format.groupSize(columns);
  int64_t rowBytes = columns * Encoder::bytes;
  int64_t tile = krn::tileBytes(columns, group, format.codeBits());
  for (int64_t row = 0; row < rows; row += kTileRows, out += tile) {
    int64_t count = std::min(kTileRows, rows - row);
    if (count < kTileRows)
      std::memset(out, 0, static_cast<size_t>(tile));
    packTile(encode, count, columns, group, codes + row * rowBytes, rowBytes,
             out);
  }
}

int64_t checkedProduct(int64_t a, int64_t b, int64_t rows, int64_t columns) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product) || product > int64_t(1) << 60)
    throw qrt::Error("a weight of " + std::to_string(rows) + " x " +
                     std::to_string(columns) + " elements is too large");
  return product;
}

/// Transposes [rows][groups] to [tile][group][16 rows], converting each.
template <class In, class Convert>
void packPlane(int64_t rows, int64_t groups, const In *values, uint8_t *out,
               Convert convert) {
  using Out = decltype(convert(values[0]));
  for (int64_t row = 0; row < rows; row += kTileRows) {
    int64_t count = std::min(kTileRows, rows - row);
    for (int64_t group = 0; group < groups; ++group) {
      std::array<Out, kTileRows> line{};
      for (int64_t r = 0; r < count; ++r)
        line[size_t(r)] = convert(values[(row + r) * groups + group]);
      std::memcpy(out, line.data(), sizeof(line));
      out += sizeof(line);
    }
  }
}

void requireUnscaled(const qrt::Format &format) {
  if (format.isQuantized())
    throw qrt::Error("packing floats to " + format.mangled());
}

} // namespace

std::optional<qrt::Format> packedFormat(const qrt::Format &format,
                                        int64_t columns) {
  if (!format.flattened)
    return format;
  int64_t group = std::gcd(format.group, columns);
  if (group < kLeastGroup)
    return std::nullopt;
  qrt::Format packed = format;
  if (__builtin_mul_overflow(format.nested, format.group / group,
                             &packed.nested) ||
      packed.nested > std::numeric_limits<int32_t>::max())
    return std::nullopt;
  packed.flattened = false;
  packed.group = group;
  return packed;
}

PackedLayout t16Layout(const qrt::Format &format, int64_t rows,
                       int64_t columns) {
  format.verify();
  if (format.flattened)
    throw qrt::Error("format " + format.mangled() +
                     " has blocks across rows and no layout of its own");
  constexpr int64_t kMostRows = int64_t(1) << 48;
  if (rows < 1 || rows > kMostRows || columns < 1)
    throw qrt::Error("a weight of " + std::to_string(rows) + " x " +
                     std::to_string(columns) + " elements");
  // No element takes more than 32 padded elements of 4 bytes and a scale.
  checkedProduct(checkedProduct(rows + kTileRows, columns, rows, columns), 256,
                 rows, columns);
  int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  int64_t groups = format.groupsPerRow(columns);
  PackedLayout layout;
  layout.tileCodesBytes =
      krn::tileBytes(columns, format.groupSize(columns), format.codeBits());
  layout.tileScalesBytes =
      groups * kTileRows * qrt::scaleTypeBytes(format.scale);
  layout.tileZerosBytes = format.zero ? groups * kTileRows : 0;
  layout.codesBytes = tiles * layout.tileCodesBytes;
  layout.scalesBytes = tiles * layout.tileScalesBytes;
  if (format.nested)
    layout.tileZerosBytes = krn::nestedTileBytes(groups, format.nested);
  layout.zerosBytes = tiles * layout.tileZerosBytes;
  layout.scalesOffset = krn::roundUp(layout.codesBytes, kLineBytes);
  layout.zerosOffset =
      krn::roundUp(layout.scalesOffset + layout.scalesBytes, kLineBytes);
  layout.totalBytes =
      krn::roundUp(layout.zerosOffset + layout.zerosBytes, kLineBytes);
  return layout;
}

void packCodes(const qrt::Format &format, int64_t rows, int64_t columns,
               const uint8_t *codes, uint8_t *out) {
  switch (format.code) {
  case qrt::Code::Int8:
    return packTiles(Int8Encoder{format.zero ? 0 : 0x80808080u}, format, rows,
                     columns, codes, out);
  case qrt::Code::Int4:
  case qrt::Code::NF4:
  case qrt::Code::FP4:
    return packTiles(FourBitEncoder(), format, rows, columns, codes, out);
  case qrt::Code::Int3:
    return packTiles(ThreeBitEncoder(), format, rows, columns, codes, out);
  case qrt::Code::Int2:
    return packTiles(TwoBitEncoder(), format, rows, columns, codes, out);
  case qrt::Code::F32:
  case qrt::Code::F16:
  case qrt::Code::BF16:
    break;
  }
  throw qrt::Error("format " + format.mangled() + " has no codes to pack");
}

void packFloats(const qrt::Format &format, int64_t rows, int64_t columns,
                const float *w, uint8_t *out) {
  requireUnscaled(format);
  if (format.code == qrt::Code::F32)
    return packTiles(FloatEncoder(), format, rows, columns,
                     reinterpret_cast<const uint8_t *>(w), out);
  // A tile of rows is converted at a time, to stay in the cache.
  int64_t tile = krn::tileBytes(columns, columns, format.codeBits());
  std::vector<uint16_t> halves(size_t(std::min(rows, kTileRows) * columns));
  for (int64_t row = 0; row < rows; row += kTileRows, out += tile) {
    int64_t count = std::min(kTileRows, rows - row);
    const float *from = w + row * columns;
    if (format.code == qrt::Code::F16)
      std::transform(from, from + count * columns, halves.begin(),
                     qrt::floatToHalf);
    else
      std::transform(from, from + count * columns, halves.begin(),
                     qrt::floatToBfloat);
    packHalves(format, count, columns, halves.data(), out);
  }
}

void packHalves(const qrt::Format &format, int64_t rows, int64_t columns,
                const uint16_t *w, uint8_t *out) {
  requireUnscaled(format);
  if (format.code == qrt::Code::F32)
    throw qrt::Error("packing 16-bit floats to f32");
  packTiles(HalfEncoder(), format, rows, columns,
            reinterpret_cast<const uint8_t *>(w), out);
}

void packScales(const qrt::Format &format, int64_t rows, int64_t columns,
                const float *scales, uint8_t *out) {
  int64_t groups = format.groupsPerRow(columns);
  if (format.scale == qrt::ScaleType::F32)
    packPlane(rows, groups, scales, out, [](float scale) { return scale; });
  else if (format.scale == qrt::ScaleType::F16)
    packPlane(rows, groups, scales, out, qrt::floatToHalf);
  else
    packPlane(rows, groups, scales, out, qrt::floatToBfloat);
}

void packScaleCodes(const qrt::Format &format, int64_t rows, int64_t columns,
                    const uint8_t *codes, uint8_t *out) {
  packPlane(rows, format.groupsPerRow(columns), codes, out,
            [](uint8_t code) { return code; });
}

void packZeros(const qrt::Format &format, int64_t rows, int64_t columns,
               const uint8_t *zeros, uint8_t *out) {
  packPlane(rows, format.groupsPerRow(columns), zeros, out,
            [](uint8_t zero) { return zero; });
}

void packNestedScales(const qrt::Format &format, int64_t columns,
                      const NestedPlane &nested, uint8_t *out) {
  const int64_t groups = format.groupsPerRow(columns);
  const auto most = uint64_t(krn::nestedTileScales(groups, format.nested));
  for (const NestedPlane::Tile &tile : nested.tiles) {
    const uint32_t count(format.nested), phase = tile.origin % count;
    const uint64_t first = tile.origin / count,
                   end = std::min<uint64_t>(first + most, nested.scales.size());
    if (first >= end)
      throw qrt::Error("nested scale " + std::to_string(first) + " of " +
                       std::to_string(nested.scales.size()));
    std::memcpy(out, &phase, 4);
    std::memcpy(out + 4, &tile.offset, 4);
    std::memcpy(out + 8, nested.scales.data() + first, (end - first) * 4);
    out += krn::nestedTileBytes(groups, format.nested);
  }
}

template <class T>
static void expandBlocks(const qrt::Format &flattened, int64_t firstElement,
                         int64_t rows, int64_t columns, const T *ofBlocks,
                         T *out) {
  int64_t group = std::gcd(flattened.group, columns);
  int64_t firstBlock = firstElement / flattened.group;
  for (int64_t i = 0; i < rows * (columns / group); ++i)
    out[i] =
        ofBlocks[(firstElement + i * group) / flattened.group - firstBlock];
}

void expandBlockScales(const qrt::Format &flattened, int64_t firstElement,
                       int64_t rows, int64_t columns, const float *absmax,
                       float *out) {
  expandBlocks(flattened, firstElement, rows, columns, absmax, out);
}

void expandBlockScales(const qrt::Format &flattened, int64_t firstElement,
                       int64_t rows, int64_t columns, const uint8_t *codes,
                       uint8_t *out) {
  expandBlocks(flattened, firstElement, rows, columns, codes, out);
}

NestedPlane nestedPlane(const qrt::Format &packed, int64_t rows,
                        int64_t columns, std::vector<float> scales,
                        float offset) {
  NestedPlane plane;
  int64_t groups = packed.groupsPerRow(columns);
  if (rows > std::numeric_limits<uint32_t>::max() / groups)
    throw qrt::Error("a weight of " + std::to_string(rows) + " x " +
                     std::to_string(columns) +
                     " elements has too many nested scales");
  for (int64_t row = 0; row < rows; row += kTileRows)
    plane.tiles.push_back({uint32_t(row * groups), offset});
  plane.scales = std::move(scales);
  return plane;
}

void packWeight(const qrt::PackedWeight &weight, uint8_t *out) {
  qrt::verify(weight);
  std::optional<qrt::Format> packed =
      packedFormat(weight.format, weight.columns);
  if (!packed)
    throw qrt::Error("blocks of " + std::to_string(weight.format.group) +
                     " elements cannot be cut to rows of " +
                     std::to_string(weight.columns));
  int64_t rows = weight.rows, columns = weight.columns;
  PackedLayout layout = t16Layout(*packed, rows, columns);
  std::memset(out, 0, size_t(layout.totalBytes));
  uint8_t *codes = out + layout.codesOffset;
  if (!packed->isQuantized()) {
    const uint8_t *elements = weight.codes.data();
    if (packed->code == qrt::Code::F32)
      return packTiles(FloatEncoder(), *packed, rows, columns, elements, codes);
    return packTiles(HalfEncoder(), *packed, rows, columns, elements, codes);
  }
  packCodes(*packed, rows, columns, weight.codes.data(), codes);
  if (packed->nested) {
    std::vector<uint8_t> expanded = weight.scaleCodes;
    if (weight.format.flattened) {
      expanded.resize(size_t(rows * packed->groupsPerRow(columns)));
      expandBlockScales(weight.format, 0, rows, columns,
                        weight.scaleCodes.data(), expanded.data());
    }
    packScaleCodes(*packed, rows, columns, expanded.data(),
                   out + layout.scalesOffset);
    packNestedScales(*packed, columns,
                     nestedPlane(*packed, rows, columns, weight.nestedScales,
                                 weight.nestedOffset),
                     out + layout.zerosOffset);
    return;
  }
  std::vector<float> scales = weight.scales;
  if (weight.format.flattened) {
    scales.resize(size_t(rows * packed->groupsPerRow(columns)));
    expandBlockScales(weight.format, 0, rows, columns, weight.scales.data(),
                      scales.data());
  }
  packScales(*packed, rows, columns, scales.data(), out + layout.scalesOffset);
  if (packed->zero)
    packZeros(*packed, rows, columns, weight.zeros.data(),
              out + layout.zerosOffset);
}

} // namespace qcc
