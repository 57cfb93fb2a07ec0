//===- persistent_gemv.cuh - The consumers of a step ------------*- C++ -*-===//
//
// A slot of the ring has `perWarp` units of a weight for every consumer warp,
// which adds up their products in the order of the stream. The warps' sums of a
// tile meet in shared memory and are added in the order of the warps, so
// results do not depend on timing, only on the number of blocks.
//
// Where a weight's tiles are cut in two (Cuts.h), the block with the first part
// of a tile writes it to the output, with bias and residual, the other one to a
// row beside it, the rest; whoever reads the output adds the two.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH

#include "codegen/cuda/kernels/nested.cuh"
#include "codegen/cuda/kernels/persistent_attention.cuh"
#include "codegen/cuda/kernels/persistent_phases.cuh"
#include "codegen/cuda/kernels/persistent_stage.cuh"
#include "codegen/cuda/kernels/persistent_units.cuh"

namespace qcc::cuda {

template <class P>
class Consumer : public Actor<P> {
public:
  __device__ __forceinline__ Consumer(const Step *step, const Args &a,
                                      char *shared)
      : Actor<P>(step, shared), sync(pointer<uint64_t>(a.v[2])),
        tid(threadIdx.x), target(*reinterpret_cast<const uint64_t *>(
                              shared + Places<P>::startedAt + 8)) {}

  /// All blocks have done what stands before.
  __device__ __forceinline__ void barrier() {
    syncConsumers();
    if (tid == 0) {
      target += gridDim.x;
      // Releases what the whole block wrote, which it has waited for.
      asm volatile("red.release.gpu.global.add.u64 [%0], 1;" ::"l"(sync)
                   : "memory");
      while (loadAcquire(sync) < target) {
      }
    }
    syncConsumers();
  }

  /// A phase that is told which consumer of the grid this is: K::run(step,
  /// block, blocks, thread, operands...).
  template <class K, class... Operands>
  __device__ __forceinline__ void phase(Operands... operands) {
    K::run(this->step, int(blockIdx.x), int(gridDim.x), tid, rooms(), turn,
           operands...);
  }

  template <class K>
  __device__ __forceinline__ void stage(uint64_t input, uint64_t rest,
                                        uint64_t weight, uint64_t bias,
                                        uint64_t order, uint32_t tag) {
    // A loop: with a condition, ptxas keeps more in registers (nf4 1 % slower).
    for (int rows = K::gather ? this->step->logit_count : 1; rows > 0; --rows)
      PersistentStage<K>::stage(
          pointer<const float>(input), pointer<const float>(rest),
          pointer<const float>(weight), pointer<const float>(bias),
          pointer<const float>(order), tag, this->shared + Places<P>::xAt,
          rooms(), turn);
    syncConsumers();
  }

  template <class K, class... Operands>
  __device__ __forceinline__ void attention(Operands... operands) {
    ++this->gemvs;
    PersistentAttention<P, K>::run(
        *this,
        [&] {
          if (tid == 0)
            *reinterpret_cast<volatile uint32_t *>(
                this->shared + Places<P>::startedAt) = this->gemvs;
        },
        this->step, this->launch * P::streamed + this->gemvs,
        this->shared + Places<P>::xAt, operands...);
  }

  template <class K>
  __device__ __forceinline__ void
  gemv(uint64_t, uint64_t, uint64_t, uint64_t bias, uint64_t residual,
       uint64_t residualRest, uint64_t output, uint64_t outputRest,
       uint32_t residualTag, uint32_t outputTag) {
    const Ends ends = {bias,       residual,    residualRest, output,
                       outputRest, residualTag, outputTag};
    if (this->template isSkipped<K>())
      return;
    using Sums = UnitSums<K>;
    constexpr int units = K::unitsPerRow, perWarp = K::perWarp;
    tid = opaque(tid);
    const int warp = tid / 32, lane = tid % 32;
    ++this->gemvs;
    if (tid == 0)
      *reinterpret_cast<volatile uint32_t *>(
          this->shared + Places<P>::startedAt) = this->gemvs;
    const int begin = this->cut(K::stream, 0), end = this->cut(K::stream, 1);
    if (begin >= end)
      return;

    Round<K> round(begin, end);
    // Of the row that this thread stores in the first round.
    const Addend early = loadAddend<K>(round, tid, ends);
    // What a slot's products need is read behind those of the slot in front,
    // which are scaled and added up meanwhile: a warp waits for shared memory
    // and for the tensor cores at once.
    Place<K> slot(begin), place(begin + warp * perWarp);
    Chunk<K> scales;
    const PairTable<Places<P>::pairsAt, P::isSpread> table = {
        uint32_t(Places<P>::template pairsOf<K::code>() + lane * 4), this->base,
        128 + threadIdx.z};
    typename Sums::Activations x;
    const typename Sums::ActivationsAt xFrom(this->base + Places<P>::xAt, lane);
    Fetched<K> now = {};
    fetchCodes<K>(now, x, xFrom, slot, place, warp, lane);
    fetchScales<K>(now, scales, slot, place, warp, lane);
    // Sums of the tile `current`, and of the one behind it, if its first units
    // have been seen.
    float v[2] = {}, later[2] = {};
    int current = place.tile, behind = -1, seen = -1;
    // Units from the slot's first one on.
    int left = end - begin;
    while (true) {
      const bool isOver = left <= 0;
      const int wanted = isOver ? round.last : place.tile;
      // The one place where tiles are finished: the code is long.
      if (wanted != seen) {
        while (current != wanted || current >= round.end()) {
          if (current >= round.end()) {
            if (round.from >= round.last)
              break;
            flush<K>(round, warp, early, ends);
            continue;
          }
          skipTo(round, current, warp, lane);
          Sums::join(v);
          put(round, current, v, warp, lane);
          round.written = current + 1;
          current = behind >= 0 ? behind : wanted;
          behind = -1;
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            v[r] = later[r];
            later[r] = 0;
          }
        }
        seen = wanted;
      }
      if (isOver)
        break;
      typename Sums::Products products;
      Sums::multiply(now.codes, x, table, products);

      const Place<K> unit = place;
      const int own = left - warp * perWarp; // of this warp and behind it
      slot.template advance<K::slotUnits>();
      place.template advance<K::slotUnits>();
      left -= K::slotUnits;
      if (left > 0)
        fetchCodes<K>(now, x, xFrom, slot, place, warp, lane);
      // Where rows and shares are multiples of a warp's units, those are always
      // all of one tile.
      const bool isOne = K::isEven
                             ? own > 0
                             : own >= perWarp && unit.tile == current &&
                                   unit.behind(perWarp - 1).tile == current;
      if (isOne) {
#pragma unroll
        for (int i = 0; i < Sums::rounds; ++i)
          Sums::add(v, products, i, scaleOf<K>(now, i, lane), now.zero[i],
                    lane);
      } else if constexpr (!K::isEven) {
        const int last = unit.behind(smaller(own, perWarp) - 1).tile;
        if (own > 0 && last != current)
          behind = last;
#pragma unroll
        for (int i = 0; i < Sums::rounds; ++i) {
          const int j = i * Sums::parts + Sums::partOf(lane);
          float part[2] = {};
          Sums::add(part, products, i, scaleOf<K>(now, i, lane), now.zero[i],
                    lane);
          const bool exists = j < own, isLater = unit.behind(j).tile != current;
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            v[r] += exists && !isLater ? part[r] : 0.0F;
            if (perWarp > 1)
              later[r] += exists && isLater ? part[r] : 0.0F;
          }
        }
      }
      if (left > 0)
        fetchScales<K>(now, scales, slot, place, warp, lane);
    }
  }

private:
  /// What a gemv's results are added to, and where they go.
  struct Ends {
    uint64_t bias, residual, residualRest, output, outputRest;
    uint32_t residualTag, outputTag;
  };
  /// What is added to a result: the residual, in two parts, or without one the
  /// bias.
  struct Addend {
    float value = 0, rest = 0;
  };

  /// The tiles whose sums are collected at a time.
  template <class K>
  struct Round {
    int begin, stop; ///< units of the block
    int from, last;  ///< the round's first tile, the end of all
    int written;     ///< tiles before it have this warp's sums

    __device__ __forceinline__ Round(int begin, int stop)
        : begin(begin), stop(stop), from(begin / K::unitsPerRow),
          last((stop - 1) / K::unitsPerRow + 1), written(from) {}
    __device__ __forceinline__ int end() const {
      return smaller(from + K::roundTiles, last);
    }
  };

  /// A unit of a weight.
  template <class K>
  struct Place {
    int tile, k;

    Place() = default;
    __device__ __forceinline__ explicit Place(int unit)
        : tile(unit / K::unitsPerRow), k(unit % K::unitsPerRow) {}
    __device__ __forceinline__ int unit() const {
      return tile * K::unitsPerRow + k;
    }
    /// The `j`th unit of a warp's part of a slot that begins here.
    __device__ __forceinline__ Place behind(int j) const {
      Place other = *this;
      other.k += j;
      if (!K::isEven && other.k >= K::unitsPerRow) {
        other.k -= K::unitsPerRow;
        ++other.tile;
      }
      return other;
    }
    template <int By>
    __device__ __forceinline__ void advance() {
      constexpr int rows = By / K::unitsPerRow, rest = By % K::unitsPerRow;
      const bool wraps = k + rest >= K::unitsPerRow;
      tile += rows + int(wraps);
      k += rest - (wraps ? K::unitsPerRow : 0);
    }
  };

  /// Scales and zero points of some slots.
  template <class K>
  struct Chunk {
    int slots = K::chunkSlots - 1; ///< that came before, of those
    Place<K> first;
    uint32_t at;
  };

  /// A warp's part of a slot.
  template <class K>
  struct Fetched {
    using Sums = UnitSums<K>;
    typename Sums::Codes codes;
    /// Of the units that the lane scales.
    uint2 scale[Sums::rounds];   ///< as stored; 16-bit ones in the first word
    uint32_t zero[Sums::rounds]; ///< a byte each row
    /// Nested scales: lane i has row i % 16 of units i / 16, 2 + i / 16, ...
    float unnested[(K::perWarp + 1) / 2];
  };

  /// A lane's scales of its two rows, of the unit of round `i` that it scales.
  template <class K>
  static __device__ __forceinline__ uint2 scaleOf(const Fetched<K> &from, int i,
                                                  int lane) {
    if constexpr (K::nested == 0)
      return from.scale[i];
    static_assert(K::nested == 0 || UnitSums<K>::parts == 1);
    const int source = i % 2 * 16 + UnitSums<K>::rowsOf(lane) * 2;
    const float own = from.unnested[i / 2];
    return {__float_as_uint(__shfl_sync(~0U, own, source)),
            __float_as_uint(__shfl_sync(~0U, own, source + 1))};
  }

  /// A lane's scales of the units of its warp, from their codes.
  template <class K>
  __device__ __forceinline__ void unnest(Fetched<K> &to, const Chunk<K> &scales,
                                         Place<K> place, int warp, int lane) {
#pragma unroll
    for (int i = 0; i < (K::perWarp + 1) / 2; ++i) {
      const bool isOdd = 2 * i + 1 < K::perWarp && lane >= 16;
      const Place<K> unit =
          isOdd ? place.behind(2 * i + 1) : place.behind(2 * i);
      const int row = lane % 16;
      const uint32_t at = scales.at +
                          lineOf<K>(scales, unit,
                                    warp * K::perWarp + 2 * i + isOdd) *
                              K::scaleLine,
                     tile =
                         scales.at + K::zerosAt +
                         (unit.tile - scales.first.tile) * K::nestedTileBytes;
      uint32_t code;
      asm volatile("ld.shared.u8 %0, [%1];" : "=r"(code) : "r"(at + row));
      const uint2 head = loadShared8(tile);
      // What lies behind a block's last unit is not in bounds.
      const uint32_t which = smaller(
          (head.x + uint32_t(row * K::groups + unit.k / K::unitsPerGroup)) /
              uint32_t(larger(1, int(K::nested))),
          uint32_t(K::nestedTileBytes / 4 - 3));
      const float nested = __uint_as_float(loadShared4(tile + 8 + which * 4)),
                  value = __uint_as_float(
                      loadShared4(this->base + Places<P>::mapAt + code * 4));
      to.unnested[i] =
          __fadd_rn(__fmul_rn(value, nested), __uint_as_float(head.y));
    }
  }

  /// The line of a chunk's scales that a unit has, the `inSlot`th of its slot.
  template <class K>
  static __device__ __forceinline__ int lineOf(const Chunk<K> &scales,
                                               Place<K> unit, int inSlot) {
    return K::unitsPerGroup == 1 ? scales.slots * K::slotUnits + inSlot
                                 : (unit.tile - scales.first.tile) * K::groups +
                                       unit.k / K::unitsPerGroup -
                                       scales.first.k / K::unitsPerGroup;
  }

  /// Reads the activations of this warp's units, from `place` on, waits for the
  /// next slot of the ring, which begins with unit `slot`, and reads the codes.
  template <class K>
  __device__ __forceinline__ void
  fetchCodes(Fetched<K> &to, typename UnitSums<K>::Activations &x,
             const typename UnitSums<K>::ActivationsAt &xFrom, Place<K> slot,
             Place<K> place, int warp, int lane) {
    using Sums = UnitSums<K>;
    const int first = Sums::unitOf(lane);
#pragma unroll
    for (int i = 0; i < Sums::count; ++i)
      Sums::load(x, i, xFrom, place.behind(i * K::stepUnits + first).k);
#pragma unroll
    for (int i = 0; i < Sums::rounds; ++i)
      x.sum[i] = Sums::loadSum(
          xFrom, place.behind(i * Sums::parts + Sums::partOf(lane)).k, lane);
    this->waitForSlot();
#pragma unroll
    for (int i = 0; i < Sums::count; ++i) {
      const int j = i * K::stepUnits + first;
      const Place<K> unit = place.behind(j);
      // Units lie one behind the other, but a row's last may be shorter.
      constexpr int missing = K::unitsPerRow * K::unitBytes - K::tileBytes;
      const uint32_t from = this->slotAt() +
                            (warp * K::perWarp + j) * K::unitBytes -
                            (unit.tile - slot.tile) * missing;
      Sums::load(to.codes.step[i], from, unit.k == K::unitsPerRow - 1, lane);
    }
  }
  /// Reads the scales and zero points of those units and gives the slot back.
  template <class K>
  __device__ __forceinline__ void fetchScales(Fetched<K> &to, Chunk<K> &scales,
                                              Place<K> slot, Place<K> place,
                                              int warp, int lane) {
    const int rows = UnitSums<K>::rowsOf(lane);
    if (K::scaleLine && ++scales.slots >= K::chunkSlots)
      scales = {0, slot, this->nextChunk()};
    if constexpr (K::nested != 0) {
      unnest<K>(to, scales, place, warp, lane);
    } else if constexpr (K::scaleLine != 0) {
      using Sums = UnitSums<K>;
#pragma unroll
      for (int i = 0; i < Sums::rounds; ++i) {
        const int j = i * Sums::parts + Sums::partOf(lane);
        const int line =
            lineOf<K>(scales, place.behind(j), warp * K::perWarp + j);
        const uint32_t at = scales.at + line * K::scaleLine;
        if (K::scaleType == ElementF32)
          to.scale[i] = loadShared8(at + rows * 8);
        else
          asm volatile("ld.shared.u32 %0, [%1];"
                       : "=r"(to.scale[i].x)
                       : "r"(at + rows * 4));
        if (K::zeroLine)
          asm volatile(
              "ld.shared.u16 %0, [%1];"
              : "=r"(to.zero[i])
              : "r"(scales.at + K::zerosAt + line * K::zeroLine + rows * 2));
      }
    }
    this->releaseSlot(lane);
  }

  __device__ __forceinline__ float *rooms() const {
    return reinterpret_cast<float *>(this->shared + Places<P>::roomAt);
  }
  /// A warp's sums of a tile of the round, of its 16 rows.
  template <class K>
  __device__ __forceinline__ float *sums(int tile, int warp) const {
    int at;
    if constexpr (P::sumsInTable) {
      // Two warps' are behind each entry of the table.
      constexpr int warps = (kConsumerWarps + 1) / 2 * 2;
      static_assert(K::roundTiles * warps <= 2 * 256);
      at = Places<P>::pairsAt + 128 + tile * (warps * 128) +
           (warp + warp / 2 * 2) * 64;
    } else {
      at = Places<P>::sumsAt + (tile * kConsumerWarps + warp) * 64;
    }
    return reinterpret_cast<float *>(this->shared + at);
  }

  /// Leaves zeros as this warp's sums of the tiles before `tile`.
  template <class K>
  __device__ __forceinline__ void skipTo(Round<K> &round, int tile, int warp,
                                         int lane) {
    const float zeros[2] = {};
#pragma unroll 1
    for (; round.written < tile; ++round.written)
      put(round, round.written, zeros, warp, lane);
  }
  template <class K>
  __device__ __forceinline__ void put(const Round<K> &round, int tile,
                                      const float (&v)[2], int warp, int lane) {
    if (lane % 4 == 0)
      *reinterpret_cast<float2 *>(sums<K>(tile - round.from, warp) +
                                  lane / 4 * 2) = {v[0], v[1]};
  }

  /// What is added to output `i` of the round, as it is now.
  template <class K>
  static __device__ __forceinline__ Addend loadAddend(const Round<K> &round,
                                                      int i, const Ends &ends) {
    constexpr int itemTiles = K::glu ? 2 : 1;
    const int r = i % 16, item = i / 16;
    const int row = (round.from + item * itemTiles) * 16 + r;
    if (row >= K::rows || item * itemTiles >= round.end() - round.from)
      return {};
    if (K::hasResidual) {
      const int column = K::glu ? row / 32 * 16 + r : row;
      const float *value = pointer<const float>(ends.residual) + column,
                  *rest = pointer<const float>(ends.residualRest) + column;
      return {loadPart<K>(value), K::residualHasRest ? loadPart<K>(rest) : 0};
    }
    return {K::hasBias ? pointer<const float>(ends.bias)[row] : 0.0F, 0};
  }
  template <class K>
  static __device__ __forceinline__ float loadPart(const float *p) {
    return K::isResidualTagged ? loadNow(p) : loadFar(p);
  }
  template <class K>
  static __device__ __forceinline__ bool isHere(Addend x, uint32_t tag) {
    return !K::hasResidual || !K::isResidualTagged ||
           (hasTag(x.value, tag) &&
            (!K::residualHasRest || hasTag(x.rest, tag)));
  }
  template <class K>
  static __device__ __forceinline__ void store(uint64_t row, int64_t at,
                                               float v, uint32_t tag) {
    if (K::isOutputTagged)
      storeTagged(pointer<float>(row) + at, v, tag);
    else
      pointer<float>(row)[at] = v;
  }

  /// Adds up the warps' sums of the round's tiles and stores the outputs.
  template <class K>
  __device__ __forceinline__ void flush(Round<K> &round, int warp, Addend early,
                                        const Ends &ends) {
    constexpr int units = K::unitsPerRow, itemTiles = K::glu ? 2 : 1;
    const int end = round.end();
    tid = opaque(tid);
    skipTo(round, end, warp, tid % 32);
    syncConsumers();
    const int items = (end - round.from) / itemTiles;
    const float *xScaleAt = reinterpret_cast<const float *>(
        this->shared + Places<P>::xAt + K::xScalesAt);
    for (int i = tid; i < items * 16; i += kConsumers) {
      const int r = i % 16, item = i / 16;
      const int tile = round.from + item * itemTiles;
      const int row = tile * 16 + r;
      if (row >= K::rows)
        continue;
      const int column = K::glu ? row / 32 * 16 + r : row;
      const bool isSecond = K::canSplit && tile * units < round.begin,
                 isFirst = K::canSplit && (tile + 1) * units > round.stop;
      const float xScale =
          K::code == BF16 ? 1.0F : *xScaleAt * UnitSums<K>::sumScale;
      const bool isEarly = i < kConsumers && round.from == round.begin / units;
      Addend addend = isEarly ? early : loadAddend<K>(round, i, ends);
      float v = add<K>(item * itemTiles, r) * xScale;
      if (isSecond) {
        store<K>(ends.outputRest, column, v, ends.outputTag);
        continue;
      }
      while (!isHere<K>(addend, ends.residualTag))
        addend = loadAddend<K>(round, i, ends);
      const float more =
          K::hasResidual && K::isResidualTagged
              ? withoutTag(addend.value) + withoutTag(addend.rest)
              : addend.value + addend.rest;
      if (K::hasBias)
        v += K::hasResidual ? pointer<const float>(ends.bias)[row] : more;
      v = activate<K::activation>(v);
      if (K::glu) {
        float up = add<K>(item * itemTiles + itemTiles - 1, r) * xScale;
        if (K::hasBias)
          up += pointer<const float>(ends.bias)[row + 16];
        v *= up;
      }
      if (K::hasResidual)
        v += more;
      store<K>(ends.output, column, v, ends.outputTag);
      if (K::hasRest && !isFirst)
        store<K>(ends.outputRest, column, 0, ends.outputTag);
    }
    round.from = round.written = end;
    syncConsumers();
  }
  template <class K>
  __device__ __forceinline__ float add(int tile, int r) const {
    float v = 0;
#pragma unroll
    for (int w = 0; w < kConsumerWarps; ++w)
      v += sums<K>(tile, w)[r];
    return v;
  }

  uint64_t *sync;
  int tid;
  uint64_t target;
  uint32_t turn = 0;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH
