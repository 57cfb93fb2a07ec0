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

/// Bytes of a staged buffer for up to `maxRows` rows.
/// f32: f32 [maxRows][padded]. i16: s8 high halves [maxRows][padded64], low
/// halves likewise, i32 sums [maxRows][groups] (sum of the 16-bit values of a
/// group), f32 scale [maxRows]; each part at a multiple of 64 bytes. The
/// kernels may order the parts as they like within that room.
constexpr int64_t stagedBytesF32(int64_t maxRows, int64_t padded) {
  return roundUp(maxRows * roundUp(padded, 16) * 4, 64);
}
constexpr int64_t stagedBytesI16(int64_t maxRows, int64_t padded,
                                 int64_t groups) {
  return 2 * roundUp(maxRows * roundUp(padded, 64), 64) +
         roundUp(maxRows * roundUp(groups, 16) * 4, 64) +
         roundUp(maxRows * 4, 64);
}

/// Scratch of one thread in a GEMM: an unpacked panel of the weight and the
/// accumulators of a block of tokens.
constexpr int64_t gemmScratchBytes() { return 512 * 1024; }

/// Scratch of one thread in an attention phase.
constexpr int64_t attentionScratchBytes() { return 512 * 1024; }

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_LAYOUT_H
