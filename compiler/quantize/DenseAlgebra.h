//===- DenseAlgebra.h - The few products that GPTQ needs --------*- C++ -*-===//
//
// OpenBLAS behind row-major functions with names. Each runs on the thread that
// calls it; callers cut their work into tiles and share those out, so that
// results do not depend on the number of threads.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_DENSEALGEBRA_H
#define QCC_COMPILER_QUANTIZE_DENSEALGEBRA_H

#include <cstdint>

namespace qcc::dense {

/// c [m][n] = a^T b for a [k][m] and b [k][n]; ld*: elements from row to row.
void multiplyTransposed(int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t lda, const float *b, int64_t ldb, float *c,
                        int64_t ldc);
/// c [m][n] = a b for a [m][k] and b [k][n].
void multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
              const float *b, int64_t ldb, float *c, int64_t ldc);
/// c [m][n] = a b^T for a [m][k] and b [n][k].
void multiplyByTransposed(int64_t m, int64_t n, int64_t k, const float *a,
                          int64_t lda, const float *b, int64_t ldb, float *c,
                          int64_t ldc);
/// c [m][n] -= a b for a [m][k] and b [k][n].
void subtractMultiple(int64_t m, int64_t n, int64_t k, const float *a,
                      int64_t lda, const float *b, int64_t ldb, float *c,
                      int64_t ldc);
/// x = y R^-1 in place for y [m][n] and an upper triangular R [n][n].
void solveUpper(int64_t m, int64_t n, const float *r, int64_t ldr, float *y,
                int64_t ldy);

/// A = L L^T in place of the lower triangle of a [n][n]. Returns the order of
/// the leading minor that is not positive definite, or 0.
int64_t choleskyTile(int64_t n, double *a, int64_t lda);
/// x = y L^-T in place for y [m][n] and a lower triangular L [n][n].
void solvePanel(int64_t m, int64_t n, const double *l, int64_t ldl, double *y,
                int64_t ldy);
/// c [m][n] -= a b^T for a [m][k] and b [n][k].
void subtractProduct(int64_t m, int64_t n, int64_t k, const double *a,
                     int64_t lda, const double *b, int64_t ldb, double *c,
                     int64_t ldc);

} // namespace qcc::dense

#endif // QCC_COMPILER_QUANTIZE_DENSEALGEBRA_H
