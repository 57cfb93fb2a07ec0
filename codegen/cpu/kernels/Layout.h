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

/// Bytes of a staged buffer for up to `maxRows` rows of `staged` elements.
/// f32: f32 [maxRows][padded]. i16: s8 high halves [maxRows][padded64], low
/// halves likewise, i32 sums of each [maxRows][groups], f32 scales [maxRows]
/// (codegen/cpu/kernels/staged.h).
constexpr int64_t stagedBytesF32(int64_t maxRows, int64_t staged) {
  return roundUp(maxRows * roundUp(staged, 16) * 4, 64);
}
constexpr int64_t stagedBytesI16(int64_t maxRows, int64_t staged,
                                 int64_t groups) {
  return 2 * roundUp(maxRows * roundUp(staged, 64), 64) +
         2 * roundUp(maxRows * roundUp(groups, 16) * 4, 64) +
         roundUp(maxRows * 4, 64);
}

/// Scratch of one thread in a GEMM: an unpacked panel of the weight and the
/// accumulators of a block of tokens.
constexpr int64_t gemmScratchBytes() { return 512 * 1024; }

/// Scratch of one thread in an attention phase.
constexpr int64_t attentionScratchBytes() { return 512 * 1024; }

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_LAYOUT_H
