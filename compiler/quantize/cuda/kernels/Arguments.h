//===- Arguments.h - What GPTQ's kernels are called with --------*- C++ -*-===//
//
// One struct a kernel, read by the host's compiler and by NVRTC. Addresses are
// of device memory; matrices are row-major with `ld` elements from row to row.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ARGUMENTS_H
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ARGUMENTS_H

#include "runtime/abi/cuda_abi.h"

namespace qcc::cuda {

/// Columns that follow each other within one kernel, and the threads and rows
/// of a block of it.
constexpr int kTileColumns = 128;
constexpr int kTileThreads = 128;
constexpr int kTileRows = 32;
constexpr int kTileSharedBytes = kTileColumns * kTileColumns * 4;

/// Threads of a block of the other kernels.
constexpr int kThreads = 256;

/// A matrix that a kernel reads or writes from `at` on.
struct Matrix {
  uint64_t at;
  int64_t ld;
};

/// to[row][i] = from[row][source[i]], 0 where that is -1.
struct PermuteArguments {
  Matrix from, to;
  uint64_t source;
  int32_t rows, columns;
};

/// x = y R^-1 for `width` columns, y = from + to, or from alone.
struct SolveArguments {
  Matrix from, to; ///< of which `to` becomes x
  Matrix r;        ///< its corner
  int32_t rows, width;
  int32_t addsOld;
};

/// A run of columns that share a scale.
struct GroupRun {
  int32_t first, size, index, unused;
};

/// How scales are found: qcc::RtnOptions and the format.
struct ScaleArguments {
  float maxCode;
  float middle; ///< zero point of symmetric codes
  int32_t isAsymmetric;
  int32_t scaleType; ///< qrt::ScaleType
  int32_t isMse, grid, candidates;
  float norm; ///< normExact, rounded
  double normExact;
};

/// Scales and zero points of `runCount` groups of each row, of the values
/// weight + delta at columns[first + i] (first + i where `columns` is 0).
struct GroupArguments {
  Matrix weight;
  Matrix delta; ///< none if at == 0; begins with column `deltaFirst`
  uint64_t columns;
  uint64_t runs; ///< GroupRun [runCount]
  int32_t rows, runCount, groups, deltaFirst;
  ScaleArguments how;
  uint64_t scales, zeros; ///< out: f32 [rows][groups]
  uint64_t fits;          ///< out: u8 [rows][groups], qcc::ScaleFit
  uint64_t fitNorms;      ///< out: f64 [rows][groups], where not Good
  uint64_t anyMisfit;     ///< out: u32, 1 if any is not Good
};

/// What the columns of a tile share.
struct TileArguments {
  Matrix weight, codes; ///< at the tile's first column; codes are u8
  uint64_t scales, zeros;
  uint64_t group; ///< i32 of each column of the tile
  int32_t rows, width, groups;
  float maxCode;
};

/// Quantizes the columns of a tile one after the other.
struct QuantizeArguments {
  TileArguments tile;
  Matrix spread;          ///< errors of earlier columns times R
  Matrix r;               ///< the tile's corner
  Matrix error, residual; ///< out: W - Q; (W - Q) R
};

/// Sets every code of a tile to the best one for all others.
struct RefineArguments {
  TileArguments tile;
  Matrix gradient; ///< residual R^T
  Matrix hessian;  ///< the tile's corner
  Matrix change;   ///< out: of the values
};

/// steps = codes less zero points, as f32.
struct StepsArguments {
  TileArguments tile;
  Matrix steps;
};

/// error = W - Q.
struct ErrorArguments {
  TileArguments tile; ///< all columns
  Matrix error;
};

/// Fits the scale of one group by what its columns' gradient says.
struct FitArguments {
  Matrix steps;    ///< at the group; scaled by the change of the scale
  Matrix gradient; ///< at the group; of the columns behind it, updated
  Matrix product;  ///< steps times the Hessian's rows of the group
  uint64_t scales;
  int32_t rows, groups, group, size, behind;
  int32_t scaleType;
};

/// Fits the scale of one group to the residual; `direction` is steps R.
struct WideFitArguments {
  Matrix residual, direction;
  uint64_t scales;
  int32_t rows, width, groups, group;
  int32_t scaleType;
};

/// Sums over each row: f64 [rows][3] of residual^2, (W - Q)^2 and W^2.
struct SumArguments {
  TileArguments tile; ///< all columns
  Matrix residual;
  uint64_t sums;
};

/// sums[row] += sum of squares.
struct SquareArguments {
  Matrix values;
  int32_t rows, columns;
  uint64_t sums; ///< f64 [rows]
};

/// to[row][column[i]] = codes[row][i] - middle.
struct StoreArguments {
  Matrix codes, to; ///< u8
  uint64_t columns; ///< 0: column i
  int32_t rows, count, middle;
};

/// The matrix that is factored: the Hessian in reverse order of quantization
/// with another diagonal, its lower triangle; zeros above it.
struct GatherArguments {
  uint64_t hessian, order;
  uint64_t diagonal; ///< f64, by column of the Hessian
  uint64_t to;       ///< [n][n]
  int32_t n;
};

/// to[i] = from[i], rounded to bf16.
struct RoundArguments {
  uint64_t from, to;
  int64_t count;
};

/// Works on the n * n elements of a matrix, or its n diagonal elements.
struct SquareMatrixArguments {
  uint64_t from, to;
  int32_t n;
  float factor;
};

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_ARGUMENTS_H
