//===- stored_rows.cuh - What becomes of a warp's sums (sm_90a) -*- C++ -*-===//
//
// The end of batch_gemm.cuh and of wide_gemm.cuh: a lane has sums of two rows
// of a tile and of two of every eight tokens, as mma and wgmma leave them.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_STORED_ROWS_CUH
#define QCC_CODEGEN_CUDA_KERNELS_STORED_ROWS_CUH

#include "codegen/cuda/kernels/codes.cuh"
#include "codegen/cuda/kernels/sums.cuh"

namespace qcc::cuda {

/// Two rows of a weight that a lane finishes (the gate's and up's, with glu),
/// and the first one's column of the output.
struct StoredRows {
  int row, other, column;
};

/// The bias of such rows.
template <class K, int Items>
struct RowBias {
  float v[Items][2] = {};

  __device__ __forceinline__ RowBias(const Args &a,
                                     const StoredRows (&rows)[Items]) {
    if (!K::hasBias)
      return;
#pragma unroll
    for (int item = 0; item < Items; ++item) {
      const auto [row, other, column] = rows[item];
      if (row < K::rows)
        v[item][0] = pointer<const float>(a.v[3])[row];
      if (other < K::rows)
        v[item][1] = pointer<const float>(a.v[3])[other];
    }
  }
};

/// What Items times two rows of a lane and Blocks times two tokens take, tokens
/// `first` + 8 j + p; asked for at once, before anything is stored.
template <class K, int Items, int Blocks>
class RowsEnd {
public:
  __device__ __forceinline__ RowsEnd(const Args &a,
                                     const StoredRows (&rows)[Items], int first,
                                     int tokens) {
    constexpr float inverse = isFloatCode(K::code) ? 1.0F : 1.0F / kHalfFactor;
    const float *scales = reinterpret_cast<const float *>(
                              pointer<const char>(a.v[6]) + K::scalesAt) +
                          first;
#pragma unroll
    for (int i = 0; i < 2 * Blocks; ++i) {
      const int token = 8 * (i / 2) + i % 2;
      const bool exists = first + token < tokens;
      scale[i] = K::code == BF16 ? 1.0F
                 : exists        ? scales[token] * inverse
                                 : 0.0F;
#pragma unroll
      for (int item = 0; item < Items; ++item) {
        more[item][i] = {0, 0};
        if (!K::hasResidual || !exists || rows[item].row >= K::rows)
          continue;
        const float *from = pointer<const float>(a.v[4]) +
                            int64_t(first + token) * K::residualStride +
                            rows[item].column;
        if (isPair)
          more[item][i] = *reinterpret_cast<const float2 *>(from);
        else
          more[item][i] = {from[0], hasOther(rows[item]) ? from[1] : 0.0F};
      }
    }
  }

  /// Finishes sums as Epilogue does: those of the tokens 8 j + p are sums[4
  /// (block + j) + p] and, of the other row, sums[4 (block + j) + 2 + p].
  template <int N>
  __device__ __forceinline__ void
  store(const Args &a, const float (&sums)[Items][N / 2], int block,
        const StoredRows (&rows)[Items], const RowBias<K, Items> &bias,
        int first, int tokens) const {
#pragma unroll
    for (int i = 0; i < 2 * Blocks; ++i) {
      const int j = block + i / 2, p = i % 2, token = 8 * (i / 2) + p;
      if (first + token >= tokens)
        continue;
#pragma unroll
      for (int item = 0; item < Items; ++item) {
        if (rows[item].row >= K::rows)
          continue;
        float2 v = {sums[item][4 * j + p] * scale[i],
                    sums[item][4 * j + 2 + p] * scale[i]};
        if (K::hasBias) {
          v.x += bias.v[item][0];
          v.y += bias.v[item][1];
        }
        v.x = activate<K::activation>(v.x);
        if (K::glu)
          v.x *= v.y;
        else
          v.y = activate<K::activation>(v.y);
        if (K::multiplier != 1.0F) {
          v.x *= K::multiplier;
          v.y *= K::multiplier;
        }
        if (K::softCap > 0.0F) {
          v.x = softCap(v.x, K::softCap);
          v.y = softCap(v.y, K::softCap);
        }
        if (K::hasResidual) {
          v.x += more[item][i].x;
          v.y += more[item][i].y;
        }
        float *to = pointer<float>(a.v[5]) +
                    int64_t(first + token) * K::outputStride +
                    rows[item].column;
        if (isPair) {
          *reinterpret_cast<float2 *>(to) = v;
          continue;
        }
        to[0] = v.x;
        if (hasOther(rows[item]))
          to[1] = v.y;
      }
    }
  }

private:
  static constexpr bool isPair = !K::glu && K::rows % 2 == 0 && K::canPair;
  static __device__ __forceinline__ bool hasOther(const StoredRows &rows) {
    return !K::glu && rows.other < K::rows;
  }

  float scale[2 * Blocks];
  float2 more[Items][2 * Blocks];
};

/// Finishes what a lane holds of Items times two rows and of N tokens: tokens
/// 8 j + 2 t + p are sums[4 j + p] and sums[4 j + 2 + p]. The code of every
/// value is unrolled: a long one would not stay in the instruction cache.
template <class K, int N, int Items>
QCC_DEVICE void storeRows(const Args &a, const float (&sums)[Items][N / 2],
                          const StoredRows (&rows)[Items], int firstToken,
                          int tokens) {
  const int first = firstToken + ownThread() % 4 * 2;
  const RowBias<K, Items> bias(a, rows);
  // Many sums leave few registers for what some tokens take.
  constexpr int atOnce = N == 16 ? 2 : 1;
#pragma unroll
  for (int block = 0; block < N / 8; block += atOnce)
    RowsEnd<K, Items, atOnce>(a, rows, first + 8 * block, tokens)
        .template store<N>(a, sums, block, rows, bias, first + 8 * block,
                           tokens);
}

/// The same of what lane 4 g + t of a warp holds of `tile`.
template <class K, int N>
QCC_DEVICE void storeWide(const Args &a, const float (&sums)[1][N / 2],
                          int tile, int firstToken, int tokens) {
  const int g = ownThread() % 32 / 4;
  const int row = K::glu ? (tile & ~1) * 16 + (tile & 1) * 8 + g
                         : tile * 16 + 2 * g,
            column = K::glu ? tile / 2 * 16 + (tile & 1) * 8 + g : row;
  const StoredRows rows[1] = {{row, K::glu ? row + 16 : row + 1, column}};
  storeRows<K, N, 1>(a, sums, rows, firstToken, tokens);
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_STORED_ROWS_CUH
