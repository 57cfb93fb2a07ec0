//===- batch_part.cuh - What runs that share rows leave (sm_90a) *- C++ -*-===//
//
// Where runs have a block of rows to themselves, none of them finishes it: a
// block of threads finishes a part of it for all. Its consumers take four sums
// each, as one warp of every run left them, so that all runs' are on their way
// at once, with what else is needed.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_BATCH_PART_CUH
#define QCC_CODEGEN_CUDA_KERNELS_BATCH_PART_CUH

#include "codegen/cuda/kernels/batch_ring.cuh"

namespace qcc::cuda {

template <class K, int N>
struct BatchPart {
  using Ring = BatchRing<K, N>;
  /// Sums of a run's warp, by fours of a lane; and its warps in a part.
  static constexpr int fours = N / 8, warps = kBatchTiles / kFinishers;

  /// All consumers.
  static __device__ __forceinline__ void finish(const Args &a, int tokens) {
    const int part = Ring::leftToBlock();
    if (part < 0)
      return;
#pragma unroll 1
    for (int item = ownThread(); item < warps * fours * 32;
         item += kBatchConsumers)
      finishFour(a, part / kFinishers,
                 part % kFinishers * warps + item / (fours * 32),
                 item / 32 % fours, tokens);
  }

private:
  /// The lane's sums of two rows and two tokens: the `four`-th of what warp
  /// `warp` of each run left.
  static __device__ __forceinline__ void
  finishFour(const Args &a, int rowBlock, int warp, int four, int tokens) {
    // As batch_few.cuh has them, or batch_gemm.cuh.
    constexpr int pairs = kBatchTiles / 2;
    const int lane = ownThread() % 32;
    const int tile =
        rowBlock * kBatchTiles + (N == 16 ? warp % pairs * 2 + four : warp);
    const int row = tile * 16 + lane / 4 * 2;
    const StoredRows rows[1] = {{row, row + 1, row}};
    const int first = 8 * (N == 16 ? warp / pairs : four) + lane % 4 * 2;
    const RowBias<K, 1> bias(a, rows);
    const RowsEnd<K, 1, 1> end(a, rows, first, tokens);
    float sums[1][4] = {};
    Ring::addAll(a, sums[0], rowBlock, (warp * fours + four) * 32 + lane);
    end.template store<8>(a, sums, 0, rows, bias, first, tokens);
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_BATCH_PART_CUH
