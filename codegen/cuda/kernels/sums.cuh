//===- sums.cuh - Sums that a library has left ------------------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_SUMS_CUH
#define QCC_CODEGEN_CUDA_KERNELS_SUMS_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

/// Quantized weights become f16, times this: small ones keep their bits, and
/// the largest may be 1000.
constexpr float kHalfFactor = 64.0F;

/// Up to so many tokens are multiplied with codes as they are (batch_ring.cuh).
constexpr int kMostRawTokens = 32;

/// x / y within 2 ulp: 0 for a y that is infinite.
QCC_DEVICE float quotient(float x, float y) { return __fdividef(x, y); }

/// Activations of results that become 16-bit floats, in fewer instructions
/// where that matters: within 1e-7 of the largest magnitude.
template <int Kind>
QCC_DEVICE float activateQuickly(float x) {
  if constexpr (Kind == ActSilu) {
    return quotient(x, 1.0F + __expf(-x));
  } else if constexpr (Kind == ActGeluTanh) {
    return quotient(x,
                    1.0F + __expf(-1.59576912F * (x + 0.044715F * x * x * x)));
  } else if constexpr (Kind == ActGeluErf) {
    // Abramowitz and Stegun, 7.1.26: 1 - erf, within 1.5e-7.
    const float z = fabsf(x) * 0.70710678F;
    const float t = quotient(1.0F, fmaf(0.3275911F, z, 1.0F));
    float rest = fmaf(t, 1.061405429F, -1.453152027F);
    rest = fmaf(t, rest, 1.421413741F);
    rest = fmaf(t, rest, -0.284496736F);
    rest = fmaf(t, rest, 0.254829592F) * t * __expf(-z * z);
    return 0.5F * x * (x < 0 ? rest : 2.0F - rest);
  } else {
    return activate<Kind>(x);
  }
}

/// A token's products with the rows of a weight of K::sumCode, before what the
/// epilogue of a GEMM does: its row's factor, + bias, activation (and times up,
/// where tiles alternate gate, up, ...), * multiplier, soft cap, in this order.
template <class K>
class SumRow {
public:
  __device__ __forceinline__ SumRow(uint64_t sums, uint64_t factors,
                                    uint64_t bias, int token)
      : row(pointer<const float>(sums) + int64_t(token) * K::sumStride),
        bias(pointer<const float>(bias)),
        scale(K::sumCode == BF16  ? 1.0F
              : K::sumCode == F16 ? pointer<const float>(factors)[token]
                                  : pointer<const float>(factors)[token] *
                                        (1.0F / kHalfFactor)) {}

  /// `count` of the 4 results from column `c` on, a multiple of 4; all of them,
  /// from aligned rows, with `IsVector`.
  template <bool IsVector>
  __device__ __forceinline__ void take(float (&v)[4], int c, int count) const {
    // The gate's place; those of up are 16 later.
    const int at = K::glu ? c / 16 * 32 + c % 16 : c;
    load<IsVector>(v, at, count);
    if (K::glu) {
      float up[4];
      load<IsVector>(up, at + 16, count);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        v[i] = finish(activateQuickly<K::activation>(v[i]) * up[i]);
      return;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      v[i] = finish(activateQuickly<K::activation>(v[i]));
  }
  /// One result.
  __device__ __forceinline__ float operator[](int c) const {
    const int at = K::glu ? c / 16 * 32 + c % 16 : c;
    const float v = activateQuickly<K::activation>(one(at));
    return finish(K::glu ? v * one(at + 16) : v);
  }
  static __device__ __forceinline__ void load4(float (&to)[4],
                                               const float *from) {
    const float4 v = *reinterpret_cast<const float4 *>(from);
    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
  }

private:
  __device__ __forceinline__ float one(int at) const {
    return row[at] * scale + (K::hasBias ? bias[at] : 0.0F);
  }
  template <bool IsVector>
  __device__ __forceinline__ void load(float (&v)[4], int at, int count) const {
    if (!IsVector) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        v[i] = i < count ? one(at + i) : 0.0F;
      return;
    }
    float b[4] = {};
    load4(v, row + at);
    if (K::hasBias)
      load4(b, bias + at);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      v[i] = v[i] * scale + b[i];
  }
  static __device__ __forceinline__ float finish(float v) {
    if (K::multiplier != 1.0F)
      v *= K::multiplier;
    if (K::softCap > 0.0F)
      v = softCap(v, K::softCap);
    return v;
  }

  const float *row, *bias;
  const float scale;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_SUMS_CUH
