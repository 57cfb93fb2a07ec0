//===- simd.h - Sixteen lanes, one a row of a tile --------------*- C++ -*-===//
//
// Vectors of 64 bytes: one zmm register on x86-64-v4, a pair of ymm registers
// on v3. Arithmetic is the compilers' vector extension; only what it cannot
// say is an intrinsic.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_SIMD_H
#define QCC_CODEGEN_CPU_KERNELS_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define KRN_INLINE static inline __attribute__((always_inline))

namespace qcc::krn {

typedef float F32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef float F32x16u __attribute__((vector_size(64), aligned(4)));
typedef uint32_t U32x16u __attribute__((vector_size(64), aligned(4)));

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

KRN_INLINE F32x16 asFloat(U32x16 v) { return (F32x16)v; }
KRN_INLINE U32x16 asBits(F32x16 v) { return (U32x16)v; }

KRN_INLINE U32x16 loadBits(const void *at) { return *(const U32x16u *)at; }
KRN_INLINE F32x16 load(const float *at) { return *(const F32x16u *)at; }
KRN_INLINE void store(float *at, F32x16 v) { *(F32x16u *)at = v; }

/// The first `count` (< 16) lanes; the rest is 0.
KRN_INLINE F32x16 loadPart(const float *at, int64_t count) {
  F32x16 v = {};
  for (int64_t i = 0; i < count; ++i)
    v[i] = at[i];
  return v;
}
KRN_INLINE void storePart(float *at, F32x16 v, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    at[i] = v[i];
}

KRN_INLINE F32x16 splat(float x) { return F32x16{} + x; }
KRN_INLINE U32x16 splatBits(uint32_t x) { return U32x16{} + x; }
KRN_INLINE F32x16 toFloat(I32x16 v) {
  return __builtin_convertvector(v, F32x16);
}
KRN_INLINE F32x16 toFloat(U32x16 v) { return toFloat((I32x16)v); }

KRN_INLINE F32x16 max(F32x16 a, F32x16 b) { return a > b ? a : b; }
KRN_INLINE F32x16 min(F32x16 a, F32x16 b) { return a < b ? a : b; }
KRN_INLINE F32x16 abs(F32x16 v) { return asFloat(asBits(v) & 0x7fffffffu); }

KRN_INLINE F32x16 sqrt(F32x16 v) {
  Bits b{.f = v};
#ifdef __AVX512F__
  b.zps = _mm512_sqrt_ps(b.zps);
#else
  b.ps[0] = _mm256_sqrt_ps(b.ps[0]);
  b.ps[1] = _mm256_sqrt_ps(b.ps[1]);
#endif
  return b.f;
}

/// Sums and maxima over lanes, always in the same order.
KRN_INLINE float sum(F32x16 v) {
  float s[16];
  *(F32x16u *)s = v;
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i)
      s[i] += s[i + step];
  return s[0];
}
KRN_INLINE float maximum(F32x16 v) {
  float s[16];
  *(F32x16u *)s = v;
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i)
      s[i] = s[i] > s[i + step] ? s[i] : s[i + step];
  return s[0];
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

/// The f32 values of the f16 in the low halves of the lanes.
KRN_INLINE F32x16 halfToFloat(U32x16 v) {
  Bits b{.u = v}, r;
#ifdef __AVX512F__
  r.zps = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(b.zmm));
#else
  const __m256i pick = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1,
                                        -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9,
                                        12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
  for (int h = 0; h < 2; ++h) {
    __m256i packed = _mm256_shuffle_epi8(b.ymm[h], pick);
    packed = _mm256_permute4x64_epi64(packed, 0x08);
    r.ps[h] = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
  }
#endif
  return r.f;
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

KRN_INLINE float halfToFloat(uint16_t v) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(v)));
}
KRN_INLINE uint16_t floatToHalf(float v) {
  return uint16_t(_mm_cvtsi128_si32(
      _mm_cvtps_ph(_mm_set_ss(v), _MM_FROUND_TO_NEAREST_INT)));
}
KRN_INLINE float bfloatToFloat(uint16_t v) {
  uint32_t bits = uint32_t(v) << 16;
  float f;
  __builtin_memcpy(&f, &bits, 4);
  return f;
}
KRN_INLINE uint16_t floatToBfloat(float v) {
  uint32_t bits;
  __builtin_memcpy(&bits, &v, 4);
  // Round to nearest even; NaN stays NaN.
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Sixteen stored elements as f32: `element` is a compile-time Element.
KRN_INLINE F32x16 loadElements(int32_t element, const void *base,
                               int64_t index) {
  if (element == 1 /* ElemF16 */)
    return halfToFloat(loadHalves((const uint16_t *)base + index));
  if (element == 2 /* ElemBF16 */)
    return asFloat(loadHalves((const uint16_t *)base + index) << 16);
  return load((const float *)base + index);
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
KRN_INLINE int64_t elementBytes(int32_t element) { return element ? 2 : 4; }

/// The share [begin, end) of `count` items of part `part` of `parts`.
struct Share {
  int64_t begin, end;
};
KRN_INLINE Share shareOf(int64_t count, uint32_t part, uint32_t parts) {
  return {count * part / parts, count * (part + 1) / parts};
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_SIMD_H
