//===- CudaAlgebra.h - cuBLAS and cuSOLVER, loaded when needed --*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_CUDAALGEBRA_H
#define QCC_COMPILER_QUANTIZE_CUDA_CUDAALGEBRA_H

#include "compiler/quantize/cuda/kernels/Arguments.h"
#include "runtime/executor/cuda/Device.h"

#include <string>

namespace qcc::cuda {

/// The types of inputs.
enum class Element { F32, F64, F16, BF16 };
int64_t bytesOf(Element element);

/// How products of f32 are made: exactly, or by tensor cores from factors that
/// are rounded to 11 bits.
enum class Arithmetic { F32, TF32 };

/// A matrix of a product.
struct Operand : Matrix {
  Operand(uint64_t at, int64_t ld, bool isTransposed = false)
      : Matrix{at, ld}, isTransposed(isTransposed) {}
  bool isTransposed;
};

/// c [m][n] = alpha a b + beta c, all row-major, for a [m][k] and b [k][n] (as
/// they are after transposing).
struct Product {
  int64_t m, n, k;
  Operand a, b;
  Matrix c;
  float alpha = 1, beta = 0;
  Arithmetic arithmetic = Arithmetic::F32;
  Element element = Element::F32; ///< of a and b; c is f32
};

/// Handles of both libraries, which work on the device's stream. They come
/// from the folder QCC_CUDA_LIBRARIES, or from where ToolkitLibrary.h looks.
class CudaAlgebra {
public:
  /// Throws qrt::Error saying what is missing.
  explicit CudaAlgebra(const qrt::cuda::Device &device);
  ~CudaAlgebra();
  CudaAlgebra(const CudaAlgebra &) = delete;
  CudaAlgebra &operator=(const CudaAlgebra &) = delete;

  /// What is missing and where it was looked for, or empty.
  static std::string missing();

  void multiply(const Product &product) const;

  /// A = L L^T in place of the lower triangle of a row-major symmetric matrix
  /// [n][n] of f32 or f64. False if it is not positive definite. Waits for the
  /// result.
  bool cholesky(uint64_t matrix, int64_t n, Element element) const;

private:
  struct Functions;
  static const Functions &functions(const qrt::cuda::Driver &driver);

  const qrt::cuda::Device &device;
  const Functions &api;
  void *blas = nullptr, *solver = nullptr, *parameters = nullptr;
};

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_CUDAALGEBRA_H
