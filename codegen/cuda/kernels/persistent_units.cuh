//===- persistent_units.cuh - The products of a warp ------------*- C++ -*-===//
//
// Products are those of gemv.cuh: exact int32 sums of a unit, scaled and added
// up in f32 in the order of the stream. One token's sums are in all lanes of a
// row, so each of them scales its part of the units, and the parts are added up
// where a tile ends.
//
// Lines t and t + 2 of a tile lie in the same banks of shared memory. Where
// that matters (isApart), lanes with t >= 2 read codes of the rows four pairs
// on, and their products have columns of their own: a lane has sums of half of
// a unit's lines, of the rows of rowsOf.
//
// Table codes are another matter: with byte permutations they cost about an
// instruction a code, of a kind that an SM does half as many of as of others.
// Here they are looked up two at a time in a table in shared memory that has a
// copy for every lane, and multiply activations that are two f16 each.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH

#include "codegen/cuda/kernels/codes.cuh"

namespace qcc::cuda {

/// The pair tables, `At` bytes into the block's shared memory, for one lane.
template <int At, bool IsSpread>
struct PairTable {
  uint32_t lane;   ///< bytes from `At` to the lane's copy of the first entry
  uint32_t base;   ///< where the block's shared memory begins
  uint32_t stride; ///< between entries; a compiler that knew it would shift

  /// The f16 values of byte `I` of `w`.
  template <int I>
  __device__ __forceinline__ uint32_t lookUp(uint32_t w) const {
    constexpr bool isFixed = IsSpread && kSharedStart >= 0;
    uint32_t at;
    if constexpr (IsSpread)
      // The code becomes byte 1 of an address.
      at = permute(w, lane, 0x5504 + I * 16);
    else
      // Multiplications and permutations are done by different units.
      at = multiplyAdd(permute(w, 0, 0x4440 + I), stride, lane + base);
    if (IsSpread && !isFixed)
      at += base;
    return loadSharedBehind<At + (isFixed ? kSharedStart : 0)>(at);
  }
};

/// The arithmetic of a lane, 4 g + t.
///
/// A unit is some of the tensor cores' steps, and the columns of the other
/// operand are the upper and the lower halves of its activations, four times
/// over. For sums to come out apart, a pair of columns has the activations of
/// some lanes, and zeros for the rest: those with t < 2 or the others, or,
/// where groups are smaller than a step, those of one of the K::stepUnits units
/// that are one.
template <class K>
struct UnitSums {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code),
                        isTable = isTableCode(code);
  static constexpr int blockBytes = isTable ? 32 : 16;
  /// Two blocks lie together, of neighbouring steps or of one.
  static constexpr bool isPaired = isTable || K::isPaired,
                        isOfTwo = !isTable && isPaired && laneBlocks(code) == 1;
  static constexpr int laneBytes = laneBlocks(code) * blockBytes;
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  static constexpr int blocks = steps * (isTable ? 2 : laneBlocks(code));
  static constexpr bool isRagged =
      isFloat && (K::unitLines % stepLines(code) != 0 ||
                  K::lastLines % stepLines(code) != 0);
  /// A warp's products of a slot.
  static constexpr int count = K::perWarp / K::stepUnits;
  /// Whether sums of two halves of a unit come out apart: where warps wait for
  /// shared memory, by look-ups, or because so many of them read three bits.
  /// Small groups, which have more sums to scale, would lose by it.
  static constexpr bool hasHalves =
      K::stepUnits == 1 && (isTable || code == Int3);
  /// Whether a column has activations of some lanes, and zeros for the rest.
  static constexpr bool isApart = hasHalves || K::stepUnits > 1;
  /// A warp's units of a slot come in rounds of so many, of which a lane scales
  /// one. (Nested scales are made by all lanes together.)
  static constexpr int parts = K::stepUnits > 1                 ? K::stepUnits
                               : K::scaleLine == 0 || K::nested ? 1
                               : K::perWarp % 4 == 0 && !hasHalves ? 4
                               : K::perWarp % 2 == 0               ? 2
                                                                   : 1;
  static constexpr int rounds = K::perWarp / parts;
  static_assert(count * K::stepUnits == K::perWarp);
  /// Sums are so many times too large.
  static constexpr float sumScale =
      isTable || isFloat ? 1.0F : 1.0F / K::codeFactor;

  /// The unit of each round that a lane scales.
  static __device__ __forceinline__ int partOf(int lane) {
    return (hasHalves ? lane % 4 / 2 : lane) % parts;
  }
  /// Lanes whose numbers differ in this bit have sums of different rows.
  static constexpr int rowsBit = K::stepUnits == 4 ? 2 : 1;
  /// The pair of rows that a lane has sums of: 2 i and 2 i + 1.
  static __device__ __forceinline__ int rowsOf(int lane) {
    return lane / 4 ^ (isApart && (lane & rowsBit) ? 4 : 0);
  }
  /// The pair of rows that a lane has codes of.
  static __device__ __forceinline__ int codeRowsOf(int lane) {
    return lane / 4 ^ (isApart ? lane % 4 / 2 * 4 : 0);
  }
  /// Whether a lane's column has the activations of its codes, or zeros.
  static __device__ __forceinline__ bool isOwnColumn(int lane) {
    const int pair = lane / 8;
    return K::stepUnits > 1 ? unitOf(lane) == pair % K::stepUnits
                            : !hasHalves || lane % 4 / 2 == pair % 2;
  }
  /// The unit of those of a step that a lane's codes and activations are of.
  static __device__ __forceinline__ int unitOf(int lane) {
    return K::stepUnits == 1 ? 0 : lane % 4 * K::stepUnits / 4;
  }

  /// A lane's codes of its warp's units, and its activations.
  struct Codes {
    LaneCodes<code> step[count][steps];
  };
  struct Activations {
    uint2 block[count][blocks] = {}; ///< stay zeros unless isOwnColumn
    int sum[rounds]; ///< of a unit, times -codeFactor, for zero points
  };
  /// Where a lane's activations of a row are.
  struct ActivationsAt {
    uint32_t blocksAt, sumsAt;
    /// isOwnColumn, twice: ptxas makes a branch of loads in a row that have the
    /// same condition, and does not know that threadIdx.z is 0.
    uint32_t isOwn[2];

    __device__ __forceinline__ ActivationsAt(uint32_t xAt, int lane)
        : blocksAt(xAt +
                   lane % (4 / K::stepUnits) * (isOfTwo ? 32 : laneBytes) +
                   (lane / 4 & 1) * (isPaired ? 16 : 8)),
          sumsAt(xAt + K::sumsAt) {
      isOwn[0] = uint32_t(isOwnColumn(lane));
      isOwn[1] = isOwn[0] + threadIdx.z;
    }
  };

  /// The codes of a product, whose unit (of this lane) lies at `at`.
  static __device__ __forceinline__ void
  load(LaneCodes<code> (&codes)[steps], uint32_t at, bool isLast, int lane) {
    const int rows = codeRowsOf(lane), t = lane % (4 / K::stepUnits);
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int i = 0; i < laneLines(code); ++i) {
        const int line = s * stepLines(code) + laneLine(code, t, i);
        uint2 v = loadShared8(at + line * 64 + rows * 8);
        // Padding of activations is zero, but zero times what lies behind the
        // unit need not be.
        if (isRagged && line >= (isLast ? K::lastLines : K::unitLines))
          v = {0, 0};
        codes[s].line[i] = v;
      }
  }

  /// The activations of product `i`, which are unit `k` of a row.
  static __device__ __forceinline__ void
  load(Activations &to, int i, const ActivationsAt &from, int k) {
    uint2(&x)[blocks] = to.block[i];
    const uint32_t at =
        from.blocksAt + uint32_t(k) * (K::unitBlocks * blockBytes);
    if constexpr (isPaired) {
      constexpr int perStep = isOfTwo ? 1 : blocks / steps;
#pragma unroll
      for (int b = 0; b < blocks; b += 2) {
        const uint32_t both =
            at + b / perStep * 4 * laneBytes + b % perStep * 16;
        if constexpr (isApart) {
          loadShared16If(from.isOwn[(i * blocks + b) / 2 % 2], x[b], x[b + 1],
                         both);
        } else {
          const uint4 v = loadShared16(both);
          x[b] = {v.x, v.y};
          x[b + 1] = {v.z, v.w};
        }
      }
    } else {
      static_assert(!isApart && laneBlocks(code) == 1);
#pragma unroll
      for (int b = 0; b < blocks; ++b)
        x[b] = loadShared8(at + b * 4 * laneBytes);
    }
  }
  /// The sum of the activations of unit `k`, for one half of its sum.
  static __device__ __forceinline__ int loadSum(const ActivationsAt &from,
                                                int k, int lane) {
    if (!K::hasSums)
      return 0;
    const int sum = int(loadShared4(from.sumsAt + k * 4));
    return hasHalves && lane % 2 != 0 ? 0 : sum;
  }

  template <class Table>
  static __device__ __forceinline__ void
  step(const LaneCodes<code> &codes, const uint2 *x, const Table &table,
       int (&sums)[4], float (&sum)[4]) {
    if constexpr (isTable) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint2 w = codes.line[0];
        const Operand a = j == 0 ? Operand{table.template lookUp<0>(w.x),
                                           table.template lookUp<0>(w.y),
                                           table.template lookUp<1>(w.x),
                                           table.template lookUp<1>(w.y)}
                                 : Operand{table.template lookUp<2>(w.x),
                                           table.template lookUp<2>(w.y),
                                           table.template lookUp<3>(w.x),
                                           table.template lookUp<3>(w.y)};
        mmaF16(sum, a.a0, a.a1, a.a2, a.a3, x[j].x, x[j].y);
      }
    } else {
      static_assert(laneBlocks(code) == 1,
                    "codes of 2 and 3 bits are unsigned");
      multiplyOperand<code>(operandOf<code, 0>(codes), x[0], sums, sum);
    }
  }

  /// The products of a warp's units, summed but not scaled. Two sums take
  /// turns, so that products need not wait for each other.
  struct Products {
    int sums[count][2][4];
    float values[count][2][4];
    int activations[rounds]; ///< their sums
  };

  template <class Table>
  static __device__ __forceinline__ void
  multiply(const Codes &codes, const Activations &x, const Table &table,
           Products &products) {
#pragma unroll
    for (int i = 0; i < rounds; ++i)
      products.activations[i] = x.sum[i];
#pragma unroll
    for (int i = 0; i < count; ++i) {
      int (&sums)[2][4] = products.sums[i];
      float (&values)[2][4] = products.values[i];
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        sums[j / 4][j % 4] = 0;
        values[j / 4][j % 4] = 0;
      }
#pragma unroll
      for (int s = 0; s < steps; ++s) {
        const LaneCodes<code> *from = &codes.step[i][s];
        const uint2 *block = &x.block[i][s * (blocks / steps)];
        if constexpr (!K::isUnsigned)
          step(*from, block, table, sums[s % 2], values[isTable ? 0 : s % 2]);
        else if (s % unsignedSteps(code) == 0)
          multiplyUnsigned<code>(from, block, sums);
      }
    }
  }

  /// Adds the products that a lane scales of round `round`, in units of
  /// sumScale. Scales and zero points as stored.
  static __device__ __forceinline__ void add(float (&v)[2],
                                             const Products &products,
                                             int round, uint2 storedScale,
                                             uint32_t storedZero, int lane) {
    float scale[2] = {1, 1};
    if (K::scaleLine)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint16_t half = uint16_t(r ? storedScale.x >> 16 : storedScale.x);
        scale[r] = K::scaleType == ElementF32
                       ? __uint_as_float(r ? storedScale.y : storedScale.x)
                   : K::scaleType == ElementF16 ? fromHalf(half)
                                                : fromBfloat(half);
      }
    constexpr int perRound = count / rounds;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      auto own = sumOf(products, round * perRound, r);
#pragma unroll
      for (int p = 1; p < perRound; ++p) {
        const auto other = sumOf(products, round * perRound + p, r);
        own = partOf(lane) == p ? other : own;
      }
      if constexpr (isTable || isFloat) {
        v[r] = K::scaleLine ? fmaf(scale[r], own, v[r]) : v[r] + own;
      } else {
        // Codes and zero points have the same bounds, so the sum of both
        // products fits: |x| < 2^15, 256 elements, |code - zero| < 2^8.
        if (K::hasSums) {
          const int zero = K::hasZero
                               ? int(r ? storedZero >> 8 : storedZero & 255)
                               : K::defaultZero;
          own += (zero - (K::isUnsigned ? 0 : K::defaultZero)) *
                 products.activations[round];
        }
        v[r] = fmaf(scale[r], float(own), v[r]);
      }
    }
  }
  /// Adds up what lanes have of a row of a tile: lanes 4 g have all of rows
  /// 2 g and 2 g + 1.
  static __device__ __forceinline__ void join(float (&v)[2]) {
    constexpr int lanes = hasHalves ? 2 * parts : parts;
#pragma unroll
    for (int bit = 1; bit < lanes; bit *= 2)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        v[r] += __shfl_xor_sync(~0U, v[r],
                                isApart && bit == rowsBit ? bit + 16 : bit);
  }

private:
  /// Row `r` of a lane's of product `i`.
  static __device__ __forceinline__ auto sumOf(const Products &products, int i,
                                               int r) {
    if constexpr (isTable || isFloat) {
      const float (&values)[2][4] = products.values[i];
      return isTable ? values[0][2 * r] + values[0][2 * r + 1]
                     : (values[0][2 * r] + values[1][2 * r]) +
                           (values[0][2 * r + 1] + values[1][2 * r + 1]);
    } else {
      const int (&sums)[2][4] = products.sums[i];
      constexpr int times = K::isUnsigned ? upperTimes(code) : 1;
      return joinHalves(times * sums[0][2 * r] + sums[1][2 * r],
                        times * sums[0][2 * r + 1] + sums[1][2 * r + 1]);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH
