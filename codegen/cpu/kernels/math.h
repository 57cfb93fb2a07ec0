//===- math.h - exp, tanh, sincos and activations ---------------*- C++ -*-===//
//
// Kernels may not call libm. Errors are bounds found by comparing with double
// precision (tests/codegen/kernels/MathTest.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_MATH_H
#define QCC_CODEGEN_CPU_KERNELS_MATH_H

#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

namespace qcc::krn {

/// e^x to 1.5e-7 of it; e^-87.3 below -87.3 and e^88.7 above that.
KRN_INLINE F32x16 exp(F32x16 x) {
  x = max(min(x, splat(88.7f)), splat(-87.3f));
  // x = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an
  // integer, in the low bits; ln 2 is subtracted in two parts.
  const F32x16 magic = splat(12582912.0f);
  F32x16 shifted = fma(x, 1.44269504f, magic);
  F32x16 n = shifted - magic;
  F32x16 r = fma(n, -0.693359375f, x);
  r = fma(n, 2.12194440e-4f, r);
  // Taylor's series: the first term left out is r^8 / 8! < 6e-9.
  F32x16 p = splat(1.0f / 5040);
  p = fma(p, r, 1.0f / 720);
  p = fma(p, r, 1.0f / 120);
  p = fma(p, r, 1.0f / 24);
  p = fma(p, r, 1.0f / 6);
  p = fma(p, r, 0.5f);
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  return asFloat(asBits(p) + (asBits(shifted) << 23));
}

KRN_INLINE F32x16 sigmoid(F32x16 x) {
  return splat(1.0f) / (splat(1.0f) + exp(-x));
}

/// tanh x to 3e-7 of it.
KRN_INLINE F32x16 tanh(F32x16 x) {
  F32x16 large = splat(1.0f) - splat(2.0f) / (exp(x + x) + splat(1.0f));
  // Near 0, the polynomial of Cephes' tanhf.
  F32x16 square = x * x;
  F32x16 p = splat(-5.70498872745e-3f);
  p = fma(p, square, 2.06390887954e-2f);
  p = fma(p, square, -5.37397155531e-2f);
  p = fma(p, square, 1.33314422036e-1f);
  p = fma(p, square, -3.33332819422e-1f);
  F32x16 small = fma(p * square, x, x);
  return abs(x) < splat(0.625f) ? small : large;
}

/// GELU as BERT defines it: x times the normal distribution function, to 5e-7
/// of it. The upper tail is e^(-x^2 / 2) s p(s) with s = 1 / (1 + 0.3 |x|); p
/// interpolates at Chebyshev's nodes for |x| < 13.5, to 5e-9.
KRN_INLINE F32x16 geluErf(F32x16 x) {
  F32x16 a = min(abs(x), splat(13.5f));
  F32x16 s = splat(1.0f) / fma(a, splat(0.3f), 1.0f);
  F32x16 p = splat(-0.0208575483f);
  p = fma(p, s, 0.113738045f);
  p = fma(p, s, -0.231345668f);
  p = fma(p, s, 0.19604525f);
  p = fma(p, s, -0.08302591f);
  p = fma(p, s, 0.0981137678f);
  p = fma(p, s, 0.0777088478f);
  p = fma(p, s, 0.110381231f);
  p = fma(p, s, 0.119554415f);
  p = fma(p, s, 0.119687572f);
  F32x16 tail = exp(a * a * splat(-0.5f)) * (s * p);
  return x > F32x16{} ? x - x * tail : x * tail;
}

/// One of Activation, known at compile time.
KRN_INLINE F32x16 activate(int32_t activation, F32x16 x) {
  switch (activation) {
  case ActSilu:
    return x * sigmoid(x);
  case ActGeluErf:
    return geluErf(x);
  case ActGeluTanh:
    // (1 + tanh u) / 2 is sigmoid(2 u).
    return x *
           sigmoid(splat(1.59576912f) * fma(splat(0.044715f) * x * x, x, x));
  case ActRelu:
    return max(x, F32x16{});
  case ActGeluQuick:
    return x * sigmoid(splat(1.702f) * x);
  case ActSigmoid:
    return sigmoid(x);
  case ActTanh:
    return tanh(x);
  case ActRelu2: {
    F32x16 positive = max(x, F32x16{});
    return positive * positive;
  }
  case ActRelu6:
    return min(max(x, F32x16{}), splat(6.0f));
  case ActLeakyRelu:
    return x > F32x16{} ? x : x * splat(0.01f);
  case ActHardSwish:
    return x * min(max(x + splat(3.0f), F32x16{}), splat(6.0f)) *
           splat(1.0f / 6);
  case ActMish: {
    // tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2); 1 to f32 beyond 20.
    F32x16 e = exp(min(x, splat(20.0f)));
    F32x16 n = e * (e + splat(2.0f));
    return x * n / (n + splat(2.0f));
  }
  case ActGelu10:
    return min(max(geluErf(x), splat(-10.0f)), splat(10.0f));
  default:
    return x;
  }
}

KRN_INLINE F32x16 softCap(F32x16 x, float cap) {
  return splat(cap) * tanh(x * splat(1.0f / cap));
}

/// ln x for normal x > 0 to double precision.
KRN_INLINE double log(double x) {
  uint64_t bits = __builtin_bit_cast(uint64_t, x);
  int64_t exponent = int64_t(bits >> 52) - 1023;
  // m in [1, 2), brought to [sqrt(1/2), sqrt(2)).
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffffull) |
                                            0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // ln m = 2 artanh(t): |t| < 0.172, the first term left out is below 1e-17.
  double t = (m - 1) / (m + 1), square = t * t, sum = 0;
  for (int i = 21; i >= 1; i -= 2)
    sum = sum * square + 1.0 / i;
  return double(exponent) * 0.69314718055994530942 + 2 * t * sum;
}

/// e^x for |x| < 700 to double precision.
KRN_INLINE double exp(double x) {
  const double magic = 6755399441055744.0;
  double n = x * 1.44269504088896340736 + magic - magic;
  double r = __builtin_elementwise_fma(n, -0.69314718055994530942, x);
  double sum = 1;
  for (int i = 16; i >= 1; --i)
    sum = sum * r / i + 1;
  return sum * __builtin_bit_cast(double, uint64_t(int64_t(n) + 1023) << 52);
}

/// sin and cos of an angle of any size that a position can have (below 2^31),
/// to f32 precision: reduced and expanded in double.
KRN_INLINE void sincos(double angle, float *sine, float *cosine) {
  // angle = n pi / 2 + r; adding 1.5 * 2^52 rounds to an integer.
  const double magic = 6755399441055744.0;
  double n = angle * 0.63661977236758134308 + magic - magic;
  double r = __builtin_elementwise_fma(n, -1.57079632679489655800, angle);
  r = __builtin_elementwise_fma(n, -6.12323399573676603587e-17, r);
  double q = r * r;
  double s =
      r *
      (1 + q * (-1.0 / 6 +
                q * (1.0 / 120 + q * (-1.0 / 5040 +
                                      q * (1.0 / 362880 +
                                           q * (-1.0 / 39916800 +
                                                q * (1.0 / 6227020800.0)))))));
  double c =
      1 + q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 +
                                           q * (1.0 / 40320 +
                                                q * (-1.0 / 3628800 +
                                                     q * (1.0 / 479001600))))));
  int64_t quadrant = int64_t(n);
  double odd = quadrant & 1 ? c : s, even = quadrant & 1 ? s : c;
  *sine = float(quadrant & 2 ? -odd : odd);
  *cosine = float((quadrant + 1) & 2 ? -even : even);
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_MATH_H
