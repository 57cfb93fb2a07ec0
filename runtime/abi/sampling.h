//===- sampling.h - How tokens are chosen from logits -----------*- C++ -*-===//
//
// The arithmetic of sampling, which the host's sampler (runtime/api/Sampler.h)
// and the kernel (codegen/cuda/kernels/sampling.cuh) share, so that they choose
// the same token from the same logits, always. Hence every operation on floats
// is rounded by itself (host code is compiled without contraction), and weights
// are integers, whose sums hang on no order. Read by NVRTC as text, too: no
// header but cuda_abi.h.
//
// Tokens are ordered by falling logits, equal ones by rising ids. The filters
// leave a first part of that order each, the shortest of which counts.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_ABI_SAMPLING_H
#define QRT_ABI_SAMPLING_H

#include "runtime/abi/cuda_abi.h"

#ifdef __CUDACC_RTC__
#define QRT_SAMPLING static __device__ __forceinline__
#else
#define QRT_SAMPLING inline
#endif

namespace qrt::sampling {

#ifdef __CUDACC_RTC__
QRT_SAMPLING float sum(float a, float b) { return __fadd_rn(a, b); }
QRT_SAMPLING float product(float a, float b) { return __fmul_rn(a, b); }
QRT_SAMPLING float quotient(float a, float b) { return __fdiv_rn(a, b); }
QRT_SAMPLING uint64_t highProduct(uint64_t a, uint64_t b) {
  return __umul64hi(a, b);
}
QRT_SAMPLING uint64_t roundedUp(double x) { return __double2ull_ru(x); }
#else
QRT_SAMPLING float sum(float a, float b) { return a + b; }
QRT_SAMPLING float product(float a, float b) { return a * b; }
QRT_SAMPLING float quotient(float a, float b) { return a / b; }
QRT_SAMPLING uint64_t highProduct(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  return uint64_t(Wide(a) * b >> 64);
}
QRT_SAMPLING uint64_t roundedUp(double x) {
  const uint64_t below = uint64_t(x);
  return below + (double(below) < x);
}
#endif

/// Value `n` (from 0) of SplitMix64 (Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014).
QRT_SAMPLING uint64_t random(uint64_t seed, uint64_t n) {
  uint64_t z = seed + (n + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

/// The logit of a token that stands in the text (Keskar et al., "CTRL", arXiv
/// 1909.05858).
QRT_SAMPLING float penalized(float logit, float penalty) {
  return logit > 0 ? quotient(logit, penalty) : product(logit, penalty);
}

/// (logit - highest) / temperature, at most 0. An infinite logit leaves only
/// the infinite ones.
QRT_SAMPLING float scaled(float logit, float highest, float temperature) {
  return logit == highest ? 0.0F : quotient(sum(logit, -highest), temperature);
}

/// e^x times 2^40, for x <= 0: 2^40 for 0, and 0 below about -28, which is a
/// chance of 1e-12 beside the likeliest token. To a relative 2^-23.
QRT_SAMPLING uint64_t weight(float x) {
  if (!(x > -29.0F))
    return 0;
  // x = n ln 2 + r; the first part of ln 2 has so few bits that its product is
  // exact. Adding 1.5 * 2^23 rounds to an integer.
  const float n = sum(sum(product(x, 1.44269504F), 12582912.0F), -12582912.0F);
  const float r =
      sum(sum(x, product(n, -0.693359375F)), product(n, 2.12194440e-4F));
  // Taylor's series: |r| <= 0.35, so the next term is below 2^-27.
  float e = 1.0F / 5040;
  e = sum(product(e, r), 1.0F / 720);
  e = sum(product(e, r), 1.0F / 120);
  e = sum(product(e, r), 1.0F / 24);
  e = sum(product(e, r), 1.0F / 6);
  e = sum(product(e, r), 0.5F);
  e = sum(product(e, r), 1.0F);
  e = sum(product(e, r), 1.0F);
  return uint64_t(uint32_t(product(e, 16777216.0F))) << 16 >> int(-n);
}

/// Top-p keeps the fewest tokens whose weights reach so much of `total`.
QRT_SAMPLING uint64_t reach(float topP, uint64_t total) {
  const uint64_t least = roundedUp(double(topP) * double(total));
  return least < 1 ? 1 : least < total ? least : total;
}

/// The token is the first at which the sum of weights so far reaches this; from
/// 1 to `total`, evenly by `random`.
QRT_SAMPLING uint64_t target(uint64_t random, uint64_t total) {
  return highProduct(random, total) + 1;
}

} // namespace qrt::sampling

#endif // QRT_ABI_SAMPLING_H
