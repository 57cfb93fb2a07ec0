//===- Hessian.cpp - Second moments of a linear's inputs ------------------===//
//
// The dense algebra is OpenBLAS's, called on tiles, one thread a tile: which
// thread computes a tile changes nothing in it.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/Hessian.h"

#include "compiler/quantize/DenseAlgebra.h"
#include "compiler/quantize/Parallel.h"

#include <algorithm>
#include <cmath>

namespace qcc {

namespace {

/// Rows whose products are summed in f32.
constexpr int64_t kChunkRows = 512;
/// Sides of the tiles that are computed at once.
constexpr int64_t kHessianTile = 256, kCholeskyTile = 128;

/// Calls work(row, column) for the tiles of the lower triangle of a matrix of
/// `tiles` by `tiles` tiles.
void forLowerTiles(unsigned threads, int64_t tiles,
                   const std::function<void(int64_t, int64_t)> &work) {
  parallelFor(threads, tiles * (tiles + 1) / 2, [&](int64_t i) {
    auto row = int64_t((std::sqrt(8.0 * double(i) + 1) - 1) / 2);
    while (row * (row + 1) / 2 > i)
      --row;
    while ((row + 1) * (row + 2) / 2 <= i)
      ++row;
    work(row, i - row * (row + 1) / 2);
  });
}

} // namespace

Hessian::Hessian(int64_t size) : n(size), lower(size_t(size * size)) {}

Hessian::Hessian(int64_t size, const float *matrix)
    : n(size), lower(matrix, matrix + size * size) {}

void Hessian::add(const float *x, int64_t rows, unsigned threads) {
  forLowerTiles(threads, (n + kHessianTile - 1) / kHessianTile,
                [&](int64_t rowTile, int64_t columnTile) {
                  int64_t row = rowTile * kHessianTile;
                  int64_t column = columnTile * kHessianTile;
                  int64_t height = std::min(kHessianTile, n - row);
                  int64_t width = std::min(kHessianTile, n - column);
                  std::vector<float> product(size_t(height * width));
                  for (int64_t first = 0; first < rows; first += kChunkRows) {
                    int64_t depth = std::min(kChunkRows, rows - first);
                    const float *from = x + first * n;
                    dense::multiplyTransposed(height, width, depth, from + row,
                                              n, from + column, n,
                                              product.data(), width);
                    for (int64_t i = 0; i < height; ++i)
                      for (int64_t j = 0; j < width; ++j)
                        lower[size_t((row + i) * n + column + j)] +=
                            double(product[size_t(i * width + j)]);
                  }
                });
}

void Hessian::scale(double factor) {
  for (double &value : lower)
    value *= factor;
}

int64_t cholesky(double *matrix, int64_t n, unsigned threads) {
  // Right-looking: factor a tile of the diagonal, solve for the panel below
  // it, subtract the panel's product from what is left.
  for (int64_t at = 0; at < n; at += kCholeskyTile) {
    int64_t width = std::min(kCholeskyTile, n - at), next = at + width;
    double *corner = matrix + at * n + at;
    if (int64_t minor = dense::choleskyTile(width, corner, n))
      return at + minor;
    int64_t tiles = (n - next + kCholeskyTile - 1) / kCholeskyTile;
    auto panel = [&](int64_t tile) {
      return matrix + (next + tile * kCholeskyTile) * n + at;
    };
    auto side = [&](int64_t tile) {
      return std::min(kCholeskyTile, n - next - tile * kCholeskyTile);
    };
    parallelFor(threads, tiles, [&](int64_t tile) {
      dense::solvePanel(side(tile), width, corner, n, panel(tile), n);
    });
    forLowerTiles(threads, tiles, [&](int64_t row, int64_t column) {
      dense::subtractProduct(side(row), side(column), width, panel(row), n,
                             panel(column), n,
                             matrix + (next + row * kCholeskyTile) * n + next +
                                 column * kCholeskyTile,
                             n);
    });
  }
  return 0;
}

} // namespace qcc
