//===- math.h - exp, tanh, erf, sincos and activations ----------*- C++ -*-===//
//
// Kernels may not call libm. Accuracies are absolute or relative errors found
// by comparing against double precision (tests/codegen/kernels).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_MATH_H
#define QCC_CODEGEN_CPU_KERNELS_MATH_H

#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

namespace qcc::krn {

/// e^x to 2 ulp; 0 below -87.3, e^88.7 above that.
KRN_INLINE F32x16 exp(F32x16 x) {
  x = max(min(x, splat(88.7f)), splat(-87.3f));
  // x = n ln 2 + r with |r| <= ln 2 / 2; 1.5 * 2^23 rounds to an integer.
  const F32x16 magic = splat(12582912.0f);
  F32x16 shifted = x * 1.44269504f + magic;
  F32x16 n = shifted - magic;
  F32x16 r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  // Taylor's series: the first term left out is r^8 / 8! < 6e-9.
  F32x16 p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  U32x16 exponent = (asBits(shifted) - 0x4b400000u) << 23;
  return asFloat(asBits(p) + exponent);
}

KRN_INLINE F32x16 sigmoid(F32x16 x) { return 1.0f / (1.0f + exp(-x)); }

/// Absolute error below 2e-7.
KRN_INLINE F32x16 tanh(F32x16 x) {
  return 1.0f - 2.0f / (exp(2.0f * x) + 1.0f);
}

/// Absolute error below 2e-7. Chebyshev interpolants of erf(x) / x in x^2 on
/// [0, 1], and of e^(x^2) erfc(x) on [1, 4], both in a variable in [-1, 1].
KRN_INLINE F32x16 erf(F32x16 x) {
  F32x16 a = min(abs(x), splat(4.0f));
  F32x16 u = 2.0f * a * a - 1.0f;
  F32x16 small = splat(1.2306055e-6f);
  small = small * u - 1.7669068e-5f;
  small = small * u + 2.1751354e-4f;
  small = small * u - 2.2854195e-3f;
  small = small * u + 1.98524971e-2f;
  small = small * u - 1.40536097e-1f;
  small = small * u + 9.65468739e-1f;
  small = small * a;

  F32x16 t = (a - 2.5f) * (1.0f / 1.5f);
  F32x16 large = splat(-3.5664179e-5f);
  large = large * t + 9.6291202e-5f;
  large = large * t - 1.47416143e-4f;
  large = large * t + 3.68151098e-4f;
  large = large * t - 1.0136626e-3f;
  large = large * t + 2.42563894e-3f;
  large = large * t - 5.56883765e-3f;
  large = large * t + 1.24841231e-2f;
  large = large * t - 2.70054582e-2f;
  large = large * t + 5.61109476e-2f;
  large = large * t - 1.11521018e-1f;
  large = large * t + 2.10806358e-1f;
  large = 1.0f - exp(-a * a) * large;

  F32x16 magnitude = a < 1.0f ? small : large;
  return asFloat(asBits(magnitude) | (asBits(x) & 0x80000000u));
}

/// One of Activation, known at compile time.
KRN_INLINE F32x16 activate(int32_t activation, F32x16 x) {
  switch (activation) {
  case ActSilu:
    return x * sigmoid(x);
  case ActGeluErf:
    return 0.5f * x * (1.0f + erf(x * 0.70710678f));
  case ActGeluTanh:
    return 0.5f * x * (1.0f + tanh(0.79788456f * (x + 0.044715f * x * x * x)));
  case ActRelu:
    return max(x, splat(0.0f));
  case ActGeluQuick:
    return x * sigmoid(1.702f * x);
  case ActSigmoid:
    return sigmoid(x);
  case ActTanh:
    return tanh(x);
  default:
    return x;
  }
}

/// sin and cos of an angle of any size, to f32 precision: reduced and expanded
/// in double.
KRN_INLINE void sincos(double angle, float *sine, float *cosine) {
  const double magic = 6755399441055744.0; // 1.5 * 2^52: rounds to an integer
  double shifted = angle * 0.63661977236758134308 + magic;
  double n = shifted - magic;
  double r = angle - n * 1.57079632679489655800;
  r -= n * 6.12323399573676603587e-17;
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
  int64_t quadrant = (int64_t)n & 3;
  double sn = quadrant & 1 ? c : s, cs = quadrant & 1 ? s : c;
  *sine = float(quadrant & 2 ? -sn : sn);
  *cosine = float((quadrant + 1) & 2 ? -cs : cs);
}

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_MATH_H
