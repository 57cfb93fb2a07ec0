//===- CudaThreads.h - CUDA kernels on threads of the CPU -------*- C++ -*-===//
//
// What some kernels use of CUDA C++, so that tests can run them where there is
// no GPU: a block is as many threads of the CPU, shared memory is static or
// given, and shuffles go through barriers. Blocks follow each other, or run at
// once. Stands in for codegen/cuda/kernels/ptx.cuh (CudaWarps.h for the rest of
// it); include it before any kernel.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_SUPPORT_CUDATHREADS_H
#define QCC_TESTS_SUPPORT_CUDATHREADS_H

#include "runtime/abi/cuda_abi.h"
#include "runtime/formats/HalfFloat.h"

#include <atomic>
#include <barrier>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define QCC_CODEGEN_CUDA_KERNELS_PTX_CUH
#define QCC_DEVICE [[maybe_unused]] static inline
#define __device__
#define __host__
#define __forceinline__ inline

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

struct CudaIndex {
  unsigned x, y, z;
};
inline thread_local CudaIndex threadIdx, blockIdx, blockDim, gridDim;

/// The block that runs now.
struct CudaBlock {
  explicit CudaBlock(unsigned threads) : all(threads), slots(threads) {
    for (unsigned i = 0; i < threads / 32; ++i)
      warps.push_back(std::make_unique<std::barrier<>>(32));
  }
  std::barrier<> all;
  std::vector<std::unique_ptr<std::barrier<>>> warps;
  std::vector<double> slots; ///< what a thread shows to its warp
};
inline thread_local CudaBlock *cudaBlock;

inline void __syncthreads() { cudaBlock->all.arrive_and_wait(); }
inline void __syncwarp() {
  cudaBlock->warps[threadIdx.x / 32]->arrive_and_wait();
}
/// What thread `from` of the warp's block of threads shows.
template <class T>
T cudaExchange(T value, unsigned from) {
  std::memcpy(&cudaBlock->slots[threadIdx.x], &value, sizeof(T));
  __syncwarp();
  T found;
  std::memcpy(&found, &cudaBlock->slots[from], sizeof(T));
  __syncwarp();
  return found;
}
template <class T>
T __shfl_sync(unsigned, T value, int lane, int width) {
  unsigned first = threadIdx.x / unsigned(width) * unsigned(width);
  return cudaExchange(value, first + unsigned(lane));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return cudaExchange(value, threadIdx.x ^ unsigned(mask));
}

template <class T>
T __shfl_up_sync(unsigned, T value, unsigned up) {
  const unsigned lane = threadIdx.x % 32;
  return cudaExchange(value, threadIdx.x - (lane >= up ? up : 0));
}

template <class T>
T __ldcg(const T *p) {
  return std::atomic_ref<T>(*const_cast<T *>(p)).load();
}
template <class T>
T atomicAdd(T *p, T value) {
  return std::atomic_ref<T>(*p).fetch_add(value);
}
template <class T>
T atomicMax(T *p, T value) {
  std::atomic_ref<T> ref(*p);
  T old = ref.load();
  while (old < value && !ref.compare_exchange_weak(old, value)) {
  }
  return old;
}
inline void __threadfence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
inline int __clzll(int64_t a) { return std::countl_zero(uint64_t(a)); }
inline uint32_t __float_as_uint(float a) { return std::bit_cast<uint32_t>(a); }
inline float __uint_as_float(uint32_t a) { return std::bit_cast<float>(a); }

inline float __expf(float a) { return std::exp(a); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }

namespace qcc::cuda {

inline uint16_t toHalf(float x) { return qrt::floatToHalf(x); }
inline float fromHalf(uint16_t h) { return qrt::halfToFloat(h); }
inline uint16_t toBfloat(float x) { return qrt::floatToBfloat(x); }
template <bool IsBfloat>
uint32_t packPair(float low, float high) {
  return IsBfloat ? toBfloat(low) | uint32_t(toBfloat(high)) << 16
                  : toHalf(low) | uint32_t(toHalf(high)) << 16;
}

inline uint64_t loadAcquire(const uint64_t *p) { return __ldcg(p); }
inline void storeForHost(uint64_t *p, uint64_t v) {
  std::atomic_ref<uint64_t>(*p).store(v);
}

/// Begins a block of threads, each of which runs kernel().
template <class Kernel>
void beginBlock(CudaIndex block, CudaBlock &shared,
                std::vector<std::jthread> &team, const Kernel &kernel) {
  for (unsigned thread = 0; thread < shared.slots.size(); ++thread)
    team.emplace_back([&shared, &kernel, block, thread] {
      threadIdx.x = thread;
      blockDim.x = unsigned(shared.slots.size());
      blockIdx = block;
      cudaBlock = &shared;
      kernel();
      // Those that are still at it do not wait for this one.
      shared.warps[thread / 32]->arrive_and_drop();
      shared.all.arrive_and_drop();
    });
}

/// Runs kernel() in `blocks` blocks of `threads` threads.
template <class Kernel>
void runKernel(int64_t blocks, unsigned threads, const Kernel &kernel) {
  for (unsigned block = 0; block < unsigned(blocks); ++block) {
    CudaBlock shared(threads);
    std::vector<std::jthread> team;
    beginBlock({block, 0, 0}, shared, team, kernel);
  }
}

/// The same in `rows` times `blocks` blocks, all of them at once, which may
/// wait for each other.
template <class Kernel>
void runCooperative(unsigned blocks, unsigned rows, unsigned threads,
                    const Kernel &kernel) {
  std::vector<std::unique_ptr<CudaBlock>> all;
  std::vector<std::jthread> team;
  for (unsigned row = 0; row < rows; ++row)
    for (unsigned block = 0; block < blocks; ++block) {
      all.push_back(std::make_unique<CudaBlock>(threads));
      beginBlock({block, row, 0}, *all.back(), team, kernel);
    }
}

} // namespace qcc::cuda

#endif // QCC_TESTS_SUPPORT_CUDATHREADS_H
