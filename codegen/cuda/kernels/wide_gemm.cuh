//===- wide_gemm.cuh - Prompts times a packed weight (sm_90a) ---*- C++ -*-===//
//
// For steps that are bound by arithmetic. A block multiplies 128 rows of the
// weight with up to 256 tokens, 64 elements of k (a chunk) at a time. The first
// warpgroup fills a ring of chunks: codes as they are, and activations, which
// stage.cuh has laid out as wgmma reads them. The two blocks of a cluster have
// rows next to each other and the same tokens; each copies half of these into
// both. The other two warpgroups turn 64 rows of codes each into 16-bit floats
// in registers while the tensor cores multiply the chunk before.
//
// Blocks take one tile after the other, and codes are copied before the kernels
// in front have ended.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_WIDE_GEMM_CUH
#define QCC_CODEGEN_CUDA_KERNELS_WIDE_GEMM_CUH

#include "codegen/cuda/kernels/stored_rows.cuh"
#include "codegen/cuda/kernels/wgmma.cuh"

namespace qcc::cuda {

constexpr int kWideThreads = 384;
constexpr int kWideTiles = 8; ///< of 16 rows in a block
constexpr int kMostShared = 227 * 1024;

/// How a row of a weight is cut into steps and chunks of k, for kernels that
/// read codes with wgmma.
template <class K>
struct WideChunks {
  static constexpr int code = K::code;
  static constexpr int stepK = stepWidth(code);
  /// Steps of a unit (Layout.h), the last of which may be short.
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  /// A tile's lines lie one after the other, steps without gaps.
  static constexpr bool isDense = K::unitLines % stepLines(code) == 0;
  static constexpr int rowSteps =
      isDense ? (K::tileBytes / 64 + stepLines(code) - 1) / stepLines(code)
              : K::unitsPerRow * steps;
  static constexpr int chunkK = larger(64, stepK);
  static constexpr int chunkSteps = chunkK / stepK;
  static constexpr int chunks = (rowSteps + chunkSteps - 1) / chunkSteps;
  static constexpr int stepBytes = stepLines(code) * 64;
  static constexpr int tileBytes = chunkSteps * stepBytes;

  /// Lines of step `step` of a row, and the first of them.
  static __device__ __forceinline__ int linesOf(int step) {
    if (step >= rowSteps)
      return 0;
    const int unit = step / steps;
    const int lines =
        unit + 1 == K::unitsPerRow ? int(K::lastLines) : int(K::unitLines);
    return larger(
        0, smaller(lines - step % steps * stepLines(code), stepLines(code)));
  }
  static __device__ __forceinline__ int firstLine(int step) {
    return step / steps * K::unitLines + step % steps * stepLines(code);
  }
  /// One of `Threads` threads copies its share of a chunk of `Tiles` tiles,
  /// tile i to i * TileStride, step j of it to j * stepBytes. What is not there
  /// becomes zeros. (Bulk copies of so few bytes take more time each.)
  template <int Tiles, int Threads, int TileStride>
  static __device__ __forceinline__ void copy(uint32_t shared,
                                              const char *codes, int firstTile,
                                              int chunk, int thread) {
    constexpr int pieces = Tiles * tileBytes / 16;
#pragma unroll(pieces / Threads > 4 ? 4 : pieces / Threads)
    for (int i = thread; i < pieces; i += Threads) {
      const int tile = i / (tileBytes / 16), at = i % (tileBytes / 16) * 16;
      int from = chunk * tileBytes + at;
      bool inside = from < int(K::tileBytes);
      if (!isDense) {
        const int step = chunk * chunkSteps + at / stepBytes;
        from = firstLine(step) * 64 + at % stepBytes;
        inside = at % stepBytes / 64 < linesOf(step);
      }
      inside &= firstTile + tile < K::tiles;
      copyAsync16(shared + tile * TileStride + at,
                  codes + (inside
                               ? int64_t(firstTile + tile) * K::tileBytes + from
                               : 0),
                  inside);
    }
  }
};

/// The weight's side of a warp: which rows its lanes have, their scales, and
/// their codes as operands. With glu, tiles alternate gate, up; row g of a
/// warp's operand is then one of the gate, row g + 8 the same of up.
/// Tiles lie `TileStride` bytes apart in shared memory.
template <class K, int TileStride = WideChunks<K>::tileBytes>
class WideRows {
public:
  using Chunks = WideChunks<K>;
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code);
  static constexpr int products = Chunks::chunkK / 16;

  /// `tile`: the warp's first tile in its block; tiles of the block begin at
  /// `firstTile`. `table`: the lane's pair table.
  __device__ __forceinline__ WideRows(const Args &a, int tile, uint32_t table)
      : scales(pointer<const char>(a.v[1])),
        zeros(pointer<const uint8_t>(a.v[2])), table(table) {
    const int g = threadIdx.x % 32 / 4;
    if (K::glu) {
      tileOf[0] = tile & ~1;
      tileOf[1] = tile | 1;
      rowOf[0] = rowOf[1] = (tile & 1) * 8 + g;
    } else {
      tileOf[0] = tileOf[1] = tile;
      rowOf[0] = 2 * g;
      rowOf[1] = 2 * g + 1;
    }
  }

  /// Asks for the scales of a chunk.
  __device__ __forceinline__ void ask(int firstTile, int chunk) {
    if (isFloat)
      return;
#pragma unroll
    for (int s = 0; s < scaleSteps; ++s) {
      const int unit = smaller((chunk * Chunks::chunkSteps + s) / Chunks::steps,
                               int(K::unitsPerRow) - 1);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int at = smaller(firstTile + tileOf[r], K::tiles - 1);
        const int64_t i =
            (int64_t(at) * K::groups + unit / K::unitsPerGroup) * 16 + rowOf[r];
        if (K::scaleType == ElementF32)
          asked[s][r] = reinterpret_cast<const uint32_t *>(scales)[i];
        else
          asked[s][r] = reinterpret_cast<const uint16_t *>(scales)[i];
        if (K::hasZero)
          askedZero[s][r] = zeros[i];
      }
    }
  }
  /// Bytes of a group's scales of a tile, and of its zero points.
  static constexpr int scaleLine = isFloat                      ? 0
                                   : K::scaleType == ElementF32 ? 64
                                                                : 32;
  static constexpr int zeroLine = !isFloat && K::hasZero ? 16 : 0;
  /// The group that a step of a row belongs to, and the most groups of some
  /// chunks in a row.
  static __device__ __forceinline__ int groupOf(int step) {
    return smaller(step / Chunks::steps, int(K::unitsPerRow) - 1) /
           K::unitsPerGroup;
  }
  /// The first group of a chunk, and whether there may be more.
  static __device__ __forceinline__ int firstGroupOf(int chunk) {
    return groupOf(chunk * Chunks::chunkSteps);
  }
  static constexpr bool hasManyGroups =
      !isFloat && Chunks::steps % Chunks::chunkSteps != 0;
  static constexpr int groupsIn(int chunks) {
    constexpr int groupSteps = Chunks::steps * K::unitsPerGroup;
    return (chunks * Chunks::chunkSteps + groupSteps - 2) / groupSteps + 1;
  }
  /// One of `Threads` threads copies its share of the scales and zero points of
  /// `count` chunks of `Tiles` tiles into shared memory: [tile][MostGroups]
  /// lines of scales, then of zero points, those of group `base` first.
  template <int Tiles, int Threads, int MostGroups>
  static __device__ __forceinline__ void
  copyScales(const Args &a, uint32_t to, int firstTile, int chunk, int count,
             int thread, int base) {
    if (isFloat)
      return;
    const int first = firstGroupOf(chunk) - base,
              end =
                  groupOf((chunk + count) * Chunks::chunkSteps - 1) + 1 - base;
    constexpr int pieces = (scaleLine + zeroLine) / 16;
    for (int i = thread; i < Tiles * MostGroups * pieces; i += Threads) {
      const int line = i / pieces, piece = i % pieces;
      const int tile = line / MostGroups, group = line % MostGroups;
      if (group < first || group >= end)
        continue;
      const bool isZero = piece * 16 >= scaleLine;
      const bool inside = firstTile + tile < K::tiles;
      const int64_t from =
          inside ? int64_t(firstTile + tile) * K::groups + base + group : 0;
      copyAsync16(isZero ? to + Tiles * MostGroups * scaleLine + line * 16
                         : to + line * scaleLine + piece * 16,
                  pointer<const char>(a.v[isZero ? 2 : 1]) +
                      (isZero ? from * 16 : from * scaleLine + piece * 16),
                  inside);
    }
  }
  /// Takes the scales of a chunk from where copyScales has put them; the first
  /// group there is `first`.
  template <int Tiles, int MostGroups>
  __device__ __forceinline__ void takeShared(uint32_t from, int chunk,
                                             int first) {
    if (isFloat)
      return;
#pragma unroll
    for (int s = 0; s < scaleSteps; ++s) {
      const int group = groupOf(chunk * Chunks::chunkSteps + s) - first;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int line = tileOf[r] * MostGroups + group;
        asked[s][r] = K::scaleType == ElementF32
                          ? loadShared4(from + line * scaleLine + rowOf[r] * 4)
                          : loadShared2(from + line * scaleLine + rowOf[r] * 2);
        if (K::hasZero)
          askedZero[s][r] = loadShared1(from + Tiles * MostGroups * scaleLine +
                                        line * 16 + rowOf[r]);
      }
    }
    take();
  }
  /// The scales and zero points of the lane's two rows and the chunk that was
  /// asked for, for operands that are not scaled.
  __device__ __forceinline__ void takeRaw(float (&scale)[2],
                                          float (&zero)[2]) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      scale[r] = storedScale<K>(asked[0][r]);
      zero[r] = float(K::hasZero ? askedZero[0][r] : uint32_t(K::defaultZero));
    }
  }
  /// Takes what was asked for.
  __device__ __forceinline__ void take() {
#pragma unroll
    for (int s = 0; s < scaleSteps; ++s)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        factor[s][r] = rowFactorOf<K>(asked[s][r], askedZero[s][r]);
  }

  /// The operands of the chunk whose codes begin at `shared`, as halvesOf makes
  /// them.
  template <bool IsScaled = true>
  __device__ __forceinline__ void load(uint32_t shared,
                                       RowsOperand (&w)[products]) const {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < Chunks::chunkSteps; ++s) {
      uint32_t line[2][laneLines(code)];
#pragma unroll
      for (int l = 0; l < laneLines(code); ++l) {
        const int at = laneLine(code, t, l);
        const uint32_t from = shared + s * Chunks::stepBytes + at * 64;
        if (K::glu) {
          line[0][l] =
              loadShared4(from + tileOf[0] * TileStride + rowOf[0] * 4);
          line[1][l] =
              loadShared4(from + tileOf[1] * TileStride + rowOf[1] * 4);
        } else {
          const uint2 both =
              loadShared8(from + tileOf[0] * TileStride + rowOf[0] * 4);
          line[0][l] = both.x;
          line[1][l] = both.y;
        }
      }
      convert<0, IsScaled>(line, s, w);
    }
  }

private:
  /// Scales differ between the steps of a chunk only where units are short.
  static constexpr int scaleSteps =
      isFloat || Chunks::steps % Chunks::chunkSteps == 0 ? 1
                                                         : Chunks::chunkSteps;

  template <int M, bool IsScaled>
  __device__ __forceinline__ void
  convert(const uint32_t (&line)[2][laneLines(code)], int s,
          RowsOperand (&w)[products]) const {
    if constexpr (M < Chunks::stepK / 16) {
      RowsOperand &to = w[s * (Chunks::stepK / 16) + M];
      const RowFactor *f = factor[scaleSteps == 1 ? 0 : s];
      halvesOf<code, M, IsScaled>(line[0], f[0], table, to.a[0], to.a[2]);
      halvesOf<code, M, IsScaled>(line[1], f[1], table, to.a[1], to.a[3]);
      convert<M + 1, IsScaled>(line, s, w);
    }
  }

  const char *scales;
  const uint8_t *zeros;
  uint32_t table;
  int tileOf[2], rowOf[2];
  uint32_t asked[scaleSteps][2] = {}, askedZero[scaleSteps][2] = {};
  RowFactor factor[scaleSteps][2] = {};
};

/// Operands: codes, scales, zeros, bias, residual, output, staged activations.
template <class K>
struct WideGemm {
  using Chunks = WideChunks<K>;
  static constexpr int code = K::code;
  static constexpr int N = K::blockTokens;
  /// 64 elements of k of all tokens: atoms of 8 tokens, one after the other.
  static constexpr int xSliceBytes = N * 128;
  static constexpr int slices = Chunks::chunkK / 64;
  static constexpr int codesBytes = kWideTiles * Chunks::tileBytes;
  static constexpr int stageBytes =
      (xSliceBytes * slices + codesBytes + 1023) / 1024 * 1024;
  static constexpr int tableBytes = isTableCode(code) ? kPairTableBytes : 0;
  static constexpr int stages =
      smaller(8, (kMostShared - 2048 - tableBytes) / stageBytes);
  static constexpr int sharedBytes = stages * stageBytes + tableBytes + 2048;
  static_assert(stages >= 2 && 2 * stages * 8 <= 1024);

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *room) {
    const uint32_t base = (sharedAddress(room) + 1023) & ~1023U;
    const uint32_t table = base + stages * stageBytes;
    const uint32_t full = table + tableBytes, empty = full + stages * 8;
    const uint32_t rank = clusterRank();
    if (threadIdx.x == 0) {
      for (int i = 0; i < stages; ++i) {
        initBarrier(full + 8 * i, 129);
        initBarrier(empty + 8 * i, 16); // warps of both blocks
      }
      fenceBarrierInit();
    }
    if constexpr (isTableCode(code))
      fillPairTable<code>(room + (table - sharedAddress(room)), threadIdx.x,
                          kWideThreads);
    clusterSync();
    __syncthreads();
    startNext();
    // The step's numbers were there before the first kernel began.
    const int tokens = K::gather ? step->logit_count : step->tokens;
    const int tokenBlocks = (tokens + N - 1) / N;
    const int tiles =
        (K::tiles + 2 * kWideTiles - 1) / (2 * kWideTiles) * tokenBlocks;
    const int first = blockIdx.x / 2, stride = gridDim.x / 2;
    if (threadIdx.x < 128) {
      giveRegisters<56>();
      produce(a, base, full, empty, rank, tokenBlocks, tiles, first, stride);
    } else {
      takeRegisters<224>();
      waitForEarlier();
      consume(a, base, table, full, empty, rank, tokens, tokenBlocks, tiles,
              first, stride);
    }
    // The other block may still copy into this one.
    __syncwarp();
    clusterSync();
  }

private:
  static __device__ __forceinline__ void
  produce(const Args &a, uint32_t base, uint32_t full, uint32_t empty,
          uint32_t rank, int tokenBlocks, int tiles, int first, int stride) {
    const char *codes = pointer<const char>(a.v[0]);
    const char *x = pointer<const char>(a.v[6]);
    auto sendCodes = [&](int tile, int chunk, uint32_t i) {
      const uint32_t slot = i % stages;
      Chunks::template copy<kWideTiles, 128, Chunks::tileBytes>(
          base + slot * stageBytes + xSliceBytes * slices, codes,
          (tile / tokenBlocks * 2 + int(rank)) * kWideTiles, chunk,
          threadIdx.x);
      arriveAfterCopies(full + 8 * slot);
    };
    auto sendTokens = [&](int tile, int chunk, uint32_t i) {
      if (threadIdx.x != 0)
        return;
      const uint32_t slot = i % stages;
      expectBytes(full + 8 * slot, xSliceBytes * slices);
      const char *from = x + int64_t(tile % tokenBlocks) * xSliceBytes +
                         rank * (xSliceBytes / 2);
#pragma unroll
      for (int slice = 0; slice < slices; ++slice)
        copyToCluster(base + slot * stageBytes + slice * xSliceBytes +
                          rank * (xSliceBytes / 2),
                      from + int64_t(chunk * slices + slice) * K::xSliceStride,
                      xSliceBytes / 2, full + 8 * slot, 3);
    };
    // Codes run ahead of the kernels in front, as far as there is room.
    constexpr int primed = smaller(stages, int(Chunks::chunks));
    if (first < tiles)
      for (int i = 0; i < primed; ++i)
        sendCodes(first, i, i);
    waitForEarlier();
    uint32_t i = 0;
    for (int tile = first; tile < tiles; tile += stride)
      for (int chunk = 0; chunk < Chunks::chunks; ++chunk, ++i) {
        if (i >= primed) {
          if (i >= stages)
            waitBarrier(empty + 8 * (i % stages), (i / stages & 1) ^ 1);
          sendCodes(tile, chunk, i);
        }
        sendTokens(tile, chunk, i);
      }
  }

  static __device__ __forceinline__ void
  consume(const Args &a, uint32_t base, uint32_t table, uint32_t full,
          uint32_t empty, uint32_t rank, int tokens, int tokenBlocks, int tiles,
          int first, int stride) {
    const int warp = threadIdx.x / 32 - 4;
    WideRows<K> rows(a, warp, table + threadIdx.x % 32 * 4);
    const bool isFirst = threadIdx.x % 32 == 0;
    auto release = [&](uint32_t i) {
      __syncwarp();
      if (isFirst) {
        arriveAt(empty + 8 * (i % stages), 0);
        arriveAt(empty + 8 * (i % stages), 1);
      }
    };
    if (first >= tiles)
      return;
    auto firstTileOf = [&](int tile) {
      return (tile / tokenBlocks * 2 + int(rank)) * kWideTiles;
    };
    // The chunk whose scales are asked for, two before it is multiplied.
    int askTile = first, askChunk = 0, askFirst = firstTileOf(first);
    auto ask = [&] {
      rows.ask(askFirst, askChunk);
      if (++askChunk < Chunks::chunks)
        return;
      askChunk = 0;
      if (askTile + stride < tiles)
        askTile += stride;
      askFirst = firstTileOf(askTile);
    };
    // Operands of the next chunk are made while this one is multiplied.
    RowsOperand next[WideRows<K>::products], w[WideRows<K>::products];
    auto prepare = [&](uint32_t i) {
      const uint32_t slot = i % stages;
      rows.take();
      ask();
      waitBarrier(full + 8 * slot, i / stages & 1);
      rows.load(base + slot * stageBytes + xSliceBytes * slices, next);
    };
    uint32_t i = 0;
    ask();
    prepare(0);
    for (int tile = first; tile < tiles; tile += stride) {
      float sums[1][N / 2];
#pragma unroll 1
      for (int chunk = 0; chunk < Chunks::chunks; ++chunk, ++i) {
        place(w, next, threadIdx.z);
        wgmmaFence();
        const uint64_t x = tokensDescriptor(base + i % stages * stageBytes);
#pragma unroll
        for (int p = 0; p < WideRows<K>::products; ++p)
          wgmma<N, code == BF16>(sums[0], w[p],
                                 x + p / 4 * (xSliceBytes / 16) + p % 4 * 2,
                                 chunk > 0 || p > 0);
        wgmmaCommit();
        if (chunk + 1 < Chunks::chunks || tile + stride < tiles)
          prepare(i + 1);
        wgmmaWait<0>();
        release(i);
      }
      storeWide<K, N>(a, sums, firstTileOf(tile) + warp, tile % tokenBlocks * N,
                      tokens);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_WIDE_GEMM_CUH
