//===- stage.cuh - Activations as the GEMMs read them -----------*- C++ -*-===//
//
// One block of threads a row: an optional norm, then the row as blocks of 16
// bytes: 8 bytes of upper halves, 8 of lower ones. Next to weights of 16-bit
// floats a block is four elements, x = upper + lower; else it is eight, x =
// scale (256 upper + lower) / 32512, the scale being the row's largest
// magnitude. Elements lie where the weight's padded groups have them. The sums
// of the elements of each unit follow, for zero points, and each row's factor.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH

#include "codegen/cuda/kernels/codes.cuh"

namespace qcc::cuda {

constexpr int kStageThreads = 512;

/// Operands: input f32, norm weight, norm bias, staged.
template <class K> struct Stage {
  /// Elements of a row that a thread keeps in registers.
  static constexpr int kept = 16;
  static constexpr bool keeps = K::columns <= kept * kStageThreads;

  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    __shared__ float room[32];
    __shared__ int unitSums[K::isFloat ? 1 : K::units];
    startNext();
    waitForEarlier();
    const int m = blockIdx.x;
    const int rows = K::gather ? step->logit_count : step->tokens;
    if (m >= rows)
      return;
    const int row = K::gather ? pointer<const int>(step->logit_rows)[m] : m;
    const float *x = pointer<const float>(a.v[0]) + int64_t(row) * K::stride;
    const float *weight = pointer<const float>(a.v[1]);
    const float *bias = pointer<const float>(a.v[2]);
    char *staged = pointer<char>(a.v[3]);

    float values[keeps ? kept : 1];
    auto each = [&](auto use) {
      if constexpr (keeps) {
#pragma unroll
        for (int i = 0; i < kept; ++i)
          if (int k = i * kStageThreads + threadIdx.x; k < K::columns)
            use(k, values[i]);
      } else {
        for (int k = threadIdx.x; k < K::columns; k += kStageThreads) {
          float v = x[k];
          use(k, v);
        }
      }
    };
    if constexpr (keeps) {
#pragma unroll
      for (int i = 0; i < kept; ++i)
        if (int k = i * kStageThreads + threadIdx.x; k < K::columns)
          values[i] = x[k];
    }
    float mean = 0, inverse = 1;
    if (K::norm == NormLayer) {
      float sum = 0;
      each([&](int, float v) { sum += v; });
      mean = blockReduce<false>(sum, room) * (1.0F / K::columns);
    }
    if (K::norm != NormNone) {
      float squares = 0;
      each([&](int, float v) { squares += (v - mean) * (v - mean); });
      inverse = rsqrtf(blockReduce<false>(squares, room) *
                           (1.0F / K::columns) +
                       K::epsilon);
    }
    auto normed = [&](int k, float v) {
      if (K::norm == NormNone)
        return v;
      v = (v - mean) * inverse * (weight[k] + K::normOffset);
      return K::hasNormBias ? v + bias[k] : v;
    };
    float largest = 0;
    if (K::code != BF16)
      each([&](int k, float v) { largest = fmaxf(largest, fabsf(normed(k, v))); });
    if (K::code != BF16)
      largest = blockReduce<true>(largest, room);
    // 32512 = 127 * 256: the largest value has 127 as its upper half. Rows
    // that have no finite factor are zeros.
    constexpr float top = K::code == F16 ? 256.0F : 32512.0F;
    const float factor =
        K::code == BF16 ? 1.0F : largest > 1e-30F ? top / largest : 0.0F;
    if (threadIdx.x == 0)
      reinterpret_cast<float *>(staged + K::scalesAt)[m] =
          K::code == BF16 ? 1.0F : largest * (1.0F / top);
    if (!K::isFloat) {
      for (int u = threadIdx.x; u < K::units; u += kStageThreads)
        unitSums[u] = 0;
      __syncthreads();
    }

    char *blocks = staged + int64_t(m) * K::rowBlocks * 16;
    // Padding of groups and of the row is 0.
    if constexpr (K::isPadded) {
      for (int i = threadIdx.x; i < K::rowBlocks; i += kStageThreads)
        reinterpret_cast<uint4 *>(blocks)[i] = {0, 0, 0, 0};
      __syncthreads();
    }
    each([&](int k, float raw) {
      const float v = normed(k, raw) * factor;
      const int at = k / K::group * K::paddedGroup + k % K::group;
      const int unit = at / K::unitElements;
      const int place = stagedPlace(K::code, at % K::unitElements);
      char *to = blocks + unit * K::unitBlocks * 16;
      if constexpr (K::isFloat) {
        to += place / 4 * 16 + place % 4 * 2;
        uint16_t upper, lower;
        if (K::code == BF16) {
          upper = toBfloat(v);
          lower = toBfloat(v - fromBfloat(upper));
        } else {
          upper = toHalf(v);
          lower = toHalf(v - fromHalf(upper));
        }
        *reinterpret_cast<uint16_t *>(to) = upper;
        *reinterpret_cast<uint16_t *>(to + 8) = lower;
      } else {
        const int fixed = __float2int_rn(v);
        const int upper = (fixed + 128) >> 8;
        to += place / 8 * 16 + place % 8;
        to[0] = char(upper);
        to[8] = char(fixed - (upper << 8));
        if (K::needsSums)
          atomicAdd(&unitSums[unit], fixed);
      }
    });
    if (!K::isFloat && K::needsSums) {
      __syncthreads();
      int *sums = reinterpret_cast<int *>(staged + K::sumsAt) +
                  int64_t(m) * K::units;
      for (int u = threadIdx.x; u < K::units; u += kStageThreads)
        sums[u] = unitSums[u];
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_STAGE_CUH
