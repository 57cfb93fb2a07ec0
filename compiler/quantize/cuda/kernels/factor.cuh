//===- factor.cuh - The Hessian, made ready and factored --------*- C++ -*-===//
//
// Of a symmetric matrix [n][n] the lower triangle counts. Cholesky's factor L
// of the matrix in reverse order, reversed again, is R: that is the same memory
// read backwards.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_FACTOR_CUH
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_FACTOR_CUH

#include "compiler/quantize/cuda/kernels/rows.cuh"

namespace qcc::cuda {

/// One block a row.
template <class T>
QCC_DEVICE void gatherReversed(const GatherArguments &a) {
  const int64_t n = a.n, i = blockIdx.x;
  const int *order = pointer<const int>(a.order);
  const float *hessian = pointer<const float>(a.hessian);
  T *to = pointer<T>(a.to) + i * n;
  const int64_t row = order[n - 1 - i];
  for (int64_t j = threadIdx.x; j < n; j += kThreads) {
    T value = 0;
    if (j == i) {
      value = T(pointer<const double>(a.diagonal)[row]);
    } else if (j < i) {
      const int64_t column = order[n - 1 - j];
      value = hessian[larger(row, column) * n + smaller(row, column)];
    }
    to[j] = value;
  }
}

/// The memory of an f32 matrix backwards, in place.
QCC_DEVICE void reverseInPlace(const SquareMatrixArguments &a) {
  float *values = pointer<float>(a.to);
  const int64_t count = int64_t(a.n) * a.n;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count / 2;
       i += int64_t(gridDim.x) * kThreads) {
    const float value = values[i];
    values[i] = values[count - 1 - i];
    values[count - 1 - i] = value;
  }
}

/// From f64 to f32.
QCC_DEVICE void reverseRounded(const SquareMatrixArguments &a) {
  const int64_t count = int64_t(a.n) * a.n;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * kThreads)
    pointer<float>(a.to)[count - 1 - i] =
        float(pointer<const double>(a.from)[i]);
}

/// Two elements a thread; the last one may be alone.
QCC_DEVICE void roundToBfloats(const RoundArguments &a) {
  const int64_t i = 2 * (int64_t(blockIdx.x) * kThreads + threadIdx.x);
  if (i >= a.count)
    return;
  const float *from = pointer<const float>(a.from) + i;
  if (i + 1 < a.count)
    pointer<uint32_t>(a.to)[i / 2] = packPair<true>(from[0], from[1]);
  else
    pointer<uint16_t>(a.to)[i] = toBfloat(from[0]);
}

QCC_DEVICE void scaleMatrix(const SquareMatrixArguments &a) {
  const int64_t count = int64_t(a.n) * a.n;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * kThreads)
    pointer<float>(a.to)[i] *= a.factor;
}

QCC_DEVICE void copyDiagonal(const SquareMatrixArguments &a) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < a.n)
    pointer<float>(a.to)[i] = pointer<const float>(a.from)[i * a.n + i];
}

/// Sums of the absolute values of a symmetric matrix's rows but the diagonal,
/// f64 [n]. One block a row.
QCC_DEVICE void sumOffDiagonal(const SquareMatrixArguments &a) {
  const int64_t n = a.n, row = blockIdx.x;
  const float *from = pointer<const float>(a.from);
  double sum = 0;
  for (int64_t j = threadIdx.x; j < n; j += kThreads)
    if (j != row)
      sum += double(fabsf(from[larger(row, j) * n + smaller(row, j)]));
  sum = blockSum(sum);
  if (threadIdx.x == 0)
    pointer<double>(a.to)[row] = sum;
}

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_FACTOR_CUH
