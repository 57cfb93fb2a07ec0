//===- GptqFactor.cpp - The order of columns and the Hessian's factor -----===//

#include "compiler/quantize/Gptq.h"

#include "compiler/quantize/GptqRefine.h"
#include "compiler/quantize/Parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace qcc {

namespace {

/// The diagonal of the Hessian with 1 for dead columns, as the reference has
/// it.
std::vector<double> liveDiagonal(const Hessian &hessian, GptqFactor &factor) {
  std::vector<double> diagonal(size_t(hessian.size()));
  factor.dead.assign(diagonal.size(), 0);
  for (size_t i = 0; i < diagonal.size(); ++i) {
    diagonal[i] = hessian.diagonal(int64_t(i));
    if (diagonal[i] == 0) {
      factor.dead[i] = 1;
      diagonal[i] = 1;
    }
  }
  return diagonal;
}

void orderColumns(const std::vector<double> &diagonal, int64_t groupSize,
                  const GptqOptions &options, GptqFactor &factor) {
  auto n = int64_t(diagonal.size());
  auto falling = [&](int32_t a, int32_t b) {
    return diagonal[size_t(a)] > diagonal[size_t(b)];
  };
  factor.order.resize(size_t(n));
  std::iota(factor.order.begin(), factor.order.end(), 0);
  std::vector<GptqFactor::Group> groups;
  for (int64_t first = 0; first < n; first += groupSize)
    groups.push_back({first, std::min(groupSize, n - first),
                      int64_t(groups.size())});
  if (options.order == ColumnOrder::Activation)
    std::stable_sort(factor.order.begin(), factor.order.end(), falling);
  if (options.order == ColumnOrder::GroupAware) {
    std::vector<double> largest;
    for (const GptqFactor::Group &group : groups) {
      auto begin = diagonal.begin() + group.first;
      largest.push_back(*std::max_element(begin, begin + group.size));
    }
    std::stable_sort(groups.begin(), groups.end(),
                     [&](const auto &a, const auto &b) {
                       return largest[size_t(a.index)] >
                              largest[size_t(b.index)];
                     });
    auto out = factor.order.begin();
    for (GptqFactor::Group &group : groups) {
      std::iota(out, out + group.size, int32_t(group.first));
      std::stable_sort(out, out + group.size, falling);
      group.first = out - factor.order.begin();
      out += group.size;
    }
  }
  factor.groups = std::move(groups);
}

/// What is done to the diagonal of the Hessian before it is factored.
struct Conditioning {
  double added = 0;
  bool floored = false;
};

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
  if (!hessian.isFinite()) {
    factor.note = "activations are not finite: rounded to nearest";
    orderColumns(std::vector<double>(size_t(n), 1.0), groupSize, options,
                 factor);
    factor.dead.assign(size_t(n), 0);
    return factor;
  }
  std::vector<double> diagonal = liveDiagonal(hessian, factor);
  orderColumns(diagonal, groupSize, options, factor);
  auto dead = std::count(factor.dead.begin(), factor.dead.end(), 1);
  if (dead == n) {
    factor.note = "inputs are always zero: rounded to nearest";
    factor.dead.assign(size_t(n), 0);
    return factor;
  }
  if (dead > 0)
    factor.note = std::to_string(dead) +
                  (dead == 1 ? " dead column" : " dead columns") +
                  " set to zero";

  double mean = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) /
                double(n);
  auto remark = [&](const std::string &text) {
    factor.note += (factor.note.empty() ? "" : "; ") + text;
  };
  std::vector<double> matrix(size_t(n * n));
  factor.damp = options.damp;
  Conditioning conditioning{factor.damp * mean, false};
  while (!tryFactor(hessian, diagonal, factor, conditioning, options.threads,
                    matrix)) {
    if (conditioning.floored) {
      // Only where numbers leave the range of f64.
      remark("the Hessian cannot be factored: rounded to nearest");
      factor.dead.assign(size_t(n), 0);
      return factor;
    }
    if (factor.damp >= 1)
      conditioning.floored = true;
    else
      factor.damp = std::min(1.0, std::max(2 * factor.damp, 0.01));
    conditioning.added = factor.damp * mean;
  }
  if (conditioning.floored)
    remark("diagonal floored");
  else if (factor.damp != options.damp)
    remark("damping raised");
  factor.added = conditioning.added;

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
