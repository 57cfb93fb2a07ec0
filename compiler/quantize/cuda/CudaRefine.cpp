//===- CudaRefine.cpp - Codes and scales, once more, on a GPU -------------===//
//
// The residual E = (W - Q) R is right for all codes and scales at the end of
// every span; within a span the gradient E R^T is kept up to date by the span's
// block of the Hessian.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/cuda/CudaRows.h"
#include "runtime/support/Cancel.h"

#include <algorithm>

namespace qcc::cuda {

namespace {

using Span = CudaGptqFactor::Span;

class Refinement {
public:
  Refinement(CudaGptq &gptq, const CudaRows &q, const CudaGptqFactor &factor)
      : gptq(gptq), q(q), factor(factor), n(q.n) {}

  void findResidual() {
    gptq.kernels().launch(GptqKernel::Errors, q.rows,
                          ErrorArguments{q.tile(0, n), q.whole(q.error)});
    for (int64_t first = 0; first < n; first += q.panelColumns) {
      int64_t width = std::min(q.panelColumns, n - first);
      multiply({q.rows, width, first + width, q.whole(q.error), r(0, first),
                q.whole(q.residual, first)});
    }
  }

  void sweepCodes(const Span &span) {
    findGradient(span);
    for (int64_t at = 0; at < span.size; at += kTileColumns) {
      int64_t width = std::min<int64_t>(kTileColumns, span.size - at);
      gptq.kernels().launch(GptqKernel::Refine, q.tileBlocks(),
                            RefineArguments{q.tile(span.first + at, width),
                                            q.panel(kGradient, at),
                                            hessian(span, at, at),
                                            q.panel(kChange, at)});
      int64_t next = at + width;
      if (next < span.size)
        multiply({q.rows, span.size - next, width, q.panel(kChange, at),
                  hessian(span, at, next), q.panel(kGradient, next), -1, 1});
    }
    updateResidual(span);
  }

  /// Scales of groups that lie in the span.
  void sweepScales(const Span &span) {
    findGradient(span);
    expandSteps(span.first, span.size);
    for (int64_t i = span.firstGroup; i < span.lastGroup; ++i) {
      const GptqFactor::Group &group = factor.host.groups[size_t(i)];
      int64_t at = group.first - span.first, width = span.size - at;
      multiply({q.rows, width, group.size, q.panel(kChange, at),
                hessian(span, at, at), q.panel(kProduct)});
      gptq.kernels().launch(
          GptqKernel::Fit, (q.rows * 32 + kThreads - 1) / kThreads,
          FitArguments{q.panel(kChange, at), q.panel(kGradient, at),
                       q.panel(kProduct), q.scales, int32_t(q.rows),
                       int32_t(q.groups), int32_t(group.index),
                       int32_t(group.size), int32_t(width - group.size),
                       int32_t(q.scaleType)});
    }
    updateResidual(span);
  }

  /// Scales of a group that is larger than a span.
  void sweepScales(const GptqFactor::Group &group) {
    int64_t width = n - group.first;
    for (int64_t at = 0; at < group.size; at += q.panelColumns) {
      int64_t size = std::min(q.panelColumns, group.size - at);
      int64_t first = group.first + at;
      expandSteps(first, size);
      multiply({q.rows, n - first, size, q.panel(kChange), r(first, first),
                q.whole(q.error, at), 1, at > 0 ? 1.0F : 0.0F});
    }
    gptq.kernels().launch(
        GptqKernel::WideFit, q.rows,
        WideFitArguments{q.whole(q.residual, group.first), q.whole(q.error),
                         q.scales, int32_t(q.rows), int32_t(width),
                         int32_t(q.groups), int32_t(group.index),
                         int32_t(q.scaleType)});
  }

private:
  /// The panels' uses.
  enum { kGradient, kChange, kProduct };

  Operand r(int64_t row, int64_t column) const {
    return elementOf(factor.r.address(), n, row, column);
  }
  Operand hessian(const Span &span, int64_t row, int64_t column) const {
    return elementOf(CudaRows::plus(factor.corners.address(), span.corner),
                     span.size, row, column);
  }
  void multiply(Product product) const {
    product.arithmetic = gptq.refinement;
    gptq.algebra().multiply(product);
  }

  void findGradient(const Span &span) const {
    Operand rows = r(span.first, span.first);
    rows.isTransposed = true;
    multiply({q.rows, span.size, n - span.first,
              q.whole(q.residual, span.first), rows, q.panel(kGradient)});
  }

  void expandSteps(int64_t first, int64_t width) const {
    gptq.kernels().launch(
        GptqKernel::Steps, q.rows,
        StepsArguments{q.tile(first, width), q.panel(kChange)});
  }

  void updateResidual(const Span &span) const {
    multiply({q.rows, n - span.first, span.size, q.panel(kChange),
              r(span.first, span.first), q.whole(q.residual, span.first), -1,
              1});
  }

  CudaGptq &gptq;
  const CudaRows &q;
  const CudaGptqFactor &factor;
  const int64_t n;
};

} // namespace

void refine(CudaGptq &gptq, const CudaRows &rows, const CudaGptqFactor &factor,
            const GptqOptions &options) {
  Refinement refinement(gptq, rows, factor);
  // Groups of the weight's own columns are no runs of another order.
  bool fitsScales =
      !options.staticGroups || options.order == ColumnOrder::Natural;
  bool areInSpans = factor.spans.front().lastGroup > 0;
  for (int64_t sweep = 0; sweep < options.refineSweeps; ++sweep) {
    // Anew each time: rounding does not add up.
    if (sweep > 0)
      refinement.findResidual();
    for (const Span &span : factor.spans) {
      qrt::throwIfCancelled(options.cancelled);
      refinement.sweepCodes(span);
    }
    if (!fitsScales)
      continue;
    if (areInSpans)
      for (const Span &span : factor.spans)
        refinement.sweepScales(span);
    else
      for (const GptqFactor::Group &group : factor.host.groups)
        refinement.sweepScales(group);
  }
  refinement.findResidual();
}

} // namespace qcc::cuda
