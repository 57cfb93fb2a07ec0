//===- gemm.h - The loops around all GEMM kernels ---------------*- C++ -*-===//
//
// gemv, up to 8 tokens: a few tiles at a time, whose codes stream from memory
// straight into registers.
//
// gemm, many tokens: panels of a pair of tiles are unpacked into the scratch
// (the L1 cache), and a register block of tiles x tokens runs over them for all
// tokens. The sums of a pair of tiles stay in the scratch from panel to panel.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_GEMM_H
#define QCC_CODEGEN_CPU_KERNELS_GEMM_H

#include "codegen/cpu/kernels/codes.h"
#include "codegen/cpu/kernels/epilogue.h"
#include "codegen/cpu/kernels/staged.h"

namespace qcc::krn {

#ifdef __AVX512F__
constexpr bool kHas32Registers = true;
#else
constexpr bool kHas32Registers = false;
#endif

//===----------------------------------------------------------------------===//
// gemv
//===----------------------------------------------------------------------===//

/// Tiles [tile, tile + T) times tokens [m, m + M), D tiles at a time.
template <int T, int D, int M, typename Kernel, typename Finish>
KRN_INLINE void gemvBlock(const Kernel &kernel, const Finish &epilogue,
                          int64_t tile, int64_t m) {
  static_assert(T % D == 0);
  F32x16 sums[T][M];
  KRN_UNROLL
  for (int t = 0; t < T; t += D)
    kernel.template dot<D, M>(tile + t, m, sums + t);
  KRN_UNROLL
  for (int i = 0; i < M; ++i) {
    F32x16 ofToken[T];
    KRN_UNROLL
    for (int t = 0; t < T; ++t)
      ofToken[t] = sums[t][i];
    epilogue.template run<T>(m + i, tile, ofToken);
  }
}

/// The same for all tokens.
template <int T, int D, typename Kernel, typename Finish>
KRN_INLINE void gemvAll(const Kernel &kernel, const Finish &epilogue,
                        int64_t tile, int64_t tokens) {
  int64_t m = 0;
  if constexpr (Kernel::kTokens >= 4)
    for (; m + 4 <= tokens; m += 4)
      gemvBlock<T, D, 4>(kernel, epilogue, tile, m);
  for (; m + 2 <= tokens; m += 2)
    gemvBlock<T, D, 2>(kernel, epilogue, tile, m);
  if (m < tokens)
    gemvBlock<T, D, 1>(kernel, epilogue, tile, m);
}

/// Runs `kernel` over this part's tiles. kernel.dot<T, M>(tile, m, sums[T][M])
/// sums tiles [tile, tile + T) for tokens [m, m + M). Kernel::kTiles tiles are
/// summed at a time for one token, Kernel::kBlockTiles (1 or 2) for blocks of
/// up to Kernel::kTokens (2 or 4). `epilogue` is an Epilogue or has its run().
template <typename Kernel, typename Finish = Epilogue>
KRN_INLINE void gemv(const Kernel &kernel, const Finish &epilogue,
                     int64_t tokens, uint32_t part, uint32_t parts) {
  const GemmConfig *config = epilogue.config;
  // GLU needs both tiles of a pair.
  int64_t unit = config->glu ? 2 : 1;
  Share share =
      shareOf((config->rows + 16 * unit - 1) / (16 * unit), part, parts);
  int64_t tile = share.begin * unit, end = share.end * unit;
  if (tokens == 1) {
    constexpr int D = Kernel::kTiles, T = D < 2 ? 2 : D;
    for (; tile + T <= end; tile += T)
      gemvBlock<T, D, 1>(kernel, epilogue, tile, 0);
    if constexpr (T > 2)
      for (; tile + 2 <= end; tile += 2)
        gemvBlock<2, 2, 1>(kernel, epilogue, tile, 0);
    for (; tile < end; ++tile)
      gemvBlock<1, 1, 1>(kernel, epilogue, tile, 0);
    return;
  }
  for (; tile + 2 <= end; tile += 2)
    gemvAll<2, Kernel::kBlockTiles>(kernel, epilogue, tile, tokens);
  if (tile < end)
    gemvAll<1, 1>(kernel, epilogue, tile, tokens);
}

//===----------------------------------------------------------------------===//
// gemm
//===----------------------------------------------------------------------===//

/// A rectangle of pairs of tiles and tokens: the work of one part.
struct Rectangle {
  Share pairs, tokens;
};

/// Cuts pairs x tokens into `parts` rectangles so that the largest is smallest:
/// along pairs if they are many, else along both. Unpacking a panel is paid for
/// each cut along tokens.
KRN_INLINE Rectangle rectangleOf(int64_t pairs, int64_t tokens, uint32_t part,
                                 uint32_t parts) {
  uint32_t best = parts;
  int64_t least = INT64_MAX;
  for (uint32_t across = parts; across >= 1; --across) {
    if (parts % across != 0)
      continue;
    int64_t down = parts / across;
    int64_t cost =
        (pairs + across - 1) / across * ((tokens + down - 1) / down + 8);
    if (cost < least) {
      least = cost;
      best = across;
    }
  }
  return {shareOf(pairs, part % best, best),
          shareOf(tokens, part / best, parts / best)};
}

/// Tokens whose sums the scratch has room for, beside a panel.
constexpr int64_t kScratchTokens = 3072;
constexpr int64_t kPanelBytes = gemmScratchBytes() - kScratchTokens * 128;

/// kernel.multiply for tokens [m, m + count): in blocks of M, then of half as
/// many.
template <int M, typename Kernel>
KRN_INLINE void multiplyAll(const Kernel &kernel, int64_t piece, int64_t end,
                            int64_t m, int64_t count, float *sums,
                            bool isFirst) {
  for (; count >= M; count -= M, m += M, sums += M * 32)
    kernel.template multiply<M>(piece, end, m, sums, isFirst);
  if constexpr (M > 1)
    multiplyAll<M / 2>(kernel, piece, end, m, count, sums, isFirst);
}

/// Runs `kernel` over this part's share. A panel has `pieces` of
/// Kernel::kPanelElements elements or fewer, of Kernel::kTiles (1 or 2) tiles.
/// kernel.unpack(tile, t, firstPiece, endPiece) fills half t of the panel;
/// kernel.multiply<M>(firstPiece, endPiece, m, sums, isFirst) adds it up for
/// tokens [m, m + M), M <= Kernel::kTokens, into sums[M][2] at the stride of
/// two tiles; kernel.tokenScale(m) is applied at the end. A kernel of two tiles
/// that takes any count of tokens has it as an argument.
template <typename Kernel, typename Shape, typename Finish = Epilogue>
KRN_INLINE void gemm(const Kernel &kernel, const Shape &shape,
                     const Finish &epilogue, int64_t tokens, void *scratch,
                     uint32_t part, uint32_t parts) {
  constexpr int T = Kernel::kTiles;
  float *sums = (float *)((char *)scratch + kPanelBytes);
  int64_t tiles = (epilogue.config->rows + 15) / 16;
  Rectangle own = rectangleOf((tiles + 1) / 2, tokens, part, parts);
  for (int64_t base = own.tokens.begin; base < own.tokens.end;
       base += kScratchTokens) {
    int64_t count = smaller(own.tokens.end - base, kScratchTokens);
    for (int64_t pair = own.pairs.begin; pair < own.pairs.end; ++pair) {
      int64_t width = smaller(tiles - 2 * pair, 2);
      for (int64_t piece = 0; piece < shape.pieces;) {
        int64_t end = kernel.panelEnd(piece);
        for (int64_t t = 0; t < width; t += T) {
          KRN_UNROLL
          for (int i = 0; i < T; ++i)
            kernel.unpack(2 * pair + smaller(t + i, width - 1), i, piece, end);
          if constexpr (Kernel::kTakesAnyCount)
            kernel.multiply(piece, end, base, count, sums, piece == 0);
          else
            multiplyAll<Kernel::kTokens>(kernel, piece, end, base, count,
                                         sums + t * 16, piece == 0);
        }
        piece = end;
      }
      for (int64_t m = 0; m < count; ++m) {
        F32x16 scale = splat(kernel.tokenScale(base + m));
        F32x16 both[2];
        both[0] = load(sums + m * 32) * scale;
        both[1] = width == 2 ? load(sums + m * 32 + 16) * scale : both[0];
        if (width == 2)
          epilogue.template run<2>(base + m, 2 * pair, both);
        else
          epilogue.template run<1>(base + m, 2 * pair, both);
      }
    }
  }
}

//===----------------------------------------------------------------------===//
// Fixed-point activations
//===----------------------------------------------------------------------===//

/// What the kernels of int codes and i16 activations are made of.
template <typename Code>
struct OperandsI16 {
  const GemmConfig *config;
  TileShape<Code> shape;
  Planes planes;
  StagedI16 x;

  /// Start of a piece's sum: what zero points take from it. Exact, modulo 2^32.
  KRN_METHOD I32x16 start(int64_t m, int64_t piece, I32x16 zero) const {
    return splatLoad(x.negatedSums(m) + piece) * zero;
  }
  KRN_METHOD int64_t groupOf(int64_t tile, int64_t piece) const {
    return tile * shape.groups + shape.group(piece);
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_GEMM_H
