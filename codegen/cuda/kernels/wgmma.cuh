//===- wgmma.cuh - Tensor cores of a warpgroup (sm_90a) ---------*- C++ -*-===//
//
// wgmma.mma_async with a weight in registers and activations in shared memory:
// 64 rows times N tokens, 16 elements of k (PTX ISA, "Asynchronous warpgroup
// level matrix instructions"). Lane 4 g + t of warp w holds rows 16 w + g and
// 16 w + g + 8 of the weight: k = 2 t, 2 t + 1 in a0 and a1, k + 8 in a2 and
// a3; and of the sums tokens 8 j + 2 t + p: c[4 j + p] and c[4 j + 2 + p].
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_WGMMA_CUH
#define QCC_CODEGEN_CUDA_KERNELS_WGMMA_CUH

#include "codegen/cuda/kernels/codes.cuh"
#include "codegen/cuda/kernels/sums.cuh"

namespace qcc::cuda {

/// Registers that wgmma will read or add to have been written.
QCC_DEVICE void wgmmaFence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
QCC_DEVICE void wgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Pending>
QCC_DEVICE void wgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/// Describes tokens in rows of 128 bytes, 8 rows an atom of 1024 bytes that is
/// aligned to its size, 16-byte piece p of row r at p ^ r. 16 elements of k
/// later it is 2 more.
QCC_DEVICE uint64_t tokensDescriptor(uint32_t shared) {
  constexpr uint64_t swizzle128 = uint64_t(1) << 62,
                     atomStride = uint64_t(1024 / 16) << 32,
                     unused = uint64_t(1) << 16;
  return uint64_t((shared & 0x3ffff) >> 4) | unused | atomStride | swizzle128;
}

/// A lane's part of 64 rows and 16 elements of k.
struct RowsOperand {
  uint32_t a[4];
};

/// Has operands written here, not between instructions that read them.
template <int Count>
QCC_DEVICE void settle(RowsOperand (&w)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i)
    asm volatile(""
                 : "+r"(w[i].a[0]), "+r"(w[i].a[1]), "+r"(w[i].a[2]),
                   "+r"(w[i].a[3])
                 :
                 : "memory");
}

/// Moves operands to the registers that wgmma reads; none may be pending.
/// ptxas makes all of them wait where an operand is written while one is, and
/// makes registers of a plain move one: hence `zero`, which it does not know.
template <int Count>
QCC_DEVICE void place(RowsOperand (&to)[Count],
                      const RowsOperand (&from)[Count], uint32_t zero) {
#pragma unroll
  for (int i = 0; i < Count; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      asm volatile("or.b32 %0, %1, %2;"
                   : "=r"(to[i].a[j])
                   : "r"(from[i].a[j]), "r"(zero)
                   : "memory");
}

// An instruction names every register: lists of 8 of c from `i` on, and of 10
// or 8 operands' numbers.
#define QCC_SUMS8(i)                                                           \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]),  \
      "+f"(c[i + 5]), "+f"(c[i + 6]), "+f"(c[i + 7])
#define QCC_SUMS32(i)                                                          \
  QCC_SUMS8(i), QCC_SUMS8(i + 8), QCC_SUMS8(i + 16), QCC_SUMS8(i + 24)
#define QCC_NAMES10(d)                                                         \
  "%" #d "0,%" #d "1,%" #d "2,%" #d "3,%" #d "4,%" #d "5,%" #d "6,%" #d        \
  "7,%" #d "8,%" #d "9"
#define QCC_NAMES0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9"
#define QCC_NAMES8(d)                                                          \
  "%" #d "0,%" #d "1,%" #d "2,%" #d "3,%" #d "4,%" #d "5,%" #d "6,%" #d "7"
#define QCC_NAMES30 QCC_NAMES0 "," QCC_NAMES10(1) "," QCC_NAMES10(2)
#define QCC_NAMES60                                                            \
  QCC_NAMES30 "," QCC_NAMES10(3) "," QCC_NAMES10(4) "," QCC_NAMES10(5)
#define QCC_NAMES90                                                            \
  QCC_NAMES60 "," QCC_NAMES10(6) "," QCC_NAMES10(7) "," QCC_NAMES10(8)
#define QCC_NAMES120                                                           \
  QCC_NAMES90 "," QCC_NAMES10(9) "," QCC_NAMES10(10) "," QCC_NAMES10(11)
/// `a` .. `p`: the numbers of the four registers of rows, of the descriptor and
/// of the flag, which follow those of the sums.
#define QCC_WGMMA(n, type, names, a0, a1, a2, a3, b, p, ...)                   \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #p ", 0;\n"                \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type \
               " {" names "}, {%" #a0 ",%" #a1 ",%" #a2 ",%" #a3 "}, %" #b     \
               ", p, 1, 1, 0;\n}"                                              \
               : __VA_ARGS__                                                   \
               : "r"(w.a[0]), "r"(w.a[1]), "r"(w.a[2]), "r"(w.a[3]),           \
                 "l"(tokens), "r"(add))

#define QCC_WGMMA_ALL(type)                                                    \
  if constexpr (N == 16)                                                       \
    QCC_WGMMA(16, type, QCC_NAMES8(), 8, 9, 10, 11, 12, 13, QCC_SUMS8(0));     \
  else if constexpr (N == 32)                                                  \
    QCC_WGMMA(32, type, QCC_NAMES0 ",%10,%11,%12,%13,%14,%15", 16, 17, 18, 19, \
              20, 21, QCC_SUMS8(0), QCC_SUMS8(8));                             \
  else if constexpr (N == 64)                                                  \
    QCC_WGMMA(64, type, QCC_NAMES30 ",%30,%31", 32, 33, 34, 35, 36, 37,        \
              QCC_SUMS32(0));                                                  \
  else if constexpr (N == 128)                                                 \
    QCC_WGMMA(128, type, QCC_NAMES60 ",%60,%61,%62,%63", 64, 65, 66, 67, 68,   \
              69, QCC_SUMS32(0), QCC_SUMS32(32));                              \
  else if constexpr (N == 192)                                                 \
    QCC_WGMMA(192, type, QCC_NAMES90 ",%90,%91,%92,%93,%94,%95", 96, 97, 98,   \
              99, 100, 101, QCC_SUMS32(0), QCC_SUMS32(32), QCC_SUMS32(64));    \
  else                                                                         \
    QCC_WGMMA(256, type, QCC_NAMES120 "," QCC_NAMES8(12), 128, 129, 130, 131,  \
              132, 133, QCC_SUMS32(0), QCC_SUMS32(32), QCC_SUMS32(64),         \
              QCC_SUMS32(96))

/// Sums (+)= rows times tokens; without `add` they are overwritten.
template <int N, bool IsBfloat>
QCC_DEVICE void wgmma(float (&c)[N / 2], const RowsOperand &w, uint64_t tokens,
                      int add) {
  static_assert(N == 16 || N == 32 || N == 64 || N == 128 || N == 192 ||
                N == 256);
  if constexpr (IsBfloat)
    QCC_WGMMA_ALL("bf16");
  else
    QCC_WGMMA_ALL("f16");
}

#undef QCC_SUMS8
#undef QCC_SUMS32
#undef QCC_NAMES10
#undef QCC_NAMES0
#undef QCC_NAMES8
#undef QCC_NAMES30
#undef QCC_NAMES60
#undef QCC_NAMES90
#undef QCC_NAMES120
#undef QCC_WGMMA
#undef QCC_WGMMA_ALL

//===----------------------------------------------------------------------===//
// Clusters of two blocks
//===----------------------------------------------------------------------===//

QCC_DEVICE uint32_t clusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
QCC_DEVICE void clusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n"
               "barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}
/// Arrives at the barrier at this place in the cluster's block `rank`, without
/// a fence: what the barrier guards has been read.
QCC_DEVICE void arriveAt(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}
QCC_DEVICE void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier)
               : "memory");
}
/// Has the barrier's phase wait for so many more bytes; no arrival.
QCC_DEVICE void expectMore(uint32_t barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
}
/// Arrives, and the same.
QCC_DEVICE void expectBytes(uint32_t barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
}
/// Copies `bytes` (a multiple of 16) that `barrier` expects.
QCC_DEVICE void copyExpected(uint32_t shared, const void *global,
                             uint32_t bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
               "bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}
/// The same to the same place of every block in `mask`.
QCC_DEVICE void copyToCluster(uint32_t shared, const void *global,
                              uint32_t bytes, uint32_t barrier, uint16_t mask) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
      "bytes.multicast::cluster [%0], [%1], %2, [%3], %4;" ::"r"(shared),
      "l"(global), "r"(bytes), "r"(barrier), "h"(mask)
      : "memory");
}
/// Arrives at the barrier, which counts on it, when this thread's copyAsync16
/// have arrived.
QCC_DEVICE void arriveAfterCopies(uint32_t barrier) {
  asm volatile(
      "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier)
      : "memory");
}
/// Gives registers back or takes more; every warp of a warpgroup calls it.
template <int Count>
QCC_DEVICE void giveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
QCC_DEVICE void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}

//===----------------------------------------------------------------------===//
// Packed rows as 16-bit floats
//===----------------------------------------------------------------------===//

QCC_DEVICE uint32_t subtractPair(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
QCC_DEVICE uint32_t multiplyPair(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
/// (x & mask) | bits: one instruction, if only one of them is immediate.
QCC_DEVICE uint32_t maskedOr(uint32_t x, uint32_t mask, uint32_t bits) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;"
      : "=r"(r)
      : "r"(x), "r"(mask), "r"(bits));
  return r;
}
QCC_DEVICE uint32_t bothHalves(float x) { return packPair<false>(x, x); }

/// Elements of k that a step of `code` (codes.cuh) has.
__host__ __device__ constexpr int stepWidth(int code) {
  return isFloatCode(code) ? 16 : code == Int2 ? 64 : code == Int3 ? 128 : 32;
}

/// Scale and zero point of one row's unit, as pairs of f16.
struct RowFactor {
  uint32_t scale, zero; ///< zero: 1024 + the zero point
  uint32_t highZero;    ///< of int4: 64 + the zero point
};

/// A scale as it lies in the weight's plane.
template <class K>
QCC_DEVICE float storedScale(uint32_t raw) {
  return K::scaleType == ElementF32   ? __uint_as_float(raw)
         : K::scaleType == ElementF16 ? fromHalf(uint16_t(raw))
                                      : fromBfloat(uint16_t(raw));
}

/// Of a scale and a zero point as they lie in the weight's planes.
template <class K>
QCC_DEVICE RowFactor rowFactorOf(uint32_t raw, uint32_t zeroPoint) {
  if (isFloatCode(K::code))
    return {};
  // 1024 + the zero point: its bits are those of 1024 plus a number.
  const uint32_t zero =
      (K::hasZero ? zeroPoint : uint32_t(K::defaultZero)) * 0x00010001U;
  return {bothHalves(storedScale<K>(raw) * kHalfFactor), zero | 0x64006400U,
          zero << 4 | 0x54005400U};
}

/// Codes as subnormal numbers, whose 1 is the smallest f16: what sums of their
/// products are to be multiplied with, next to the scale. Values of tables are
/// what they are.
__host__ __device__ constexpr float rawFactor(int code) {
  return isTableCode(code) ? kHalfFactor : kHalfFactor * (1 << 24);
}

/// The halves that a row of a lane's codes has in the `M`-th 16 elements of
/// a step: first = k and k + 1, second = k + 8 and k + 9. Which elements of the
/// lane's block (8 of them) these are, wideOrder says. `table` is the lane's.
/// Unless they are IsScaled, codes become subnormal numbers (rawFactor; the
/// upper nibbles of int4 16 times as large): products lack zero point and
/// scale. Values of tables lack the scale.
template <int Code, int M, bool IsScaled>
QCC_DEVICE void halvesOf(const uint32_t (&line)[laneLines(Code)],
                         const RowFactor &factor, uint32_t table,
                         uint32_t &first, uint32_t &second) {
  // 1024, whose last bits count ones.
  constexpr uint32_t magic = IsScaled ? 0x64006400U : 0;
  if constexpr (isFloatCode(Code)) {
    first = line[0];
    second = line[1];
  } else if constexpr (isTableCode(Code)) {
    const uint32_t w = M ? line[0] >> 16 : line[0];
    first = loadShared4(table + (w << 7 & 0x7f80));
    second = loadShared4(table + (w >> 1 & 0x7f80));
  } else {
    uint32_t low, high, zero = factor.zero;
    if constexpr (Code == Int8) {
      low = maskedOr(line[M], 0x00ff00ffU, magic);
      high = maskedOr(line[M] >> 8, 0x00ff00ffU, magic);
    } else if constexpr (Code == Int3) {
      const uint32_t w = line[M / 4] >> (2 * (M % 4)),
                     top = M >= 2 ? line[2] >> (M - 2) : line[2] << (2 - M);
      low = maskedOr(top, 0x00040004U, maskedOr(w, 0x00030003U, magic));
      high =
          maskedOr(top >> 8, 0x00040004U, maskedOr(w >> 8, 0x00030003U, magic));
    } else if constexpr (Code == Int4) {
      // The upper nibble of a byte stays where it is: 64, whose bits 4 and up
      // count ones.
      constexpr uint32_t mask = M ? 0x00f000f0U : 0x000f000fU,
                         bits = M && IsScaled ? 0x54005400U : magic;
      low = maskedOr(line[0], mask, bits);
      high = maskedOr(line[0] >> 8, mask, bits);
      zero = M ? factor.highZero : factor.zero;
    } else {
      constexpr uint32_t mask = 0x00030003U;
      low = maskedOr(line[0] >> (2 * M), mask, magic);
      high = maskedOr(line[0] >> (2 * M + 8), mask, magic);
    }
    first = IsScaled ? subtractPair(low, zero) : low;
    second = IsScaled ? subtractPair(high, zero) : high;
  }
  if constexpr (IsScaled && !isFloatCode(Code)) {
    first = multiplyPair(first, factor.scale);
    second = multiplyPair(second, factor.scale);
  }
}

/// The elements of a block whose values are at k, k + 1, k + 8, k + 9 of the
/// `half`-th (0, 1) of a lane's two runs of 16.
__host__ __device__ constexpr int wideOrder(int code, int half, int i) {
  return isTableCode(code) ? 2 * half + i / 2 + i % 2 * 4
                           : 4 * half + i / 2 + i % 2 * 2;
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_WGMMA_CUH
