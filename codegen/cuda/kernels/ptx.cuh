//===- ptx.cuh - PTX instructions by name -----------------------*- C++ -*-===//
//
// What common kernels take of the instruction set; those of wgmma, of bulk
// copies and of cooperative kernels stand where they are used. A stand-in for
// this file makes kernels run on a CPU (tests/support/CudaThreads.h).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PTX_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PTX_CUH

#include "runtime/abi/cuda_abi.h"

#define QCC_DEVICE static __device__ __forceinline__

namespace qcc::cuda {

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
/// Barrier 1 of the block, for its first `Threads` threads.
template <int Threads>
QCC_DEVICE void syncFirst() {
  asm volatile("bar.sync 1, %0;" ::"n"(Threads) : "memory");
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

//===----------------------------------------------------------------------===//
// Shared memory, by its addresses
//===----------------------------------------------------------------------===//

QCC_DEVICE uint32_t loadShared1(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
}
QCC_DEVICE uint32_t loadShared2(uint32_t address) {
  uint16_t v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(address));
  return v;
}
QCC_DEVICE uint32_t loadShared4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
}
/// Four bytes, `Offset` behind `address`.
template <int Offset>
QCC_DEVICE uint32_t loadSharedBehind(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1+%2];"
               : "=r"(v)
               : "r"(address), "n"(Offset));
  return v;
}
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
/// Loads into registers that stay as they are where the condition is not true.
QCC_DEVICE void loadShared16If(uint32_t condition, uint2 &v, uint2 &w,
                               uint32_t address) {
  asm volatile("{ .reg .pred p; setp.ne.u32 p, %4, 0;\n"
               "@p ld.shared.v4.u32 {%0, %1, %2, %3}, [%5]; }"
               : "+r"(v.x), "+r"(v.y), "+r"(w.x), "+r"(w.y)
               : "r"(condition), "r"(address));
}
QCC_DEVICE void storeShared4(uint32_t address, float v) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(v) : "memory");
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

/// Byte i of the result is that of the eight of `a` and `b` that nibble i of
/// `selector` names, or its sign, if the nibble has its highest bit set.
QCC_DEVICE uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint32_t r;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
  return r;
}
/// (w & mask) ^ 0x80808080. The signs stand in a register: an instruction takes
/// one constant, and with two of them the compiler makes two instructions.
QCC_DEVICE uint32_t signedBits(uint32_t w, uint32_t mask) {
  uint32_t signs, r;
  asm("mov.b32 %0, 0x80808080;" : "=r"(signs));
  asm("lop3.b32 %0, %1, %2, %3, 0x6a;"
      : "=r"(r)
      : "r"(w), "r"(mask), "r"(signs));
  return r;
}
/// The bits of `b` where `Mask` has ones, those of `a` elsewhere. (The compiler
/// would mask each use of the result by itself.)
template <uint32_t Mask>
QCC_DEVICE uint32_t selectBits(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xd8;" : "=r"(r) : "r"(a), "r"(b), "n"(Mask));
  return r;
}
/// a b + c. (The compiler would take other instructions for some `b`.)
QCC_DEVICE uint32_t multiplyAdd(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t r;
  asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
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

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PTX_CUH
