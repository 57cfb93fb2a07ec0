//===- DenseAlgebra.cpp - The few products that GPTQ needs ----------------===//

#include "compiler/quantize/DenseAlgebra.h"

#include <cblas.h>

// LAPACK's dpotrf, which OpenBLAS brings along, as Fortran calls it.
extern "C" void dpotrf_(const char *uplo, const int *n, double *a,
                        const int *lda, int *info);

namespace qcc::dense {

/// OpenBLAS would share a product out to threads of its own.
static void useOneThread() {
  [[maybe_unused]] static const bool done =
      (openblas_set_num_threads(1), true);
}

void multiplyTransposed(int64_t m, int64_t n, int64_t k, const float *a,
                        int64_t lda, const float *b, int64_t ldb, float *c,
                        int64_t ldc) {
  useOneThread();
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, int(m), int(n), int(k),
              1.0f, a, int(lda), b, int(ldb), 0.0f, c, int(ldc));
}

void multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
              const float *b, int64_t ldb, float *c, int64_t ldc) {
  useOneThread();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(m), int(n), int(k),
              1.0f, a, int(lda), b, int(ldb), 0.0f, c, int(ldc));
}

void multiplyByTransposed(int64_t m, int64_t n, int64_t k, const float *a,
                          int64_t lda, const float *b, int64_t ldb, float *c,
                          int64_t ldc) {
  useOneThread();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(m), int(n), int(k),
              1.0f, a, int(lda), b, int(ldb), 0.0f, c, int(ldc));
}

void subtractMultiple(int64_t m, int64_t n, int64_t k, const float *a,
                      int64_t lda, const float *b, int64_t ldb, float *c,
                      int64_t ldc) {
  useOneThread();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, int(m), int(n), int(k),
              -1.0f, a, int(lda), b, int(ldb), 1.0f, c, int(ldc));
}

void solveUpper(int64_t m, int64_t n, const float *r, int64_t ldr, float *y,
                int64_t ldy) {
  useOneThread();
  cblas_strsm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit,
              int(m), int(n), 1.0f, r, int(ldr), y, int(ldy));
}

int64_t choleskyTile(int64_t n, double *a, int64_t lda) {
  useOneThread();
  // Row-major lower is column-major upper.
  const char upper = 'U';
  int size = int(n), stride = int(lda), info = 0;
  dpotrf_(&upper, &size, a, &stride, &info);
  return info;
}

void solvePanel(int64_t m, int64_t n, const double *l, int64_t ldl, double *y,
                int64_t ldy) {
  useOneThread();
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit,
              int(m), int(n), 1.0, l, int(ldl), y, int(ldy));
}

void subtractProduct(int64_t m, int64_t n, int64_t k, const double *a,
                     int64_t lda, const double *b, int64_t ldb, double *c,
                     int64_t ldc) {
  useOneThread();
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(m), int(n), int(k),
              -1.0, a, int(lda), b, int(ldb), 1.0, c, int(ldc));
}

} // namespace qcc::dense
