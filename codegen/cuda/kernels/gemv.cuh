//===- gemv.cuh - Few tokens times a packed weight --------------*- C++ -*-===//
//
// For steps of up to eight tokens, which are bound by the weight's bytes.
//
// The weight is a stream of units (a group of a tile's 16 rows, or a part of
// one), tile by tile. Every warp of the grid streams an equal run of it through
// a ring in shared memory, filled by bulk copies (sm_90) or cp.async, which
// start before the kernels in front have ended. Products are exact int32 sums
// of signed codes times the two int8 halves of 16-bit fixed-point activations
// (columns 2 t and 2 t + 1 of token t), scaled and added up in f32 in the order
// of the stream; 16-bit floats multiply activations split into two of the same
// type.
//
// A run may begin and end inside a tile. Such partial sums meet in shared
// memory, and those of a tile that two blocks share in the workspace: the block
// that arrives last adds them up in the order of the blocks. Results do not
// depend on timing.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_GEMV_CUH
#define QCC_CODEGEN_CUDA_KERNELS_GEMV_CUH

#include "codegen/cuda/kernels/codes.cuh"
#include "codegen/cuda/kernels/epilogue.cuh"
#include "codegen/cuda/kernels/nested.cuh"

namespace qcc::cuda {

constexpr int kGemvWarps = 8;
constexpr int kSlotBytes = 2048;
constexpr int kSlots = 4;
constexpr int kRingBytes = kSlots * kSlotBytes;

/// A warp's part of the weight, streamed through its ring.
class Stream {
public:
  __device__ __forceinline__ Stream(const char *source, uint32_t bytes,
                                    uint32_t ring, uint32_t barriers)
      : source(source), bytes(bytes), ring(ring), barriers(barriers) {
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x % 32 == 0) {
      for (int i = 0; i < kSlots; ++i)
        initBarrier(barriers + 8 * i, 1);
      fenceBarrierInit();
    }
    __syncwarp();
#endif
    for (int i = 0; i < kSlots; ++i)
      fill();
  }

  /// Waits until the first `end` bytes of the run have arrived.
  __device__ __forceinline__ void waitFor(uint32_t end) {
    end = smaller(end, bytes);
    while (ready < end) {
#if __CUDA_ARCH__ >= 900
      uint32_t slot = ready / kSlotBytes;
      waitBarrier(barriers + 8 * (slot % kSlots), slot / kSlots & 1);
#else
      waitAsync<kSlots - 1>();
      __syncwarp();
#endif
      ready += kSlotBytes;
    }
  }

  /// The first `end` bytes have been read by this lane: their room is free.
  __device__ __forceinline__ void release(uint32_t end) {
    if (end < freed + kSlotBytes)
      return;
    __syncwarp();
    while (end >= freed + kSlotBytes) {
      freed += kSlotBytes;
      fill();
    }
  }

  __device__ __forceinline__ uint2 load(uint32_t position) const {
    return loadShared8(ring + position % kRingBytes);
  }

private:
  /// Asks for the next slot. Slots beyond the end count as filled.
  __device__ __forceinline__ void fill() {
    uint32_t count =
        filled < bytes ? smaller(bytes - filled, uint32_t(kSlotBytes)) : 0;
    uint32_t at = filled % kRingBytes;
#if __CUDA_ARCH__ >= 900
    if (count && threadIdx.x % 32 == 0)
      copyBulk(ring + at, source + filled, count,
               barriers + 8 * (at / kSlotBytes));
#else
    for (uint32_t i = threadIdx.x % 32 * 16; i < count; i += 512)
      copyAsync16(ring + at + i, source + filled + i, true);
    commitAsync();
#endif
    filled += kSlotBytes;
  }

  const char *source;
  uint32_t bytes, ring, barriers;
  uint32_t filled = 0, ready = 0, freed = 0;
};

/// `K` (generated, codegen/cuda/KernelUnits.cpp) holds the shapes. Operands:
/// codes, scales, zeros, bias, residual, output, staged activations, counters
/// (u32 a tile, zero between launches), partial sums.
template <class K>
struct Gemv {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code),
                        isTable = isTableCode(code);
  static constexpr int sets = K::maxTokens > 4 ? 2 : 1;
  /// Tiles that are finished together.
  static constexpr int itemTiles = K::glu ? 2 : 1;
  static constexpr int itemUnits = itemTiles * K::unitsPerRow;
  static constexpr int units = K::tiles * K::unitsPerRow;
  /// Sums of a lane: of two rows, of each tile, of one token a set.
  static constexpr int values = itemTiles * 2 * sets;
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  static constexpr bool isRagged = K::unitLines % stepLines(code) != 0 ||
                                   K::lastLines % stepLines(code) != 0;
  static constexpr int unitBytes = K::unitLines * 64;
  /// Activations lie in shared memory where there is one token.
  static constexpr bool sharesX = K::maxTokens == 1;
  static constexpr int xBytes = sharesX ? K::rowBlocks * 16 : 0;
  static constexpr int partialBytes = kGemvWarps * 2 * values * 32 * 4;
  static constexpr int barrierBytes = 8 * (kGemvWarps * kSlots + 1);
  static constexpr int sharedBytes =
      kGemvWarps * kRingBytes + xBytes + partialBytes + barrierBytes + 64;

  struct Sums {
    float v[itemTiles][sets][2];
  };

  /// Scales and zero points of a lane's two rows, asked for two units before
  /// they are needed: they come from as far as the codes.
  struct Scales {
    float scale[2] = {1, 1}, zero[2] = {};
  };
  class ScaleQueue {
  public:
    __device__ __forceinline__ ScaleQueue(const Args &a, int begin, int end)
        : scales(pointer<const char>(a.v[1])),
          zeros(pointer<const char>(a.v[2])), unit(begin), end(end) {
      ask(0);
      ask(1);
    }
    __device__ __forceinline__ Scales next() {
      Scales now;
      if (isFloat)
        return now;
      uint2 raw = values[0];
      if constexpr (K::nested != 0) {
        now.scale[0] =
            dynamicValue(codePairs[0] & 255) * __uint_as_float(raw.x);
        now.scale[1] = dynamicValue(codePairs[0] >> 8) * __uint_as_float(raw.y);
        now.scale[0] += offsets[0];
        now.scale[1] += offsets[0];
        codePairs[0] = codePairs[1];
        offsets[0] = offsets[1];
      } else {
        now.scale[0] = convert(raw, 0);
        now.scale[1] = convert(raw, 1);
      }
      if (K::hasZero) {
        now.zero[0] = float(zeroPairs[0] & 255);
        now.zero[1] = float(zeroPairs[0] >> 8);
      }
      values[0] = values[1];
      zeroPairs[0] = zeroPairs[1];
      ask(1);
      return now;
    }

  private:
    __device__ __forceinline__ void ask(int to) {
      if (isFloat || unit >= end)
        return;
      const int n = unit++;
      const int group = n / K::unitsPerRow * K::groups +
                        n % K::unitsPerRow / K::unitsPerGroup;
      const uint64_t at = uint64_t(group) * 16 + threadIdx.x % 32 / 4 * 2;
      if constexpr (K::nested != 0) {
        const int tile = n / K::unitsPerRow, row = threadIdx.x % 32 / 4 * 2;
        if (tile != ownTile) {
          own = nestedTile<K>(zeros, tile);
          ownTile = tile;
        }
        const int inRow = group - tile * K::groups;
        values[to] = {
            __float_as_uint(nestedScale<K>(zeros, own, tile, row, inRow)),
            __float_as_uint(nestedScale<K>(zeros, own, tile, row + 1, inRow))};
        codePairs[to] = *reinterpret_cast<const uint16_t *>(scales + at);
        offsets[to] = own.offset;
        return;
      }
      if (K::scaleType == ElementF32)
        values[to] = *reinterpret_cast<const uint2 *>(scales + at * 4);
      else
        values[to].x = *reinterpret_cast<const uint32_t *>(scales + at * 2);
      if (K::hasZero)
        zeroPairs[to] = *reinterpret_cast<const uint16_t *>(zeros + at);
    }
    static __device__ __forceinline__ float convert(uint2 raw, int r) {
      if (K::scaleType == ElementF32)
        return __uint_as_float(r ? raw.y : raw.x);
      const uint16_t half = uint16_t(r ? raw.x >> 16 : raw.x);
      return K::scaleType == ElementF16 ? fromHalf(half) : fromBfloat(half);
    }

    const char *scales;
    /// Zero points, or the plane of nested scales.
    const char *zeros;
    int unit, end;
    uint2 values[2] = {};
    uint32_t zeroPairs[2] = {};
    /// With nested scales: their codes, their offsets, the tile asked for.
    uint32_t codePairs[K::nested ? 2 : 1] = {};
    float offsets[K::nested ? 2 : 1] = {};
    NestedTile own = {};
    int ownTile = -1;
  };

  /// Where the runs of the grid's warps begin.
  struct Shares {
    int each, longer; ///< units of a run; so many runs have one more

    __device__ __forceinline__ Shares()
        : each(units / (int(gridDim.x) * kGemvWarps)),
          longer(units - each * int(gridDim.x) * kGemvWarps) {}
    __device__ __forceinline__ int begin(int worker) const {
      return worker * each + smaller(worker, longer);
    }
    /// The worker that a unit belongs to.
    __device__ __forceinline__ int owner(int unit) const {
      const int inLonger = longer * (each + 1);
      return unit < inLonger ? unit / (each + 1)
                             : longer + (unit - inLonger) / each;
    }
  };
  static __device__ __forceinline__ int64_t byteOf(int unit) {
    return int64_t(unit / K::unitsPerRow) * K::tileBytes +
           unit % K::unitsPerRow * unitBytes;
  }

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *shared) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const Shares shares;
    const int worker = int(blockIdx.x) * kGemvWarps + warp;
    const int begin = shares.begin(worker), end = shares.begin(worker + 1);
    const uint32_t base = sharedAddress(shared);
    const uint32_t xAt = base + kGemvWarps * kRingBytes;
    float *partials =
        reinterpret_cast<float *>(shared + kGemvWarps * kRingBytes + xBytes);
    const uint32_t barriers = xAt + xBytes + partialBytes;

    const char *codes = pointer<const char>(a.v[0]);
    const int64_t firstByte = byteOf(begin);
    Stream stream(codes + firstByte, uint32_t(byteOf(end) - firstByte),
                  base + warp * kRingBytes, barriers + warp * kSlots * 8);
    ScaleQueue queue(a, begin, end);
    startNext();
    waitForEarlier();
    const int tokens = K::gather ? step->logit_count : step->tokens;
    if (sharesX) {
      const char *x = pointer<const char>(a.v[6]);
      for (int i = threadIdx.x * 16; i < xBytes; i += kGemvWarps * 512)
        copyAsync16(xAt + i, x + i, true);
      commitAsync();
      waitAsync<0>();
      __syncthreads();
    }

    Epilogue<K> epilogue(a, tokens);
    Sums sums = {};
    int unit = begin, item = begin / itemUnits;
    uint32_t position = 0;
    while (unit < end) {
      const int tile = unit / K::unitsPerRow;
      const int tileEnd = smaller((tile + 1) * K::unitsPerRow, end);
      const int half = itemTiles == 1 ? 0 : tile & 1;
      float v[sets][2] = {};
      runTile(a, stream, queue, position, unit - tile * K::unitsPerRow,
              tileEnd - tile * K::unitsPerRow, xAt, v);
      for (int s = 0; s < sets; ++s)
        for (int r = 0; r < 2; ++r) {
          if (itemTiles == 1 || half == 0)
            sums.v[0][s][r] = v[s][r];
          else
            sums.v[itemTiles - 1][s][r] = v[s][r];
        }
      unit = tileEnd;
      if (unit < end && unit % itemUnits != 0)
        continue;
      // The item is done, or the run is.
      const bool whole =
          item * itemUnits >= begin && (item + 1) * itemUnits <= end;
      if (whole) {
        epilogue.store(item, sums.v);
      } else {
        float *to = slot(partials, warp, item * itemUnits < begin ? 0 : 1);
        for (int i = 0; i < values; ++i)
          to[i * 32 + lane] = (&sums.v[0][0][0])[i];
      }
      sums = {};
      ++item;
    }
    __syncthreads();
    joinPartials(a, shares, epilogue, partials, warp, lane);
  }

private:
  static __device__ __forceinline__ float *slot(float *partials, int warp,
                                                int which) {
    return partials + (warp * 2 + which) * values * 32;
  }

  /// Adds units [first, last) of a tile to `v`.
  static __device__ __forceinline__ void
  runTile(const Args &a, Stream &stream, ScaleQueue &queue, uint32_t &position,
          int first, int last, uint32_t xAt, float (&v)[sets][2]) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const char *x = pointer<const char>(a.v[6]);
    const float *xScales = reinterpret_cast<const float *>(x + K::scalesAt);
    float sum[sets][4] = {};
    for (int u = first; u < last; ++u) {
      const int lines =
          u + 1 == K::unitsPerRow ? int(K::lastLines) : int(K::unitLines);
      const Scales scales = queue.next();
      int upper[sets][4] = {}, lower[isTable ? sets : 1][4] = {};
#pragma unroll
      for (int s = 0; s < steps; ++s) {
        if (s * stepLines(code) >= lines)
          break;
        stream.waitFor(position + (s + 1) * stepLines(code) * 64);
        LaneCodes<code> codes;
#pragma unroll
        for (int i = 0; i < laneLines(code); ++i) {
          const int line = s * stepLines(code) + laneLine(code, t, i);
          codes.line[i] = stream.load(position + line * 64 + g * 8);
          if (isRagged && line >= lines)
            codes.line[i] = {0, 0};
        }
        const int block = u * K::unitBlocks + (s * 4 + t) * laneBlocks(code);
#pragma unroll
        for (int set = 0; set < sets; ++set)
          products<0>(codes, x, xAt, set, block, lane, upper[set],
                      lower[isTable ? set : 0], sum[set]);
      }
      position += lines * 64;
      stream.release(position);
      if constexpr (!isFloat)
#pragma unroll
        for (int set = 0; set < sets; ++set)
#pragma unroll
          for (int r = 0; r < 2; ++r)
            v[set][r] += scales.scale[r] *
                         unitSum(x, upper[set], lower[isTable ? set : 0], set,
                                 r, t, u, scales.zero[r]);
    }
#pragma unroll
    for (int set = 0; set < sets; ++set) {
      const int token = set * 4 + t;
      const float xScale =
          code == BF16 || token >= K::maxTokens ? 1.0F : xScales[token];
#pragma unroll
      for (int r = 0; r < 2; ++r)
        v[set][r] = isFloat ? xScale * (sum[set][2 * r] + sum[set][2 * r + 1])
                            : xScale * v[set][r];
    }
  }

  /// The products of a step from the J-th on.
  template <int J>
  static __device__ __forceinline__ void
  products(const LaneCodes<code> &codes, const char *x, uint32_t xAt, int set,
           int block, int lane, int (&upper)[4], int (&lower)[4],
           float (&sum)[4]) {
    if constexpr (J < laneBlocks(code)) {
      // Lane 4 g + t holds column g: the upper (even) or lower half of token
      // g / 2.
      const int token = set * 4 + lane / 8;
      const int64_t at = int64_t(block + J) * 16 + (lane / 4 & 1) * 8;
      uint2 b = {0, 0};
      if (sharesX)
        b = loadShared8(xAt + uint32_t(at));
      else if (token < K::maxTokens)
        b = *reinterpret_cast<const uint2 *>(
            x + token * int64_t(K::rowBlocks) * 16 + at);
      if constexpr (isTable) {
        b = tableOrder(b);
        multiplyTable(codes, b, upper, lower);
      } else {
        multiplyOperand<code>(operandOf<code, J>(codes), b, upper, sum);
      }
      products<J + 1>(codes, x, xAt, set, block, lane, upper, lower, sum);
    }
  }

  /// A row's sum over a unit, without its scales.
  static __device__ __forceinline__ float
  unitSum(const char *x, const int (&upper)[4], const int (&lower)[4], int set,
          int r, int t, int u, float zero) {
    const int total = joinHalves(upper[2 * r], upper[2 * r + 1]);
    if constexpr (isTable)
      return fmaf(float(total), 128.0F,
                  float(joinHalves(lower[2 * r], lower[2 * r + 1]))) *
             sumUnit(code);
    if (!K::hasZero)
      return float(total) * sumUnit(code);
    const int token = set * 4 + t;
    int xSum = 0;
    if (token < K::maxTokens)
      xSum = reinterpret_cast<const int *>(
          x + K::sumsAt)[token * K::unitsPerRow + u];
    return float(total) * sumUnit(code) -
           (zero - float(K::defaultZero)) * float(xSum);
  }

  /// Finishes the items that several warps share. Boundary `i` between warps
  /// is the concern of warp i; of the boundaries in an item, the first counts.
  static __device__ __forceinline__ void
  joinPartials(const Args &a, const Shares &shares, const Epilogue<K> &epilogue,
               float *partials, int warp, int lane) {
    const int firstWorker = int(blockIdx.x) * kGemvWarps;
    const int blockBegin = shares.begin(firstWorker),
              blockEnd = shares.begin(firstWorker + kGemvWarps);
    for (int i = warp; i <= kGemvWarps; i += kGemvWarps) {
      const int at = shares.begin(firstWorker + i);
      const int item = at / itemUnits;
      const int itemBegin = item * itemUnits, itemEnd = itemBegin + itemUnits;
      if (at == itemBegin || blockBegin == blockEnd)
        continue;
      if (i > 0 && shares.begin(firstWorker + i - 1) > itemBegin)
        continue;
      Sums sums = {};
      for (int j = i > 0 ? i - 1 : 0; j < kGemvWarps; ++j) {
        const int from = shares.begin(firstWorker + j),
                  to = shares.begin(firstWorker + j + 1);
        if (from >= itemEnd)
          break;
        if (from == to || to <= itemBegin)
          continue;
        const float *part = slot(partials, j, itemBegin < from ? 0 : 1);
        for (int n = 0; n < values; ++n)
          (&sums.v[0][0][0])[n] += part[n * 32 + lane];
      }
      if (itemBegin >= blockBegin && itemEnd <= blockEnd)
        epilogue.store(item, sums.v);
      else
        joinBlocks(a, shares, epilogue, sums, item,
                   smaller(itemEnd, blockEnd) - larger(itemBegin, blockBegin),
                   itemBegin < blockBegin ? 0 : 1, lane);
    }
  }

  /// Leaves this block's part of an item in the workspace; the last of the
  /// blocks that share it finishes it.
  static __device__ __forceinline__ void
  joinBlocks(const Args &a, const Shares &shares, const Epilogue<K> &epilogue,
             Sums &sums, int item, int mine, int which, int lane) {
    float *room = pointer<float>(a.v[8]);
    uint32_t *counter = pointer<uint32_t>(a.v[7]) + item;
    float *to = room + (int64_t(blockIdx.x) * 2 + which) * values * 32;
    for (int n = 0; n < values; ++n)
      to[n * 32 + lane] = (&sums.v[0][0][0])[n];
    __syncwarp();
    uint32_t before = 0;
    if (lane == 0)
      before = addAcquireRelease(counter, uint32_t(mine));
    before = __shfl_sync(~0U, before, 0);
    if (int(before) + mine != itemUnits)
      return;
    if (lane == 0)
      *counter = 0;
    const int itemBegin = item * itemUnits;
    const int first = shares.owner(itemBegin) / kGemvWarps,
              last = shares.owner(itemBegin + itemUnits - 1) / kGemvWarps;
    sums = {};
    for (int block = first; block <= last; ++block) {
      const bool began = itemBegin < shares.begin(block * kGemvWarps);
      const float *part = room + (int64_t(block) * 2 + !began) * values * 32;
      for (int n = 0; n < values; ++n)
        (&sums.v[0][0][0])[n] += __ldcg(part + n * 32 + lane);
    }
    epilogue.store(item, sums.v);
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_GEMV_CUH
