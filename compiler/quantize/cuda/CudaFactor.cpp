//===- CudaFactor.cpp - The Hessian's factor on a GPU ---------------------===//
//
// The matrix is gathered in reverse order of quantization, factored in place,
// and its memory reversed: that is R. At most two matrices of f32 are on the
// GPU, the Hessian and this one, unless f32 is not enough.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/GptqConditioning.h"
#include "compiler/quantize/cuda/CudaGptq.h"
#include "compiler/quantize/cuda/kernels/Arguments.h"

#include <algorithm>
#include <cmath>

namespace qcc {

using cuda::Element;
using cuda::GptqKernel;

namespace {

/// The square of a pivot is what is left of the diagonal element, and the error
/// of f32 is one of the latter: some 1e-6 of it with sums of thousands. From
/// here on it is 1e-2 of the former.
constexpr double kLeastPivot = 1e-4;

class Factorization {
public:
  Factorization(CudaGptq &gptq, const CudaHessian &hessian,
                CudaGptqFactor &factor)
      : gptq(gptq), hessian(hessian), factor(factor), n(hessian.size()),
        vectors(gptq.device(), uint64_t(n) * sizeof(double),
                "the diagonal of a Hessian") {}

  std::vector<double> diagonal() const {
    std::vector<float> values = diagonalOf(hessian.address());
    return {values.begin(), values.end()};
  }

  bool tryFactor(const std::vector<double> &live,
                 const Conditioning &conditioning) {
    std::vector<double> diagonal = conditioned(live, conditioning);
    sendColumns();
    if (!factor.r.address())
      factor.r = qrt::cuda::Buffer(gptq.device(), bytes(Element::F32),
                                   "the factor of a Hessian");
    gather(GptqKernel::GatherF32, diagonal, factor.r.address());
    if (gptq.algebra().cholesky(factor.r.address(), n, Element::F32)) {
      launchOnAll(GptqKernel::Reverse, 0, factor.r.address());
      if (leastPivot(diagonal) >= kLeastPivot)
        return true;
    }
    // The rounding of f32 may be all that is wrong.
    qrt::cuda::Buffer exact(gptq.device(), bytes(Element::F64),
                            "the factor of a Hessian in f64");
    gather(GptqKernel::GatherF64, diagonal, exact.address());
    if (!gptq.algebra().cholesky(exact.address(), n, Element::F64))
      return false;
    launchOnAll(GptqKernel::ReverseF64, exact.address(), factor.r.address());
    return leastPivot(diagonal) > 0;
  }

  /// Where each column of the weight is in the order, and which are dead.
  void sendColumns() {
    std::vector<int32_t> columns(factor.host.order);
    for (int32_t column : factor.host.order)
      columns.push_back(factor.host.dead[size_t(column)] ? -1 : column);
    int64_t size = 2 * n * int64_t(sizeof(int32_t));
    if (!factor.columns.address())
      factor.columns = qrt::cuda::Buffer(gptq.device(), uint64_t(size),
                                         "the order of columns");
    gptq.send(factor.columns.address(), columns.data(), size);
  }

  void findCorners() {
    int64_t elements = 0;
    for (CudaGptqFactor::Span &span : factor.spans) {
      span.corner = elements;
      elements += span.size * span.size;
    }
    factor.corners =
        qrt::cuda::Buffer(gptq.device(), uint64_t(elements) * sizeof(float),
                          "the corners of a Hessian");
    for (const CudaGptqFactor::Span &span : factor.spans) {
      cuda::Operand rows(factor.r.address() +
                             uint64_t(span.first * n + span.first) *
                                 sizeof(float),
                         n);
      cuda::Operand transposed = rows;
      transposed.isTransposed = true;
      gptq.algebra().multiply(
          {span.size,
           span.size,
           n - span.first,
           rows,
           transposed,
           {factor.corners.address() + uint64_t(span.corner) * sizeof(float),
            span.size}});
    }
  }

private:
  uint64_t bytes(Element element) const {
    return uint64_t(n * n * cuda::bytesOf(element));
  }

  std::vector<double> conditioned(const std::vector<double> &live,
                                  const Conditioning &conditioning) const {
    std::vector<double> diagonal(live), sums(live.size());
    if (conditioning.floored) {
      gptq.kernels().launch(GptqKernel::OffDiagonal, n,
                            arguments(hessian.address(), vectors.address()));
      gptq.fetch(sums.data(), vectors.address(), n * int64_t(sizeof(double)));
    }
    for (size_t i = 0; i < diagonal.size(); ++i)
      diagonal[i] = std::max(diagonal[i], sums[i]) + conditioning.added;
    return diagonal;
  }

  void gather(GptqKernel kernel, const std::vector<double> &diagonal,
              qrt::cuda::DevicePointer to) const {
    gptq.send(vectors.address(), diagonal.data(), n * int64_t(sizeof(double)));
    gptq.kernels().launch(
        kernel, n,
        cuda::GatherArguments{hessian.address(), factor.columns.address(),
                              vectors.address(), to, int32_t(n)});
  }

  cuda::SquareMatrixArguments arguments(qrt::cuda::DevicePointer from,
                                        qrt::cuda::DevicePointer to) const {
    return {from, to, int32_t(n), 1};
  }

  void launchOnAll(GptqKernel kernel, qrt::cuda::DevicePointer from,
                   qrt::cuda::DevicePointer to) const {
    gptq.kernels().launch(kernel, (n * n + cuda::kThreads - 1) / cuda::kThreads,
                          arguments(from, to));
  }

  std::vector<float> diagonalOf(qrt::cuda::DevicePointer matrix) const {
    std::vector<float> values(static_cast<size_t>(n));
    gptq.kernels().launch(GptqKernel::Diagonal,
                          (n + cuda::kThreads - 1) / cuda::kThreads,
                          arguments(matrix, vectors.address()));
    gptq.fetch(values.data(), vectors.address(), n * int64_t(sizeof(float)));
    return values;
  }

  /// The least square of a pivot in units of its diagonal element; 0 if one is
  /// not finite or vanishes. One that is nothing but rounding would make the
  /// weights explode.
  double leastPivot(const std::vector<double> &diagonal) const {
    std::vector<float> pivots = diagonalOf(factor.r.address());
    double least = 1;
    for (size_t i = 0; i < pivots.size(); ++i) {
      double pivot = pivots[i];
      if (!std::isfinite(pivot) || pivot == 0)
        return 0;
      least = std::min(least,
                       pivot * pivot / diagonal[size_t(factor.host.order[i])]);
    }
    return least;
  }

  CudaGptq &gptq;
  const CudaHessian &hessian;
  CudaGptqFactor &factor;
  const int64_t n;
  qrt::cuda::Buffer vectors; ///< f64 [n]
};

/// Runs of at most `most` columns, of whole groups if these are no larger.
std::vector<CudaGptqFactor::Span>
makeSpans(const std::vector<GptqFactor::Group> &groups, int64_t n,
          int64_t groupSize, int64_t most) {
  std::vector<CudaGptqFactor::Span> spans;
  if (groupSize > most) {
    for (int64_t first = 0; first < n; first += most)
      spans.push_back({first, std::min(most, n - first), 0, 0, 0});
    return spans;
  }
  for (size_t i = 0; i < groups.size();) {
    CudaGptqFactor::Span span{groups[i].first, 0, int64_t(i), 0, 0};
    for (; i < groups.size() && span.size + groups[i].size <= most; ++i)
      span.size += groups[i].size;
    span.lastGroup = int64_t(i);
    spans.push_back(span);
  }
  return spans;
}

} // namespace

CudaGptqFactor factorHessian(CudaGptq &gptq, const CudaHessian &hessian,
                             int64_t groupSize, const GptqOptions &options) {
  gptq.device().use();
  CudaGptqFactor factor;
  Factorization work(gptq, hessian, factor);
  std::vector<double> diagonal = work.diagonal();
  factor.usable =
      conditionHessian(diagonal, groupSize, options, factor.host,
                       [&](const Conditioning &conditioning) {
                         return work.tryFactor(diagonal, conditioning);
                       });
  if (!factor.usable) {
    factor.r = {};
    return factor;
  }
  factor.spans = makeSpans(factor.host.groups, hessian.size(), groupSize,
                           gptq.panelColumns);
  if (options.refineSweeps > 0)
    work.findCorners();
  return factor;
}

} // namespace qcc
