//===- groups.cuh - Scales and zero points of groups ------------*- C++ -*-===//
//
// compiler/quantize/Rtn.cpp, one warp a group: the same operations in the same
// order, so that the same values give the same scale.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GROUPS_CUH
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GROUPS_CUH

#include "compiler/quantize/cuda/kernels/tile.cuh"

namespace qcc::cuda {

enum ScaleKind { ScaleNone, ScaleF32, ScaleF16, ScaleBF16 };
enum Fit { FitGood, FitTooLarge, FitTooSmall };

constexpr float kLargestF32 = 3.402823466e+38F;
constexpr double kLargestF64 = 1.7976931348623157e308;

QCC_DEVICE bool isFinite(float x) { return fabsf(x) <= kLargestF32; }

/// A positive scale as the format stores it: never 0, never infinite.
QCC_DEVICE float storedScale(float exact, int type) {
  if (type == ScaleF16)
    return fminf(fmaxf(fromHalf(toHalf(exact)), 5.9604644775390625e-8F),
                 65504.0F);
  const float least = 1.175494351e-38F;
  if (type == ScaleBF16)
    return fminf(fmaxf(roundToBfloat(exact), least), 3.3895313892515355e+38F);
  return fminf(fmaxf(exact, least), kLargestF32);
}

/// Rounded toward zero, as ScaleRounding.h says, for symmetric codes.
QCC_DEVICE float storedScaleBelow(float exact, int type) {
  const float stored = storedScale(exact, type);
  if (stored <= exact || type == ScaleF32)
    return stored;
  const float half = type == ScaleF16 ? 1.0F / 2048 : 1.0F / 256;
  return storedScale(__fsub_rn(stored, __fmul_rn(stored, half)), type);
}

QCC_DEVICE int scaleFit(double exact, int type) {
  const double limited =
      exact < double(kLargestF32) ? exact : double(kLargestF32);
  const double stored = storedScale(float(limited), type);
  const double tolerance = 1.0 / 256;
  if (stored < exact * (1 - tolerance))
    return exact > 1 ? FitTooLarge : FitTooSmall;
  return stored > exact * (1 + tolerance) ? FitTooSmall : FitGood;
}

struct Parameters {
  float scale, zero;
};

QCC_DEVICE Parameters parametersOf(float least, float most,
                                   const ScaleArguments &how) {
  const float width = __fsub_rn(most, least);
  const float exact = isFinite(width)
                          ? __fdiv_rn(width, how.maxCode)
                          : __fsub_rn(__fdiv_rn(most, how.maxCode),
                                      __fdiv_rn(least, how.maxCode));
  if (!how.isAsymmetric)
    return {storedScaleBelow(exact, how.scaleType), how.middle};
  const float scale = storedScale(exact, how.scaleType);
  const float zero = rintf(__fdiv_rn(-least, scale));
  return {scale, fminf(fmaxf(zero, 0.0F), how.maxCode)};
}

QCC_DEVICE float multiplyAdd(float a, float b, float c) {
  return __fadd_rn(__fmul_rn(a, b), c);
}

/// base^power for base >= 0, to about 1e-5, with the polynomials of Rtn.cpp.
QCC_DEVICE float powApproximate(float base, float power) {
  const int bits = __float_as_int(base);
  const int exponent = (bits - 0x3f3504f3) >> 23;
  const float m = __fsub_rn(__int_as_float(bits - (exponent << 23)), 1.0F);
  float log = multiplyAdd(m, 0.168186591F, -0.267963871F);
  log = multiplyAdd(log, m, 0.296119557F);
  log = multiplyAdd(log, m, -0.359524455F);
  log = multiplyAdd(log, m, 0.480613125F);
  log = multiplyAdd(log, m, -0.721360179F);
  log = multiplyAdd(log, m, 1.44269652F);
  float y = __fmul_rn(__fadd_rn(float(exponent), __fmul_rn(log, m)), power);
  y = fmaxf(fminf(y, 120.0F), -120.0F);
  const float whole = rintf(y), f = __fsub_rn(y, whole);
  float fraction = multiplyAdd(f, 0.00966636852F, 0.0559219758F);
  fraction = multiplyAdd(fraction, f, 0.24022349F);
  fraction = multiplyAdd(fraction, f, 0.693121045F);
  fraction = multiplyAdd(fraction, f, 1.0F);
  const float scaled =
      __fmul_rn(fraction, __int_as_float((int(whole) + 127) << 23));
  return base > 1e-30F ? scaled : 0.0F;
}

/// A group of one row.
struct GroupValues {
  const GroupArguments &a;
  int64_t row;
  GroupRun run;

  __device__ float operator()(int i) const {
    const int column = run.first + i;
    const float w = element<float>(
        a.weight, row,
        a.columns ? pointer<const int>(a.columns)[column] : column);
    if (!a.delta.at)
      return w;
    return __fadd_rn(element<float>(a.delta, row, column - a.deltaFirst), w);
  }
};

constexpr int kStagedValues = 256;

/// Sums over 16 interleaved parts of each 1024 values, as the CPU's vectors
/// have it.
struct SearchSum {
  float part[16];
  double total;

  __device__ SearchSum() : total(0) { clear(); }
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 16; ++i)
      part[i] = 0;
  }
  __device__ void collect() {
#pragma unroll
    for (int half = 8; half > 0; half /= 2)
#pragma unroll
      for (int i = 0; i < half; ++i)
        part[i] = __fadd_rn(part[i], part[i + half]);
    total += double(part[0]);
    clear();
  }
};

/// The scale with the least sum of |error|^norm, one candidate a lane.
QCC_DEVICE Parameters searchScale(const GroupValues &values, float least,
                                  float most, const ScaleArguments &how,
                                  float *staged) {
  const int lane = threadIdx.x % 32;
  const Parameters whole = parametersOf(least, most, how);
  if (!isFinite(__fdiv_rn(1.0F, whole.scale)))
    return whole;
  auto candidateOf = [&](int i) {
    const float shrink = float(1.0 - double(i) / how.grid);
    return parametersOf(__fmul_rn(shrink, least), __fmul_rn(shrink, most), how);
  };
  double bestError = kLargestF64;
  int best = -1;
  const int size = values.run.size;
  for (int first = 0; first < how.candidates; first += 32) {
    const int i = first + lane;
    const Parameters candidate = candidateOf(smaller(i, how.candidates - 1));
    const float inverse = __fdiv_rn(1.0F, candidate.scale);
    const float low = -candidate.zero, high = how.maxCode - candidate.zero;
    SearchSum sum;
    for (int begin = 0; begin < size; begin += kStagedValues) {
      const int count = smaller(size - begin, kStagedValues);
      // Padding is 0, which has no error.
      if (first == 0 || size > kStagedValues) {
        __syncwarp();
        for (int at = lane; at < kStagedValues; at += 32)
          staged[at] = at < count ? values(begin + at) : 0.0F;
        __syncwarp();
      }
      for (int at = 0; at < count; at += 16)
#pragma unroll
        for (int k = 0; k < 16; ++k) {
          const float x = __fmul_rn(staged[at + k], inverse);
          const float code = rintf(fmaxf(fminf(x, high), low));
          sum.part[k] = __fadd_rn(
              sum.part[k], powApproximate(fabsf(__fsub_rn(code, x)), how.norm));
        }
      if (begin % 1024 + kStagedValues == 1024 || begin + count == size)
        sum.collect();
    }
    const double unit = double(candidate.scale) / double(whole.scale);
    const double error = pow(unit, how.normExact) * sum.total;
    if (i < how.candidates && error < bestError) {
      bestError = error;
      best = i;
    }
  }
  for (int o = 16; o; o >>= 1) {
    const double otherError = __shfl_xor_sync(~0U, bestError, o);
    const int other = __shfl_xor_sync(~0U, best, o);
    if (otherError < bestError || (otherError == bestError && other < best)) {
      bestError = otherError;
      best = other;
    }
  }
  return bestError < kLargestF64 ? candidateOf(best) : whole;
}

QCC_DEVICE void findGroups(const GroupArguments &a) {
  __shared__ float staged[kThreads / 32][kStagedValues];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t at = int64_t(blockIdx.x) * (kThreads / 32) + warp;
  const int64_t row = at / a.runCount;
  if (row >= a.rows)
    return;
  const GroupValues values{
      a, row, pointer<const GroupRun>(a.runs)[int(at % a.runCount)]};
  float least = 0, most = 0;
  for (int i = lane; i < values.run.size; i += 32) {
    const float x = values(i);
    least = fminf(least, x);
    most = fmaxf(most, x);
  }
  most = warpMax(most);
  least = -warpMax(-least);

  Parameters found;
  int fit = FitGood;
  if (least == 0 && most == 0) {
    found = parametersOf(-1.0F, 1.0F, a.how);
  } else {
    if (!a.how.isAsymmetric) {
      most = fmaxf(-least, most);
      least = -most;
    }
    found = a.how.isMse ? searchScale(values, least, most, a.how, staged[warp])
                        : parametersOf(least, most, a.how);
    fit = scaleFit((double(most) - double(least)) / double(a.how.maxCode),
                   a.how.scaleType);
  }
  const int64_t to = row * a.groups + values.run.index;
  if (fit != FitGood) {
    double norm = 0;
    for (int i = lane; i < values.run.size; i += 32) {
      const double x = values(i);
      norm += x * x;
    }
    for (int o = 16; o; o >>= 1)
      norm += __shfl_xor_sync(~0U, norm, o);
    if (lane == 0) {
      pointer<double>(a.fitNorms)[to] = norm;
      *pointer<uint32_t>(a.anyMisfit) = 1;
    }
  }
  if (lane == 0) {
    pointer<float>(a.scales)[to] = found.scale;
    pointer<float>(a.zeros)[to] = found.zero;
    pointer<uint8_t>(a.fits)[to] = uint8_t(fit);
  }
}

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GROUPS_CUH
