//===- batch_few.cuh - Up to 16 tokens times a weight (sm_90a) --*- C++ -*-===//
//
// BatchGemm's products where 16 columns are too few for wgmma to be worth its
// waits: a warp multiplies two tiles by mma, warps 0 to 7 the first half of a
// slot, the others the second. At the end of a block of rows the two warps of a
// pair of tiles hand each other sums, and each finishes 8 tokens.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_BATCH_FEW_CUH
#define QCC_CODEGEN_CUDA_KERNELS_BATCH_FEW_CUH

#include "codegen/cuda/kernels/batch_ring.cuh"

namespace qcc::cuda {

/// A lane's codes and scales of two tiles next to each other in a slot, as
/// operands that are not scaled: its rows are 2 g and 2 g + 1 of both.
template <class K, class Ring>
class TilePair {
public:
  static constexpr int code = K::code;
  using Chunks = typename Ring::Chunks;
  using Rows = typename Ring::Rows;

  __device__ __forceinline__ TilePair(int pair, uint32_t table) : table(table) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    codesAt = Ring::xBytes + 2 * pair * Ring::tileStride +
              laneLine(code, t, 0) * 64 + g * 8;
    scalesAt = Ring::scalesAt + 2 * pair * groups * Rows::scaleLine +
               2 * g * scaleBytes;
    zerosAt = Ring::scalesAt + kBatchTiles * groups * Rows::scaleLine +
              2 * pair * groups * 16 + 2 * g;
  }

  /// Takes the scales of a slot's `group`-th group.
  __device__ __forceinline__ void take(uint32_t slot, int group) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const uint32_t from = slot + scalesAt + group * Rows::scaleLine +
                            r * groups * Rows::scaleLine;
      if constexpr (scaleBytes == 4) {
        const uint2 both = loadShared8(from);
        scale[r][0] = __uint_as_float(both.x);
        scale[r][1] = __uint_as_float(both.y);
      } else {
        const uint32_t both = loadShared4(from);
        scale[r][0] = storedScale<K>(both & 0xffff);
        scale[r][1] = storedScale<K>(both >> 16);
      }
      const uint32_t zeros =
          K::hasZero
              ? loadShared2(slot + zerosAt + group * 16 + r * groups * 16)
              : uint32_t(K::defaultZero) * 0x0101;
      zero[r][0] = float(zeros & 255);
      zero[r][1] = float(zeros >> 8);
    }
  }

  /// A lane's codes of a step: of [tile][row].
  struct Codes {
    uint32_t line[2][2][laneLines(code)];
  };
  /// Step `s` of the chunk at a place of a slot.
  __device__ __forceinline__ void load(uint32_t slot, int place, int s,
                                       Codes &codes) const {
    const uint32_t step =
        slot + codesAt + place * Chunks::tileBytes + s * Chunks::stepBytes;
#pragma unroll
    for (int r = 0; r < 2; ++r)
#pragma unroll
      for (int l = 0; l < laneLines(code); ++l) {
        const uint2 both =
            loadShared8(step + r * Ring::tileStride +
                        (laneLine(code, 0, l) - laneLine(code, 0, 0)) * 64);
        codes.line[r][0][l] = both.x;
        codes.line[r][1][l] = both.y;
      }
  }
  /// The operands of tile `r` in the M-th 16 elements of a step.
  template <int M>
  __device__ __forceinline__ RowsOperand operand(const Codes &codes,
                                                 int r) const {
    RowsOperand w;
    halvesOf<code, M, /*IsScaled=*/false>(codes.line[r][0], {}, table, w.a[0],
                                          w.a[2]);
    halvesOf<code, M, /*IsScaled=*/false>(codes.line[r][1], {}, table, w.a[1],
                                          w.a[3]);
    return w;
  }

  float scale[2][2], zero[2][2]; ///< of [tile][row]

private:
  static constexpr int groups = Ring::slotGroups;
  static constexpr int scaleBytes = K::scaleType == ElementF32 ? 4 : 2;

  uint32_t table, codesAt, scalesAt, zerosAt;
};

template <class K>
struct BatchFew {
  static constexpr int N = 16, blocks = N / 8, code = K::code;
  using Ring = BatchRing<K, N>;
  using Chunks = typename Ring::Chunks;
  using Sums = float[2][N / 2]; ///< of two tiles
  /// A warp has both tiles of a gate and its up: rows of tiles are as they lie.
  struct Plain : K {
    static constexpr bool glu = false;
  };
  using Rows = WideRows<Plain, Ring::tileStride>;
  static constexpr int pairs = kBatchTiles / 2;
  static constexpr int slotChunks = Ring::slotChunks;
  static constexpr int halfChunks = larger(1, slotChunks / 2);

  static __device__ __forceinline__ void consume(const Args &a, uint32_t table,
                                                 typename Ring::Cursor &ring,
                                                 BatchRun run, int tokens) {
    const int pair = threadIdx.x / 32 % pairs, half = threadIdx.x / 32 / pairs;
    using Products = Select<Ring::scalesSums, ScaledSums, ScaledWeights>;
    Products products(a, pair, table + threadIdx.x % 32 * 4);
    const BatchRun mine = Ring::ownPart(run);
    for (int at = mine.begin; at < mine.end;) {
      const int rowBlock = at / Ring::rowSlots;
      const int begin = at - rowBlock * Ring::rowSlots,
                end = smaller(Ring::rowSlots, begin + mine.end - at);
      Sums sums = {};
      products.begin();
#pragma unroll 1
      for (int i = begin; i < end; ++i) {
        // A slot of one chunk has no halves: it is for one of the two.
        const int chunk = i * slotChunks,
                  first = slotChunks == 1 ? 0 : half * halfChunks,
                  last = smaller(Ring::countAt(chunk), first + halfChunks);
        ring.waitForCopies();
        if (slotChunks > 1 || int(ring.index & 1) == half)
          products.multiply(ring.slot(), chunk, first, last, sums);
        ring.release();
      }
      at += end - begin;
      products.end(sums);
      float own[N / 2];
      exchange(own, sums, ring, pair, half);
      if (Ring::join(a, own, rowBlock, begin, end))
        store(a, own, rowBlock - Ring::firstRowBlock, pair, half, tokens);
    }
  }

private:
  /// Products of codes as they are: groups' sums are scaled.
  class ScaledSums {
  public:
    __device__ __forceinline__ ScaledSums(const Args &, int pair,
                                          uint32_t table)
        : tiles(pair, table) {}
    __device__ __forceinline__ void begin() { group = -1; }
    __device__ __forceinline__ void end(Sums &sums) {
      if (group < 0)
        return;
      addTo(sums);
      Ring::finishScaled(sums[0]);
      Ring::finishScaled(sums[1]);
    }
    /// Places `first` .. `last` of a slot, of which 0 is chunk `base`.
    __device__ __forceinline__ void multiply(uint32_t slot, int base, int first,
                                             int last, Sums &sums) {
#pragma unroll 1
      for (int place = first; place < last; ++place) {
        if (const int now = groupOf(base + place); now != group) {
          if (group >= 0)
            addTo(sums);
          group = now;
          tiles.take(slot, groupAt(base, place));
          parts[0].clear();
          parts[1].clear();
        }
#pragma unroll
        for (int r = 0; r < 2; ++r)
          parts[r].subtractZeros(tiles.zero[r], slot + Ring::sumsAt +
                                                    place * N * 4 +
                                                    threadIdx.x % 4 * 8);
#pragma unroll
        for (int s = 0; s < Chunks::chunkSteps; ++s) {
          typename TilePair<K, Ring>::Codes codes;
          tiles.load(slot, place, s, codes);
          multiplyStep<0>(slot, place, s * (Chunks::stepK / 16), codes);
        }
      }
    }

  private:
    __device__ __forceinline__ void addTo(Sums &sums) const {
#pragma unroll
      for (int r = 0; r < 2; ++r)
        parts[r].addTo(sums[r], tiles.scale[r]);
    }

    /// Products M and M + 1 of a step and those behind them; the step's first
    /// is `firstProduct` of the chunk.
    template <int M>
    __device__ __forceinline__ void
    multiplyStep(uint32_t slot, int place, int firstProduct,
                 const typename TilePair<K, Ring>::Codes &codes) {
      if constexpr (M < Chunks::stepK / 16) {
        uint4 x[blocks];
#pragma unroll
        for (int n = 0; n < blocks; ++n)
          x[n] = tokensAt(slot, place, firstProduct + M, n);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const RowsOperand w = tiles.template operand<M>(codes, r),
                            v = tiles.template operand<M + 1>(codes, r);
#pragma unroll
          for (int n = 0; n < blocks; ++n) {
            multiplyBlock(parts[r].v, n, w, x[n].x, x[n].y);
            multiplyBlock(parts[r].v, n, v, x[n].z, x[n].w);
          }
        }
        multiplyStep<M + 2>(slot, place, firstProduct, codes);
      }
    }

    /// Chunks of a group; 0: the row is one.
    static constexpr int groupChunks =
        K::groups == 1 ? 0
                       : Chunks::steps * K::unitsPerGroup / Chunks::chunkSteps;
    static __device__ __forceinline__ int groupOf(int chunk) {
      return groupChunks > 0 ? int(uint32_t(chunk) / larger(1, groupChunks))
                             : 0;
    }
    /// The group of a place among those of its slot, of which place 0 is chunk
    /// `base`.
    static __device__ __forceinline__ int groupAt(int base, int place) {
      if constexpr (groupChunks == 0 || groupChunks % slotChunks == 0)
        return 0;
      else if constexpr (slotChunks % groupChunks == 0)
        return groupOf(place);
      else
        return groupOf(base + place) - groupOf(base);
    }

    TilePair<K, Ring> tiles;
    GroupSums<code, N / 2> parts[2];
    int group;
  };

  /// Products of weights times their scales.
  class ScaledWeights {
  public:
    __device__ __forceinline__ ScaledWeights(const Args &a, int pair,
                                             uint32_t table)
        : rows{Rows(a, 2 * pair, table), Rows(a, 2 * pair + 1, table)} {}
    __device__ __forceinline__ void begin() {}
    __device__ __forceinline__ void end(Sums &) const {}
    __device__ __forceinline__ void multiply(uint32_t slot, int base, int first,
                                             int last, Sums &sums) {
#pragma unroll 1
      for (int place = first; place < last; ++place) {
        RowsOperand w[2][Rows::products];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          rows[r].template takeShared<kBatchTiles, Ring::slotGroups>(
              slot + Ring::scalesAt, base + place, Rows::firstGroupOf(base));
          rows[r].load(slot + Ring::xBytes + place * Chunks::tileBytes, w[r]);
        }
#pragma unroll
        for (int p = 0; p < Rows::products; p += 2)
#pragma unroll
          for (int n = 0; n < blocks; ++n) {
            const uint4 x = tokensAt(slot, place, p, n);
#pragma unroll
            for (int r = 0; r < 2; ++r) {
              multiplyBlock(sums[r], n, w[r][p], x.x, x.y);
              multiplyBlock(sums[r], n, w[r][p + 1], x.z, x.w);
            }
          }
      }
    }

  private:
    Rows rows[2];
  };

  /// The operands of 8 tokens for products `p` and `p` + 1 (mma) of the chunk
  /// at a place of a slot.
  static __device__ __forceinline__ uint4 tokensAt(uint32_t slot, int place,
                                                   int p, int block) {
    // Lane 8 i + r names row r of piece i of 16 bytes; pieces 4 later are at
    // this place ^ 64.
    const int lane = threadIdx.x % 32;
    const uint32_t piece = lane % 8 * 128 + (lane / 8 ^ lane % 8) * 16;
    return loadMatrices(slot + (place * Ring::slices + p / 4) * N * 128 +
                        block * 1024 + (piece ^ (p % 4 * 32)));
  }

  static __device__ __forceinline__ void
  multiplyBlock(float (&sums)[N / 2], int n, const RowsOperand &w, uint32_t b0,
                uint32_t b1) {
    float (&c)[4] = *reinterpret_cast<float (*)[4]>(sums + 4 * n);
    if constexpr (code == BF16)
      mmaBF16(c, w.a[0], w.a[1], w.a[2], w.a[3], b0, b1);
    else
      mmaF16(c, w.a[0], w.a[1], w.a[2], w.a[3], b0, b1);
  }

  /// The halves' sums meet: this warp has tokens 8 `half` .. of both tiles,
  /// four values each.
  static __device__ __forceinline__ void
  exchange(float (&own)[N / 2], const Sums &sums,
           const typename Ring::Cursor &ring, int pair, int half) {
    const int lane = ownThread() % 32;
    const uint32_t room = ring.base + Ring::slots * Ring::slotBytes;
    const auto placeOf = [&](int w) {
      return room + (w * (N / 2) * 32 + lane) * 4;
    };
#pragma unroll
    for (int n = 0; n < N / 2; ++n) {
      const float first = sums[n / 4][n % 4], second = sums[n / 4][4 + n % 4];
      own[n] = half ? second : first;
      storeShared4(placeOf(half * pairs + pair) + n * 128,
                   half ? first : second);
    }
    pairSync(pair);
#pragma unroll
    for (int n = 0; n < N / 2; ++n)
      own[n] += __uint_as_float(
          loadShared4(placeOf((1 - half) * pairs + pair) + n * 128));
    pairSync(pair);
  }
  /// The two warps with the same tiles.
  static __device__ __forceinline__ void pairSync(int pair) {
    asm volatile("bar.sync %0, 64;" ::"r"(pair + 1 + kBatchGroups) : "memory");
  }

  /// Finishes 8 tokens of two tiles.
  static __device__ __forceinline__ void store(const Args &a,
                                               const float (&own)[N / 2],
                                               int rowBlock, int pair, int half,
                                               int tokens) {
    const int tile = rowBlock * kBatchTiles + 2 * pair;
    const int g = ownThread() % 32 / 4;
    float v[2][4];
    StoredRows rows[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if constexpr (K::glu) {
        const int row = tile * 16 + 2 * g + i;
        rows[i] = {row, row + 16, tile / 2 * 16 + 2 * g + i};
      } else {
        const int row = (tile + i) * 16 + 2 * g;
        rows[i] = {row, row + 1, row};
      }
#pragma unroll
      for (int j = 0; j < 4; ++j)
        v[i][j] = K::glu ? own[j / 2 * 4 + 2 * i + j % 2] : own[4 * i + j];
    }
    storeRows<K, 8, 2>(a, v, rows, 8 * half, tokens);
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_BATCH_FEW_CUH
