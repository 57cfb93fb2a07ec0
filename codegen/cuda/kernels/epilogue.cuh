//===- epilogue.cuh - What happens to the sums of a GEMM --------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

/// + bias, activation (and times up, where tiles alternate gate, up, ...),
/// * multiplier, soft cap, + residual, in this order. The residual may be the
/// output. In front of all that, LLM.int8 (K::isSplit) adds the outlier columns
/// in float: the staged buffer has their list and values (Layout.h).
template <class K>
class Epilogue {
public:
  __device__ __forceinline__ Epilogue(const Args &a, int tokens)
      : bias(pointer<const float>(a.v[3])),
        residual(pointer<const float>(a.v[4])), output(pointer<float>(a.v[5])),
        codes(pointer<const uint8_t>(a.v[0])),
        scales(pointer<const void>(a.v[1])),
        staged(pointer<const char>(a.v[6])), tokens(tokens) {}

  /// Stores one value; `row` is that of a tile (the gate's, with glu).
  __device__ __forceinline__ void storeOne(int row, int token, float gate,
                                           float up) const {
    if (row >= K::rows || token >= tokens)
      return;
    if constexpr (K::isSplit) {
      gate += outliers(row, token);
      if (K::glu)
        up += outliers(row + 16, token);
    }
    if (K::hasBias) {
      gate += bias[row];
      if (K::glu)
        up += bias[row + 16];
    }
    float v = activate<K::activation>(gate);
    int column = row;
    if (K::glu) {
      v *= up;
      column = row / 32 * 16 + row % 16;
    }
    if (K::multiplier != 1.0F)
      v *= K::multiplier;
    if (K::softCap > 0.0F)
      v = softCap(v, K::softCap);
    if (K::hasResidual)
      v += residual[int64_t(token) * K::residualStride + column];
    output[int64_t(token) * K::outputStride + column] = v;
  }

  /// Stores what lane 4 g + t of a warp holds of an item (a tile, or a pair of
  /// gate and up): rows 2 g and 2 g + 1 of token 4 s + t of each set s.
  template <int Tiles, int Sets>
  __device__ __forceinline__ void
  store(int item, const float (&v)[Tiles][Sets][2]) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int s = 0; s < Sets; ++s)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        storeOne(item * Tiles * 16 + lane / 4 * 2 + r, s * 4 + lane % 4,
                 v[0][s][r], v[Tiles - 1][s][r]);
  }

private:
  /// The outlier columns' part of a row's product.
  __device__ __forceinline__ float outliers(int row, int token) const {
    const int *list = reinterpret_cast<const int *>(staged + K::listAt);
    const float *values =
        reinterpret_cast<const float *>(staged + K::valuesAt) +
        int64_t(token) * K::columns;
    // A column's codes of a tile are one byte of the dwords of a line.
    const uint8_t *own =
        codes + int64_t(row / 16) * K::tileBytes + row % 16 * 4;
    return sumOutliers(list, own, values) *
           loadElement<K::scaleType>(scales, row);
  }
  /// Not inlined: a GEMM calls it for each of a lane's elements.
  static __device__ __noinline__ float sumOutliers(const int *list,
                                                   const uint8_t *codes,
                                                   const float *values) {
    float sum = 0;
    for (int i = 0, count = *list; i < count; ++i) {
      const int k = list[1 + i];
      sum = fmaf(float(int(codes[k / 4 * 64 + k % 4]) - 128), values[i], sum);
    }
    return sum;
  }

  const float *bias, *residual;
  float *output;
  const uint8_t *codes;
  const void *scales;
  const char *staged;
  int tokens;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH
