//===- simd.h - Sixteen lanes, one a row of a tile --------------*- C++ -*-===//
//
// Vectors of 64 bytes: one zmm register on x86-64-v4, a pair of ymm registers
// on v3. Arithmetic is the compiler's vector extension; only what it cannot say
// is an intrinsic. All variants compute the same values, bit for bit: products
// are fused with sums exactly where fma() says so (-ffp-contract=off), and
// sums over lanes have one order.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_SIMD_H
#define QCC_CODEGEN_CPU_KERNELS_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define KRN_INLINE static inline __attribute__((always_inline))
/// The same for members that are not static.
#define KRN_METHOD inline __attribute__((always_inline))
/// For lambdas.
#define KRN_LAMBDA __attribute__((always_inline))
/// Before a loop over registers: arrays of vectors must not become memory.
#define KRN_UNROLL _Pragma("clang loop unroll(full)")

namespace qcc::krn {

typedef float F32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef float F32x16u __attribute__((vector_size(64), aligned(4)));
typedef uint32_t U32x16u __attribute__((vector_size(64), aligned(1)));

/// The same 64 bytes as the type an operation wants.
union Bits {
  U32x16 u;
  I32x16 i;
  F32x16 f;
  __m256i ymm[2];
  __m256 ps[2];
#ifdef __AVX512F__
  __m512i zmm;
  __m512 zps;
#endif
};

//===----------------------------------------------------------------------===//
// Loads, stores, casts
//===----------------------------------------------------------------------===//

KRN_INLINE F32x16 asFloat(U32x16 v) { return (F32x16)v; }
KRN_INLINE U32x16 asBits(F32x16 v) { return (U32x16)v; }

KRN_INLINE U32x16 loadBits(const void *at) { return *(const U32x16u *)at; }
KRN_INLINE void storeBits(void *at, U32x16 v) { *(U32x16u *)at = v; }
KRN_INLINE F32x16 load(const float *at) { return *(const F32x16u *)at; }
KRN_INLINE void store(float *at, F32x16 v) { *(F32x16u *)at = v; }

KRN_INLINE F32x16 splat(float x) {
  return F32x16{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
KRN_INLINE I32x16 splat(int32_t x) {
  return I32x16{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
/// Four bytes at `at` in every lane.
KRN_INLINE I32x16 splatLoad(const void *at) {
  int32_t x;
  __builtin_memcpy(&x, at, 4);
  return splat(x);
}
KRN_INLINE F32x16 toFloat(I32x16 v) {
  return __builtin_convertvector(v, F32x16);
}
KRN_INLINE F32x16 toFloat(U32x16 v) { return toFloat((I32x16)v); }

/// 0, 1, .. 15.
KRN_INLINE I32x16 laneNumbers() {
  return I32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

/// The first `count` (0 .. 16) lanes; the rest is 0.
KRN_INLINE F32x16 loadPart(const float *at, int64_t count) {
  Bits b;
#ifdef __AVX512F__
  b.zps = _mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), at);
#else
  Bits mask{.i = laneNumbers() < splat(int32_t(count))};
  b.ps[0] = _mm256_maskload_ps(at, mask.ymm[0]);
  b.ps[1] = _mm256_maskload_ps(at + 8, mask.ymm[1]);
#endif
  return b.f;
}
KRN_INLINE void storePart(float *at, F32x16 v, int64_t count) {
  Bits b{.f = v};
#ifdef __AVX512F__
  _mm512_mask_storeu_ps(at, __mmask16((1u << count) - 1), b.zps);
#else
  Bits mask{.i = laneNumbers() < splat(int32_t(count))};
  _mm256_maskstore_ps(at, mask.ymm[0], b.ps[0]);
  _mm256_maskstore_ps(at + 8, mask.ymm[1], b.ps[1]);
#endif
}
/// As many of 16 lanes as `count` (any, >= 0) has.
KRN_INLINE F32x16 loadUpTo(const float *at, int64_t count) {
  return count >= 16 ? load(at) : loadPart(at, count);
}
KRN_INLINE void storeUpTo(float *at, F32x16 v, int64_t count) {
  if (count >= 16)
    store(at, v);
  else
    storePart(at, v, count);
}

/// Sixteen 16-bit values widened to the low halves of lanes.
KRN_INLINE U32x16 loadHalves(const void *at) {
  Bits r;
  const __m128i *p = (const __m128i *)at;
  r.ymm[0] = _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
  r.ymm[1] = _mm256_cvtepu16_epi32(_mm_loadu_si128(p + 1));
  return r.u;
}
/// Sixteen bytes widened.
KRN_INLINE U32x16 loadBytes(const void *at) {
  Bits r;
  const __m128i bytes = _mm_loadu_si128((const __m128i *)at);
  r.ymm[0] = _mm256_cvtepu8_epi32(bytes);
  r.ymm[1] = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
  return r.u;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// a * b + c, rounded once.
KRN_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return __builtin_elementwise_fma(a, b, c);
}
KRN_INLINE F32x16 fma(F32x16 a, float b, F32x16 c) {
  return __builtin_elementwise_fma(a, splat(b), c);
}
KRN_INLINE F32x16 fma(F32x16 a, F32x16 b, float c) {
  return __builtin_elementwise_fma(a, b, splat(c));
}
KRN_INLINE float fma(float a, float b, float c) {
  return __builtin_elementwise_fma(a, b, c);
}

KRN_INLINE F32x16 max(F32x16 a, F32x16 b) { return a > b ? a : b; }
KRN_INLINE F32x16 min(F32x16 a, F32x16 b) { return a < b ? a : b; }
KRN_INLINE F32x16 abs(F32x16 v) { return asFloat(asBits(v) & 0x7fffffffu); }

KRN_INLINE float sqrt(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

/// Sums and maxima over lanes, always in the same order.
template <typename F>
KRN_INLINE float reduce(F32x16 v, F f) {
  Bits b{.f = v};
  __m256 eight = f(b.ps[0], b.ps[1]);
  __m128 four =
      f(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = f(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(f(two, _mm_shuffle_ps(two, two, 1)));
}
KRN_INLINE float sum(F32x16 v) {
  return reduce(v, [](auto a, auto b) { return a + b; });
}
KRN_INLINE float maximum(F32x16 v) {
  return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}
KRN_INLINE int32_t sum(I32x16 v) {
  int32_t total = 0;
  for (int i = 0; i < 16; ++i)
    total += v[i];
  return total;
}

/// acc + a0 * b0 + a1 * b1 for the signed 16-bit halves of each lane.
KRN_INLINE I32x16 dotPairs(I32x16 acc, U32x16 a, I32x16 b) {
  Bits s{.i = acc}, x{.u = a}, y{.i = b};
#ifdef __AVX512VNNI__
  s.zmm = _mm512_dpwssd_epi32(s.zmm, x.zmm, y.zmm);
#else
  for (int h = 0; h < 2; ++h)
    s.ymm[h] =
        _mm256_add_epi32(s.ymm[h], _mm256_madd_epi16(x.ymm[h], y.ymm[h]));
#endif
  return s.i;
}

#ifdef __AVX512VNNI__
/// acc + the four products of unsigned bytes of a and signed bytes of b.
KRN_INLINE I32x16 dotQuads(I32x16 acc, U32x16 a, I32x16 b) {
  Bits s{.i = acc}, x{.u = a}, y{.i = b};
  s.zmm = _mm512_dpbusd_epi32(s.zmm, x.zmm, y.zmm);
  return s.i;
}
#endif

/// a - b in the 16-bit halves of lanes.
KRN_INLINE U32x16 subtractHalves(U32x16 a, U32x16 b) {
  typedef uint16_t U16x32 __attribute__((vector_size(64)));
  return (U32x16)((U16x32)a - (U16x32)b);
}

/// a - b in the bytes of lanes.
KRN_INLINE U32x16 subtractBytes(U32x16 a, U32x16 b) {
  typedef uint8_t U8x64 __attribute__((vector_size(64)));
  return (U32x16)((U8x64)a - (U8x64)b);
}

/// table[index & 15] in every lane.
KRN_INLINE F32x16 lookup(F32x16 table, U32x16 index) {
  Bits t{.f = table}, x{.u = index}, r;
#ifdef __AVX512F__
  r.zps = _mm512_permutexvar_ps(x.zmm, t.zps);
#else
  for (int h = 0; h < 2; ++h) {
    __m256 low = _mm256_permutevar8x32_ps(t.ps[0], x.ymm[h]);
    __m256 high = _mm256_permutevar8x32_ps(t.ps[1], x.ymm[h]);
    // Bit 3 of the index becomes the sign that the blend looks at.
    __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(x.ymm[h], 28));
    r.ps[h] = _mm256_blendv_ps(low, high, upper);
  }
#endif
  return r.f;
}

/// base[index] in every lane.
KRN_INLINE F32x16 gather(const float *base, U32x16 index) {
  Bits x{.u = index}, r;
#ifdef __AVX512F__
  r.zps = _mm512_i32gather_ps(x.zmm, base, 4);
#else
  r.ps[0] = _mm256_i32gather_ps(base, x.ymm[0], 4);
  r.ps[1] = _mm256_i32gather_ps(base, x.ymm[1], 4);
#endif
  return r.f;
}

//===----------------------------------------------------------------------===//
// 16-bit floats, and elements of a type known at compile time
//===----------------------------------------------------------------------===//

KRN_INLINE F32x16 loadF16(const void *at) {
  const __m128i *p = (const __m128i *)at;
  Bits r;
  r.ps[0] = _mm256_cvtph_ps(_mm_loadu_si128(p));
  r.ps[1] = _mm256_cvtph_ps(_mm_loadu_si128(p + 1));
  return r.f;
}
KRN_INLINE F32x16 loadBF16(const void *at) {
  return asFloat(loadHalves(at) << 16);
}
KRN_INLINE void storeF16(void *at, F32x16 v) {
  Bits b{.f = v};
  __m128i *p = (__m128i *)at;
  _mm_storeu_si128(p, _mm256_cvtps_ph(b.ps[0], _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(p + 1, _mm256_cvtps_ph(b.ps[1], _MM_FROUND_TO_NEAREST_INT));
}
KRN_INLINE void storeBF16(void *at, F32x16 v) {
  typedef uint16_t U16x16u __attribute__((vector_size(32), aligned(2)));
  // Round to nearest even; NaN stays NaN.
  U32x16 bits = asBits(v);
  U32x16 rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  U32x16 nan = bits >> 16 | 0x40u;
  rounded = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
  *(U16x16u *)at = __builtin_convertvector(rounded, U16x16u);
}

KRN_INLINE float halfToFloat(uint16_t v) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(v)));
}
KRN_INLINE uint16_t floatToHalf(float v) {
  return uint16_t(_mm_cvtsi128_si32(
      _mm_cvtps_ph(_mm_set_ss(v), _MM_FROUND_TO_NEAREST_INT)));
}
KRN_INLINE float bfloatToFloat(uint16_t v) {
  return __builtin_bit_cast(float, uint32_t(v) << 16);
}
KRN_INLINE uint16_t floatToBfloat(float v) {
  uint32_t bits = __builtin_bit_cast(uint32_t, v);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// `element` is an Element (kernels.h): 0 f32, 1 f16, 2 bf16.
KRN_INLINE int64_t elementBytes(int32_t element) { return element ? 2 : 4; }
KRN_INLINE F32x16 loadElements(int32_t element, const void *base,
                               int64_t index) {
  const char *at = (const char *)base + index * elementBytes(element);
  return element == 1   ? loadF16(at)
         : element == 2 ? loadBF16(at)
                        : load((const float *)at);
}
KRN_INLINE void storeElements(int32_t element, void *base, int64_t index,
                              F32x16 v) {
  char *at = (char *)base + index * elementBytes(element);
  if (element == 1)
    storeF16(at, v);
  else if (element == 2)
    storeBF16(at, v);
  else
    store((float *)at, v);
}
KRN_INLINE float loadElement(int32_t element, const void *base, int64_t index) {
  if (element == 1)
    return halfToFloat(((const uint16_t *)base)[index]);
  if (element == 2)
    return bfloatToFloat(((const uint16_t *)base)[index]);
  return ((const float *)base)[index];
}
KRN_INLINE void storeElement(int32_t element, void *base, int64_t index,
                             float v) {
  if (element == 1)
    ((uint16_t *)base)[index] = floatToHalf(v);
  else if (element == 2)
    ((uint16_t *)base)[index] = floatToBfloat(v);
  else
    ((float *)base)[index] = v;
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

/// The share [begin, end) of `count` items of part `part` of `parts`.
struct Share {
  int64_t begin, end;
};
KRN_INLINE Share shareOf(int64_t count, uint32_t part, uint32_t parts) {
  return {count * part / parts, count * (part + 1) / parts};
}
KRN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_SIMD_H
