//===- rows.cuh - Moves, sums and fits over rows ----------------*- C++ -*-===//
//
// What GPTQ does with whole rows, one block a row unless it says otherwise.
// Sums are f64 and always in the same order.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ROWS_CUH
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ROWS_CUH

#include "compiler/quantize/cuda/kernels/groups.cuh"

namespace qcc::cuda {

/// Over a block of kThreads; everybody gets the result.
QCC_DEVICE double blockSum(double x) {
  __shared__ double room[kThreads / 32];
  for (int o = 16; o; o >>= 1)
    x += __shfl_xor_sync(~0U, x, o);
  __syncthreads();
  if (threadIdx.x % 32 == 0)
    room[threadIdx.x / 32] = x;
  __syncthreads();
  double sum = 0;
  for (int i = 0; i < kThreads / 32; ++i)
    sum += room[i];
  return sum;
}

QCC_DEVICE void permuteColumns(const PermuteArguments &a) {
  const int64_t row = blockIdx.x;
  const int *source = pointer<const int>(a.source);
  for (int i = threadIdx.x; i < a.columns; i += kThreads) {
    const int from = source[i];
    element<float>(a.to, row, i) =
        from < 0 ? 0.0F : element<float>(a.from, row, from);
  }
}

QCC_DEVICE void storeCodes(const StoreArguments &a) {
  const int64_t row = blockIdx.x;
  const int *columns = pointer<const int>(a.columns);
  for (int i = threadIdx.x; i < a.count; i += kThreads)
    element<uint8_t>(a.to, row, columns ? columns[i] : i) =
        uint8_t(element<uint8_t>(a.codes, row, i) - a.middle);
}

/// One code less its zero point; `scale` becomes that of its group.
QCC_DEVICE float stepsOf(const TileArguments &tile, int64_t row, int k,
                         float &scale) {
  const int64_t group = row * tile.groups + pointer<const int>(tile.group)[k];
  scale = pointer<const float>(tile.scales)[group];
  return float(element<uint8_t>(tile.codes, row, k)) -
         pointer<const float>(tile.zeros)[group];
}

QCC_DEVICE void expandSteps(const StepsArguments &a) {
  const int64_t row = blockIdx.x;
  float scale;
  for (int k = threadIdx.x; k < a.tile.width; k += kThreads)
    element<float>(a.steps, row, k) = stepsOf(a.tile, row, k, scale);
}

/// W - Q.
QCC_DEVICE void findErrors(const ErrorArguments &a) {
  const int64_t row = blockIdx.x;
  for (int k = threadIdx.x; k < a.tile.width; k += kThreads) {
    float scale;
    const float steps = stepsOf(a.tile, row, k, scale);
    element<float>(a.error, row, k) = __fsub_rn(
        element<float>(a.tile.weight, row, k), __fmul_rn(steps, scale));
  }
}

/// How much the scale of a group changes for the residual's sake.
QCC_DEVICE float changeOfScale(float &scale, double along, double norm,
                               int type) {
  const double best = norm > 0 ? double(scale) + along / norm : 0;
  if (!(best > 0) || !(best <= kLargestF64))
    return 0;
  const float stored = storedScale(float(best), type);
  const float change = stored - scale;
  scale = stored;
  return change;
}

/// The residual's square changes by -2 change <steps, gradient> + change^2
/// <steps, H steps>. One warp a row.
QCC_DEVICE void fitScales(const FitArguments &a) {
  const int lane = threadIdx.x % 32;
  const int64_t row = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (row >= a.rows)
    return;
  double along = 0, norm = 0;
  for (int k = lane; k < a.size; k += 32) {
    const double steps = element<float>(a.steps, row, k);
    along += steps * element<float>(a.gradient, row, k);
    norm += steps * element<float>(a.product, row, k);
  }
  for (int o = 16; o; o >>= 1) {
    along += __shfl_xor_sync(~0U, along, o);
    norm += __shfl_xor_sync(~0U, norm, o);
  }
  float &stored = pointer<float>(a.scales)[row * a.groups + a.group];
  float scale = stored;
  const float change = changeOfScale(scale, along, norm, a.scaleType);
  __syncwarp();
  if (lane == 0)
    stored = scale;
  for (int k = lane; k < a.size; k += 32)
    element<float>(a.steps, row, k) *= change;
  for (int k = a.size + lane; k < a.size + a.behind; k += 32)
    element<float>(a.gradient, row, k) -=
        change * element<float>(a.product, row, k);
}

QCC_DEVICE void fitWideScales(const WideFitArguments &a) {
  const int64_t row = blockIdx.x;
  double along = 0, norm = 0;
  for (int k = threadIdx.x; k < a.width; k += kThreads) {
    const double direction = element<float>(a.direction, row, k);
    along += direction * element<float>(a.residual, row, k);
    norm += direction * direction;
  }
  along = blockSum(along);
  norm = blockSum(norm);
  float &stored = pointer<float>(a.scales)[row * a.groups + a.group];
  float scale = stored;
  const float change = changeOfScale(scale, along, norm, a.scaleType);
  __syncthreads();
  if (threadIdx.x == 0)
    stored = scale;
  for (int k = threadIdx.x; k < a.width; k += kThreads)
    element<float>(a.residual, row, k) -=
        change * element<float>(a.direction, row, k);
}

QCC_DEVICE void sumRows(const SumArguments &a) {
  const int64_t row = blockIdx.x;
  double loss = 0, error = 0, norm = 0;
  for (int k = threadIdx.x; k < a.tile.width; k += kThreads) {
    float scale;
    const float steps = stepsOf(a.tile, row, k, scale);
    const float w = element<float>(a.tile.weight, row, k);
    const double left = __fsub_rn(w, __fmul_rn(steps, scale));
    const double residual = element<float>(a.residual, row, k);
    loss += residual * residual;
    error += left * left;
    norm += double(w) * double(w);
  }
  loss = blockSum(loss);
  error = blockSum(error);
  norm = blockSum(norm);
  if (threadIdx.x == 0) {
    double *sums = pointer<double>(a.sums) + 3 * row;
    sums[0] = loss;
    sums[1] = error;
    sums[2] = norm;
  }
}

QCC_DEVICE void addSquares(const SquareArguments &a) {
  const int64_t row = blockIdx.x;
  double sum = 0;
  for (int k = threadIdx.x; k < a.columns; k += kThreads) {
    const double value = element<float>(a.values, row, k);
    sum += value * value;
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0)
    pointer<double>(a.sums)[row] += sum;
}

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ROWS_CUH
