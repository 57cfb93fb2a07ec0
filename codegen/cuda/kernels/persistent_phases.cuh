//===- persistent_phases.cuh - The small phases of a step -------*- C++ -*-===//
//
// Phases that are bound by latency: K::run of Consumer::phase, which all
// consumers of the grid share.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_PHASES_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_PHASES_CUH

#include "codegen/cuda/kernels/elementwise.cuh"
#include "codegen/cuda/kernels/persistent.cuh"

namespace qcc::cuda {

template <class K>
struct PersistentEmbed {
  static __device__ __forceinline__ void
  run(const Step *step, int block, int blocks, int thread, float *, uint32_t &,
      uint64_t table, uint64_t output, uint64_t rest, uint32_t tag) {
    for (int m = 0; m < int(step->tokens); ++m) {
      const int id = pointer<const int>(step->token_ids)[m];
      for (int k = block * kConsumers + thread; k < K::hidden;
           k += blocks * kConsumers) {
        int64_t at = int64_t(id) * K::hidden + k;
        if (K::isTiled)
          at = int64_t(id / 16) * 16 * K::paddedHidden +
               k / K::perLine * K::perLine * 16 + id % 16 * K::perLine +
               k % K::perLine;
        const int64_t to = int64_t(m) * K::hidden + k;
        const float v = K::multiplier *
                        loadElement<K::element>(pointer<const void>(table), at);
        pointer<float>(output)[to] = K::isTagged ? withTag(v, tag) : v;
        if (K::hasRest)
          pointer<float>(rest)[to] = K::isTagged ? withTag(0, tag) : 0.0F;
      }
    }
  }
};

template <class K>
struct PersistentRopeTable {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t frequencies,
                                             uint64_t output) {
    for (int i = block * kConsumers + thread; i < int(step->tokens) * K::half;
         i += blocks * kConsumers)
      ropeAngle<K>(float(pointer<const int>(step->positions)[i / K::half]),
                   pointer<const float>(frequencies)[i % K::half],
                   pointer<float>(output) + 2 * int64_t(i));
  }
};

template <class K>
struct PersistentNorm {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread,
                                             float *rooms, uint32_t &turn,
                                             uint64_t input, uint64_t weight,
                                             uint64_t bias, uint64_t output) {
    for (int item = block; item < int(step->tokens) * K::heads;
         item += blocks) {
      const int m = item / K::heads, slice = item % K::heads;
      const float *x = pointer<const float>(input) +
                       int64_t(m) * K::inputStride + slice * K::columns;
      float *out = pointer<float>(output) + int64_t(m) * K::outputStride +
                   slice * K::columns;
      float mean = 0;
      if (K::norm == NormLayer) {
        float sum = 0;
        for (int k = thread; k < K::columns; k += kConsumers)
          sum += loadFar(x + k);
        mean = consumerReduce<false>(sum, rooms, turn) * (1.0F / K::columns);
      }
      float squares = 0;
      for (int k = thread; k < K::columns; k += kConsumers) {
        const float v = loadFar(x + k) - mean;
        squares += v * v;
      }
      const float inverse = rsqrtf(consumerReduce<false>(squares, rooms, turn) *
                                       (1.0F / K::columns) +
                                   K::epsilon);
      for (int k = thread; k < K::columns; k += kConsumers) {
        const float v = (loadFar(x + k) - mean) * inverse *
                        (pointer<const float>(weight)[k] + K::normOffset);
        out[k] = K::hasBias ? v + pointer<const float>(bias)[k] : v;
      }
    }
  }
};

template <class K>
struct PersistentRope {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t input,
                                             uint64_t table, uint64_t output) {
    const int lane = thread % 32;
    for (int item = block * kConsumerWarps + thread / 32;
         item < int(step->tokens) * K::heads; item += blocks * kConsumerWarps) {
      const int m = item / K::heads, head = item % K::heads;
      const int64_t at = int64_t(m) * K::qStride + head * K::headDim;
      const float *from = pointer<const float>(input) + at;
      const float *angles =
          pointer<const float>(table) + int64_t(m) * K::rotary;
      for (int d = lane; d < K::headDim; d += 32)
        pointer<float>(output)[at + d] =
            rotated<K>(angles, d, [&](int i) { return loadFar(from + i); });
    }
  }
};

template <class K>
struct PersistentElementwise {
  static __device__ __forceinline__ void run(const Step *step, int block,
                                             int blocks, int thread, float *,
                                             uint32_t &, uint64_t a, uint64_t b,
                                             uint64_t output) {
    for (int m = 0; m < int(step->tokens); ++m) {
      const float *x = pointer<const float>(a) + int64_t(m) * K::aStride;
      const float *y = pointer<const float>(b) + int64_t(m) * K::bStride;
      float *out = pointer<float>(output) + int64_t(m) * K::outputStride;
      for (int k = block * kConsumers + thread; k < K::columns;
           k += blocks * kConsumers) {
        const float v = loadFar(x + k);
        out[k] = K::kind == ElementwiseMul   ? v * loadFar(y + k)
                 : K::kind == ElementwiseAdd ? v + loadFar(y + k)
                                             : activate<K::activation>(v);
      }
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_PHASES_CUH
