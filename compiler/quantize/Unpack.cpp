//===- Unpack.cpp - Reading the CPU's physical layout ---------------------===//
//
// Scalar, from the words of kernels.h, and on purpose without a line shared
// with the packer.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/Layout.h"
#include "compiler/quantize/Pack.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Error.h"

#include <cstring>
#include <string>

namespace qcc {

using krn::kLineBytes;
using krn::kTileRows;

namespace {

/// Byte `byte` of the dword that row `row` of the tile owns in line `line`.
uint8_t byteOf(const uint8_t *tile, int64_t line, int64_t row, int64_t byte) {
  return tile[line * kLineBytes + row * 4 + byte];
}

/// The stored code of element `k` of a group whose lines begin at `tile`.
uint8_t codeAt(const uint8_t *tile, int bits, int64_t row, int64_t k) {
  switch (bits) {
  case 8:
    return byteOf(tile, k / 4, row, k % 4);
  case 4:
    return byteOf(tile, k / 8, row, k % 4) >> (k % 8 / 4 * 4) & 15;
  case 2:
    return byteOf(tile, k / 16, row, k % 4) >> (k % 16 / 4 * 2) & 3;
  default: {
    int64_t triple = k / 32 * 3;
    uint8_t low =
        byteOf(tile, triple + k % 32 / 16, row, k % 4) >> (k % 16 / 4 * 2) & 3;
    uint8_t high = byteOf(tile, triple + 2, row, k % 4) >> (k % 32 / 4) & 1;
    return uint8_t(low | high << 2);
  }
  }
}

float scaleAt(const uint8_t *plane, qrt::ScaleType type, int64_t index) {
  if (type == qrt::ScaleType::F32) {
    float value;
    std::memcpy(&value, plane + 4 * index, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, plane + 2 * index, 2);
  return type == qrt::ScaleType::F16 ? qrt::halfToFloat(bits)
                                     : qrt::bfloatToFloat(bits);
}

/// Scale `group` of row `row` of a tensor with nested scales.
float nestedScaleAt(const qrt::Format &format, const uint8_t *data,
                    const PackedLayout &layout, int64_t groups, int64_t row,
                    int64_t group) {
  int64_t tile = row / 16, lane = row % 16;
  uint8_t code =
      data[layout.scalesOffset + (tile * groups + group) * 16 + lane];
  const uint8_t *own = data + layout.zerosOffset + tile * layout.tileZerosBytes;
  uint32_t phase;
  float offset, nested;
  std::memcpy(&phase, own, 4);
  std::memcpy(&offset, own + 4, 4);
  int64_t index = (int64_t(phase) + lane * groups + group) / format.nested;
  if (phase >= format.nested)
    throw qrt::Error("nested scale " + std::to_string(index) +
                     " lies outside its tile");
  std::memcpy(&nested, own + 8 + 4 * index, 4);
  float scaled = qrt::dynamicMap()[code] * nested;
  return scaled + offset;
}

} // namespace

qrt::PackedWeight unpack(const qrt::Format &format, int64_t rows,
                         int64_t columns, const uint8_t *data, int64_t size) {
  PackedLayout layout = t16Layout(format, rows, columns);
  if (size < layout.totalBytes)
    throw qrt::Error("a packed weight of " + std::to_string(rows) + " x " +
                     std::to_string(columns) + " elements in " +
                     format.mangled() + " takes " +
                     std::to_string(layout.totalBytes) + " bytes, not " +
                     std::to_string(size));
  qrt::PackedWeight weight;
  weight.format = format;
  weight.rows = rows;
  weight.columns = columns;
  const int bits = format.codeBits();
  const int64_t elementBytes = format.isQuantized() ? 1 : bits / 8;
  const int64_t group = format.groupSize(columns);
  const int64_t groupBytes =
      krn::paddedGroup(group, bits) * kTileRows * bits / 8;
  const bool flip = format.code == qrt::Code::Int8 && !format.zero;
  weight.codes.reserve(size_t(rows * columns * elementBytes));
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *tile =
        data + layout.codesOffset + row / kTileRows * layout.tileCodesBytes;
    for (int64_t column = 0; column < columns; ++column) {
      int64_t r = row % kTileRows;
      if (!format.isQuantized()) {
        int64_t at = column * elementBytes; // in the row's run of dwords
        for (int64_t byte = at; byte < at + elementBytes; ++byte)
          weight.codes.push_back(byteOf(tile, byte / 4, r, byte % 4));
        continue;
      }
      uint8_t code =
          codeAt(tile + column / group * groupBytes, bits, r, column % group);
      weight.codes.push_back(flip ? uint8_t(code ^ 0x80) : code);
    }
  }
  const int64_t groups = format.groupsPerRow(columns);
  if (format.nested) {
    weight.format.nested = 0;
    weight.format.scale = qrt::ScaleType::F32;
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t g = 0; g < groups; ++g) {
      int64_t index =
          (row / kTileRows * groups + g) * kTileRows + row % kTileRows;
      if (format.nested)
        weight.scales.push_back(
            nestedScaleAt(format, data, layout, groups, row, g));
      else
        weight.scales.push_back(
            scaleAt(data + layout.scalesOffset, format.scale, index));
      if (format.zero)
        weight.zeros.push_back(data[layout.zerosOffset + index]);
    }
  }
  return weight;
}

} // namespace qcc
