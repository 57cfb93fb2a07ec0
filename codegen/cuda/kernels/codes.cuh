//===- codes.cuh - Weights of layout t16 as tensor-core operands *- C++ -*-===//
//
// A line of a t16 tile (codegen/cpu/kernels/kernels.h) is a dword of each of
// 16 rows. Lane 4 g + t of a warp reads the dwords of rows 2 g and 2 g + 1 of
// "its" lines, 8 bytes each; for the tensor core these are rows g and g + 8 of
// the operand (rows may be permuted as long as the results are), and so many
// lines in a row make a step. Elements of one line belong to one row, so k is
// permuted too: activations lie in blocks of 8 bytes in the order in which
// lanes want them (Layout.h).
//
// Signed bytes are a left-aligned code minus its default zero point: an int4
// code q becomes 16 (q - 8), with one and and one xor.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_CODES_CUH
#define QCC_CODEGEN_CUDA_KERNELS_CODES_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

__host__ __device__ constexpr bool isFloatCode(int code) {
  return code == F32 || code == F16 || code == BF16;
}
__host__ __device__ constexpr bool isTableCode(int code) {
  return code == NF4 || code == FP4;
}

/// Lines of a step, and those of a lane.
__host__ __device__ constexpr int stepLines(int code) {
  return code == Int3                                        ? 12
         : code == Int4 || code == Int2 || isTableCode(code) ? 4
                                                             : 8;
}
__host__ __device__ constexpr int laneLines(int code) {
  return stepLines(code) / 4;
}
/// Line `i` of lane 4 g + t.
__host__ __device__ constexpr int laneLine(int code, int t, int i) {
  return code == Int3 ? 3 * t + i : t + 4 * i;
}
/// Blocks of activations that a lane needs in a step, which is also the number
/// of products (of one plane of codes).
__host__ __device__ constexpr int laneBlocks(int code) {
  return code == Int3 ? 4 : code == Int2 ? 2 : 1;
}
/// Which element of a unit stands at a place of its blocks of activations: 8
/// elements a block, or 4 next to 16-bit floats. A block has what the lines of
/// one lane hold.
__host__ __device__ constexpr int stagedElement(int code, int place) {
  if (code == Int8)
    return place / 32 * 32 + place % 8 / 4 * 16 + place % 32 / 8 * 4 +
           place % 4;
  if (isFloatCode(code))
    return place / 16 * 16 + place % 4 / 2 * 8 + place % 16 / 4 * 2 + place % 2;
  return place;
}
/// How many times too large the signed bytes are.
__host__ __device__ constexpr int codeFactor(int code) {
  return code == Int4 ? 16 : code == Int3 ? 32 : code == Int2 ? 64 : 1;
}

/// A lane's part of a step: `line[i]` are the dwords of its two rows.
template <int Code>
struct LaneCodes {
  uint2 line[laneLines(Code)];
};

/// An operand: 16 rows, 32 bytes or 16 halves.
struct Operand {
  uint32_t a0, a1, a2, a3;
};

constexpr uint32_t kSigns = 0x80808080U;

/// Two bits a byte from bit `i` on, left-aligned.
template <int I>
QCC_DEVICE uint32_t twoBits(uint32_t w) {
  return (I <= 6 ? w << (6 - I) : w >> (I - 6)) & 0xc0c0c0c0U;
}

/// The operand of product `J` of a step.
template <int Code, int J>
QCC_DEVICE Operand operandOf(const LaneCodes<Code> &codes) {
  static_assert(!isTableCode(Code), "table codes have two planes");
  if constexpr (Code == Int8) {
    return {codes.line[0].x ^ kSigns, codes.line[0].y ^ kSigns,
            codes.line[1].x ^ kSigns, codes.line[1].y ^ kSigns};
  } else if constexpr (Code == Int4) {
    uint2 w = codes.line[0];
    constexpr uint32_t high = 0xf0f0f0f0U;
    return {signedBits(w.x << 4, high), signedBits(w.y << 4, high),
            signedBits(w.x, high), signedBits(w.y, high)};
  } else if constexpr (Code == Int2) {
    uint2 w = codes.line[0];
    return {twoBits<4 * J>(w.x) ^ kSigns, twoBits<4 * J>(w.y) ^ kSigns,
            twoBits<4 * J + 2>(w.x) ^ kSigns, twoBits<4 * J + 2>(w.y) ^ kSigns};
  } else if constexpr (Code == Int3) {
    // The low two bits of elements 4 i .. 4 i + 3 are bits 2 i of a line of
    // low parts, the high bit is bit i of the third line.
    uint2 low = codes.line[J / 2], high = codes.line[2];
    constexpr int i = 2 * (J % 2), h = 2 * J;
    auto join = [](uint32_t l, uint32_t topBit) {
      return ((l >> 1) | (topBit & kSigns)) ^ kSigns;
    };
    return {join(twoBits<2 * i>(low.x), high.x << (7 - h)),
            join(twoBits<2 * i>(low.y), high.y << (7 - h)),
            join(twoBits<2 * i + 2>(low.x), high.x << (6 - h)),
            join(twoBits<2 * i + 2>(low.y), high.y << (6 - h))};
  } else {
    return {codes.line[0].x, codes.line[0].y, codes.line[1].x, codes.line[1].y};
  }
}

/// Adds the products of an operand with `b`: to `sums` those of codes, to
/// `values` those of floats.
template <int Code>
QCC_DEVICE void multiplyOperand(const Operand &w, uint2 b, int (&sums)[4],
                                float (&values)[4]) {
  if constexpr (Code == F16)
    mmaF16(values, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
  else if constexpr (Code == BF16)
    mmaBF16(values, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
  else
    mmaS8(sums, w.a0, w.a1, w.a2, w.a3, b.x, b.y);
}

//===----------------------------------------------------------------------===//
// Codes as unsigned bytes
//===----------------------------------------------------------------------===//

/// Integer codes can be multiplied where they stand in a byte, as numbers from
/// zero on: that takes fewer instructions than signed bytes, and the sum of the
/// activations makes zero points good. Products go to two sums, of codes that
/// stand low and of those that stand so many times higher, which are 64 (int2)
/// or 16 times too large (GemmLayout::codeFactor):
__host__ __device__ constexpr int upperTimes(int code) {
  return code == Int2 ? 4 : 16;
}
/// Steps that are multiplied at a time.
__host__ __device__ constexpr int unsignedSteps(int code) {
  return code == Int4 ? 2 : 1;
}

/// Four words that have the three bits of an int3 each: element quads 0 to 3 of
/// the first line of low parts in the lower halves of bytes, those of the
/// second one in the upper halves.
struct JoinedInt3 {
  uint32_t quad[4];

  __device__ __forceinline__ JoinedInt3(uint32_t low0, uint32_t low1,
                                        uint32_t high) {
    constexpr uint32_t lower = 0x0f0f0f0fU, top = 0x44444444U;
    const uint32_t first = selectBits<lower>(low1 << 4, low0),
                   second = selectBits<lower>(low1, low0 >> 4);
    quad[0] = selectBits<top>(first, high << 2);
    quad[1] = selectBits<top>(first >> 2, high << 1);
    quad[2] = selectBits<top>(second, high);
    quad[3] = selectBits<top>(second >> 2, high >> 1);
  }
};

/// Adds the products of unsignedSteps steps to `sums`; `x` are their blocks of
/// activations, those of int4 in the order low nibbles of both steps, then high
/// ones.
template <int Code>
QCC_DEVICE void multiplyUnsigned(const LaneCodes<Code> *steps, const uint2 *x,
                                 int (&sums)[2][4]) {
  if constexpr (Code == Int4) {
    const uint2 w = steps[0].line[0], u = steps[1].line[0];
    constexpr uint32_t low = 0x0f0f0f0fU, high = 0xf0f0f0f0U;
    mmaU8(sums[0], w.x & low, w.y & low, u.x & low, u.y & low, x[0].x, x[0].y);
    mmaU8(sums[1], w.x & high, w.y & high, u.x & high, u.y & high, x[1].x,
          x[1].y);
  } else if constexpr (Code == Int2) {
    const uint2 w = steps[0].line[0], v = {w.x << 4, w.y << 4};
    constexpr uint32_t low = 0x30303030U, high = 0xc0c0c0c0U;
    mmaU8(sums[0], v.x & low, v.y & low, w.x & low, w.y & low, x[0].x, x[1].x);
    mmaU8(sums[1], v.x & high, v.y & high, w.x & high, w.y & high, x[0].y,
          x[1].y);
  } else {
    static_assert(Code == Int3);
    const uint2 *l = steps[0].line;
    const JoinedInt3 a(l[0].x, l[1].x, l[2].x), b(l[0].y, l[1].y, l[2].y);
    constexpr uint32_t low = 0x07070707U, high = 0x70707070U;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      mmaU8(sums[0], a.quad[i] & low, b.quad[i] & low, a.quad[i + 1] & low,
            b.quad[i + 1] & low, x[i / 2].x, x[i / 2].y);
      mmaU8(sums[1], a.quad[i] & high, b.quad[i] & high, a.quad[i + 1] & high,
            b.quad[i + 1] & high, x[2 + i / 2].x, x[2 + i / 2].y);
    }
  }
}

/// The value of a table code; `code` is a constant (docs/formats.md).
template <int Code>
__host__ __device__ constexpr float tableValue(int code) {
  constexpr float nf4[16] = {
      -1.0F,        -0.69619280F, -0.52507305F, -0.39491749F,
      -0.28444138F, -0.18477343F, -0.09105004F, 0.0F,
      0.07958030F,  0.16093020F,  0.24611230F,  0.33791524F,
      0.44070983F,  0.56261700F,  0.72295684F,  1.0F};
  constexpr float fp4[8] = {0.0F,        0.00520833F, 0.66666667F, 1.0F,
                            0.33333333F, 0.5F,        0.16666667F, 0.25F};
  return Code == NF4 ? nf4[code] : code < 8 ? fp4[code % 8] : -fp4[code % 8];
}

/// The same in f16: values of 2^-14 .. 1 and 0, rounded to nearest.
__host__ __device__ constexpr uint32_t halfBits(float v) {
  const uint32_t sign = v < 0 ? 0x8000 : 0;
  float magnitude = v < 0 ? -v : v;
  if (magnitude == 0)
    return 0;
  uint32_t exponent = 15;
  for (; magnitude < 1; magnitude *= 2)
    --exponent;
  return sign + (exponent << 10) +
         uint32_t((magnitude - 1) * 1024 + 0.5F); // may carry
}
/// Codes 2 i and 2 i + 1.
template <int Code>
__host__ __device__ constexpr uint32_t halvesWord(int i) {
  return halfBits(tableValue<Code>(2 * i)) |
         halfBits(tableValue<Code>(2 * i + 1)) << 16;
}
template <int Code, int I = 0>
QCC_DEVICE uint32_t tableHalf(uint32_t code) {
  if constexpr (I == 7) {
    constexpr uint32_t word = halvesWord<Code>(I);
    return word >> (code % 2 * 16) & 0xffff;
  } else {
    constexpr uint32_t word = halvesWord<Code>(I);
    return code / 2 == I ? word >> (code % 2 * 16) & 0xffff
                         : tableHalf<Code, I + 1>(code);
  }
}

/// Table codes two at a time: a copy for every lane, so that a warp's lanes
/// read different banks. Entry b, 128 bytes and `Stride` behind the one in
/// front of it, has the values of codes b % 16 and b / 16, in f16.
constexpr int kPairTableBytes = 256 * 32 * 4;

template <int Code, int Stride = 128>
QCC_DEVICE void fillPairTable(char *table, int thread, int threads) {
#pragma unroll 1
  for (int i = thread; i < 256 * 8; i += threads) {
    const int entry = i / 8;
    const uint32_t pair =
        tableHalf<Code>(entry % 16) | tableHalf<Code>(entry / 16) << 16;
    *reinterpret_cast<uint4 *>(table + entry * Stride +
                               i % 8 * 16) = {pair, pair, pair, pair};
  }
}

/// The tables of nf4 and fp4 as 14-bit fixed point, 8192 + round(8191 v): the
/// upper and the lower seven bits of entries 4 i .. 4 i + 3, one a byte.
template <int Code>
struct CodeTable;
template <>
struct CodeTable<NF4> {
  static constexpr int values[16] = {1,     2489,  3891,  4957, 5862,  6679,
                                     7446,  8192,  8844,  9510, 10208, 10960,
                                     11802, 12800, 14114, 16383};
};
template <>
struct CodeTable<FP4> {
  static constexpr int values[16] = {8192, 8235,  13653, 16383, 10922, 12288,
                                     9557, 10240, 8192,  8149,  2731,  1,
                                     5462, 4096,  6827,  6144};
};
template <int Code>
__host__ __device__ constexpr uint32_t tableWord(int i, int shift) {
  uint32_t word = 0;
  for (int j = 0; j < 4; ++j)
    word |= uint32_t((CodeTable<Code>::values[4 * i + j] >> shift) & 127)
            << (8 * j);
  return word;
}

/// Looks four codes (the low 16 bits of `w`) up. A selector with its highest
/// bit set yields the sign of the byte that it names, which is 0 here.
template <int Code, int Shift>
QCC_DEVICE uint32_t lookUp(uint32_t w, uint32_t flipped) {
  constexpr uint32_t t0 = tableWord<Code>(0, Shift),
                     t1 = tableWord<Code>(1, Shift),
                     t2 = tableWord<Code>(2, Shift),
                     t3 = tableWord<Code>(3, Shift);
  return permute(t0, t1, w) | permute(t2, t3, flipped);
}

/// The operand of a plane of table codes: the upper (Shift 7) or the lower
/// seven bits. Its elements are in the order k, k + 4, k + 1, k + 5, k + 2, ...
template <int Code, int Shift>
QCC_DEVICE Operand planeOf(const LaneCodes<Code> &codes) {
  uint2 w = codes.line[0];
  uint2 f = {w.x ^ 0x88888888U, w.y ^ 0x88888888U};
  return {lookUp<Code, Shift>(w.x, f.x), lookUp<Code, Shift>(w.y, f.y),
          lookUp<Code, Shift>(w.x >> 16, f.x >> 16),
          lookUp<Code, Shift>(w.y >> 16, f.y >> 16)};
}

/// The same tables for products whose sums of eight and eight codes are added
/// by the tensor cores: entries are 16128 v = 128 upper + lower, and part
/// `Half` has codes 8 Half .. 8 Half + 7. Codes of the other part select the
/// sign of the entry with their low three bits, 0 or -1; where that is -1, the
/// entry that it meets is 1 more.
constexpr int kTableUnit = 16128;
template <int Code>
__host__ __device__ constexpr int planeEntry(int code, bool isUpper) {
  const float scaled = tableValue<Code>(code) * float(kTableUnit);
  const int fixed = int(scaled < 0 ? scaled - 0.5F : scaled + 0.5F);
  const int upper = (fixed + 128 * 128) / 128 - 128; // rounds down
  return isUpper ? upper : fixed - 128 * upper;
}
template <int Code>
__host__ __device__ constexpr uint32_t signedTableWord(int half, int i,
                                                       bool isUpper) {
  uint32_t word = 0;
  for (int j = 4 * i; j < 4 * i + 4; ++j) {
    const int other = planeEntry<Code>(8 * (1 - half) + j, isUpper);
    const int entry = planeEntry<Code>(8 * half + j, isUpper) + (other < 0);
    word |= uint32_t(entry & 255) << (j % 4 * 8);
  }
  return word;
}
/// Part `Half` of four codes (the low 16 bits of `w`, whose highest bits are
/// flipped for the second part).
template <int Code, bool IsUpper, int Half>
QCC_DEVICE uint32_t lookUpPart(uint32_t w) {
  return permute(signedTableWord<Code>(Half, 0, IsUpper),
                 signedTableWord<Code>(Half, 1, IsUpper), w);
}
/// Adds a step's products of table codes to the sums of both planes; `b` is in
/// the order of planeOf.
template <int Code>
QCC_DEVICE void multiplyTable(const LaneCodes<Code> &codes, uint2 b,
                              int (&upper)[4], int (&lower)[4]) {
  const uint2 w = codes.line[0], v = {w.x >> 16, w.y >> 16};
  mmaS8(upper, lookUpPart<Code, true, 0>(w.x), lookUpPart<Code, true, 0>(w.y),
        lookUpPart<Code, true, 0>(v.x), lookUpPart<Code, true, 0>(v.y), b.x,
        b.y);
  mmaS8(lower, lookUpPart<Code, false, 0>(w.x), lookUpPart<Code, false, 0>(w.y),
        lookUpPart<Code, false, 0>(v.x), lookUpPart<Code, false, 0>(v.y), b.x,
        b.y);
  const uint2 f = {w.x ^ 0x88888888U, w.y ^ 0x88888888U},
              h = {f.x >> 16, f.y >> 16};
  mmaS8(upper, lookUpPart<Code, true, 1>(f.x), lookUpPart<Code, true, 1>(f.y),
        lookUpPart<Code, true, 1>(h.x), lookUpPart<Code, true, 1>(h.y), b.x,
        b.y);
  mmaS8(lower, lookUpPart<Code, false, 1>(f.x), lookUpPart<Code, false, 1>(f.y),
        lookUpPart<Code, false, 1>(h.x), lookUpPart<Code, false, 1>(h.y), b.x,
        b.y);
}
/// What an integer sum of a unit is in: its codes are so many times too large.
__host__ __device__ constexpr float sumUnit(int code) {
  return isTableCode(code)   ? 1.0F / float(kTableUnit)
         : isFloatCode(code) ? 1.0F
                             : 1.0F / float(codeFactor(code));
}
/// A row's sum of a unit of integer codes, in units of sumUnit; `upper` and
/// `lower` are of the two halves of activations.
QCC_DEVICE int joinHalves(int upper, int lower) { return 256 * upper + lower; }

/// A block of activations in that order.
QCC_DEVICE uint2 tableOrder(uint2 x) {
  return {permute(x.x, x.y, 0x5140), permute(x.x, x.y, 0x7362)};
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_CODES_CUH
