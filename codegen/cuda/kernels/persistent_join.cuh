//===- persistent_join.cuh - Partial results of attention -------*- C++ -*-===//
//
// A partial result of a row is [headDim] values, the largest score and the sum
// of the weights. Those of a block's warps meet in shared memory, floats, those
// of blocks in the arena, words of a float and a stamp, so that a reader knows
// of each word whether it is there; stamps are unique among attentions (until
// 2^32 of them have been counted).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_JOIN_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_JOIN_CUH

#include "codegen/cuda/kernels/persistent.cuh"

namespace qcc::cuda {

template <class K>
struct AttentionParts {
  static constexpr int liveRows = smaller(K::heads / K::kvHeads, 16);
  static constexpr int width = K::headDim + 2;
  static constexpr int perLane = (K::headDim + 31) / 32;
  /// Of 32 dimensions each, how many a warp joins at a time: as few as leave
  /// something for all warps.
  static constexpr int runDims = liveRows < kConsumerWarps ? 1 : perLane;
  static constexpr int runs = perLane / runDims;

  /// Joins run `run` of the dimensions of the warps' `count` results, liveRows
  /// rows apart, into one at `partial`, or where that is null into the output.
  static __device__ __forceinline__ void join(const float *parts, int count,
                                              uint64_t *partial, uint32_t stamp,
                                              float *out, int run, uint32_t tag,
                                              int lane) {
    constexpr int stride = liveRows * width, atOnce = 4;
    const int first = run * runDims * 32 + lane;
    float largest = -1e30F, sum = 0, v[runDims] = {};
#pragma unroll 1
    for (int begin = 0; begin < count; begin += atOnce) {
      float score[atOnce], weight[atOnce], values[atOnce][runDims];
      float most = largest;
#pragma unroll
      for (int p = 0; p < atOnce; ++p) {
        const float *part = parts + (begin + p) * stride;
        const bool exists = begin + p < count;
        score[p] = exists ? part[K::headDim] : -1e30F;
        weight[p] = exists ? part[K::headDim + 1] : 0.0F;
#pragma unroll
        for (int i = 0; i < runDims; ++i)
          values[p][i] =
              exists && isInside(first + i * 32) ? part[first + i * 32] : 0.0F;
      }
#pragma unroll
      for (int p = 0; p < atOnce; ++p)
        most = fmaxf(most, score[p]);
      const float before = exp2f(largest - most);
      sum *= before;
#pragma unroll
      for (int i = 0; i < runDims; ++i)
        v[i] *= before;
#pragma unroll
      for (int p = 0; p < atOnce; ++p) {
        const float factor = exp2f(score[p] - most);
        sum += weight[p] * factor;
#pragma unroll
        for (int i = 0; i < runDims; ++i)
          v[i] += values[p][i] * factor;
      }
      largest = most;
    }
#pragma unroll
    for (int i = 0; i < runDims; ++i)
      if (const int d = first + i * 32; isInside(d)) {
        if (partial)
          storeStamped(partial + d, v[i], stamp);
        else
          storeOutput(out + d, v[i] / sum, tag);
      }
    if (partial && first < 2)
      storeStamped(partial + K::headDim + first, first ? sum : largest, stamp);
  }

  /// Joins 32 dimensions of a row's `count` parts, which other blocks leave
  /// meanwhile, into the output.
  static __device__ __forceinline__ void joinParts(const uint64_t *parts,
                                                   int count, uint32_t stamp,
                                                   float *out, int run,
                                                   uint32_t tag, int lane) {
    constexpr int stride = liveRows * width, atOnce = 16;
    const int d = run * 32 + lane;
    float largest = -1e30F, sum = 0, v = 0;
#pragma unroll 1
    for (int begin = 0; begin < count; begin += atOnce) {
      const uint64_t *at = parts + int64_t(begin) * stride;
      const uint64_t none = uint64_t(stamp) << 32;
      const auto exists = [&](int part) { return begin + part < count; };
      // A lane of the first half has a part's largest score, the one 16 lanes
      // behind it the part's sum.
      const int part = lane % atOnce;
      const uint64_t *ownAt = at + part * stride + K::headDim + lane / atOnce;
      uint64_t own = exists(part) ? loadWord(ownAt) : none, values[atOnce];
#pragma unroll
      for (int i = 0; i < atOnce; ++i)
        values[i] =
            exists(i) && isInside(d) ? loadWord(at + i * stride + d) : none;
      for (bool isMissing = true; isMissing;) {
        isMissing = false;
        const auto retry = [&](uint64_t &word, const uint64_t *from) {
          if (uint32_t(word >> 32) != stamp) {
            word = loadWord(from);
            isMissing = true;
          }
        };
        retry(own, ownAt);
#pragma unroll
        for (int i = 0; i < atOnce; ++i)
          retry(values[i], at + i * stride + d);
      }
      __syncwarp();
      const float mine = __uint_as_float(uint32_t(own)),
                  weight = __shfl_down_sync(~0U, mine, atOnce);
      const bool isScore = lane < atOnce && exists(part);
      const float most = fmaxf(largest, warpMax(isScore ? mine : -1e30F)),
                  factor = isScore ? exp2f(mine - most) : 0.0F,
                  before = exp2f(largest - most);
      sum = sum * before + warpSum(isScore ? weight * factor : 0.0F);
      v *= before;
#pragma unroll
      for (int i = 0; i < atOnce; ++i)
        v += __uint_as_float(uint32_t(values[i])) * __shfl_sync(~0U, factor, i);
      largest = most;
    }
    if (isInside(d))
      storeOutput(out + d, v / sum, tag);
  }

private:
  static __device__ __forceinline__ bool isInside(int d) {
    return K::headDim % 32 == 0 || d < K::headDim;
  }
  static __device__ __forceinline__ void storeOutput(float *to, float v,
                                                     uint32_t tag) {
    if (K::isTagged)
      storeTagged(to, v, tag);
    else
      *to = v;
  }
  /// A number and its stamp, in one access.
  static __device__ __forceinline__ void storeStamped(uint64_t *to, float v,
                                                      uint32_t stamp) {
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(to),
                 "l"(uint64_t(stamp) << 32 | __float_as_uint(v))
                 : "memory");
  }
  static __device__ __forceinline__ uint64_t loadWord(const uint64_t *from) {
    uint64_t v;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];"
                 : "=l"(v)
                 : "l"(from)
                 : "memory");
    return v;
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_JOIN_CUH
