//===- CudaHessian.cpp - Second moments by tensor cores -------------------===//

#include "compiler/quantize/cuda/CudaGptq.h"

#include "compiler/quantize/cuda/kernels/Arguments.h"

#include <algorithm>

namespace qcc {

/// Columns of the lower triangle that one product makes: of each panel, half a
/// square is above the diagonal and made for nothing.
constexpr int64_t kPanel = 2048;
/// Inputs that are rounded at once.
constexpr int64_t kMostRounded = int64_t(64) << 20;

CudaHessian::CudaHessian(CudaGptq &gptq, int64_t size)
    : gptq(gptq), n(size),
      matrix(gptq.device(), uint64_t(size * size) * sizeof(float),
             "the Hessian of " + std::to_string(size) + " inputs") {
  gptq.device().use();
  gptq.clear(address(), n * n * int64_t(sizeof(float)));
}

CudaHessian::CudaHessian(CudaGptq &gptq, int64_t size, const float *values)
    : CudaHessian(gptq, size) {
  gptq.copies().toDevice(address(), values, uint64_t(n * n) * sizeof(float), 1);
}

void CudaHessian::add(qrt::cuda::DevicePointer x, int64_t rows,
                      cuda::Element element) {
  gptq.device().use();
  if (element != cuda::Element::F32 || gptq.inputs == cuda::Element::F32) {
    addProduct(x, rows, element);
    return;
  }
  int64_t most = std::max<int64_t>(1, kMostRounded / n);
  qrt::cuda::DevicePointer rounded = 0;
  gptq.place({{rounded, std::min(most, rows) * n * 2}}, "inputs in bf16");
  for (int64_t first = 0; first < rows; first += most) {
    int64_t count = std::min(most, rows - first);
    gptq.kernels().launch(
        cuda::GptqKernel::Round,
        (count * n + 2 * cuda::kThreads - 1) / (2 * cuda::kThreads),
        cuda::RoundArguments{x + uint64_t(first * n) * sizeof(float), rounded,
                             count * n});
    addProduct(rounded, count, cuda::Element::BF16);
  }
}

void CudaHessian::addProduct(qrt::cuda::DevicePointer x, int64_t rows,
                             cuda::Element element) {
  if (rows == 0)
    return;
  auto panelOf = [&](int64_t column) {
    return cuda::Operand(x + uint64_t(column * cuda::bytesOf(element)), n);
  };
  for (int64_t column = 0; column < n; column += kPanel) {
    cuda::Operand below = panelOf(column);
    below.isTransposed = true;
    cuda::Product product{
        n - column,
        std::min(kPanel, n - column),
        rows,
        below,
        panelOf(column),
        {address() + uint64_t((column * n + column)) * sizeof(float), n}};
    product.beta = 1;
    product.element = element;
    product.arithmetic = element == cuda::Element::F32 ? cuda::Arithmetic::TF32
                                                       : cuda::Arithmetic::F32;
    gptq.algebra().multiply(product);
  }
}

void CudaHessian::scale(double factor) {
  gptq.device().use();
  gptq.kernels().launch(
      cuda::GptqKernel::Scale, (n * n + cuda::kThreads - 1) / cuda::kThreads,
      cuda::SquareMatrixArguments{0, address(), int32_t(n), float(factor)});
}

std::vector<float> CudaHessian::toHost() const {
  gptq.device().use();
  std::vector<float> values(size_t(n * n));
  gptq.copies().toHost(values.data(), address(), values.size() * sizeof(float),
                       1);
  return values;
}

} // namespace qcc
