//===- CudaWarps.h - Warps with tensor cores on the CPU ---------*- C++ -*-===//
//
// What CudaThreads.h lacks of codegen/cuda/kernels/ptx.cuh for kernels that
// multiply: shared memory by addresses, permutations of bytes, and the tensor
// cores' products, of which every lane computes its part. Include it behind
// CudaThreads.h and before any kernel.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_SUPPORT_CUDAWARPS_H
#define QCC_TESTS_SUPPORT_CUDAWARPS_H

#include "tests/support/CudaThreads.h"

#include <array>

inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }
inline int __float2int_rn(float a) { return int(std::nearbyint(a)); }
template <class T>
T __ldg(const T *p) {
  return *p;
}
inline float4 __ldcg(const float4 *p) { return *p; }
inline float2 __ldcg(const float2 *p) { return *p; }
template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return __shfl_sync(mask, value, lane, 32);
}
inline int __reduce_add_sync(unsigned, int value) {
  for (int other = 16; other; other /= 2)
    value += __shfl_xor_sync(~0U, value, other);
  return value;
}
inline unsigned __reduce_max_sync(unsigned, unsigned value) {
  for (int other = 16; other; other /= 2)
    value = std::max(value, __shfl_xor_sync(~0U, value, other));
  return value;
}

namespace qcc::cuda {

/// Where address 0 of shared memory is.
inline char *sharedMemory;

template <class T>
T loadSharedAs(uint32_t address) {
  T value;
  std::memcpy(&value, sharedMemory + address, sizeof(T));
  return value;
}
inline uint32_t loadShared1(uint32_t at) { return loadSharedAs<uint8_t>(at); }
inline uint32_t loadShared2(uint32_t at) { return loadSharedAs<uint16_t>(at); }
inline uint32_t loadShared4(uint32_t at) { return loadSharedAs<uint32_t>(at); }
template <int Offset>
uint32_t loadSharedBehind(uint32_t at) {
  return loadShared4(at + Offset);
}
inline uint2 loadShared8(uint32_t at) { return loadSharedAs<uint2>(at); }
inline uint4 loadShared16(uint32_t at) { return loadSharedAs<uint4>(at); }
inline void loadShared16If(uint32_t condition, uint2 &v, uint2 &w,
                           uint32_t at) {
  if (!condition)
    return;
  v = loadShared8(at);
  w = loadShared8(at + 8);
}
inline uint32_t sharedAddress(const void *p) {
  return uint32_t(static_cast<const char *>(p) - sharedMemory);
}

inline float loadNow(const float *p) { return *p; }
inline float2 loadNow2(const float *p) { return {p[0], p[1]}; }
inline float4 loadNow4(const float *p) { return {p[0], p[1], p[2], p[3]}; }
template <int Threads>
void syncFirst() {
  __syncthreads();
}

inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t r = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = selector >> (4 * i) & 15;
    const auto byte = uint8_t(bytes >> (nibble % 8 * 8));
    r |= uint32_t(nibble < 8 ? byte : byte & 128 ? 255 : 0) << (8 * i);
  }
  return r;
}
inline uint32_t signedBits(uint32_t w, uint32_t mask) {
  return (w & mask) ^ 0x80808080U;
}
template <uint32_t Mask>
uint32_t selectBits(uint32_t a, uint32_t b) {
  return (a & ~Mask) | (b & Mask);
}
inline uint32_t multiplyAdd(uint32_t a, uint32_t b, uint32_t c) {
  return a * b + c;
}

/// The operands of a warp's lanes: of `a`, word i of lane 4 g + t is of row
/// g + 8 (i % 2), and the t-th of those of the k in half i / 2; of `b`, word i
/// of that lane is of column g, and the t-th of half i.
struct WarpOperands {
  std::array<uint32_t, 4> a;
  std::array<uint32_t, 2> b;
};

/// What the lanes of blocks that follow each other show to their warps.
inline std::array<WarpOperands, 1024> shownOperands;

/// Adds products of rows g and g + 8 with columns 2 t and 2 t + 1 to `c`, where
/// `dot` multiplies the elements of two words.
template <class T, class Dot>
void multiplyWarp(T (&c)[4], const WarpOperands &own, Dot dot) {
  const unsigned lane = threadIdx.x % 32;
  const WarpOperands *warp = &shownOperands[threadIdx.x - lane];
  shownOperands[threadIdx.x] = own;
  __syncwarp();
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned half = 0; half < 2; ++half)
      for (unsigned t = 0; t < 4; ++t)
        c[i] += dot(warp[lane / 4 * 4 + t].a[half * 2 + i / 2],
                    warp[(lane % 4 * 2 + i % 2) * 4 + t].b[half]);
  __syncwarp();
}

template <class A>
int dotBytes(uint32_t a, uint32_t b) {
  int sum = 0;
  for (int i = 0; i < 32; i += 8)
    sum += int(A(a >> i)) * int(int8_t(b >> i));
  return sum;
}
inline void mmaS8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                  uint32_t a3, uint32_t b0, uint32_t b1) {
  multiplyWarp(c, {{a0, a1, a2, a3}, {b0, b1}}, dotBytes<int8_t>);
}
inline void mmaU8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                  uint32_t a3, uint32_t b0, uint32_t b1) {
  multiplyWarp(c, {{a0, a1, a2, a3}, {b0, b1}}, dotBytes<uint8_t>);
}
template <float ToFloat(uint16_t)>
float dotHalves(uint32_t a, uint32_t b) {
  return ToFloat(uint16_t(a)) * ToFloat(uint16_t(b)) +
         ToFloat(uint16_t(a >> 16)) * ToFloat(uint16_t(b >> 16));
}
inline void mmaF16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                   uint32_t a3, uint32_t b0, uint32_t b1) {
  multiplyWarp(c, {{a0, a1, a2, a3}, {b0, b1}}, dotHalves<qrt::halfToFloat>);
}
inline void mmaBF16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                    uint32_t a3, uint32_t b0, uint32_t b1) {
  multiplyWarp(c, {{a0, a1, a2, a3}, {b0, b1}}, dotHalves<qrt::bfloatToFloat>);
}

} // namespace qcc::cuda

#endif // QCC_TESTS_SUPPORT_CUDAWARPS_H
