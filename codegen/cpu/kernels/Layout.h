//===- Layout.h - Sizes that kernels and their callers agree on -*- C++ -*-===//
//
// Header-only arithmetic, shared by the kernels, the packer, the lowering to
// KRN and the tests.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_LAYOUT_H
#define QCC_CODEGEN_CPU_KERNELS_LAYOUT_H

#include <stdint.h>

namespace qcc::krn {

constexpr int64_t kTileRows = 16;
constexpr int64_t kLineBytes = 64;

constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Nested scales that the `groups` scales of each row of a tile may need, of
/// which `nested` in a row share one, wherever the first of them begins.
constexpr int64_t nestedTileScales(int64_t groups, int64_t nested) {
  return (kTileRows * groups + nested - 2) / nested + 1;
}
/// Bytes a tile in the plane of nested scales: {u32 phase, f32 offset}, then
/// its nested scales, in whole 16 bytes.
constexpr int64_t nestedTileBytes(int64_t groups, int64_t nested) {
  return roundUp(8 + 4 * nestedTileScales(groups, nested), 16);
}

/// Elements of one row in the smallest run of whole lines: 1 for f32, 2 for
/// 16 bit, 4 for 8 bit, 8 for 4 bit, 16 for 2 bit, 32 for 3 bit.
constexpr int64_t lineElements(int codeBits) {
  return codeBits == 3 ? 32 : 32 / codeBits;
}

/// Elements a group takes in the packed row: the group in whole lines.
constexpr int64_t paddedGroup(int64_t group, int codeBits) {
  return roundUp(group, lineElements(codeBits));
}

/// Elements of a packed row of `columns` elements. The last group may be
/// shorter than the others; it is padded to whole lines, not to a group.
constexpr int64_t paddedColumns(int64_t columns, int64_t group, int codeBits) {
  return columns / group * paddedGroup(group, codeBits) +
         paddedGroup(columns % group, codeBits);
}

/// Bytes of the code plane of one tile of 16 rows.
constexpr int64_t tileBytes(int64_t columns, int64_t group, int codeBits) {
  return paddedColumns(columns, group, codeBits) * kTileRows * codeBits / 8;
}

/// Elements of a staged row. Where the weight's last group is short, the staged
/// one has room for any line.
constexpr int64_t stagedColumns(int64_t columns, int64_t group,
                                int64_t paddedGroup) {
  int64_t last = columns % group, room = roundUp(last, 32);
  return columns / group * paddedGroup +
         (room < paddedGroup ? room : paddedGroup) * (last != 0);
}

/// A GEMM sums the products of a row piece by piece: a piece is a group, or up
/// to 256 elements of a longer one. The sum of a piece is exact with i16
/// activations (256 * 255 * 32512 < 2^31) and has two chains with f32; pieces
/// are scaled and added in order, so that results depend on nothing else.
constexpr int64_t kPieceElements = 256;

/// Pieces of a full group of `paddedGroup` elements.
constexpr int64_t groupPieces(int64_t paddedGroup) {
  return (paddedGroup + kPieceElements - 1) / kPieceElements;
}

/// Pieces of a row.
constexpr int64_t rowPieces(int64_t columns, int64_t group,
                            int64_t paddedGroup) {
  return columns / group * groupPieces(paddedGroup) +
         groupPieces(columns % group);
}

/// Up to so many tokens of a step, the bucket is for gemv.
constexpr int64_t kGemvTokens = 8;

/// Bytes of a staged buffer for up to `maxRows` rows of `staged` elements in
/// `groups` groups. f32: rows at a multiple of 64 bytes. i16: rows of two bytes
/// an element, an i32 a piece and a scale (codegen/cpu/kernels/staged.h), both
/// parts at a multiple of 64 bytes.
constexpr int64_t stagedBytesF32(int64_t maxRows, int64_t staged) {
  return roundUp(maxRows * roundUp(staged, 16) * 4, 64);
}
constexpr int64_t stagedBytesI16(int64_t maxRows, int64_t staged,
                                 int64_t groups) {
  int64_t morePieces = staged / kPieceElements;
  return maxRows *
         (2 * roundUp(staged, 64) + roundUp((groups + morePieces + 1) * 4, 64));
}

/// Rows in which outliers are sought together (LLM.int8), by one thread.
constexpr int64_t kOutlierSlots = 16;

/// In front of rows staged as split8: for each slot a bit a column, set where
/// its rows have an outlier; then the number of columns that have one, and the
/// columns themselves, ascending (i32).
constexpr int64_t outlierMaskBytes(int64_t columns) {
  return (columns + 15) / 16 * 2;
}
constexpr int64_t outlierListAt(int64_t columns) {
  return roundUp(kOutlierSlots * outlierMaskBytes(columns), 4);
}
constexpr int64_t splitHeaderBytes(int64_t columns) {
  return roundUp(outlierListAt(columns) + (1 + columns) * 4, 64);
}
/// The same as stagedBytesI16 with that header, and behind each row room for
/// the f32 values of as many outlier columns as there may be.
constexpr int64_t stagedBytesSplit(int64_t maxRows, int64_t staged,
                                   int64_t columns) {
  return splitHeaderBytes(columns) + stagedBytesI16(maxRows, staged, 1) +
         maxRows * roundUp(columns * 4, 64);
}

/// Scratch of one thread in a GEMM: an unpacked panel of the weight and the
/// sums of a block of tokens.
constexpr int64_t gemmScratchBytes() { return 512 * 1024; }

/// Scratch of one thread in an attention phase.
constexpr int64_t attentionScratchBytes() { return 512 * 1024; }
/// Dimensions of a head that the attention and rope kernels have room for.
constexpr int64_t kMaxHeadDim = 2048;

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_LAYOUT_H
