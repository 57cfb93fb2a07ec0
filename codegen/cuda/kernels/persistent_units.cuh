//===- persistent_units.cuh - The products of a warp ------------*- C++ -*-===//
//
// Products are those of gemv.cuh: exact int32 sums of a unit, scaled and added
// up in f32 in the order of the stream. Table codes are another matter: with
// byte permutations they cost about an instruction a code, of a kind that an SM
// does half as many of as of others. Here they are looked up two at a time in a
// table in shared memory that has a copy for every lane, and multiply
// activations that are two f16 each.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH

#include "codegen/cuda/kernels/codes.cuh"

namespace qcc::cuda {

/// What sums of a unit are in.
template <int Code>
constexpr float sumScale() {
  return isTableCode(Code) ? 1.0F : sumUnit(Code);
}

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
    uint32_t at, v;
    if constexpr (IsSpread)
      // The code becomes byte 1 of an address.
      at = permute(w, lane, 0x5504 + I * 16);
    else
      // Multiplications and permutations are done by different units.
      asm("mad.lo.u32 %0, %1, %2, %3;"
          : "=r"(at)
          : "r"(permute(w, 0, 0x4440 + I)), "r"(stride), "r"(lane + base));
    if (IsSpread && !isFixed)
      at += base;
    asm volatile("ld.shared.u32 %0, [%1+%2];"
                 : "=r"(v)
                 : "r"(at), "n"(At + (isFixed ? kSharedStart : 0)));
    return v;
  }
};

QCC_DEVICE float loadSharedFloat(uint32_t address) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address));
  return v;
}
QCC_DEVICE uint4 loadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}

/// The arithmetic of a lane: 4 g + t has rows 2 g and 2 g + 1 of a tile, and
/// token 4 s + t of each set s.
template <class K>
struct UnitSums {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code),
                        isTable = isTableCode(code);
  static constexpr int blockBytes = isTable ? 32 : 16;
  static constexpr int sets = K::maxTokens > 4 ? 2 : 1;
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  static constexpr int blocks = steps * (isTable ? 2 : laneBlocks(code));
  static constexpr bool isRagged =
      isFloat && (K::unitLines % stepLines(code) != 0 ||
                  K::lastLines % stepLines(code) != 0);

  /// A lane's codes of a unit, and its activations.
  struct Codes {
    LaneCodes<code> step[steps];
  };
  struct Activations {
    uint2 block[sets][blocks];
    int sum[sets]; ///< of a unit, times -codeFactor, for zero points
  };

  static __device__ __forceinline__ void load(Codes &codes, uint32_t at,
                                              bool isLast, int lane) {
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
      if (K::hasZero)
        asm volatile("ld.shared.s32 %0, [%1];"
                     : "=r"(x.sum[set])
                     : "r"(xAt + K::sumsAt +
                           (smaller(set * 4 + lane % 4, K::maxTokens - 1) *
                                K::unitsPerRow +
                            k) *
                               4));
      // Lane 4 g + t holds column g: a half of token g / 2.
      const int token = smaller(set * 4 + lane / 8, K::maxTokens - 1);
      const uint32_t from =
          xAt +
          (uint32_t(token) * K::rowBlocks + uint32_t(k) * K::unitBlocks +
           uint32_t(lane % 4 * laneBlocks(code))) *
              blockBytes +
          (lane / 4 & 1) * (blockBytes / 2);
      if constexpr (isTable) {
#pragma unroll
        for (int s = 0; s < steps; ++s) {
          const uint4 v = loadShared16(from + s * 4 * blockBytes);
          x.block[set][2 * s] = {v.x, v.y};
          x.block[set][2 * s + 1] = {v.z, v.w};
        }
        continue;
      }
      if constexpr (K::isPaired) {
        const uint32_t pair = from + lane % 4 * 16 + (lane / 4 & 1) * 8;
#pragma unroll
        for (int s = 0; s < steps; s += 2) {
          const uint4 v = loadShared16(pair + s * 64);
          x.block[set][s] = {v.x, v.y};
          x.block[set][s + 1] = {v.z, v.w};
        }
        continue;
      }
#pragma unroll
      for (int s = 0; s < steps; ++s)
#pragma unroll
        for (int j = 0; j < laneBlocks(code); ++j)
          x.block[set][s * laneBlocks(code) + j] =
              loadShared8(from + (s * 4 * laneBlocks(code) + j) * 16);
    }
  }

  /// The products of two steps of int4 with zero points: those of low nibbles
  /// and those of high ones, 16 times too large, from zero on. It takes no
  /// shifts, and the sum of the activations makes all of it good.
  static __device__ __forceinline__ void nibbles(const LaneCodes<code> &first,
                                                 const LaneCodes<code> &second,
                                                 const uint2 *x,
                                                 int (&sums)[2][4]) {
    const uint2 w = first.line[0], u = second.line[0];
    constexpr uint32_t low = 0x0f0f0f0fU, high = 0xf0f0f0f0U;
    mmaU8(sums[0], w.x & low, w.y & low, u.x & low, u.y & low, x[0].x, x[0].y);
    mmaU8(sums[1], w.x & high, w.y & high, u.x & high, u.y & high, x[1].x,
          x[1].y);
  }

  template <int J, class Table>
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
    } else if constexpr (J < laneBlocks(code)) {
      uint2 b = x[J];
      Operand w = operandOf<code, J>(codes);
      if constexpr (code == F16)
        mmaF16(sum, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
      else if constexpr (code == BF16)
        mmaBF16(sum, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
      else
        mmaS8(sums, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
      step<J + 1>(codes, x, table, sums, sum);
    }
  }

  /// The products of a unit, summed but not scaled.
  struct Products {
    int sums[sets][2][4];
    float values[sets][2][4];
    int activations[sets]; ///< their sum
  };

  template <class Table>
  static __device__ __forceinline__ void
  multiply(const Codes &codes, const Activations &x, const Table &table,
           Products &products) {
#pragma unroll
    for (int set = 0; set < sets; ++set) {
      // Two sums take turns, so that products need not wait for each other.
      int (&sums)[2][4] = products.sums[set];
      float (&values)[2][4] = products.values[set];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        sums[i / 4][i % 4] = 0;
        values[i / 4][i % 4] = 0;
      }
      products.activations[set] = K::hasZero ? x.sum[set] : 0;
#pragma unroll
      for (int s = 0; s < steps; ++s)
        if constexpr (K::isNibbles) {
          if (s % 2 == 0)
            nibbles(codes.step[s], codes.step[s + 1], &x.block[set][s], sums);
        } else {
          step<0>(codes.step[s], &x.block[set][s * (blocks / steps)], table,
                  sums[s % 2], values[isTable ? 0 : s % 2]);
        }
    }
  }

  /// Adds a unit's products, in units of sumScale. Scales and zero points as
  /// stored.
  static __device__ __forceinline__ void add(float (&v)[sets][2],
                                             const Products &products,
                                             uint2 storedScale,
                                             uint32_t storedZero) {
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
#pragma unroll
    for (int set = 0; set < sets; ++set) {
      const int (&sums)[2][4] = products.sums[set];
      const float (&values)[2][4] = products.values[set];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if constexpr (isTable) {
          v[set][r] = fmaf(scale[r], values[0][2 * r] + values[0][2 * r + 1],
                           v[set][r]);
        } else if constexpr (isFloat) {
          v[set][r] += (values[0][2 * r] + values[1][2 * r]) +
                       (values[0][2 * r + 1] + values[1][2 * r + 1]);
        } else {
          constexpr int times = K::isNibbles ? 16 : 1;
          int unit =
              joinHalves(times * sums[0][2 * r] + sums[1][2 * r],
                         times * sums[0][2 * r + 1] + sums[1][2 * r + 1]);
          // Codes and zero points have the same bounds, so the sum of both
          // products fits: |x| < 2^15, 256 elements, |code - zero| < 2^8.
          if (K::hasZero)
            unit += (int(r ? storedZero >> 8 : storedZero & 255) -
                     (K::isNibbles ? 0 : K::defaultZero)) *
                    products.activations[set];
          v[set][r] = fmaf(scale[r], float(unit), v[set][r]);
        }
      }
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_UNITS_CUH
