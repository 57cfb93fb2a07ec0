//===- batch_gemm.cuh - Some tokens times a weight (sm_90a) -----*- C++ -*-===//
//
// For steps of 2 to 64 tokens, which are bound by the weight's bytes. The
// weight is a stream of chunks (64 elements of k of 256 rows), block of rows by
// block of rows; every block of threads takes an equal run of it. Three warps
// copy codes into a ring in shared memory, and one the tokens' elements, which
// it may have to wait for. Four warpgroups turn codes into 16-bit floats
// (wide_gemm.cuh has the parts) and multiply them with all tokens. With more
// than 16 of these a warpgroup multiplies 64 rows by wgmma. 16 columns are too
// few for wgmma to be worth its waits: a warp multiplies 32 rows by mma, warps
// 0 to 7 the first half of a slot, the others the second. Groups' sums are
// multiplied with their scales, not the weights, where that is less work.
//
// Where a run begins or ends inside a block of rows, sums go to the workspace,
// and the warpgroup that arrives there last adds them up in the order of the
// runs: results do not depend on timing.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH
#define QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH

#include "codegen/cuda/kernels/wide_gemm.cuh"

namespace qcc::cuda {

constexpr int kBatchGroups = 4; ///< warpgroups that multiply
constexpr int kBatchConsumers = kBatchGroups * 128;
constexpr int kBatchThreads = kBatchConsumers + 128;
constexpr int kBatchTiles = kBatchGroups * 4;
/// Threads that copy codes; the warp behind them copies tokens.
constexpr int kBatchCopiers = 96;

/// Operands: codes, scales, zeros, bias, residual, output, staged activations,
/// counters (u32 a warpgroup of a block of rows, zero between launches),
/// partial sums.
template <class K>
struct BatchGemm {
  using Chunks = WideChunks<K>;
  static constexpr int code = K::code;
  /// Chunks of a slot, so that copies are of two kilobytes where they can be.
  static constexpr int slotChunks =
      larger(1, smaller(4 * 64 / Chunks::chunkK, 2048 / Chunks::tileBytes));
  static constexpr int slices = Chunks::chunkK / 64;
  static constexpr int tileStride = slotChunks * Chunks::tileBytes;
  static constexpr int codesBytes = kBatchTiles * tileStride;
  /// Behind a slot's codes: its scales and zero points.
  using Rows = WideRows<K, tileStride>;
  static constexpr int slotGroups = Rows::groupsIn(slotChunks);
  static constexpr int scalesBytes =
      kBatchTiles * slotGroups * (Rows::scaleLine + Rows::zeroLine);
  static constexpr int tableBytes = isTableCode(code) ? kPairTableBytes : 0;
  static constexpr int rowBlocks = (K::tiles + kBatchTiles - 1) / kBatchTiles;
  static constexpr int units = rowBlocks * Chunks::chunks;
  static constexpr int ring = kMostShared - 2048 - tableBytes;
  static constexpr int sharedBytes = kMostShared;

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *room) {
    const uint32_t base = (sharedAddress(room) + 1023) & ~1023U;
    const uint32_t table = base + ring;
    // After the table and the barriers: which warpgroups arrived last.
    uint32_t *arrived = reinterpret_cast<uint32_t *>(
        room + (table - sharedAddress(room)) + tableBytes + 256);
    if constexpr (isTableCode(code))
      fillPairTable<code>(room + (table - sharedAddress(room)), threadIdx.x,
                          kBatchThreads);
    // The step's numbers were there before the first kernel began.
    const int tokens = K::gather ? step->logit_count : step->tokens;
    if (tokens <= 16)
      For<16>::run(a, base, table, arrived, tokens);
    else if (tokens <= 32)
      For<32>::run(a, base, table, arrived, tokens);
    else
      For<64>::run(a, base, table, arrived, tokens);
  }

private:
  /// Up to N tokens.
  template <int N>
  struct For {
    static constexpr bool takesWgmma = N > 16;
    static constexpr int xBytes = slotChunks * slices * N * 128;
    static constexpr int slotBytes =
        (xBytes + codesBytes + scalesBytes + 1023) / 1024 * 1024;
    /// Behind the ring warps hand each other sums of a tile.
    static constexpr int handedBytes =
        takesWgmma ? 0 : kBatchTiles * (N / 2) * 128;
    static constexpr int slots = smaller(8, (ring - handedBytes) / slotBytes);
    /// Sums of a group are multiplied with its scale, not the weights, where a
    /// group is no shorter than a chunk and registers hold both sums. (Lines of
    /// gate and up are at two addresses.)
    static constexpr bool scalesSums = !Rows::isFloat && !Rows::hasManyGroups &&
                                       N <= 32 && (!K::glu || N == 32);
    static_assert(slots >= 2);

    struct Run {
      int begin, end;
    };
    static __device__ __forceinline__ Run runOf(int block) {
      const int each = units / int(gridDim.x),
                longer = units - each * int(gridDim.x);
      const int begin = block * each + smaller(block, longer);
      return {begin, begin + each + (block < longer)};
    }
    static __device__ __forceinline__ int ownerOf(int unit) {
      const int each = units / int(gridDim.x),
                longer = units - each * int(gridDim.x);
      const int inLonger = longer * (each + 1);
      return unit < inLonger ? unit / (each + 1)
                             : longer + (unit - inLonger) / each;
    }

    static __device__ __forceinline__ void run(const Args &a, uint32_t base,
                                               uint32_t table,
                                               uint32_t *arrived, int tokens) {
      const uint32_t full = table + tableBytes, empty = full + slots * 8;
      if (threadIdx.x == 0) {
        for (int i = 0; i < slots; ++i) {
          initBarrier(full + 8 * i, kBatchCopiers + 1);
          initBarrier(empty + 8 * i, kBatchGroups * 4);
        }
        fenceBarrierInit();
      }
      __syncthreads();
      startNext();
      const Run mine = runOf(blockIdx.x);
      if (threadIdx.x < kBatchConsumers) {
        waitForEarlier();
        if constexpr (takesWgmma)
          consume(a, base, table, full, empty, mine, tokens, arrived);
        else
          consumeFew(a, base, table, full, empty, mine, tokens, arrived);
        return;
      }
      const int thread = int(threadIdx.x) - kBatchConsumers;
      if (thread < kBatchCopiers) {
        // Codes run ahead of the kernels in front, as far as there is room.
        copyCodes(a, base, full, empty, mine, thread);
      } else {
        waitForEarlier();
        copyTokens(a, base, full, empty, mine, thread - kBatchCopiers);
      }
    }

    /// Slots that begin at `unit`: so many chunks of one block of rows.
    static __device__ __forceinline__ int countAt(int unit, Run mine) {
      return smaller(slotChunks,
                     smaller(mine.end - unit,
                             int(Chunks::chunks) - unit % Chunks::chunks));
    }

    /// Copies codes and scales of a run; `thread` of kBatchCopiers.
    static __device__ __forceinline__ void
    copyCodes(const Args &a, uint32_t base, uint32_t full, uint32_t empty,
              Run mine, int thread) {
      const char *codes = pointer<const char>(a.v[0]);
      uint32_t i = 0;
      for (int unit = mine.begin; unit < mine.end; ++i) {
        const int firstTile = unit / Chunks::chunks * kBatchTiles,
                  chunk = unit % Chunks::chunks, count = countAt(unit, mine);
        const uint32_t to = base + i % slots * slotBytes + xBytes,
                       barrier = full + 8 * (i % slots);
        waitBarrier(empty + 8 * (i % slots), (i / slots & 1) ^ 1);
        // A tile's lines are consecutive, in a whole slot, too.
        const bool isWhole =
            Chunks::isDense && count == slotChunks &&
            (chunk + count) * Chunks::tileBytes <= int(K::tileBytes);
        if (isWhole) {
          // Rows behind the last one are multiplied, and not used.
          const int tile = firstTile + thread;
          if (thread < kBatchTiles && tile < K::tiles) {
            expectMore(barrier, tileStride);
            copyExpected(to + thread * tileStride,
                         codes + int64_t(tile) * K::tileBytes +
                             chunk * Chunks::tileBytes,
                         tileStride, barrier);
          }
        } else {
          for (int c = 0; c < count; ++c)
            Chunks::template copy<kBatchTiles, kBatchCopiers, tileStride>(
                to + c * Chunks::tileBytes, codes, firstTile, chunk + c,
                thread);
        }
        Rows::template copyScales<kBatchTiles, kBatchCopiers, slotGroups>(
            a, to + codesBytes, firstTile, chunk, count, thread);
        arriveAfterCopies(barrier);
        unit += count;
      }
    }

    /// Copies the tokens' elements that go with them; a warp.
    static __device__ __forceinline__ void
    copyTokens(const Args &a, uint32_t base, uint32_t full, uint32_t empty,
               Run mine, int lane) {
      const char *x = pointer<const char>(a.v[6]);
      uint32_t i = 0;
      for (int unit = mine.begin; unit < mine.end; ++i) {
        const int chunk = unit % Chunks::chunks, count = countAt(unit, mine);
        const uint32_t barrier = full + 8 * (i % slots);
        waitBarrier(empty + 8 * (i % slots), (i / slots & 1) ^ 1);
        if (lane == 0)
          expectBytes(barrier, count * slices * N * 128);
        __syncwarp();
        if (lane < count * slices)
          copyExpected(base + i % slots * slotBytes + lane * N * 128,
                       x + int64_t(chunk * slices + lane) * K::xSliceStride,
                       N * 128, barrier);
        unit += count;
      }
    }

    static __device__ __forceinline__ void
    consume(const Args &a, uint32_t base, uint32_t table, uint32_t full,
            uint32_t empty, Run mine, int tokens, uint32_t *arrived) {
      const int warp = threadIdx.x / 32;
      Rows rows(a, warp, table + threadIdx.x % 32 * 4);
      uint32_t i = 0;
      int inSlot = 0, count = 0, firstGroup = 0;
      uint32_t at = 0;
      for (int unit = mine.begin; unit < mine.end;) {
        const int rowBlock = unit / Chunks::chunks,
                  firstTile = rowBlock * kBatchTiles;
        const int begin = unit - rowBlock * Chunks::chunks,
                  end = smaller(int(Chunks::chunks), begin + mine.end - unit);
        // Of a group, or of all of them; and of the groups before.
        float part[N / 2], sums[scalesSums ? N / 2 : 1] = {};
        int group = -1;
        bool isFirst = true;
#pragma unroll 1
        for (int chunk = begin; chunk < end; ++chunk) {
          if (inSlot == count) {
            count = smaller(slotChunks, end - chunk);
            inSlot = 0;
            waitBarrier(full + 8 * (i % slots), i / slots & 1);
            at = base + i % slots * slotBytes;
            firstGroup = Rows::groupOf(chunk * Chunks::chunkSteps);
          }
          if (const int now = Rows::firstGroupOf(chunk);
              !scalesSums || now != group) {
            if constexpr (scalesSums) {
              if (group >= 0)
                addScaled(sums, part, rows);
              isFirst = true;
            }
            group = now;
            rows.template takeShared<kBatchTiles, slotGroups>(
                at + xBytes + codesBytes, chunk, firstGroup);
          }
          RowsOperand w[Rows::products];
          rows.template load<!scalesSums>(
              at + xBytes + inSlot * Chunks::tileBytes, w);
          settle(w);
          wgmmaFence();
          const uint64_t x = tokensDescriptor(at + inSlot * slices * N * 128);
#pragma unroll
          for (int p = 0; p < Rows::products; ++p)
            wgmma<N, code == BF16>(part, w[p],
                                   x + p / 4 * (N * 128 / 16) + p % 4 * 2,
                                   !isFirst || p > 0);
          wgmmaCommit();
          wgmmaWait<0>();
          isFirst = false;
          ++unit;
          if (++inSlot == count) {
            __syncwarp();
            if (threadIdx.x % 32 == 0)
              arrive(empty + 8 * (i % slots));
            ++i;
          }
        }
        if constexpr (scalesSums) {
          addScaled(sums, part, rows);
          finish(a, sums, rowBlock, warp, begin, end, tokens, arrived);
        } else {
          finish(a, part, rowBlock, warp, begin, end, tokens, arrived);
        }
      }
    }

    /// The same with mma: warp w has tiles 2 (w % 8) and the next, and finishes
    /// one of them.
    static __device__ __forceinline__ void
    consumeFew(const Args &a, uint32_t base, uint32_t table, uint32_t full,
               uint32_t empty, Run mine, int tokens, uint32_t *arrived) {
      constexpr int pairs = kBatchTiles / 2, blocks = N / 8;
      constexpr int halfChunks = larger(1, slotChunks / 2);
      const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
      const int pair = warp % pairs, half = warp / pairs;
      Rows rows[2] = {Rows(a, 2 * pair, table + lane * 4),
                      Rows(a, 2 * pair + 1, table + lane * 4)};
      // Lane 8 i + r names row r of piece i of 16 bytes; pieces 4 later are at
      // this place ^ 64.
      const uint32_t piece = lane % 8 * 128 + (lane / 8 ^ lane % 8) * 16;
      uint32_t i = 0;
      for (int unit = mine.begin; unit < mine.end;) {
        const int rowBlock = unit / Chunks::chunks;
        const int begin = unit - rowBlock * Chunks::chunks,
                  end = smaller(int(Chunks::chunks), begin + mine.end - unit);
        float part[2][N / 2] = {}, sums[2][N / 2] = {};
        int group = -1;
#pragma unroll 1
        for (int chunk = begin; chunk < end; chunk += slotChunks, ++i) {
          const int count = smaller(slotChunks, end - chunk);
          const uint32_t at = base + i % slots * slotBytes;
          waitBarrier(full + 8 * (i % slots), i / slots & 1);
          const int firstGroup = Rows::groupOf(chunk * Chunks::chunkSteps);
#pragma unroll
          for (int c = 0; c < halfChunks; ++c) {
            const int inSlot = slotChunks == 1 ? 0 : half * halfChunks + c;
            if (slotChunks == 1 ? int(i & 1) != half : inSlot >= count)
              continue;
            if (const int now = Rows::firstGroupOf(chunk + inSlot);
                Rows::hasManyGroups || now != group) {
#pragma unroll
              for (int r = 0; r < 2; ++r) {
                if (scalesSums && group >= 0)
                  addScaled(sums[r], part[r], rows[r]);
                rows[r].template takeShared<kBatchTiles, slotGroups>(
                    at + xBytes + codesBytes, chunk + inSlot, firstGroup);
              }
              group = now;
            }
            RowsOperand w[2][Rows::products];
#pragma unroll
            for (int r = 0; r < 2; ++r)
              rows[r].template load<!scalesSums>(
                  at + xBytes + inSlot * Chunks::tileBytes, w[r]);
#pragma unroll
            for (int p = 0; p < Rows::products; p += 2)
#pragma unroll
              for (int n = 0; n < blocks; ++n) {
                const uint4 x =
                    loadMatrices(at + (inSlot * slices + p / 4) * N * 128 +
                                 n * 1024 + (piece ^ (p % 4 * 32)));
#pragma unroll
                for (int r = 0; r < 2; ++r) {
                  multiply(part[r], n, w[r][p], x.x, x.y);
                  multiply(part[r], n, w[r][p + 1], x.z, x.w);
                }
              }
          }
          __syncwarp();
          if (lane == 0)
            arrive(empty + 8 * (i % slots));
        }
        unit += end - begin;
#pragma unroll
        for (int r = 0; r < 2; ++r)
          if (!scalesSums || group >= 0)
            addScaled(sums[r], part[r], rows[r]);
        // The halves' sums meet: this warp has tile `half` of the two.
        const uint32_t room = base + slots * slotBytes;
        const auto placeOf = [&](int w) {
          return room + (w * (N / 2) * 32 + lane) * 4;
        };
        float own[N / 2];
#pragma unroll
        for (int n = 0; n < N / 2; ++n) {
          own[n] = half ? sums[1][n] : sums[0][n];
          storeShared4(placeOf(warp) + n * 128, half ? sums[0][n] : sums[1][n]);
        }
        pairSync(pair);
#pragma unroll
        for (int n = 0; n < N / 2; ++n)
          own[n] += __uint_as_float(
              loadShared4(placeOf((warp + pairs) % kBatchTiles) + n * 128));
        pairSync(pair);
        finish(a, own, rowBlock, 2 * pair + half, begin, end, tokens, arrived);
      }
    }
    /// Adds a group's sums, which become zeros, times its scales if they are
    /// not in it yet.
    static __device__ __forceinline__ void
    addScaled(float (&sums)[N / 2], float (&part)[N / 2], const Rows &rows) {
      const float scale[2] = {scalesSums ? rows.rowScale(0) : 1.0F,
                              scalesSums ? rows.rowScale(1) : 1.0F};
#pragma unroll
      for (int n = 0; n < N / 2; ++n) {
        sums[n] += part[n] * scale[n / 2 % 2];
        part[n] = 0;
      }
    }
    static __device__ __forceinline__ void multiply(float (&sums)[N / 2], int n,
                                                    const RowsOperand &w,
                                                    uint32_t b0, uint32_t b1) {
      float (&c)[4] = *reinterpret_cast<float (*)[4]>(sums + 4 * n);
      if constexpr (code == BF16)
        mmaBF16(c, w.a[0], w.a[1], w.a[2], w.a[3], b0, b1);
      else
        mmaF16(c, w.a[0], w.a[1], w.a[2], w.a[3], b0, b1);
    }

    /// Stores a warp's tile, of which it has chunks `begin` .. `end`.
    static __device__ __forceinline__ void
    finish(const Args &a, float (&sums)[N / 2], int rowBlock, int tile,
           int begin, int end, int tokens, uint32_t *arrived) {
      if ((begin == 0 && end == Chunks::chunks) ||
          join(a, sums, rowBlock, begin, end - begin, arrived))
        storeWide<K, N>(a, sums, rowBlock * kBatchTiles + tile, 0, tokens);
    }

    /// Leaves sums of a part of a block of rows. The last of those who share it
    /// has them all; true for that one.
    static __device__ __forceinline__ bool join(const Args &a,
                                                float (&sums)[N / 2],
                                                int rowBlock, int begin,
                                                int count, uint32_t *arrived) {
      constexpr int groupFloats = N / 2 * 128;
      const int group = threadIdx.x / 128, thread = threadIdx.x % 128;
      float *partials = pointer<float>(a.v[8]);
      // A run has two such parts at most: its first, and its last if that
      // begins a block of rows.
      auto partOf = [&](int block, bool isFirst) {
        return partials +
               ((int64_t(block) * 2 + !isFirst) * kBatchGroups + group) *
                   groupFloats +
               thread;
      };
      float *to = partOf(blockIdx.x, begin > 0);
#pragma unroll
      for (int n = 0; n < N / 2; ++n)
        to[n * 128] = sums[n];
      groupSync(group);
      uint32_t *counter =
          pointer<uint32_t>(a.v[7]) + rowBlock * kBatchGroups + group;
      if (thread == 0) {
        uint32_t before;
        asm volatile("atom.acq_rel.gpu.add.u32 %0, [%1], %2;"
                     : "=r"(before)
                     : "l"(counter), "r"(count)
                     : "memory");
        arrived[group] = before + count;
        if (before + count == Chunks::chunks)
          *counter = 0;
      }
      groupSync(group);
      if (arrived[group] != Chunks::chunks)
        return false;
      const int firstUnit = rowBlock * Chunks::chunks;
      const int first = ownerOf(firstUnit),
                last = ownerOf(firstUnit + Chunks::chunks - 1);
#pragma unroll
      for (int n = 0; n < N / 2; ++n)
        sums[n] = 0;
      // Several parts are asked for at once: each is a way through the L2
      // cache.
      constexpr int atOnce = larger(1, 64 / N);
#pragma unroll 1
      for (int block = first; block <= last; block += atOnce) {
        float more[atOnce][N / 2];
#pragma unroll
        for (int i = 0; i < atOnce; ++i) {
          const bool exists = block + i <= last;
          const int from = exists ? block + i : block;
          const float *part = partOf(from, runOf(from).begin > firstUnit);
#pragma unroll
          for (int n = 0; n < N / 2; ++n)
            more[i][n] = exists ? __ldcg(part + n * 128) : 0.0F;
        }
#pragma unroll
        for (int i = 0; i < atOnce; ++i)
#pragma unroll
          for (int n = 0; n < N / 2; ++n)
            sums[n] += more[i][n];
      }
      return true;
    }

    static __device__ __forceinline__ void groupSync(int group) {
      asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
    }
    /// The two warps with the same tiles.
    static __device__ __forceinline__ void pairSync(int pair) {
      asm volatile("bar.sync %0, 64;" ::"r"(pair + 1 + kBatchGroups)
                   : "memory");
    }
  };
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH
