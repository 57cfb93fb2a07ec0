//===- common.cuh - What all CUDA kernels use -------------------*- C++ -*-===//
//
// Types, reductions and activation functions. No header of the CUDA toolkit is
// needed: NVRTC gets these files as text.
//
// Kernels may begin before the kernels in front of them have ended
// (programmatic dependent launch): everything that an earlier kernel wrote is
// read after waitForEarlier(), and nothing is written before it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_COMMON_CUH
#define QCC_CODEGEN_CUDA_KERNELS_COMMON_CUH

#include "codegen/cuda/kernels/ptx.cuh"

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
// 16-bit floats
//===----------------------------------------------------------------------===//

QCC_DEVICE float fromBfloat(uint16_t h) {
  return __uint_as_float(uint32_t(h) << 16);
}
QCC_DEVICE float roundToBfloat(float x) { return fromBfloat(toBfloat(x)); }
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
