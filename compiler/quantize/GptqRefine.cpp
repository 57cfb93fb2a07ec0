//===- GptqRefine.cpp - Codes and scales, once more -----------------------===//
//
// Everything works on the residual E = (W - Q) R of the rows, whose squared
// norm is the error: H = R R^T, so that the gradient of a column is E times
// that column's row of R. Blocks of columns go through one product before and
// one after; within a block, 16 rows to a vector.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/GptqRefine.h"

#include "compiler/quantize/DenseAlgebra.h"
#include "compiler/quantize/Parallel.h"
#include "compiler/quantize/ScaleRounding.h"
#include "compiler/quantize/Simd.h"

#include <algorithm>
#include <cmath>

namespace qcc {

namespace {

using namespace simd;

/// 16 rows of the columns of a block, column after column.
struct BlockOfSteps {
  int64_t columns;
  const float *hessian; ///< [columns][columns]
  const float *scale, *zero;
  float maxCode;
  float *steps;
  float *gradient; ///< in: E R^T
  float *change;   ///< out: of the value
};

struct RefineBlock {
  template <int N>
  QCC_SIMD_INLINE static int run(const BlockOfSteps *block) {
    for (int64_t k = 0; k < block->columns; ++k) {
      const float *row = block->hessian + k * block->columns;
      int64_t at = k * kLanes;
      F32<N> scale = F32<N>::load(block->scale + at);
      F32<N> zero = F32<N>::load(block->zero + at);
      F32<N> value = F32<N>::load(block->steps + at) * scale;
      F32<N> best =
          value + F32<N>::load(block->gradient + at) * (1.0f / row[k]);
      F32<N> steps = roundEven(simd::max(
          simd::min(best / scale, F32<N>(block->maxCode) - zero),
          F32<N>(0.0f) - zero));
      F32<N> change = steps * scale - value;
      steps.store(block->steps + at);
      change.store(block->change + at);
      for (int64_t j = k + 1; j < block->columns; ++j) {
        float *to = block->gradient + j * kLanes;
        (F32<N>::load(to) - change * row[j]).store(to);
      }
    }
    return 0;
  }
};

class Refinement {
public:
  Refinement(const QuantizedRows &q, const GptqFactor &factor,
             const GptqOptions &options)
      : q(q), factor(factor), options(options), rows(q.rows), n(q.columns),
        block(options.block) {}

  /// residual [rows][n] = (W - Q) R.
  void findResidual() {
    std::vector<float> error(size_t(rows * n));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < n; ++i)
        error[size_t(row * n + i)] =
            q.weight[row * n + i] - q.steps[row * n + i] * scaleAt(row, i);
    residual.resize(error.size());
    for (int64_t begin = 0; begin < n; begin += block) {
      int64_t end = std::min(n, begin + block);
      dense::multiply(rows, end - begin, end, error.data(), n, r(0, begin), n,
                      residual.data() + begin, n);
    }
  }

  double loss() const {
    double sum = 0;
    for (float value : residual)
      sum += double(value) * double(value);
    return sum;
  }

  void sweepCodes() {
    std::vector<float> gradient(size_t(rows * block)), change(gradient.size());
    for (int64_t begin = 0; begin < n; begin += block) {
      int64_t width = std::min(block, n - begin);
      dense::multiplyByTransposed(rows, width, n - begin,
                                  residual.data() + begin, n, r(begin, begin),
                                  n, gradient.data(), width);
      for (int64_t base = 0; base < rows; base += kLanes)
        refineLanes(begin, width, base, gradient.data(), change.data());
      dense::subtractMultiple(rows, n - begin, width, change.data(), width,
                              r(begin, begin), n, residual.data() + begin, n);
    }
  }

  void sweepScales() {
    std::vector<float> direction;
    for (const GptqFactor::Group &group : factor.groups) {
      int64_t width = n - group.first;
      direction.resize(size_t(rows * width));
      dense::multiply(rows, width, group.size, q.steps + group.first, n,
                      r(group.first, group.first), n, direction.data(), width);
      for (int64_t row = 0; row < rows; ++row)
        fitScale(q.scales[row * q.groups + group.index],
                 direction.data() + row * width,
                 residual.data() + row * n + group.first, width);
    }
  }

private:
  const float *r(int64_t row, int64_t column) const {
    return factor.r.data() + row * n + column;
  }
  float scaleAt(int64_t row, int64_t i) const {
    return q.scales[row * q.groups + q.group[i]];
  }

  void refineLanes(int64_t begin, int64_t width, int64_t base,
                   const float *gradient, float *change) {
    std::vector<float> lanes(size_t(width * kLanes) * 5);
    float *scale = lanes.data(), *zero = scale + width * kLanes,
          *steps = zero + width * kLanes, *slope = steps + width * kLanes,
          *changes = slope + width * kLanes;
    for (int64_t k = 0; k < width; ++k)
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        // Lanes past the last row repeat it.
        int64_t row = std::min(base + lane, rows - 1), at = k * kLanes + lane;
        scale[at] = scaleAt(row, begin + k);
        zero[at] = q.zeros[row * q.groups + q.group[begin + k]];
        steps[at] = q.steps[row * n + begin + k];
        slope[at] = gradient[row * width + k];
      }
    BlockOfSteps work{width, factor.corners.data() + block * begin,
                      scale, zero,  q.maxCode,
                      steps, slope, changes};
    dispatch<RefineBlock>(&work);
    for (int64_t lane = 0; lane < std::min(kLanes, rows - base); ++lane)
      for (int64_t k = 0; k < width; ++k) {
        int64_t row = base + lane, at = k * kLanes + lane;
        q.steps[row * n + begin + k] = steps[at];
        change[row * width + k] = changes[at];
      }
  }

  /// The residual is linear in a scale: `direction` is its slope.
  void fitScale(float &scale, const float *direction, float *from,
                int64_t width) const {
    double along = 0, norm = 0;
    for (int64_t i = 0; i < width; ++i) {
      along += double(from[i]) * double(direction[i]);
      norm += double(direction[i]) * double(direction[i]);
    }
    double best = norm > 0 ? double(scale) + along / norm : 0;
    if (!(best > 0) || !std::isfinite(best))
      return;
    float stored = storedScale(float(best), q.scaleType);
    float change = stored - scale;
    for (int64_t i = 0; i < width; ++i)
      from[i] -= change * direction[i];
    scale = stored;
  }

  const QuantizedRows &q;
  const GptqFactor &factor;
  const GptqOptions &options;
  const int64_t rows, n, block;
  std::vector<float> residual;
};

} // namespace

std::vector<float> hessianCorners(const GptqFactor &factor, int64_t block,
                                  unsigned threads) {
  auto n = int64_t(factor.order.size());
  std::vector<float> corners(size_t(n * block));
  parallelFor(threads, (n + block - 1) / block, [&](int64_t i) {
    int64_t begin = i * block, width = std::min(block, n - begin);
    const float *r = factor.r.data() + begin * n + begin;
    dense::multiplyByTransposed(width, width, n - begin, r, n, r, n,
                                corners.data() + block * begin, width);
  });
  return corners;
}

double refine(const QuantizedRows &rows, const GptqFactor &factor,
              const GptqOptions &options) {
  Refinement refinement(rows, factor, options);
  // Groups of the weight's own columns are no runs of another order.
  bool fitsScales =
      !options.staticGroups || options.order == ColumnOrder::Natural;
  for (int64_t sweep = 0; sweep < options.refineSweeps; ++sweep) {
    // Anew each time: rounding does not add up.
    refinement.findResidual();
    refinement.sweepCodes();
    if (fitsScales)
      refinement.sweepScales();
  }
  refinement.findResidual();
  return refinement.loss();
}

} // namespace qcc
