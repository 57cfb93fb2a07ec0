//===- persistent_kernel.cuh - The kernel of a step -------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_KERNEL_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_KERNEL_CUH

#include "codegen/cuda/kernels/persistent_gemv.cuh"

namespace qcc::cuda {

/// Operands: the table of operands, the cuts [streams][blocks + 1], the
/// barrier's counter.
template <class P, class Program>
struct Persistent {
  static __device__ __forceinline__ void run(const InlineStep &given,
                                             const Args &a, char *shared) {
    const uint32_t base = sharedAddress(shared);
    if (kSharedStart >= 0 && base != uint32_t(kSharedStart))
      __trap();
    if (threadIdx.x == 0) {
      for (int i = 0; i < P::slots; ++i) {
        initBarrier(base + Places<P>::fullAt + 8 * i, 1);
        initBarrier(base + Places<P>::emptyAt + 8 * i, kConsumerWarps);
      }
      fenceBarrierInit();
      // Nobody has passed the first barrier before this block arrives there.
      const uint64_t now = loadAcquire(pointer<const uint64_t>(a.v[2]));
      auto *started =
          reinterpret_cast<uint32_t *>(shared + Places<P>::startedAt);
      started[0] = 0;
      started[1] = uint32_t(now / gridDim.x / P::barriers);
      *reinterpret_cast<uint64_t *>(started + 2) = now - now % gridDim.x;
    }
    uint64_t *table = reinterpret_cast<uint64_t *>(shared + Places<P>::tableAt);
    for (int i = threadIdx.x; i < P::words; i += kPersistentThreads)
      table[i] = pointer<const uint64_t>(a.v[0])[i];
    int *cuts = reinterpret_cast<int *>(shared + Places<P>::cutsAt);
    for (int i = threadIdx.x; i < 2 * P::streams; i += kPersistentThreads)
      cuts[i] = pointer<const int>(
          a.v[1])[i / 2 * (int(gridDim.x) + 1) + int(blockIdx.x) + i % 2];
    if constexpr (P::mapBytes != 0)
      for (int i = threadIdx.x; i < 256; i += kPersistentThreads)
        reinterpret_cast<float *>(shared + Places<P>::mapAt)[i] =
            dynamicValue(uint32_t(i));
    constexpr int stride = P::isSpread ? 256 : 128;
    if constexpr (P::hasNF4)
      fillPairTable<NF4, stride>(shared + Places<P>::pairsAt +
                                     Places<P>::template pairsOf<NF4>(),
                                 threadIdx.x, kPersistentThreads);
    if constexpr (P::hasFP4)
      fillPairTable<FP4, stride>(shared + Places<P>::pairsAt +
                                     Places<P>::template pairsOf<FP4>(),
                                 threadIdx.x, kPersistentThreads);
    // The step is read often, and by addresses.
    auto *step = reinterpret_cast<InlineStep *>(shared + Places<P>::stepAt);
    constexpr int stepWords = sizeof(InlineStep) / 4;
    for (int i = threadIdx.x; i < stepWords; i += kPersistentThreads)
      reinterpret_cast<uint32_t *>(step)[i] =
          reinterpret_cast<const uint32_t *>(&given)[i];
    __syncthreads();
    if (threadIdx.x == 0) {
      if (!step->step.token_ids)
        step->step.token_ids = reinterpret_cast<uint64_t>(step->token_ids);
      step->step.positions = reinterpret_cast<uint64_t>(step->positions);
      step->step.token_sequence =
          reinterpret_cast<uint64_t>(step->token_sequence);
      step->step.sequences = reinterpret_cast<uint64_t>(step->sequences);
      step->step.logit_rows = reinterpret_cast<uint64_t>(step->logit_rows);
    }
    __syncthreads();
    if (threadIdx.x < kConsumers) {
      Consumer<P> consumer(&step->step, a, shared);
      Program::run(consumer);
    } else {
      Producer<P> producer(&step->step, shared);
      Program::run(producer);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_KERNEL_CUH
