//===- GptqConditioning.cpp - Hessians made fit to be factored ------------===//

#include "compiler/quantize/GptqConditioning.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qcc {

static void orderColumns(const std::vector<double> &diagonal, int64_t groupSize,
                         const GptqOptions &options, GptqFactor &factor) {
  auto n = int64_t(diagonal.size());
  auto falling = [&](int32_t a, int32_t b) {
    return diagonal[size_t(a)] > diagonal[size_t(b)];
  };
  factor.order.resize(size_t(n));
  std::iota(factor.order.begin(), factor.order.end(), 0);
  std::vector<GptqFactor::Group> groups;
  for (int64_t first = 0; first < n; first += groupSize)
    groups.push_back(
        {first, std::min(groupSize, n - first), int64_t(groups.size())});
  if (options.order == ColumnOrder::Activation)
    std::stable_sort(factor.order.begin(), factor.order.end(), falling);
  if (options.order == ColumnOrder::GroupAware) {
    std::vector<double> largest;
    for (const GptqFactor::Group &group : groups) {
      auto begin = diagonal.begin() + group.first;
      largest.push_back(*std::max_element(begin, begin + group.size));
    }
    std::stable_sort(
        groups.begin(), groups.end(), [&](const auto &a, const auto &b) {
          return largest[size_t(a.index)] > largest[size_t(b.index)];
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

bool conditionHessian(
    std::vector<double> &diagonal, int64_t groupSize,
    const GptqOptions &options, GptqFactor &factor,
    const std::function<bool(const Conditioning &)> &tryFactor) {
  size_t n = diagonal.size();
  factor.dead.assign(n, 0);
  // An input that is not finite makes its diagonal element so, too.
  if (!std::ranges::all_of(diagonal,
                           [](double x) { return std::isfinite(x); })) {
    factor.note = "activations are not finite: rounded to nearest";
    orderColumns(std::vector<double>(n, 1.0), groupSize, options, factor);
    return false;
  }
  for (size_t i = 0; i < n; ++i)
    if (diagonal[i] == 0) {
      factor.dead[i] = 1;
      diagonal[i] = 1; // as the reference has it
    }
  orderColumns(diagonal, groupSize, options, factor);
  auto dead = std::count(factor.dead.begin(), factor.dead.end(), 1);
  if (dead == int64_t(n)) {
    factor.note = "inputs are always zero: rounded to nearest";
    factor.dead.assign(n, 0);
    return false;
  }
  if (dead > 0)
    factor.note = std::to_string(dead) +
                  (dead == 1 ? " dead column" : " dead columns") +
                  " set to zero";

  double mean =
      std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / double(n);
  auto remark = [&](const std::string &text) {
    factor.note += (factor.note.empty() ? "" : "; ") + text;
  };
  factor.damp = options.damp;
  Conditioning conditioning{factor.damp * mean, false};
  while (!tryFactor(conditioning)) {
    if (conditioning.floored) {
      // Only where numbers leave the range of the arithmetic.
      remark("the Hessian cannot be factored: rounded to nearest");
      factor.dead.assign(n, 0);
      return false;
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
  return true;
}

} // namespace qcc
