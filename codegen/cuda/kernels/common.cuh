//===- common.cuh - What all CUDA kernels use -------------------*- C++ -*-===//
//
// Types, PTX instructions by name, reductions and activation functions. No
// header of the CUDA toolkit is needed: NVRTC gets these files as text.
//
// Kernels may begin before the kernels in front of them have ended
// (programmatic dependent launch): everything that an earlier kernel wrote is
// read after waitForEarlier(), and nothing is written before it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_COMMON_CUH
#define QCC_CODEGEN_CUDA_KERNELS_COMMON_CUH

#include "runtime/abi/cuda_abi.h"

#define QCC_DEVICE static __device__ __forceinline__

namespace qcc::cuda {

typedef qrt_cuda_step Step;
typedef qrt_cuda_inline_step InlineStep;
typedef qrt_cuda_args Args;
typedef qrt_cuda_sequence Sequence;

enum Code { F32, F16, BF16, Int8, Int4, Int3, Int2, NF4, FP4 };
enum Element { ElementF32, ElementF16, ElementBF16 };
enum NormKind { NormNone, NormRms, NormLayer };
enum ActivationKind {
  ActNone,
  ActSilu,
  ActGeluErf,
  ActGeluTanh,
  ActRelu,
  ActGeluQuick,
  ActSigmoid,
  ActTanh,
  ActRelu2,
  ActRelu6,
  ActLeakyRelu,
  ActHardSwish,
  ActMish,
  ActGelu10
};

/// threadIdx.x, read here: what is made of it takes no registers before.
QCC_DEVICE int ownThread() {
  int thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}
/// blockIdx.x and gridDim.x in the same way.
QCC_DEVICE int ownBlock() {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  return block;
}
QCC_DEVICE int allBlocks() {
  int blocks;
  asm volatile("mov.u32 %0, %%nctaid.x;" : "=r"(blocks));
  return blocks;
}
template <typename T>
QCC_DEVICE T *pointer(uint64_t address) {
  return reinterpret_cast<T *>(address);
}
/// A type as a value.
template <typename T>
struct Identity {
  using Type = T;
};
template <bool IsFirst, typename First, typename Second>
struct Selection {
  using Type = First;
};
template <typename First, typename Second>
struct Selection<false, First, Second> {
  using Type = Second;
};
/// One of two types.
template <bool IsFirst, typename First, typename Second>
using Select = typename Selection<IsFirst, First, Second>::Type;

template <typename T>
__host__ __device__ constexpr T smaller(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
__host__ __device__ constexpr T larger(T a, T b) {
  return a > b ? a : b;
}

/// Where the values of a position lie in a head's part of a cache (cuda_abi.h):
/// that of dimension 0; the next are a tile's positions apart. In elements.
template <int Dim>
QCC_DEVICE int64_t valueOffset(int position) {
  constexpr int tile = QRT_CUDA_KV_TILE;
  return int64_t(position / tile) * (Dim * tile) + position % tile;
}

//===----------------------------------------------------------------------===//
// Order between kernels
//===----------------------------------------------------------------------===//

/// Lets the next kernel begin on multiprocessors that have room.
QCC_DEVICE void startNext() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Returns when all kernels in front of this one have ended. The fence drops
/// what the L1 cache kept of memory that they wrote.
QCC_DEVICE void waitForEarlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
#endif
}

/// What other blocks count.
QCC_DEVICE uint64_t loadAcquire(const uint64_t *p) {
  uint64_t v;
  asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
               : "=l"(v)
               : "l"(p)
               : "memory");
  return v;
}
/// Adds, after what the block wrote before (its other threads, before a
/// barrier) and before what it reads; what stood there.
QCC_DEVICE uint32_t addAcquireRelease(uint32_t *p, uint32_t v) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(p), "r"(v)
               : "memory");
  return before;
}
/// Elements as they are now, while other blocks write them.
QCC_DEVICE float loadNow(const float *p) {
  float v;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];"
               : "=f"(v)
               : "l"(p)
               : "memory");
  return v;
}
QCC_DEVICE float2 loadNow2(const float *p) {
  float2 v;
  asm volatile("ld.relaxed.gpu.global.v2.f32 {%0, %1}, [%2];"
               : "=f"(v.x), "=f"(v.y)
               : "l"(p)
               : "memory");
  return v;
}
QCC_DEVICE float4 loadNow4(const float *p) {
  float4 v;
  asm volatile("ld.relaxed.gpu.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "l"(p)
               : "memory");
  return v;
}
/// For the host, which polls it.
QCC_DEVICE void storeForHost(uint64_t *p, uint64_t v) {
  asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(p), "l"(v)
               : "memory");
}

//===----------------------------------------------------------------------===//
// Copies into shared memory
//===----------------------------------------------------------------------===//

QCC_DEVICE uint32_t sharedAddress(const void *p) {
  return uint32_t(__cvta_generic_to_shared(p));
}

/// Sixteen bytes; zeros instead where `inside` is false.
QCC_DEVICE void copyAsync16(uint32_t shared, const void *global, bool inside) {
  uint32_t bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared),
               "l"(global), "r"(bytes)
               : "memory");
}
QCC_DEVICE void commitAsync() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Pending>
QCC_DEVICE void waitAsync() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

#if __CUDA_ARCH__ >= 900
QCC_DEVICE void initBarrier(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier),
               "r"(count)
               : "memory");
}
QCC_DEVICE void fenceBarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// Copies `bytes` (a multiple of 16) and says so at `barrier`.
QCC_DEVICE void copyBulk(uint32_t shared, const void *global, uint32_t bytes,
                         uint32_t barrier) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
               "bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}
QCC_DEVICE void waitBarrier(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
  while (!done)
    asm volatile("{\n .reg .pred p;\n"
                 " mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 " selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
}
#endif

QCC_DEVICE uint2 loadShared8(uint32_t address) {
  uint2 v;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];"
               : "=r"(v.x), "=r"(v.y)
               : "r"(address));
  return v;
}
QCC_DEVICE uint4 loadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}

//===----------------------------------------------------------------------===//
// Tensor cores
//===----------------------------------------------------------------------===//

/// Four matrices of 8 rows of 16 bytes; lane 8 i + r has the address of row r
/// of matrix i, lane 4 g + t gets bytes 4 t .. 4 t + 3 of their rows g.
QCC_DEVICE uint4 loadMatrices(uint32_t address) {
  uint4 m;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, "
               "[%4];"
               : "=r"(m.x), "=r"(m.y), "=r"(m.z), "=r"(m.w)
               : "r"(address));
  return m;
}

/// c += a b^T over 32 signed bytes: rows lane / 4 and lane / 4 + 8, columns
/// 2 (lane % 4) and the next.
QCC_DEVICE void mmaS8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                      uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
/// The same with `a` unsigned.
QCC_DEVICE void mmaU8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                      uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
/// The same over 16 halves, with sums in f32.
QCC_DEVICE void mmaF16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                       uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
QCC_DEVICE void mmaBF16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                        uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

//===----------------------------------------------------------------------===//
// 16-bit floats
//===----------------------------------------------------------------------===//

QCC_DEVICE uint16_t toHalf(float x) {
  uint16_t h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
QCC_DEVICE float fromHalf(uint16_t h) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
  return x;
}
QCC_DEVICE uint16_t toBfloat(float x) {
  uint16_t h;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
}
QCC_DEVICE float fromBfloat(uint16_t h) {
  return __uint_as_float(uint32_t(h) << 16);
}
QCC_DEVICE float roundToBfloat(float x) { return fromBfloat(toBfloat(x)); }
/// `low` in the low half.
template <bool IsBfloat>
QCC_DEVICE uint32_t packPair(float low, float high) {
  uint32_t pair;
  if (IsBfloat)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
/// Element `i` of f32, f16 or bf16 values.
template <int Type>
QCC_DEVICE float loadElement(const void *p, int64_t i) {
  if (Type == ElementF16)
    return fromHalf(static_cast<const uint16_t *>(p)[i]);
  if (Type == ElementBF16)
    return fromBfloat(static_cast<const uint16_t *>(p)[i]);
  return static_cast<const float *>(p)[i];
}

//===----------------------------------------------------------------------===//
// Reductions, always in the same order
//===----------------------------------------------------------------------===//

QCC_DEVICE float warpSum(float x) {
  for (int o = 16; o; o >>= 1)
    x += __shfl_xor_sync(~0U, x, o);
  return x;
}
QCC_DEVICE float warpMax(float x) {
  for (int o = 16; o; o >>= 1)
    x = fmaxf(x, __shfl_xor_sync(~0U, x, o));
  return x;
}
/// Over a block of up to 1024 threads; `room` has 32 floats. Everybody gets
/// the result.
template <bool IsMax>
QCC_DEVICE float blockReduce(float x, float *room) {
  x = IsMax ? warpMax(x) : warpSum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0)
    room[threadIdx.x / 32] = x;
  __syncthreads();
  int warps = blockDim.x / 32;
  float y = threadIdx.x % 32 < warps ? room[threadIdx.x % 32]
                                     : (IsMax ? -3.4e38F : 0.0F);
  return IsMax ? warpMax(y) : warpSum(y);
}

//===----------------------------------------------------------------------===//
// Activation functions
//===----------------------------------------------------------------------===//

QCC_DEVICE float softCap(float x, float cap) { return cap * tanhf(x / cap); }

QCC_DEVICE float sigmoid(float x) { return 1.0F / (1.0F + __expf(-x)); }

template <int Kind>
QCC_DEVICE float activate(float x) {
  switch (Kind) {
  case ActSilu:
    return x * sigmoid(x);
  case ActGeluErf:
    return 0.5F * x * (1.0F + erff(x * 0.70710678F));
  case ActGeluTanh:
    // (1 + tanh u) / 2 is sigmoid(2 u).
    return x * sigmoid(1.59576912F * (x + 0.044715F * x * x * x));
  case ActRelu:
    return fmaxf(x, 0.0F);
  case ActGeluQuick:
    return x * sigmoid(1.702F * x);
  case ActSigmoid:
    return sigmoid(x);
  case ActTanh:
    return tanhf(x);
  case ActRelu2:
    return fmaxf(x, 0.0F) * fmaxf(x, 0.0F);
  case ActRelu6:
    return fminf(fmaxf(x, 0.0F), 6.0F);
  case ActLeakyRelu:
    return x > 0.0F ? x : 0.01F * x;
  case ActHardSwish:
    return x * fminf(fmaxf(x + 3.0F, 0.0F), 6.0F) * (1.0F / 6.0F);
  case ActMish: {
    // tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2); 1 to f32 beyond 20.
    const float e = expf(fminf(x, 20.0F)), n = e * (e + 2.0F);
    return x * n / (n + 2.0F);
  }
  case ActGelu10:
    return fminf(fmaxf(0.5F * x * (1.0F + erff(x * 0.70710678F)), -10.0F),
                 10.0F);
  default:
    return x;
  }
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_COMMON_CUH
