//===- epilogue.cuh - What happens to the sums of a GEMM --------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

/// + bias, activation (and times up, where tiles alternate gate, up, ...),
/// * multiplier, soft cap, + residual, in this order. The residual may be the output.
template <class K>
class Epilogue {
public:
  __device__ __forceinline__ Epilogue(const Args &a, int tokens)
      : bias(pointer<const float>(a.v[3])),
        residual(pointer<const float>(a.v[4])), output(pointer<float>(a.v[5])),
        tokens(tokens) {}

  /// Stores one value; `row` is that of a tile (the gate's, with glu).
  __device__ __forceinline__ void storeOne(int row, int token, float gate,
                                           float up) const {
    if (row >= K::rows || token >= tokens)
      return;
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
    for (int s = 0; s < Sets; ++s)
      for (int r = 0; r < 2; ++r)
        storeOne(item * Tiles * 16 + lane / 4 * 2 + r, s * 4 + lane % 4,
                 v[0][s][r], v[Tiles - 1][s][r]);
  }

private:
  const float *bias, *residual;
  float *output;
  int tokens;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_EPILOGUE_CUH
