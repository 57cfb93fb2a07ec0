//===- Simd.h - Vectors and dispatch for the element loops ------*- C++ -*-===//
//
// The quantizers walk over every weight of a model, so their inner loops are
// written 16 lanes wide with the compiler's generic vectors and compiled three
// times: with 16, 8 or 4 lanes to a register for AVX-512, AVX2 and the
// baseline; dispatch() picks one at run time. Every operation is an IEEE
// operation of its own lane (the folder is compiled without contraction), so
// all three give the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_SIMD_H
#define QCC_COMPILER_QUANTIZE_SIMD_H

#include <cstdint>
#include <cstring>

namespace qcc::simd {

#define QCC_SIMD_INLINE [[gnu::always_inline]] inline

constexpr int64_t kLanes = 16;

/// 16 lanes of T in registers of N lanes.
template <class T, int N>
struct Vec {
  typedef T Part __attribute__((vector_size(N * sizeof(T))));
  /// A register's worth of T anywhere in memory.
  typedef Part Unaligned __attribute__((aligned(alignof(T)), may_alias));
  static constexpr int kParts = int(kLanes) / N;
  Part part[kParts];

  QCC_SIMD_INLINE Vec() : part{} {}
  QCC_SIMD_INLINE explicit Vec(T value) {
    for (Part &p : part)
      p = Part{} + value;
  }

  QCC_SIMD_INLINE static Vec load(const T *from) {
    Vec value;
    for (int i = 0; i < kParts; ++i)
      value.part[i] = *reinterpret_cast<const Unaligned *>(from + i * N);
    return value;
  }
  /// The first `count` of 16 elements; the rest are 0.
  QCC_SIMD_INLINE static Vec load(const T *from, int64_t count) {
    T lanes[kLanes] = {};
    std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(T));
    return load(lanes);
  }
  QCC_SIMD_INLINE void store(T *to) const {
    for (int i = 0; i < kParts; ++i)
      *reinterpret_cast<Unaligned *>(to + i * N) = part[i];
  }
};

template <int N>
using F32 = Vec<float, N>;
/// Comparisons give -1 in true lanes, 0 in the others.
template <int N>
using I32 = Vec<int32_t, N>;

#define QCC_SIMD_OPERATOR(op)                                                  \
  template <class T, int N>                                                    \
  QCC_SIMD_INLINE Vec<T, N> operator op(Vec<T, N> a, const Vec<T, N> &b) {     \
    for (int i = 0; i < Vec<T, N>::kParts; ++i)                                \
      a.part[i] = a.part[i] op b.part[i];                                      \
    return a;                                                                  \
  }                                                                            \
  template <class T, int N>                                                    \
  QCC_SIMD_INLINE Vec<T, N> operator op(Vec<T, N> a, T b) {                    \
    for (int i = 0; i < Vec<T, N>::kParts; ++i)                                \
      a.part[i] = a.part[i] op b;                                              \
    return a;                                                                  \
  }
QCC_SIMD_OPERATOR(+)
QCC_SIMD_OPERATOR(-)
QCC_SIMD_OPERATOR(*)
QCC_SIMD_OPERATOR(/)
QCC_SIMD_OPERATOR(&)
QCC_SIMD_OPERATOR(|)
QCC_SIMD_OPERATOR(^)
QCC_SIMD_OPERATOR(<<)
QCC_SIMD_OPERATOR(>>)
#undef QCC_SIMD_OPERATOR

template <class T, int N>
QCC_SIMD_INLINE I32<N> operator>(const Vec<T, N> &a, const Vec<T, N> &b) {
  I32<N> mask;
  for (int i = 0; i < I32<N>::kParts; ++i)
    mask.part[i] = a.part[i] > b.part[i];
  return mask;
}

template <class To, class T, int N>
QCC_SIMD_INLINE Vec<To, N> bitCast(const Vec<T, N> &a) {
  static_assert(sizeof(To) == sizeof(T));
  Vec<To, N> result;
  for (int i = 0; i < Vec<T, N>::kParts; ++i)
    result.part[i] = reinterpret_cast<typename Vec<To, N>::Part>(a.part[i]);
  return result;
}

/// Converts values, truncating floats towards 0.
template <class To, class T, int N>
QCC_SIMD_INLINE Vec<To, N> convert(const Vec<T, N> &a) {
  Vec<To, N> result;
  for (int i = 0; i < Vec<T, N>::kParts; ++i)
    result.part[i] =
        __builtin_convertvector(a.part[i], typename Vec<To, N>::Part);
  return result;
}

/// The second operand where the first is not smaller (larger), as minps does.
template <int N>
QCC_SIMD_INLINE F32<N> min(F32<N> a, const F32<N> &b) {
  for (int i = 0; i < F32<N>::kParts; ++i)
    a.part[i] = a.part[i] < b.part[i] ? a.part[i] : b.part[i];
  return a;
}
template <int N>
QCC_SIMD_INLINE F32<N> max(F32<N> a, const F32<N> &b) {
  for (int i = 0; i < F32<N>::kParts; ++i)
    a.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i];
  return a;
}

template <int N>
QCC_SIMD_INLINE F32<N> abs(const F32<N> &a) {
  return bitCast<float>(bitCast<int32_t>(a) & 0x7fffffff);
}

/// `value` in the lanes where `mask` is -1, 0 in the others.
template <int N>
QCC_SIMD_INLINE F32<N> masked(const I32<N> &mask, const F32<N> &value) {
  return bitCast<float>(mask & bitCast<int32_t>(value));
}

/// Rounds to an integral value, ties to even; |a| must be below 2^22.
template <int N>
QCC_SIMD_INLINE F32<N> roundEven(const F32<N> &a) {
  constexpr float kShift = 12582912.0f; // 1.5 * 2^23
  return (a + kShift) - kShift;
}

/// Stores the lanes, in 0..255, as `count` bytes.
template <int N>
QCC_SIMD_INLINE void storeBytes(uint8_t *to, const I32<N> &value,
                                int64_t count) {
  int32_t lanes[kLanes];
  uint8_t bytes[kLanes];
  value.store(lanes);
  for (int64_t i = 0; i < kLanes; ++i)
    bytes[i] = static_cast<uint8_t>(lanes[i]);
  std::memcpy(to, bytes, static_cast<size_t>(count));
}

/// Reductions as a tree, the same one at every level.
template <int N, class Operation>
QCC_SIMD_INLINE float reduce(const F32<N> &a, Operation combine) {
  float lanes[kLanes];
  a.store(lanes);
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i)
      lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}
template <int N>
QCC_SIMD_INLINE float reduceMin(const F32<N> &a) {
  return reduce(a, [](float x, float y) { return x < y ? x : y; });
}
template <int N>
QCC_SIMD_INLINE float reduceMax(const F32<N> &a) {
  return reduce(a, [](float x, float y) { return x > y ? x : y; });
}
template <int N>
QCC_SIMD_INLINE float reduceAdd(const F32<N> &a) {
  return reduce(a, [](float x, float y) { return x + y; });
}

enum class Level { Baseline, Avx2, Avx512 };

/// The level that dispatch() uses: the best of this CPU. Tests lower it.
inline Level &level() {
  static Level best = [] {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      return Level::Avx512;
    if (__builtin_cpu_supports("avx2"))
      return Level::Avx2;
#endif
    return Level::Baseline;
  }();
  return best;
}

#if defined(__x86_64__)
template <class Kernel, class... Args>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl"),
  gnu::noinline]] auto runAvx512(Args... args) {
  return Kernel::template run<16>(args...);
}
template <class Kernel, class... Args>
[[gnu::target("avx2"), gnu::noinline]] auto runAvx2(Args... args) {
  return Kernel::template run<8>(args...);
}
#endif

/// Calls Kernel::run<N>(args...), a static always_inline function template on
/// the lanes of a register, for the best instruction set of this CPU.
template <class Kernel, class... Args>
auto dispatch(Args... args) {
#if defined(__x86_64__)
  if (level() == Level::Avx512)
    return runAvx512<Kernel>(args...);
  if (level() == Level::Avx2)
    return runAvx2<Kernel>(args...);
#endif
  return Kernel::template run<4>(args...);
}

} // namespace qcc::simd

#endif // QCC_COMPILER_QUANTIZE_SIMD_H
