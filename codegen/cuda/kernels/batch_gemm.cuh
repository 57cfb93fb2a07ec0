//===- batch_gemm.cuh - Some tokens times a weight (sm_90a) -----*- C++ -*-===//
//
// For steps of 2 to 64 tokens, which are bound by the weight's bytes. Three
// warps copy codes into a ring in shared memory (batch_ring.cuh), and one the
// tokens' elements, which it may have to wait for. Four warpgroups turn codes
// into 16-bit floats (wide_gemm.cuh has the parts) and multiply them with all
// tokens: with up to 16 of these by mma (batch_few.cuh), with more a warpgroup
// multiplies 64 rows by wgmma.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH
#define QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH

#include "codegen/cuda/kernels/batch_few.cuh"
#include "codegen/cuda/kernels/batch_part.cuh"

namespace qcc::cuda {

/// BatchGemm's products with 32 or 64 columns.
template <class K, int N>
struct BatchMany {
  using Ring = BatchRing<K, N>;
  using Chunks = typename Ring::Chunks;
  using Rows = typename Ring::Rows;
  static constexpr int code = K::code;

  static __device__ __forceinline__ void consume(const Args &a, uint32_t table,
                                                 typename Ring::Cursor &ring,
                                                 BatchRun run, int tokens) {
    const int warp = threadIdx.x / 32;
    Rows rows(a, warp, table + threadIdx.x % 32 * 4);
    const BatchRun mine = Ring::ownPart(run);
    for (int at = mine.begin; at < mine.end;) {
      const int rowBlock = at / Ring::rowSlots;
      const int begin = at - rowBlock * Ring::rowSlots,
                end = smaller(Ring::rowSlots, begin + mine.end - at);
      float sums[1][N / 2] = {};
      GroupSums<code, Ring::scalesSums ? N / 2 : 1> part;
      float scale[2] = {}, zero[2] = {};
      int group = -1;
#pragma unroll 1
      for (int i = begin; i < end; ++i) {
        const int chunk = i * Ring::slotChunks, count = Ring::countAt(chunk);
        ring.waitForCopies();
#pragma unroll 1
        for (int place = 0; place < count; ++place) {
          if (const int now = Rows::firstGroupOf(chunk + place);
              !Ring::scalesSums || now != group) {
            if constexpr (Ring::scalesSums) {
              if (group >= 0)
                part.addTo(sums[0], scale);
              part.clear();
            }
            group = now;
            rows.template takeShared<kBatchTiles, Ring::slotGroups>(
                ring.slot() + Ring::scalesAt, chunk + place,
                Rows::firstGroupOf(chunk));
            rows.takeRaw(scale, zero);
          }
          if constexpr (Ring::scalesSums) {
            part.subtractZeros(zero, ring.slot() + Ring::sumsAt +
                                         place * N * 4 + threadIdx.x % 4 * 8);
            multiplyChunk(ring.slot(), place, rows, part.v);
          } else {
            multiplyChunk(ring.slot(), place, rows, sums[0]);
          }
        }
        ring.release();
      }
      at += end - begin;
      if constexpr (Ring::scalesSums) {
        part.addTo(sums[0], scale);
        Ring::finishScaled(sums[0]);
      }
      if (Ring::join(a, sums[0], rowBlock, begin, end))
        storeWide<K, N>(a, sums,
                        (rowBlock - Ring::firstRowBlock) * kBatchTiles + warp,
                        0, tokens);
    }
  }

private:
  /// Multiplies the chunk at a place of a slot.
  static __device__ __forceinline__ void multiplyChunk(uint32_t at, int place,
                                                       const Rows &rows,
                                                       float (&sums)[N / 2]) {
    RowsOperand w[Rows::products];
    rows.template load<!Ring::scalesSums>(
        at + Ring::xBytes + place * Chunks::tileBytes, w);
    settle(w);
    wgmmaFence();
    const uint64_t x = tokensDescriptor(at + place * Ring::slices * N * 128);
#pragma unroll
    for (int p = 0; p < Rows::products; ++p)
      wgmma<N, code == BF16>(sums, w[p], x + p / 4 * (N * 128 / 16) + p % 4 * 2,
                             1);
    wgmmaCommit();
    wgmmaWait<0>();
  }
};

/// Operands of a weight's product.
constexpr int kBatchOperands = 8;

/// BatchGemm's products with up to N tokens.
template <class K, int N>
using BatchProducts = Select<N == 16, BatchFew<K>, BatchMany<K, N>>;

/// Operands: codes, scales, zeros, bias, residual, output, staged activations,
/// words for sums (kBatchWords of them, zero between launches). With
/// K::hasSecond the same again, for the weight of K::Second, whose input and
/// format are the first one's: one stream of slots.
template <class K>
struct BatchGemm {
  static constexpr int sharedBytes = kMostShared;

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *room) {
    // The step's numbers were there before the first kernel began.
    const int tokens = K::gather ? step->logit_count : step->tokens;
    if (tokens <= 16)
      runFor<16>(a, room, tokens);
    else if (tokens <= 32)
      runFor<32>(a, room, tokens);
    else
      runFor<64>(a, room, tokens);
  }

private:
  template <int N>
  static __device__ __forceinline__ void runFor(const Args &a, char *room,
                                                int tokens) {
    using Ring = BatchRing<K, N>;
    const uint32_t shared = sharedAddress(room),
                   base = (shared + 1023) & ~1023U, table = base + Ring::bytes;
    typename Ring::Cursor ring = {base, table + Ring::tableBytes};
    if constexpr (isTableCode(K::code))
      fillPairTable<K::code>(room + (table - shared), threadIdx.x,
                             kBatchThreads);
    if (threadIdx.x == 0)
      Ring::initBarriers(ring.barriers);
    __syncthreads();
    startNext();
    const BatchRun mine = Ring::ownRun();
    if (threadIdx.x < kBatchConsumers) {
      waitForEarlier();
      eachWeight(a, [&](auto weight, const Args &own) {
        using Weight = typename decltype(weight)::Type;
        BatchProducts<Weight, N>::consume(own, table, ring, mine, tokens);
      });
      eachWeight(a, [&](auto weight, const Args &own) {
        using Weight = typename decltype(weight)::Type;
        BatchPart<Weight, N>::finish(own, tokens);
      });
      return;
    }
    const int thread = int(threadIdx.x) - kBatchConsumers;
    if (thread < kBatchCopiers) {
      // Codes run ahead of the kernels in front, as far as there is room.
      eachWeight(a, [&](auto weight, const Args &own) {
        using Weight = typename decltype(weight)::Type;
        BatchRing<Weight, N>::copyCodes(own, ring, mine, thread);
      });
    } else {
      waitForEarlier();
      Ring::copyTokens(a, ring, mine, thread - kBatchCopiers);
    }
  }

  /// Calls `use` for each weight with its operands.
  template <class Use>
  static __device__ __forceinline__ void eachWeight(const Args &a, Use use) {
    use(Identity<K>(), a);
    if constexpr (K::hasSecond)
      use(Identity<typename K::Second>(),
          *reinterpret_cast<const Args *>(a.v + kBatchOperands));
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_BATCH_GEMM_CUH
