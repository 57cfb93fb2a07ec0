//===- Hessian.h - Second moments of a linear's inputs ----------*- C++ -*-===//
//
// What GPTQ knows about the data: H = 2/n sum x x^T over the inputs x of a
// linear, n the number of calibration sequences (Frantar et al. 2022, arXiv
// 2210.17323; the scale is that of IST-DASLab's implementation).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_HESSIAN_H
#define QCC_COMPILER_QUANTIZE_HESSIAN_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qcc {

/// A symmetric matrix [size][size] in f64, of which the lower triangle counts.
/// Products of f32 inputs are summed in f32 within a chunk of rows and in f64
/// from chunk to chunk; nothing depends on the number of threads.
class Hessian {
public:
  explicit Hessian(int64_t size);
  /// From a full f32 matrix [size][size].
  Hessian(int64_t size, const float *matrix);

  int64_t size() const { return n; }
  /// Adds x^T x of `rows` rows [rows][size].
  void add(const float *x, int64_t rows, unsigned threads);
  /// Multiplies everything by `factor`.
  void scale(double factor);
  double at(int64_t row, int64_t column) const {
    return row >= column ? lower[size_t(row * n + column)]
                         : lower[size_t(column * n + row)];
  }
  double diagonal(int64_t i) const { return lower[size_t(i * n + i)]; }

private:
  int64_t n;
  std::vector<double> lower;
};

/// In place: A = L L^T of the lower triangle of a symmetric matrix [n][n],
/// row-major. Returns the order of the leading minor that is not positive
/// definite, 0 if there is none. The result does not depend on `threads`.
int64_t cholesky(double *matrix, int64_t n, unsigned threads);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_HESSIAN_H
