//===- GptqFactor.cpp - The order of columns and the Hessian's factor -----===//

#include "compiler/quantize/GptqConditioning.h"
#include "compiler/quantize/GptqRefine.h"
#include "compiler/quantize/Parallel.h"

#include <algorithm>
#include <cmath>

namespace qcc {

namespace {

/// The Cholesky factor L of the Hessian in reverse order of quantization, in
/// `matrix`; false if it is not positive definite.
bool tryFactor(const Hessian &hessian, const std::vector<double> &diagonal,
               const GptqFactor &factor, const Conditioning &conditioning,
               unsigned threads, std::vector<double> &matrix) {
  int64_t n = hessian.size();
  parallelFor(threads, n, [&](int64_t i) {
    int64_t row = factor.order[size_t(n - 1 - i)];
    double sum = 0;
    if (conditioning.floored)
      for (int64_t j = 0; j < n; ++j)
        sum += j == row ? 0 : std::fabs(hessian.at(row, j));
    for (int64_t j = 0; j < i; ++j)
      matrix[size_t(i * n + j)] =
          hessian.at(row, factor.order[size_t(n - 1 - j)]);
    matrix[size_t(i * n + i)] =
        std::max(diagonal[size_t(row)], sum) + conditioning.added;
  });
  if (cholesky(matrix.data(), n, threads) != 0)
    return false;
  // A pivot that is nothing but rounding would make the weights explode.
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(matrix[size_t(i * n + i)]) ||
        float(matrix[size_t(i * n + i)]) == 0)
      return false;
  return true;
}

} // namespace

GptqFactor factorHessian(const Hessian &hessian, int64_t groupSize,
                         const GptqOptions &options) {
  GptqFactor factor;
  int64_t n = hessian.size();
  std::vector<double> diagonal, matrix;
  for (int64_t i = 0; i < n; ++i)
    diagonal.push_back(hessian.diagonal(i));
  auto attempt = [&](const Conditioning &conditioning) {
    matrix.resize(size_t(n * n));
    return tryFactor(hessian, diagonal, factor, conditioning, options.threads,
                     matrix);
  };
  if (!conditionHessian(diagonal, groupSize, options, factor, attempt))
    return factor;

  // L of the reversed matrix, reversed, is R.
  factor.r.resize(size_t(n * n));
  parallelFor(options.threads, n, [&](int64_t i) {
    for (int64_t j = i; j < n; ++j)
      factor.r[size_t(i * n + j)] =
          float(matrix[size_t((n - 1 - i) * n + n - 1 - j)]);
  });
  if (options.refineSweeps > 0)
    factor.corners = hessianCorners(factor, options.block, options.threads);
  return factor;
}

} // namespace qcc
