//===- Simd.h - Vectors and dispatch for the element loops ------*- C++ -*-===//
//
// The quantizers walk over every weight of a model, so their inner loops are
// written with the compiler's generic vectors, 16 lanes wide, and compiled
// several times, for AVX-512, AVX2 and the baseline; dispatch() picks one at
// run time. Every operation is an IEEE operation of its own lane (the folder is
// compiled without contraction), so all variants give the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_SIMD_H
#define QCC_COMPILER_QUANTIZE_SIMD_H

#include <cstdint>
#include <cstring>

namespace qcc::simd {

constexpr int64_t kLanes = 16;

using VecF32 = float __attribute__((vector_size(64)));
using VecI32 = int32_t __attribute__((vector_size(64)));
using VecU8 = uint8_t __attribute__((vector_size(16)));
using VecF64 = double __attribute__((vector_size(128)));

#define QCC_SIMD_INLINE [[gnu::always_inline]] inline

/// The first `count` of 16 elements; the rest are 0.
template <class Vec, class T>
QCC_SIMD_INLINE Vec loadPart(const T *from, int64_t count) {
  Vec value{};
  std::memcpy(&value, from, static_cast<size_t>(count) * sizeof(T));
  return value;
}

QCC_SIMD_INLINE VecF32 load(const float *from) {
  VecF32 value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

/// Values in 0..255, stored as bytes.
QCC_SIMD_INLINE void storeBytes(uint8_t *to, VecI32 value, int64_t count) {
  VecU8 bytes = __builtin_convertvector(value, VecU8);
  std::memcpy(to, &bytes, static_cast<size_t>(count));
}

QCC_SIMD_INLINE VecF32 splat(float value) { return VecF32{} + value; }

QCC_SIMD_INLINE VecF32 select(VecI32 mask, VecF32 a, VecF32 b) {
  return mask ? a : b;
}
QCC_SIMD_INLINE VecF32 min(VecF32 a, VecF32 b) { return a < b ? a : b; }
QCC_SIMD_INLINE VecF32 max(VecF32 a, VecF32 b) { return a > b ? a : b; }

QCC_SIMD_INLINE VecF32 abs(VecF32 a) {
  return reinterpret_cast<VecF32>(reinterpret_cast<VecI32>(a) & 0x7fffffff);
}

/// Rounds to an integral value, ties to even; |a| must be below 2^22.
QCC_SIMD_INLINE VecF32 roundEven(VecF32 a) {
  constexpr float kShift = 12582912.0f; // 1.5 * 2^23
  return (a + kShift) - kShift;
}

/// Reductions in lane order, so that all variants agree.
QCC_SIMD_INLINE float reduceMin(VecF32 a) {
  float least = a[0];
  for (int64_t i = 1; i < kLanes; ++i)
    least = a[i] < least ? a[i] : least;
  return least;
}
QCC_SIMD_INLINE float reduceMax(VecF32 a) {
  float most = a[0];
  for (int64_t i = 1; i < kLanes; ++i)
    most = a[i] > most ? a[i] : most;
  return most;
}
QCC_SIMD_INLINE double reduceAdd(VecF64 a) {
  double sum = 0;
  for (int64_t i = 0; i < kLanes; ++i)
    sum += a[i];
  return sum;
}

QCC_SIMD_INLINE VecF64 toDouble(VecF32 a) {
  return __builtin_convertvector(a, VecF64);
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
  return Kernel::run(args...);
}
template <class Kernel, class... Args>
[[gnu::target("avx2"), gnu::noinline]] auto runAvx2(Args... args) {
  return Kernel::run(args...);
}
#endif

/// Calls Kernel::run(args...), which must be always_inline, compiled for the
/// best instruction set of this CPU.
template <class Kernel, class... Args>
auto dispatch(Args... args) {
#if defined(__x86_64__)
  if (level() == Level::Avx512)
    return runAvx512<Kernel>(args...);
  if (level() == Level::Avx2)
    return runAvx2<Kernel>(args...);
#endif
  return Kernel::run(args...);
}

} // namespace qcc::simd

#endif // QCC_COMPILER_QUANTIZE_SIMD_H
