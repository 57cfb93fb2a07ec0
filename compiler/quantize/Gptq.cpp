//===- Gptq.cpp - Quantization that makes up for its errors ---------------===//
//
// Rows do not depend on each other. A task takes kTaskRows of them through all
// columns, block by block: one product spreads the errors of all earlier
// blocks, then the columns of the block follow one after the other, 16 rows to
// a vector. GptqRefine.cpp goes over the result again.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/Gptq.h"

#include "compiler/quantize/DenseAlgebra.h"
#include "compiler/quantize/GptqNearest.h"
#include "compiler/quantize/GptqRefine.h"
#include "compiler/quantize/Parallel.h"
#include "compiler/quantize/ScaleRounding.h"
#include "compiler/quantize/Simd.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace qcc {

namespace {

using namespace simd;

constexpr int64_t kTaskRows = 64;

/// 16 rows of the columns of a block, column after column.
struct BlockOfRows {
  int64_t columns;
  const float *r; ///< the block's corner of R
  int64_t ldr;
  const float *weight; ///< [columns][16]
  const float *scale, *zero;
  float *spread; ///< in: errors of earlier columns times R; out: of all
  float *error;  ///< out: W - Q
  float *steps;  ///< out: codes less zero points
  float maxCode;
};

struct Sums {
  double loss, error;
};

struct QuantizeBlock {
  template <int N>
  QCC_SIMD_INLINE static Sums run(const BlockOfRows *block) {
    F32<N> loss, squares;
    for (int64_t k = 0; k < block->columns; ++k) {
      const float *row = block->r + k * block->ldr;
      F32<N> original = F32<N>::load(block->weight + k * kLanes);
      F32<N> w =
          original + F32<N>::load(block->spread + k * kLanes) * (1.0f / row[k]);
      F32<N> scale = F32<N>::load(block->scale + k * kLanes);
      F32<N> zero = F32<N>::load(block->zero + k * kLanes);
      // Limited before it is rounded: the limits are integers.
      F32<N> code = roundEven(
          simd::max(simd::min(w / scale, F32<N>(block->maxCode) - zero),
                    F32<N>(0.0f) - zero));
      F32<N> value = code * scale;
      F32<N> error = original - value;
      F32<N> left = (w - value) * row[k];
      loss = loss + left * left;
      squares = squares + error * error;
      error.store(block->error + k * kLanes);
      code.store(block->steps + k * kLanes);
      for (int64_t j = k + 1; j < block->columns; ++j) {
        float *to = block->spread + j * kLanes;
        (F32<N>::load(to) + error * row[j]).store(to);
      }
    }
    return {reduceAdd(loss), reduceAdd(squares)};
  }
};

/// What a task holds of its rows.
class Task {
public:
  Task(const float *w, int64_t first, int64_t rows, int64_t columns,
       const qrt::Format &format, const GptqFactor &factor,
       const GptqOptions &options, GptqResult &result)
      : first(first), rows(rows), n(columns), format(format), factor(factor),
        options(options), result(result), groupCount(format.groupsPerRow(n)),
        maxCode(float((1 << format.codeBits()) - 1)), weight(size_t(rows * n)),
        error(weight.size()), steps(weight.size()),
        scales(size_t(rows * groupCount)), zeros(scales.size()) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < n; ++i) {
        int32_t column = factor.order[size_t(i)];
        weight[size_t(row * n + i)] =
            factor.dead[size_t(column)] ? 0 : w[(first + row) * n + column];
      }
  }

  QuantizeStatistics run() {
    if (options.staticGroups)
      findStaticGroups();
    auto group = factor.groups.begin();
    for (int64_t begin = 0; begin < n;) {
      int64_t end = std::min(n, begin + options.block);
      // Groups that begin in this block, and what of the weight they need.
      int64_t reach = end;
      auto last = group;
      while (last != factor.groups.end() && last->first < end) {
        if (!options.staticGroups)
          reach = std::max(reach, last->first + last->size);
        ++last;
      }
      spreadErrors(begin, reach);
      if (!options.staticGroups && group != last)
        findGroups(&*group, &*group + (last - group), begin, reach);
      group = last;
      quantizeColumns(begin, end, reach);
      begin = end;
    }
    if (options.refineSweeps > 0)
      refineAll();
    storeCodes();
    storeScales();
    // Of the damped Hessian: take what was added back out.
    statistics.squaredError = std::max(0.0, loss - factor.added * squaredError);
    double squaredNorm = 0;
    for (float value : weight)
      squaredNorm += double(value) * double(value);
    statistics.squaredNorm =
        std::max(0.0, outputNorm() - factor.added * squaredNorm);
    return statistics;
  }

private:
  const float *corner(int64_t row, int64_t column) const {
    return factor.r.data() + row * n + column;
  }

  /// spread [rows][end - begin] = errors of the columns before `begin` times R.
  void spreadErrors(int64_t begin, int64_t end) {
    spread.assign(size_t(rows * (end - begin)), 0.0f);
    if (begin > 0)
      dense::multiply(rows, end - begin, begin, error.data(), n,
                      corner(0, begin), n, spread.data(), end - begin);
  }

  /// Scales and zero points of `size` values of each row.
  void findGroup(int64_t index, const float *values, int64_t stride,
                 int64_t size) {
    for (int64_t row = 0; row < rows; ++row) {
      GroupParameters found = findGroupParameters(
          values + row * stride, size, format, options.scales, &statistics);
      scales[size_t(row * groupCount + index)] = found.scale;
      zeros[size_t(row * groupCount + index)] = float(found.zero);
    }
  }

  void findStaticGroups() {
    // The weight's own columns in their own order.
    std::vector<float> own(weight.size());
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < n; ++i)
        own[size_t(row * n + factor.order[size_t(i)])] =
            weight[size_t(row * n + i)];
    int64_t size = format.groupSize(n);
    for (int64_t index = 0; index < groupCount; ++index)
      findGroup(index, own.data() + index * size, n,
                std::min(size, n - index * size));
  }

  /// The weight as it is where the block begins, once every column before has
  /// been made up for: W + E R R_bb^-1.
  void findGroups(const GptqFactor::Group *group, const GptqFactor::Group *last,
                  int64_t begin, int64_t reach) {
    int64_t width = reach - begin;
    std::vector<float> current = spread;
    if (begin > 0)
      dense::solveUpper(rows, width, corner(begin, begin), n, current.data(),
                        width);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < width; ++i)
        current[size_t(row * width + i)] += weight[size_t(row * n + begin + i)];
    for (; group != last; ++group)
      findGroup(group->index, current.data() + group->first - begin, width,
                group->size);
  }

  /// The group of the i-th column.
  int64_t groupOf(int64_t i) const {
    return (storesPermuted(options) ? i : factor.order[size_t(i)]) /
           format.groupSize(n);
  }

  void quantizeColumns(int64_t begin, int64_t end, int64_t reach) {
    int64_t width = end - begin;
    std::vector<float> lanes(size_t(width * kLanes) * 6);
    float *original = lanes.data(), *scale = original + width * kLanes,
          *zero = scale + width * kLanes, *sums = zero + width * kLanes,
          *errors = sums + width * kLanes, *found = errors + width * kLanes;
    for (int64_t base = 0; base < rows; base += kLanes) {
      for (int64_t k = 0; k < width; ++k) {
        int64_t group = groupOf(begin + k);
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          // Lanes past the last row repeat it with a weight of zero.
          int64_t row = std::min(base + lane, rows - 1);
          bool real = base + lane < rows;
          int64_t at = k * kLanes + lane;
          original[at] = real ? weight[size_t(row * n + begin + k)] : 0;
          sums[at] = real ? spread[size_t(row * (reach - begin) + k)] : 0;
          scale[at] = scales[size_t(row * groupCount + group)];
          zero[at] = zeros[size_t(row * groupCount + group)];
        }
      }
      BlockOfRows block{width, corner(begin, begin),
                        n,     original,
                        scale, zero,
                        sums,  errors,
                        found, maxCode};
      Sums lost = dispatch<QuantizeBlock>(&block);
      loss += lost.loss;
      squaredError += lost.error;
      for (int64_t lane = 0; lane < std::min(kLanes, rows - base); ++lane)
        for (int64_t k = 0; k < width; ++k) {
          auto at = size_t((base + lane) * n + begin + k);
          error[at] = errors[k * kLanes + lane];
          steps[at] = found[k * kLanes + lane];
        }
    }
  }

  void refineAll() {
    std::vector<int32_t> groups(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      groups[size_t(i)] = int32_t(groupOf(i));
    loss = refine({rows, n, groupCount, maxCode, format.scale, groups.data(),
                   weight.data(), zeros.data(), steps.data(), scales.data()},
                  factor, options);
    squaredError = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < n; ++i) {
        float scale = scales[size_t(row * groupCount + groups[size_t(i)])];
        float left =
            weight[size_t(row * n + i)] - steps[size_t(row * n + i)] * scale;
        squaredError += double(left) * double(left);
      }
  }

  void storeCodes() {
    // int8 without zero points is stored in two's complement.
    int32_t middle = format.code == qrt::Code::Int8 && !format.zero ? 128 : 0;
    bool permuted = storesPermuted(options);
    for (int64_t i = 0; i < n; ++i) {
      int64_t column = permuted ? i : factor.order[size_t(i)];
      int64_t group = groupOf(i);
      for (int64_t row = 0; row < rows; ++row) {
        float zero = zeros[size_t(row * groupCount + group)];
        result.codes[size_t((first + row) * n + column)] =
            uint8_t(int32_t(steps[size_t(row * n + i)] + zero) - middle);
      }
    }
  }

  void storeScales() {
    std::copy(scales.begin(), scales.end(),
              result.scales.begin() + first * groupCount);
    if (format.zero)
      for (size_t i = 0; i < zeros.size(); ++i)
        result.zeros[size_t(first * groupCount) + i] = uint8_t(zeros[i]);
  }

  /// ‖W R‖², which is ‖W X‖² with the damping.
  double outputNorm() const {
    double sum = 0;
    std::vector<float> product;
    for (int64_t begin = 0; begin < n; begin += options.block) {
      int64_t end = std::min(n, begin + options.block);
      product.resize(size_t(rows * (end - begin)));
      dense::multiply(rows, end - begin, end, weight.data(), n,
                      corner(0, begin), n, product.data(), end - begin);
      for (float value : product)
        sum += double(value) * double(value);
    }
    return sum;
  }

  const int64_t first, rows, n;
  const qrt::Format &format;
  const GptqFactor &factor;
  const GptqOptions &options;
  GptqResult &result;
  const int64_t groupCount;
  const float maxCode;
  /// [rows][n] in the order of quantization.
  std::vector<float> weight, error, steps;
  std::vector<float> scales, zeros; ///< [rows][groups]
  std::vector<float> spread;
  QuantizeStatistics statistics;
  double loss = 0, squaredError = 0;
};

} // namespace

GptqResult quantizeGptq(const float *w, int64_t rows, int64_t columns,
                        const qrt::Format &format, const GptqFactor &factor,
                        const GptqOptions &options) {
  GptqResult result = makeGptqResult(rows, columns, format, factor);
  if (factor.r.empty()) {
    roundToNearest(w, rows, columns, format, factor, options, result);
    return result;
  }
  int64_t tasks = (rows + kTaskRows - 1) / kTaskRows;
  std::vector<QuantizeStatistics> parts(size_t(tasks), QuantizeStatistics{});
  parallelFor(options.threads, tasks, [&](int64_t task) {
    qrt::throwIfCancelled(options.cancelled);
    int64_t first = task * kTaskRows;
    int64_t count = std::min(kTaskRows, rows - first);
    parts[size_t(task)] =
        Task(w, first, count, columns, format, factor, options, result).run();
  });
  for (const QuantizeStatistics &part : parts)
    result.statistics += part;
  return result;
}

} // namespace qcc
