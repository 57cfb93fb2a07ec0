//===- persistent_gemv.cuh - The consumers of a step ------------*- C++ -*-===//
//
// A slot of the ring has `perWarp` units of a weight for every consumer warp.
// Products are those of gemv.cuh: exact int32 sums of a unit, scaled and added
// up in f32 in the order of the stream. The warps' sums of a tile meet in
// shared memory and are added in the order of the warps, so results do not
// depend on timing, only on the number of blocks.
//
// Where a weight's tiles are cut in two (Cuts.h), the block with the first part
// of a tile writes it to the output, with bias and residual, the other one to a
// row beside it, the rest; whoever reads the output adds the two.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH

#include "codegen/cuda/kernels/persistent_attention.cuh"
#include "codegen/cuda/kernels/persistent_stage.cuh"

namespace qcc::cuda {

/// The arithmetic of a lane: 4 g + t has rows 2 g and 2 g + 1 of a tile, and
/// token 4 s + t of each set s.
template <class K>
struct UnitSums {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code),
                        isTable = isTableCode(code);
  static constexpr int sets = K::maxTokens > 4 ? 2 : 1;
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  static constexpr int blocks = steps * laneBlocks(code);
  static constexpr bool isRagged =
      isFloat && (K::unitLines % stepLines(code) != 0 ||
                  K::lastLines % stepLines(code) != 0);

  /// A lane's codes of a unit, and its activations.
  struct Codes {
    LaneCodes<code> step[steps];
  };
  struct Activations {
    uint2 block[sets][blocks];
  };

  static __device__ __forceinline__ void
  load(Codes &codes, uint32_t at, bool isLast, int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int i = 0; i < laneLines(code); ++i) {
        const int line = s * stepLines(code) + laneLine(code, t, i);
        uint2 v = loadShared8(at + line * 64 + g * 8);
        // Padding of activations is zero, but zero times what lies behind the
        // unit need not be.
        if (isRagged && line >= (isLast ? K::lastLines : K::unitLines))
          v = {0, 0};
        codes.step[s].line[i] = v;
      }
  }

  static __device__ __forceinline__ void load(Activations &x, uint32_t xAt,
                                              int k, int lane) {
#pragma unroll
    for (int set = 0; set < sets; ++set) {
      // Lane 4 g + t holds column g: a half of token g / 2.
      const int token = smaller(set * 4 + lane / 8, K::maxTokens - 1);
      const uint32_t from =
          xAt + (uint32_t(token) * K::rowBlocks + uint32_t(k) * K::unitBlocks +
                 uint32_t(lane % 4 * laneBlocks(code))) *
                    16 +
          (lane / 4 & 1) * 8;
#pragma unroll
      for (int s = 0; s < steps; ++s)
#pragma unroll
        for (int j = 0; j < laneBlocks(code); ++j)
          x.block[set][s * laneBlocks(code) + j] =
              loadShared8(from + (s * 4 * laneBlocks(code) + j) * 16);
    }
  }

  template <int J>
  static __device__ __forceinline__ void
  step(const LaneCodes<code> &codes, const uint2 *x, int (&upper)[4],
       int (&lower)[4], float (&sum)[4]) {
    if constexpr (J < laneBlocks(code)) {
      uint2 b = x[J];
      if constexpr (isTable) {
        multiplyTable(codes, b, upper, lower);
      } else {
        Operand w = operandOf<code, J>(codes);
        if constexpr (code == F16)
          mmaF16(sum, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
        else if constexpr (code == BF16)
          mmaBF16(sum, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
        else
          mmaS8(upper, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
      }
      step<J + 1>(codes, x, upper, lower, sum);
    }
  }

  /// Adds a unit's products to `v`, in units of sumUnit. `sums`: those of the
  /// activations' units.
  static __device__ __forceinline__ void
  add(const Codes &codes, const Activations &x, const float (&scale)[2],
      const float (&zero)[2], const int *sums, int k, int lane,
      float (&v)[sets][2]) {
#pragma unroll
    for (int set = 0; set < sets; ++set) {
      int upper[4] = {}, lower[4] = {};
      float sum[4] = {};
#pragma unroll
      for (int s = 0; s < steps; ++s)
        step<0>(codes.step[s], &x.block[set][s * laneBlocks(code)], upper,
                lower, sum);
      if constexpr (isFloat) {
#pragma unroll
        for (int r = 0; r < 2; ++r)
          v[set][r] += sum[2 * r] + sum[2 * r + 1];
      } else {
        int xSum = 0;
        if (K::hasZero)
          xSum = sums[smaller(set * 4 + lane % 4, K::maxTokens - 1) *
                          K::unitsPerRow +
                      k];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          float unit = float(joinHalves(upper[2 * r], upper[2 * r + 1]));
          if (isTable)
            unit = fmaf(unit, 128.0F,
                        float(joinHalves(lower[2 * r], lower[2 * r + 1])));
          if (K::hasZero)
            unit -= (zero[r] - float(K::defaultZero)) *
                    float(codeFactor(code) * xSum);
          v[set][r] += scale[r] * unit;
        }
      }
    }
  }
};

template <class P>
class Consumer : public Actor<P> {
public:
  __device__ __forceinline__ Consumer(const Step *step, const Args &a,
                                      char *shared)
      : Actor<P>(step, shared), sync(pointer<uint64_t>(a.v[2])), args(a),
        tid(threadIdx.x) {
    if (tid == 0) {
      // Nobody has passed the first barrier before this block arrives there.
      uint64_t now;
      asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
                   : "=l"(now)
                   : "l"(sync)
                   : "memory");
      target = now - now % gridDim.x;
    }
  }

  /// All blocks have done what stands before.
  __device__ __forceinline__ void barrier() {
    syncConsumers();
    if (tid == 0) {
      target += gridDim.x;
      // Releases what the whole block wrote, which it has waited for.
      asm volatile("red.release.gpu.global.add.u64 [%0], 1;" ::"l"(sync)
                   : "memory");
      uint64_t now;
      do {
        asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
                     : "=l"(now)
                     : "l"(sync)
                     : "memory");
      } while (now < target);
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
                                        uint64_t weight, uint64_t bias) {
    const int rows = K::gather ? this->step->logit_count : K::maxTokens;
    for (int m = 0; m < rows; ++m) {
      const int row =
          K::gather ? pointer<const int>(this->step->logit_rows)[m] : m;
      PersistentStage<K>::runRow(
          m, pointer<const float>(input) + int64_t(row) * K::stride,
          pointer<const float>(rest) + int64_t(row) * K::stride,
          pointer<const float>(weight), pointer<const float>(bias),
          this->shared + Places<P>::xAt, rooms(), turn);
    }
    syncConsumers();
  }

  template <class K, class... Operands>
  __device__ __forceinline__ void attention(Operands... operands) {
    PersistentAttention<K>::run(this->step, args,
                                this->shared + Places<P>::xAt, operands...);
  }

  template <class K>
  __device__ __forceinline__ void
  gemv(uint64_t, uint64_t, uint64_t, uint64_t bias, uint64_t residual,
       uint64_t residualRest, uint64_t output, uint64_t outputRest) {
    if (this->template isSkipped<K>())
      return;
    using Sums = UnitSums<K>;
    constexpr int units = K::unitsPerRow, perWarp = K::perWarp;
    tid = opaque(tid);
    const int warp = tid / 32, lane = tid % 32, g = lane / 4;
    ++this->gemvs;
    if (tid == 0)
      *reinterpret_cast<volatile uint32_t *>(
          this->shared + Places<P>::startedAt) = this->gemvs;
    const int begin = this->cut(K::stream, 0), end = this->cut(K::stream, 1);
    if (begin >= end)
      return;
    const uint32_t xAt = this->base + Places<P>::xAt;
    const int *xSums = reinterpret_cast<const int *>(
        this->shared + Places<P>::xAt + K::sumsAt);

    Round<K> round(begin, end);
    // Of the row that this thread stores in the first round.
    const float early =
        K::maxTokens == 1 ? addend<K>(round, tid, bias, residual, residualRest)
                          : 0.0F;
    int slotTile = begin / units, slotK = begin % units;
    int tile = slotTile, k = slotK;
    advance<K>(tile, k, warp * perWarp);
    float v[Sums::sets][2] = {};
    int current = tile; // whose sums `v` are
    for (int at = begin; at < end; at += K::slotUnits) {
      const int first = at + warp * perWarp;
      typename Sums::Activations x[perWarp];
      typename Sums::Codes codes[perWarp];
      float scale[perWarp][2], zero[perWarp][2];
      int unitTile[perWarp], unitK[perWarp];
#pragma unroll
      for (int j = 0; j < perWarp; ++j) {
        unitTile[j] = j ? unitTile[j ? j - 1 : 0] : tile;
        unitK[j] = j ? unitK[j ? j - 1 : 0] + 1 : k;
        if (j && unitK[j] == units) {
          unitK[j] = 0;
          ++unitTile[j];
        }
        Sums::load(x[j], xAt, unitK[j], lane);
      }
      waitBarrier(this->base + Places<P>::fullAt + 8 * this->slot,
                  this->parity);
      const uint32_t ring =
          this->base + Places<P>::ringAt + this->slot * P::slotBytes;
#pragma unroll
      for (int j = 0; j < perWarp; ++j) {
        const uint32_t from =
            ring + uint32_t((unitTile[j] - slotTile) * K::tileBytes +
                            (unitK[j] - slotK) * K::unitBytes);
        Sums::load(codes[j], from, unitK[j] == units - 1, lane);
        loadScales<K>(ring, slotTile, slotK, unitTile[j], unitK[j],
                      warp * perWarp + j, g, scale[j], zero[j]);
      }
      __syncwarp();
      if (lane == 0)
        arriveBarrier(this->base + Places<P>::emptyAt + 8 * this->slot);
#pragma unroll
      for (int j = 0; j < perWarp; ++j) {
        if (first + j >= end)
          break;
        if (unitTile[j] != current) {
          finishTile<K>(round, current, v, warp, lane, early, bias, residual,
                        residualRest, output, outputRest);
          current = unitTile[j];
          while (current >= round.end())
            flush<K>(round, warp, early, bias, residual, residualRest, output,
                     outputRest);
        }
        Sums::add(codes[j], x[j], scale[j], zero[j], xSums, unitK[j], lane, v);
      }
      advance<K>(slotTile, slotK, K::slotUnits);
      advance<K>(tile, k, K::slotUnits);
      this->nextSlot();
    }
    if (current < round.last)
      finishTile<K>(round, current, v, warp, lane, early, bias, residual,
                    residualRest, output, outputRest);
    while (round.from < round.last)
      flush<K>(round, warp, early, bias, residual, residualRest, output,
               outputRest);
  }

private:
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

  template <class K>
  static __device__ __forceinline__ void advance(int &tile, int &k, int by) {
    k += by;
    while (k >= K::unitsPerRow) {
      k -= K::unitsPerRow;
      ++tile;
    }
  }

  __device__ __forceinline__ float *rooms() const {
    return reinterpret_cast<float *>(this->shared + Places<P>::roomAt);
  }
  __device__ __forceinline__ float *sums() const {
    return reinterpret_cast<float *>(this->shared + Places<P>::sumsAt);
  }

  /// `inSlot`: the unit's number in the slot.
  template <class K>
  static __device__ __forceinline__ void
  loadScales(uint32_t ring, int slotTile, int slotK, int tile, int k,
             int inSlot, int g, float (&scale)[2], float (&zero)[2]) {
    scale[0] = scale[1] = 1;
    zero[0] = zero[1] = 0;
    if (!K::scaleLine)
      return;
    int line = inSlot;
    if (K::unitsPerGroup != 1)
      line = (tile - slotTile) * K::groups + k / K::unitsPerGroup -
             slotK / K::unitsPerGroup;
    const uint32_t at = ring + K::scalesAt + line * K::scaleLine;
    if (K::scaleType == ElementF32) {
      const uint2 raw = loadShared8(at + g * 8);
      scale[0] = __uint_as_float(raw.x);
      scale[1] = __uint_as_float(raw.y);
    } else {
      uint32_t raw;
      asm volatile("ld.shared.u32 %0, [%1];" : "=r"(raw) : "r"(at + g * 4));
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint16_t half = uint16_t(r ? raw >> 16 : raw);
        scale[r] = K::scaleType == ElementF16 ? fromHalf(half)
                                              : fromBfloat(half);
      }
    }
    if (K::zeroLine) {
      uint16_t raw;
      asm volatile("ld.shared.u16 %0, [%1];"
                   : "=h"(raw)
                   : "r"(ring + K::zerosAt + line * K::zeroLine + g * 2));
      zero[0] = float(raw & 255);
      zero[1] = float(raw >> 8);
    }
  }

  /// Leaves a warp's sums of `tile`, and zeros for those that it skipped.
  template <class K, int Sets>
  __device__ __forceinline__ void
  finishTile(Round<K> &round, int tile, float (&v)[Sets][2], int warp, int lane,
             float early, uint64_t bias, uint64_t residual,
             uint64_t residualRest, uint64_t output, uint64_t outputRest) {
    while (tile >= round.end())
      flush<K>(round, warp, early, bias, residual, residualRest, output,
               outputRest);
    skipTo(round, tile, warp, lane);
    put(round, tile, v, warp, lane);
    round.written = tile + 1;
#pragma unroll
    for (int s = 0; s < Sets; ++s)
      v[s][0] = v[s][1] = 0;
  }
  template <class K>
  __device__ __forceinline__ void skipTo(Round<K> &round, int tile, int warp,
                                         int lane) {
    constexpr int sets = UnitSums<K>::sets;
    float zeros[sets][2] = {};
    for (; round.written < tile; ++round.written)
      put(round, round.written, zeros, warp, lane);
  }
  template <class K, int Sets>
  __device__ __forceinline__ void put(const Round<K> &round, int tile,
                                      const float (&v)[Sets][2], int warp,
                                      int lane) {
#pragma unroll
    for (int s = 0; s < Sets; ++s) {
      const int token = s * 4 + lane % 4;
      if (token < K::maxTokens)
        *reinterpret_cast<float2 *>(
            sums() +
            (((tile - round.from) * kConsumerWarps + warp) * K::maxTokens +
             token) *
                16 +
            lane / 4 * 2) = {v[s][0], v[s][1]};
    }
  }

  /// What is added to output `i` of the round: the residual, or without one
  /// the bias.
  template <class K>
  static __device__ __forceinline__ float
  addend(const Round<K> &round, int i, uint64_t bias, uint64_t residual,
         uint64_t residualRest) {
    constexpr int itemTiles = K::glu ? 2 : 1;
    const int r = i % 16, token = i / 16 % K::maxTokens,
              item = i / (16 * K::maxTokens);
    const int row = (round.from + item * itemTiles) * 16 + r;
    if (row >= K::rows || item * itemTiles >= round.end() - round.from)
      return 0;
    if (K::hasResidual) {
      const int column = K::glu ? row / 32 * 16 + r : row;
      const int64_t from = int64_t(token) * K::residualStride + column;
      float v = loadFar(pointer<const float>(residual) + from);
      if (K::residualHasRest)
        v += loadFar(pointer<const float>(residualRest) + from);
      return v;
    }
    return K::hasBias ? pointer<const float>(bias)[row] : 0.0F;
  }

  /// Adds up the warps' sums of the round's tiles and stores the outputs.
  template <class K>
  __device__ __forceinline__ void
  flush(Round<K> &round, int warp, float early, uint64_t bias,
        uint64_t residual, uint64_t residualRest, uint64_t output,
        uint64_t outputRest) {
    constexpr int units = K::unitsPerRow, itemTiles = K::glu ? 2 : 1;
    const int end = round.end();
    tid = opaque(tid);
    skipTo(round, end, warp, tid % 32);
    syncConsumers();
    const int items = (end - round.from) / itemTiles;
    const float *xScales = reinterpret_cast<const float *>(
        this->shared + Places<P>::xAt + K::xScalesAt);
    const int tokens =
        K::gather ? int(this->step->logit_count) : int(K::maxTokens);
    for (int i = tid; i < items * K::maxTokens * 16; i += kConsumers) {
      const int r = i % 16, token = i / 16 % K::maxTokens,
                item = i / (16 * K::maxTokens);
      const int tile = round.from + item * itemTiles;
      const int row = tile * 16 + r;
      if (row >= K::rows || token >= tokens)
        continue;
      const int column = K::glu ? row / 32 * 16 + r : row;
      const int64_t at = int64_t(token) * K::outputStride + column;
      const bool isSecond = K::canSplit && tile * units < round.begin,
                 isFirst = K::canSplit && (tile + 1) * units > round.stop;
      const float xScale =
          K::code == BF16 ? 1.0F : xScales[token] * sumUnit(K::code);
      const bool isEarly = K::maxTokens == 1 && i < kConsumers &&
                           round.from == round.begin / units;
      const float more =
          isEarly ? early : addend<K>(round, i, bias, residual, residualRest);
      float v = add<K>(item * itemTiles, token, r) * xScale;
      if (isSecond) {
        pointer<float>(outputRest)[at] = v;
        continue;
      }
      if (K::hasBias)
        v += K::hasResidual ? pointer<const float>(bias)[row] : more;
      v = activate<K::activation>(v);
      if (K::glu) {
        float up = add<K>(item * itemTiles + itemTiles - 1, token, r) * xScale;
        if (K::hasBias)
          up += pointer<const float>(bias)[row + 16];
        v *= up;
      }
      if (K::hasResidual)
        v += more;
      pointer<float>(output)[at] = v;
      if (K::hasRest && !isFirst)
        pointer<float>(outputRest)[at] = 0;
    }
    round.from = round.written = end;
    syncConsumers();
  }
  template <class K>
  __device__ __forceinline__ float add(int tile, int token, int r) const {
    float v = 0;
#pragma unroll
    for (int w = 0; w < kConsumerWarps; ++w)
      v += sums()[((tile * kConsumerWarps + w) * K::maxTokens + token) * 16 + r];
    return v;
  }

  uint64_t *sync;
  const Args &args;
  int tid;
  uint64_t target = 0;
  uint32_t turn = 0;
};

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// Operands: the table of operands, the cuts [streams][blocks + 1], the
/// barrier's counter, counters, room for partial results.
template <class P, class Program>
struct Persistent {
  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *shared) {
    const uint32_t base = sharedAddress(shared);
    if (threadIdx.x == 0) {
      for (int i = 0; i < P::slots; ++i) {
        initBarrier(base + Places<P>::fullAt + 8 * i, 1);
        initBarrier(base + Places<P>::emptyAt + 8 * i, kConsumerWarps);
      }
      fenceBarrierInit();
      *reinterpret_cast<uint32_t *>(shared + Places<P>::startedAt) = 0;
    }
    uint64_t *table = reinterpret_cast<uint64_t *>(shared + Places<P>::tableAt);
    for (int i = threadIdx.x; i < P::words; i += kPersistentThreads)
      table[i] = pointer<const uint64_t>(a.v[0])[i];
    int *cuts = reinterpret_cast<int *>(shared + Places<P>::cutsAt);
    for (int i = threadIdx.x; i < 2 * P::streams; i += kPersistentThreads)
      cuts[i] = pointer<const int>(
          a.v[1])[i / 2 * (int(gridDim.x) + 1) + int(blockIdx.x) + i % 2];
    __syncthreads();
    if (threadIdx.x < kConsumers) {
      Consumer<P> consumer(step, a, shared);
      Program::run(consumer);
    } else {
      Producer<P> producer(step, shared);
      Program::run(producer);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_GEMV_CUH
