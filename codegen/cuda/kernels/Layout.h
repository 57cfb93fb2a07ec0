//===- Layout.h - How CUDA kernels cut weights and activations --*- C++ -*-===//
//
// Arithmetic that the lowering to KRN, the generator of kernels and the tests
// share. Weights lie in layout t16 (codegen/cpu/kernels/kernels.h).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_LAYOUT_H
#define QCC_CODEGEN_CUDA_KERNELS_LAYOUT_H

#include "codegen/cpu/kernels/Layout.h"

#include <initializer_list>
#include <stdint.h>

namespace qcc::cuda {

/// A weight's tile as units, and a row of staged activations next to it.
///
/// A unit is a whole group, a part of one, or the whole of a short last one;
/// its products are summed exactly before they are scaled, so it has at most
/// 256 elements. Staged rows are blocks of 16 bytes, `unitBlocks` of them a
/// unit (kernels/stage.cuh).
struct GemmLayout {
  int64_t group, paddedGroup; ///< elements; the whole row if it has one group
  int64_t groups;             ///< of a row
  int64_t unitElements;       ///< padded ones; the last unit may have fewer
  int64_t unitLines, lastLines;
  int64_t units;         ///< of a row
  int64_t unitsPerGroup; ///< the groups but the last have so many
  int64_t unitBlocks, rowBlocks;
  int64_t blockBytes = 16;
  bool isTable = false;    ///< next to table codes
  int64_t stepUnits = 1;   ///< units that are one step of the tensor cores
  bool isPaired = false;   ///< blocks lie together two by two
  bool isUnsigned = false; ///< next to codes that count from zero (codes.cuh)
  int64_t codeFactor = 1;  ///< how many times too large sums are
  int64_t tileBytes;

  constexpr int64_t sumsAt(int64_t tokens) const {
    return krn::roundUp(tokens * rowBlocks * blockBytes, 64);
  }
  constexpr int64_t scalesAt(int64_t tokens) const {
    return sumsAt(tokens) + krn::roundUp(tokens * units * 4, 64);
  }
  /// Bytes of a staged buffer: blocks, sums of units, factors of rows.
  constexpr int64_t stagedBytes(int64_t tokens) const {
    return scalesAt(tokens) + krn::roundUp(tokens * 4, 64);
  }

  /// Wide staging (kernels/stage.cuh): 16-bit floats as wgmma reads them, in
  /// slices of 64 elements of all tokens, then factors of rows.
  int64_t stepElements, unitSteps;
  /// Blocks that a lane has of a step next to integer codes (codes.cuh).
  constexpr int64_t laneBlocks() const {
    return stepElements > 32 ? stepElements / 32 : 1;
  }
  int64_t wideSlices() const {
    const int64_t chunk = stepElements > 64 ? stepElements : 64;
    return krn::roundUp(units * unitSteps * stepElements, chunk) / 64;
  }
  int64_t wideRowBytes() const { return wideSlices() * 128; }
  /// Tokens that a slice has room for: those of whole tiles of any kernel.
  static int64_t wideTokens(int64_t tokens) {
    return krn::roundUp(tokens, 64) + (tokens > 64 ? 192 : 0);
  }
  static int64_t wideSliceBytes(int64_t tokens) {
    return wideTokens(tokens) * 128;
  }
  int64_t wideScalesAt(int64_t tokens) const {
    return wideSlices() * wideSliceBytes(tokens);
  }
  /// Whether batch_gemm.cuh may multiply codes as they are: no chunk of a row
  /// has parts of several groups.
  bool isRaw() const {
    return unitSteps % (chunkBlocks() * 8 / stepElements) == 0;
  }
  /// Behind them, for such codes: the sum of each token's elements in each
  /// chunk (f32, [chunk][wideTokens]).
  int64_t chunkBlocks() const {
    return (stepElements > 64 ? stepElements : 64) / 8;
  }
  int64_t tokenSumsAt(int64_t tokens) const {
    return wideScalesAt(tokens) + krn::roundUp(tokens * 4, 64);
  }
  static int64_t tokenSumsStride(int64_t tokens) {
    return wideTokens(tokens) * 4;
  }
  int64_t wideBytes(int64_t tokens) const {
    return tokenSumsAt(tokens) +
           (tokens > 64
                ? 0
                : wideSlices() * 8 / chunkBlocks() * tokenSumsStride(tokens));
  }
};

/// What follows the rows of a staged buffer of LLM.int8 ("split8"): a bit a
/// column, set where some row has an outlier; the number of columns that have
/// one, and the columns (i32, ascending); every row's f32 values in them.
struct SplitLayout {
  int64_t maskAt, listAt, valuesAt, bytes;
};
constexpr SplitLayout splitLayout(const GemmLayout &layout, int64_t tokens,
                                  int64_t columns) {
  SplitLayout l = {};
  l.maskAt = layout.stagedBytes(tokens);
  l.listAt = l.maskAt + krn::roundUp((columns + 31) / 32 * 4, 64);
  l.valuesAt = l.listAt + krn::roundUp((1 + columns) * 4, 64);
  l.bytes = l.valuesAt + krn::roundUp(tokens * columns * 4, 64);
  return l;
}
/// Bytes of a staged buffer; `splitColumns` is 0 unless outliers are split off.
constexpr int64_t stagedBytes(const GemmLayout &layout, int64_t tokens,
                              int64_t splitColumns) {
  return splitColumns ? splitLayout(layout, tokens, splitColumns).bytes
                      : layout.stagedBytes(tokens);
}

/// Elements of a row that the tensor cores take at once (codes.cuh).
constexpr int64_t stepElements(int bits) {
  return bits == 16 ? 16 : bits == 2 ? 64 : bits == 3 ? 128 : 32;
}

/// `group` 0: the row is one group. Units of a row without groups are of any
/// size: `hasSmallUnits` makes them 1 KiB or less.
constexpr GemmLayout gemmLayout(int bits, int64_t columns, int64_t group,
                                bool hasSmallUnits = false) {
  constexpr int64_t most = 256;
  GemmLayout l = {};
  l.group = group > 0 && group < columns ? group : columns;
  l.paddedGroup = krn::paddedGroup(l.group, bits);
  l.groups = (columns + l.group - 1) / l.group;
  const int64_t step = stepElements(bits), line = krn::lineElements(bits);
  if (l.groups == 1) {
    l.unitElements = bits == 16 ? 64 : 128;
    if (hasSmallUnits)
      l.unitElements = bits == 3 ? 128 : 512 / bits;
  } else {
    l.unitElements = l.paddedGroup;
    for (int64_t parts = 1; l.unitElements > most; ++parts)
      if (l.paddedGroup % parts == 0 && l.paddedGroup / parts <= most &&
          l.paddedGroup / parts % line == 0)
        l.unitElements = l.paddedGroup / parts;
  }
  const int64_t full = columns / l.group * l.paddedGroup;
  const int64_t padded = krn::paddedColumns(columns, l.group, bits);
  l.unitsPerGroup = (l.paddedGroup + l.unitElements - 1) / l.unitElements;
  l.units = l.groups == 1
                ? l.unitsPerGroup
                : columns / l.group * l.unitsPerGroup +
                      (padded - full + l.unitElements - 1) / l.unitElements;
  auto lines = [&](int64_t elements) {
    return elements / line * (bits == 3 ? 3 : 1);
  };
  l.unitLines = lines(l.unitElements);
  l.lastLines = lines(padded - (l.units - 1) * l.unitElements);
  const int64_t steps = (l.unitElements + step - 1) / step;
  l.stepElements = step;
  l.unitSteps = steps;
  l.unitBlocks = steps * step / (bits == 16 ? 4 : 8);
  l.rowBlocks = l.units * l.unitBlocks;
  l.tileBytes = krn::tileBytes(columns, l.group, bits);
  return l;
}

//===----------------------------------------------------------------------===//
// Launches: what the kernels' files fix (checked there by static_assert)
//===----------------------------------------------------------------------===//

constexpr int64_t kGemvThreads = 256, kGemmThreads = 256,
                  kAttentionThreads = 128;
/// One row alone wants all threads, many rows want many blocks at once, each of
/// which waits for memory, for its reductions and for memory again.
constexpr int64_t stageThreads(int64_t rowBlocks, bool hasManyRows) {
  const int64_t wanted = krn::roundUp((rowBlocks + 3) / 4, 32);
  return !hasManyRows || wanted > 1024 ? 1024 : wanted < 128 ? 128 : wanted;
}
/// Tokens of a step that gemv.cuh takes.
constexpr int64_t kMostGemvTokens = 8;

/// Sums that a lane of gemv.cuh holds.
constexpr int64_t gemvValues(int64_t maxTokens, bool glu) {
  return (glu ? 2 : 1) * 2 * (maxTokens > 4 ? 2 : 1);
}
constexpr int64_t gemvSharedBytes(const GemmLayout &layout, int64_t maxTokens,
                                  bool glu) {
  constexpr int64_t warps = kGemvThreads / 32, ring = 8192, slots = 4;
  return warps * ring + (maxTokens == 1 ? layout.rowBlocks * 16 : 0) +
         warps * 2 * gemvValues(maxTokens, glu) * 128 +
         8 * (warps * slots + 1) + 64;
}
/// Partial sums of one block that others add to.
constexpr int64_t gemvPartialBytes(int64_t maxTokens, bool glu) {
  return 2 * gemvValues(maxTokens, glu) * 128;
}

/// Tokens of a block of gemm.cuh.
constexpr int64_t gemmTokens(bool isTable) { return isTable ? 32 : 64; }
constexpr int64_t kGemmRows = 128;
constexpr int64_t gemmSharedBytes(const GemmLayout &layout, int bits,
                                  bool isTable) {
  const int64_t laneLines = bits == 3 ? 3 : bits == 8 || bits == 16 ? 2 : 1;
  const int64_t wanted = 16 * laneLines / layout.unitLines;
  const int64_t units = wanted > 1 ? wanted : 1;
  const int64_t stage =
      kGemmRows / 16 * units * layout.unitLines * 64 +
      gemmTokens(isTable) *
          (krn::roundUp(units * layout.unitBlocks * 16, 128) + 64);
  return stage * (stage > 48 * 1024 ? 2 : 3);
}

/// The layout of persistent.cuh, where the activations of table codes are two
/// f16 each, and lanes read the blocks of two steps at once where they can.
constexpr GemmLayout persistentLayout(int bits, int64_t columns, int64_t group,
                                      bool isTable) {
  GemmLayout l = gemmLayout(bits, columns, group, /*hasSmallUnits=*/true);
  l.blockBytes = isTable ? 32 : 16;
  l.isTable = isTable;
  l.isPaired = !isTable && (bits < 4 || l.unitSteps % 2 == 0);
  l.isUnsigned = l.isPaired && bits <= 4;
  l.codeFactor = isTable || bits >= 8 ? 1 : bits == 2 ? 64 : 16;
  // Small groups would leave most of a step empty.
  const int64_t together = l.stepElements / l.unitElements;
  if (!isTable && bits < 4 && together * l.unitElements == l.stepElements &&
      (together == 2 || together == 4) && together <= l.units) {
    l.stepUnits = together;
    l.unitBlocks = l.unitElements / 8;
    l.rowBlocks = l.units * l.unitBlocks;
  }
  return l;
}
/// A step of the last unit of a slot may reach so far behind it.
constexpr int64_t kBehindRing = 1024;
/// Bytes of the table of a table code (codes.cuh), of spread ones
/// (persistent.cuh), and of the dynamic map.
constexpr int64_t kPairTableBytes = 256 * 32 * 4, kSpreadTableBytes = 256 * 256,
                  kMapBytes = 256 * 4;

/// Consumer warps of a block of a persistent kernel. 11 and the producer have
/// 168 registers a thread. Codes that take many instructions a byte, or wait
/// for look-ups, gain more by other warps than they lose by 128 registers
/// (docs/adr/0004).
constexpr int64_t kConsumerWarps = 11, kManyConsumerWarps = 15;
/// A slot's units of one warp, of no more than two tiles and, unless a step of
/// the tensor cores takes more, `mostBytes`. Several hide more of what a slot
/// costs than one does, but take more registers.
constexpr int64_t persistentUnits(const GemmLayout &layout, int64_t mostBytes) {
  const int64_t bytes = layout.unitLines * 64;
  int64_t wanted = bytes >= 2048                                      ? 1
                   : bytes >= 768 || (layout.isTable && bytes >= 512) ? 2
                   : bytes >= 256                                     ? 4
                                                                      : 8;
  if (wanted * bytes > mostBytes)
    wanted = mostBytes / bytes;
  if (wanted > layout.units)
    wanted = layout.units;
  const int64_t whole = wanted / layout.stepUnits * layout.stepUnits;
  return whole > 0 ? whole : layout.stepUnits;
}

/// Tokens of a step from which on kernels for sm_90a take wgmma.
constexpr int64_t kLeastWideTokens = 9;
constexpr int64_t kWideThreads = 384, kWideRows = 128;
/// batch_gemm.cuh is for steps of up to so many tokens.
constexpr int64_t kMostBatchTokens = 64;
constexpr int64_t kBatchThreads = 640, kBatchRows = 256;
constexpr int64_t kBatchSharedBytes = 227 * 1024;
/// Blocks that have work: as many as any GPU with wgmma has multiprocessors;
/// and words for the sums that they leave each other, of a block of rows each.
constexpr int64_t kMostBatchBlocks = 144;
constexpr int64_t kBatchWords =
    kMostBatchBlocks * kBatchRows * kMostBatchTokens;

/// What wide_gemm.cuh takes of shared memory with tiles of `blockTokens`.
constexpr int64_t wideSharedBytes(int64_t stepElements, int bits, bool isTable,
                                  int64_t blockTokens) {
  const int64_t chunk = stepElements > 64 ? stepElements : 64;
  const int64_t stage = krn::roundUp(
      blockTokens * 2 * chunk + kWideRows * chunk * bits / 8, 1024);
  const int64_t table = isTable ? 256 * 32 * 4 : 0;
  const int64_t fitting = (227 * 1024 - 2048 - table) / stage;
  return (fitting < 8 ? fitting : 8) * stage + table + 2048;
}

/// Tokens of a tile of wide_gemm.cuh for a step of `tokens`: what keeps
/// `clusters` pairs of multiprocessors busy for the shortest time.
constexpr int64_t wideBlockTokens(int64_t rows, int64_t tokens,
                                  int64_t clusters = 66) {
  int64_t best = 256, bestTime = 0;
  for (int64_t n : {int64_t(256), int64_t(192), int64_t(128)}) {
    const int64_t tiles =
        (rows + 2 * kWideRows - 1) / (2 * kWideRows) * ((tokens + n - 1) / n);
    // A tile's fixed costs are those of about 16 tokens.
    const int64_t time = (tiles + clusters - 1) / clusters * (n + 16);
    if (bestTime == 0 || time < bestTime) {
      best = n;
      bestTime = time;
    }
  }
  return best;
}

/// Up to so many tokens, attention takes every token for itself.
inline constexpr int64_t kMostSplitTokens = 64;
/// Blocks that there are for a token's positions where a step has many tokens
/// or few, shared between tokens by need (kernels/step_parts.cuh).
constexpr int64_t splitsOf(int64_t maxTokens) { return maxTokens > 8 ? 4 : 16; }
/// Rows of a warp of attention.cuh are (token, head of a kv head's group).
struct AttentionLayout {
  int64_t rowTokens;  ///< tokens of 16 rows
  int64_t headBlocks; ///< times 16 rows a token and kv head
};
constexpr AttentionLayout attentionLayout(int64_t heads, int64_t kvHeads,
                                          bool isSplit) {
  const int64_t group = heads / kvHeads;
  return {isSplit || group >= 16 ? 1 : 16 / group,
          group <= 16 ? 1 : (group + 15) / 16};
}
/// `rowBytes`: of a row that it stages.
constexpr int64_t attentionSharedBytes(int64_t headDim, bool isSplit,
                                       int64_t rowBytes = 0) {
  const int64_t joining = isSplit ? 4 * 16 * (headDim + 2) * 4 : 0;
  return joining > rowBytes ? joining : rowBytes;
}
/// Blocks of 8 elements of a row that attention.cuh stages: what a thread of it
/// can keep.
constexpr int64_t kMostStagedBlocks = 8 * kAttentionThreads;

/// Heads of up to so many dimensions are for prompt_attention.cuh.
constexpr int64_t kMostPromptDim = 128;
constexpr int64_t promptWarps(int64_t headDim) { return headDim > 64 ? 8 : 6; }
constexpr int64_t promptSharedBytes(int64_t headDim) {
  const int64_t keyStride = (krn::roundUp(headDim, 32) / 8 + 1) * 16;
  return 2 * (64 * keyStride + headDim * 9 * 16);
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_LAYOUT_H
