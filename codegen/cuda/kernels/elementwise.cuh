//===- elementwise.cuh - Embedding, rope, norms, element-wise ---*- C++ -*-===//
//
// The phases that are bound by latency. All read and write f32 rows.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_ELEMENTWISE_CUH
#define QCC_CODEGEN_CUDA_KERNELS_ELEMENTWISE_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

/// Rows of the embedding table, one block a token. Operands: table, output.
template <class K>
struct Embed {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    const int m = blockIdx.x;
    if (m >= step->tokens)
      return;
    // Rows by position stay inside the table, whatever the position.
    int id =
        pointer<const int>(K::positions ? step->positions : step->token_ids)[m];
    if (K::positions)
      id = smaller(id + K::positionOffset, K::tableRows - 1);
    const void *table = pointer<const void>(a.v[0]);
    float *out = pointer<float>(a.v[1]) + int64_t(m) * K::hidden;
    for (int k = threadIdx.x; k < K::hidden; k += blockDim.x) {
      int64_t at = int64_t(id) * K::hidden + k;
      if (K::isTiled) // lines of `perLine` elements of each of 16 rows
        at = int64_t(id / 16) * 16 * K::paddedHidden +
             k / K::perLine * K::perLine * 16 + id % 16 * K::perLine +
             k % K::perLine;
      out[k] = K::multiplier * loadElement<K::element>(table, at);
    }
  }
};

/// cos and sin of a position times a frequency.
template <class K>
QCC_DEVICE void ropeAngle(float position, float frequency, float *out) {
  // The product is rounded to f32 first, as on the CPU; turns are taken off in
  // double, which is exact for any position.
  const float angle = position * frequency;
  double halfTurns = double(angle) * 0.31830988618379067;
  halfTurns -= 2.0 * rint(halfTurns * 0.5);
  float sine, cosine;
  sincospif(float(halfTurns), &sine, &cosine);
  out[0] = cosine * K::attentionFactor;
  out[1] = sine * K::attentionFactor;
}

/// cos and sin of every position, one block a token. Operands: inverse
/// frequencies, output.
template <class K>
struct RopeTable {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    const int m = blockIdx.x;
    if (m >= step->tokens)
      return;
    const float *frequencies = pointer<const float>(a.v[0]);
    double logBase = 0;
    if (K::original > 0) {
      const Sequence &sequence = pointer<const Sequence>(
          step->sequences)[pointer<const uint32_t>(step->token_sequence)[m]];
      const uint32_t now = sequence.past + sequence.tokens;
      const uint32_t length = sequence.length > now ? sequence.length : now;
      if (length > uint32_t(K::original)) {
        frequencies += K::half;
        if (K::factor > 0 && K::half > 1)
          logBase = log(double(K::factor) * double(length) /
                            double(K::original ? K::original : 1) -
                        (double(K::factor) - 1)) /
                    double(K::half > 1 ? K::half - 1 : 1);
      }
    }
    float *out = pointer<float>(a.v[1]) + int64_t(m) * K::half * 2;
    const float position = float(pointer<const int>(step->positions)[m]);
    for (int i = threadIdx.x; i < K::half; i += blockDim.x) {
      float frequency = frequencies[i];
      if (K::factor > 0 && logBase != 0)
        frequency = float(double(frequency) * exp(-logBase * double(i)));
      ropeAngle<K>(position, frequency, out + 2 * i);
    }
  }
};

/// Dimension d of a head is turned by angle `pair`, together with `other`.
struct Turn {
  int pair, other;
  bool isFirst;
};
template <class K>
QCC_DEVICE Turn turnOf(int d) {
  constexpr int half = K::rotary / 2;
  if (K::isInterleaved)
    return {d / 2, d ^ 1, d % 2 == 0};
  const bool isFirst = d < half;
  return {d % (half ? half : 1), isFirst ? d + half : d - half, isFirst};
}

/// A warp's head of a row, rotated: element d of what `load` has.
template <class K, typename Load>
QCC_DEVICE float rotated(const float *table, int d, Load load) {
  if (d >= K::rotary)
    return load(d);
  const Turn turn = turnOf<K>(d);
  const float cosine = table[2 * turn.pair], sine = table[2 * turn.pair + 1];
  const float x = load(d), y = load(turn.other);
  return turn.isFirst ? x * cosine - y * sine : x * cosine + y * sine;
}

/// A head, which a warp norms and rotates: dimension 32 i + lane.
template <class K>
struct RotatedHead {
  static constexpr int perLane = (K::headDim + 31) / 32;
  float x[perLane], other[perLane], cosine[perLane], sine[perLane];

  __device__ __forceinline__ void load(const float *from, const float *table,
                                       int lane) {
#pragma unroll
    for (int i = 0; i < perLane; ++i) {
      const int d = i * 32 + lane;
      x[i] = d < K::headDim ? from[d] : 0.0F;
      if (d < K::rotary) {
        const Turn turn = turnOf<K>(d);
        other[i] = from[turn.other];
        cosine[i] = table[2 * turn.pair];
        sine[i] = table[2 * turn.pair + 1];
      }
    }
  }
  __device__ __forceinline__ void finish(const float *norm, int lane) {
    float inverse = 1;
    if (K::normQk) {
      float squares = 0;
#pragma unroll
      for (int i = 0; i < perLane; ++i)
        squares += x[i] * x[i];
      inverse = rsqrtf(warpSum(squares) * (1.0F / K::headDim) + K::epsilon);
    }
    auto scale = [&](float v, int d) {
      return K::normQk ? v * inverse * (norm[d] + K::normOffset) : v;
    };
#pragma unroll
    for (int i = 0; i < perLane; ++i) {
      const int d = i * 32 + lane;
      if (d < K::headDim)
        x[i] = scale(x[i], d);
      if (d < K::rotary) {
        const Turn turn = turnOf<K>(d);
        const float y = scale(other[i], turn.other) * sine[i];
        x[i] = turn.isFirst ? x[i] * cosine[i] - y : x[i] * cosine[i] + y;
      }
    }
  }
};

/// The k and v of a token and kv head on their way into the cache; a warp.
template <class K>
struct NewPosition {
  RotatedHead<K> key;
  float value[RotatedHead<K>::perLane];

  __device__ __forceinline__ void load(const float *k, const float *v,
                                       const float *table, int lane) {
    key.load(k, table, lane);
#pragma unroll
    for (int i = 0; i < RotatedHead<K>::perLane; ++i)
      if (int d = i * 32 + lane; d < K::headDim)
        value[i] = v[d];
  }
  /// `norm`: that of k. `keys`, `values`: the head's part of the cache.
  __device__ __forceinline__ void store(const float *norm, int position,
                                        uint16_t *keys, uint16_t *values,
                                        int lane) {
    key.finish(norm, lane);
    keys += int64_t(position) * K::headDim;
    values += valueOffset<K::headDim>(position);
    auto convert = [](float x) {
      return K::kvIsBfloat ? toBfloat(x) : toHalf(x);
    };
#pragma unroll
    for (int i = 0; i < RotatedHead<K>::perLane; ++i)
      if (int d = i * 32 + lane; d < K::headDim) {
        keys[d] = convert(key.x[i]);
        values[d * QRT_CUDA_KV_TILE] = convert(value[i]);
      }
  }
};

/// Norms and rotates q in place and k, appends k and v. A warp a head of a
/// token, those of q before those of k and v. Operands: q, k, v, rope table,
/// norm of q, norm of k, bytes a token of the layers before this one.
template <class K>
struct RopeAppend {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    constexpr int heads = K::heads + K::kvHeads;
    const int lane = threadIdx.x % 32;
    const int item = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int m = item / heads, head = item % heads;
    if (m >= step->tokens)
      return;
    const float *table = pointer<const float>(a.v[3]) + int64_t(m) * K::rotary;
    if (head < K::heads) {
      float *q =
          pointer<float>(a.v[0]) + int64_t(m) * K::qStride + head * K::headDim;
      if (!K::normQk && !K::rotary)
        return;
      RotatedHead<K> query;
      query.load(q, table, lane);
      query.finish(pointer<const float>(a.v[4]), lane);
      __syncwarp();
#pragma unroll
      for (int i = 0; i < query.perLane; ++i)
        if (int d = i * 32 + lane; d < K::headDim)
          q[d] = query.x[i];
      return;
    }
    const int kvHead = head - K::heads;
    const Sequence &sequence = pointer<const Sequence>(
        step->sequences)[pointer<const uint32_t>(step->token_sequence)[m]];
    const int64_t capacity = sequence.capacity;
    uint16_t *layer = reinterpret_cast<uint16_t *>(pointer<char>(sequence.kv) +
                                                   capacity * int64_t(a.v[6]));
    NewPosition<K> added;
    added.load(pointer<const float>(a.v[1]) + int64_t(m) * K::kStride +
                   kvHead * K::headDim,
               pointer<const float>(a.v[2]) + int64_t(m) * K::vStride +
                   kvHead * K::headDim,
               table, lane);
    added.store(pointer<const float>(a.v[5]),
                int(sequence.past) + m - int(sequence.first_token),
                layer + kvHead * capacity * K::headDim,
                layer + (K::kvHeads + kvHead) * capacity * K::headDim, lane);
  }
};

/// A rotation that no attention took: a warp a head. Operands: input, table,
/// output.
template <class K>
struct Rope {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    const int lane = threadIdx.x % 32;
    const int item = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int m = item / K::heads, head = item % K::heads;
    if (m >= step->tokens)
      return;
    const int64_t at = int64_t(m) * K::qStride + head * K::headDim;
    const float *from = pointer<const float>(a.v[0]) + at;
    const float *table = pointer<const float>(a.v[1]) + int64_t(m) * K::rotary;
    float *to = pointer<float>(a.v[2]) + at;
    for (int d = lane; d < K::headDim; d += 32)
      to[d] = rotated<K>(table, d, [&](int i) { return from[i]; });
  }
};

/// A norm that no GEMM took, of one of `heads` slices of a row a block.
/// Operands: input, weight, bias, output.
template <class K>
struct Norm {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    __shared__ float room[32];
    startNext();
    waitForEarlier();
    const int m = blockIdx.x / K::heads, slice = blockIdx.x % K::heads;
    if (m >= step->tokens)
      return;
    const float *x = pointer<const float>(a.v[0]) +
                     int64_t(m) * K::inputStride + slice * K::columns;
    const int own = K::weightPerHead ? slice * K::columns : 0;
    const float *weight = pointer<const float>(a.v[1]) + own;
    const float *bias = pointer<const float>(a.v[2]) + (K::hasBias ? own : 0);
    float *out = pointer<float>(a.v[3]) + int64_t(m) * K::outputStride +
                 slice * K::columns;
    float mean = 0;
    if (K::norm == NormLayer) {
      float sum = 0;
      for (int k = threadIdx.x; k < K::columns; k += blockDim.x)
        sum += x[k];
      mean = blockReduce<false>(sum, room) * (1.0F / K::columns);
    }
    float squares = 0;
    for (int k = threadIdx.x; k < K::columns; k += blockDim.x)
      squares += (x[k] - mean) * (x[k] - mean);
    const float inverse = rsqrtf(
        blockReduce<false>(squares, room) * (1.0F / K::columns) + K::epsilon);
    for (int k = threadIdx.x; k < K::columns; k += blockDim.x) {
      const float v = (x[k] - mean) * inverse * (weight[k] + K::normOffset);
      out[k] = K::hasBias ? v + bias[k] : v;
    }
  }
};

/// out = f(a), a * b or a + b, one block a row. Operands: a, b, output. Scale,
/// soft cap and clamp are those of `tfm.map`, with K::value.
enum ElementwiseKind {
  ElementwiseActivate,
  ElementwiseMul,
  ElementwiseAdd,
  ElementwiseScale,
  ElementwiseSoftCap,
  ElementwiseClamp
};
template <class K>
struct Elementwise {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    const int m = blockIdx.x;
    if (m >= step->tokens)
      return;
    const float *x = pointer<const float>(a.v[0]) + int64_t(m) * K::aStride;
    const float *y = pointer<const float>(a.v[1]) + int64_t(m) * K::bStride;
    float *out = pointer<float>(a.v[2]) + int64_t(m) * K::outputStride;
    for (int k = threadIdx.x; k < K::columns; k += blockDim.x) {
      const float v = x[k];
      out[k] = K::kind == ElementwiseMul       ? v * y[k]
               : K::kind == ElementwiseAdd     ? v + y[k]
               : K::kind == ElementwiseScale   ? v * K::value
               : K::kind == ElementwiseSoftCap ? softCap(v, K::value)
               : K::kind == ElementwiseClamp
                   ? fminf(fmaxf(v, -K::value), K::value)
                   : activate<K::activation>(v);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_ELEMENTWISE_CUH
