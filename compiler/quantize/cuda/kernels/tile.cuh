//===- tile.cuh - Columns that follow each other ----------------*- C++ -*-===//
//
// Up to 128 columns of many rows, one column after the other: what becomes of
// one adds to all behind it. Rows do not depend on each other. Eight threads
// share two rows; a thread keeps four neighbouring columns of every 32, and the
// one that has the next column tells the others what became of it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_TILE_CUH
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_TILE_CUH

#include "codegen/cuda/kernels/common.cuh"
#include "compiler/quantize/cuda/kernels/Arguments.h"

namespace qcc::cuda {

constexpr int kLanesARow = 8, kRowsAThread = 2;
constexpr int kColumnsALane = 4; ///< that are neighbours
constexpr int kChunkColumns = kLanesARow * kColumnsALane;
constexpr int kChunks = kTileColumns / kChunkColumns;
static_assert(kTileThreads / kLanesARow * kRowsAThread == kTileRows, "");

template <class T>
QCC_DEVICE T &element(const Matrix &m, int64_t row, int64_t column) {
  return pointer<T>(m.at)[row * m.ld + column];
}

/// A thread's place in a tile.
struct TilePlace {
  int lane;
  int row[kRowsAThread]; ///< of the matrices; the last one if outside
  bool isInside[kRowsAThread];

  __device__ explicit TilePlace(int rows) : lane(threadIdx.x % kLanesARow) {
    const int first = blockIdx.x * kTileRows + threadIdx.x / kLanesARow;
    for (int r = 0; r < kRowsAThread; ++r) {
      const int at = first + r * (kTileThreads / kLanesARow);
      isInside[r] = at < rows;
      row[r] = smaller(at, rows - 1);
    }
  }
  __device__ int column(int chunk, int e) const {
    return chunk * kChunkColumns + lane * kColumnsALane + e;
  }
};

/// The corner of a matrix in shared memory; zeros past `width`.
QCC_DEVICE void loadCorner(float *corner, const Matrix &from, int width) {
  for (int i = threadIdx.x; i < kTileColumns * kTileColumns;
       i += kTileThreads) {
    const int row = i / kTileColumns, column = i % kTileColumns;
    corner[i] =
        row < width && column < width ? element<float>(from, row, column) : 0;
  }
  __syncthreads();
}

/// Calls, for every column in order, step.take(r, e, y) in the thread that has
/// it, and adds what that returns times the column's row of `corner` to the
/// columns behind. Columns that are done take up nothing of use.
template <class Step>
QCC_DEVICE void forward(Step &step, const TilePlace &place, int width,
                        const float *corner,
                        float (&y)[kRowsAThread][kChunks][kColumnsALane]) {
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    if (chunk * kChunkColumns >= width)
      break;
    step.load(chunk);
#pragma unroll 1
    for (int owner = 0; owner < kLanesARow; ++owner) {
#pragma unroll
      for (int e = 0; e < kColumnsALane; ++e) {
        float taken[kRowsAThread];
#pragma unroll
        for (int r = 0; r < kRowsAThread; ++r) {
          taken[r] = 0;
          if (place.lane == owner)
            taken[r] = step.take(r, e, y[r][chunk][e]);
          taken[r] = __shfl_sync(~0U, taken[r], owner, kLanesARow);
        }
        const int k = chunk * kChunkColumns + owner * kColumnsALane + e;
        const float4 *from =
            reinterpret_cast<const float4 *>(corner + k * kTileColumns) +
            place.lane;
#pragma unroll
        for (int c = chunk; c < kChunks; ++c) {
          const float4 m = from[c * kLanesARow];
#pragma unroll
          for (int r = 0; r < kRowsAThread; ++r) {
            y[r][c][0] = fmaf(taken[r], m.x, y[r][c][0]);
            y[r][c][1] = fmaf(taken[r], m.y, y[r][c][1]);
            y[r][c][2] = fmaf(taken[r], m.z, y[r][c][2]);
            y[r][c][3] = fmaf(taken[r], m.w, y[r][c][3]);
          }
        }
      }
    }
    step.store(chunk);
  }
}

/// Columns of `from` into y, zeros past `width`.
QCC_DEVICE void loadColumns(float (&y)[kRowsAThread][kChunks][kColumnsALane],
                            const TilePlace &place, const Matrix &from,
                            int width) {
#pragma unroll
  for (int c = 0; c < kChunks; ++c)
#pragma unroll
    for (int e = 0; e < kColumnsALane; ++e)
#pragma unroll
      for (int r = 0; r < kRowsAThread; ++r) {
        const int k = place.column(c, e);
        y[r][c][e] = k < width ? element<float>(from, place.row[r], k) : 0;
      }
}

/// What quantizing and refining have in common: the columns of a chunk.
struct ChunkOfTile {
  const TileArguments &tile;
  const TilePlace &place;
  const float *corner;
  float scale[kRowsAThread][kColumnsALane], zero[kRowsAThread][kColumnsALane];
  float diagonal[kColumnsALane], inverse[kColumnsALane];

  __device__ ChunkOfTile(const TileArguments &tile, const TilePlace &place,
                         const float *corner)
      : tile(tile), place(place), corner(corner) {}

  __device__ void load(int chunk) {
#pragma unroll
    for (int e = 0; e < kColumnsALane; ++e) {
      const int k = place.column(chunk, e);
      const bool isColumn = k < tile.width;
      diagonal[e] = isColumn ? corner[k * kTileColumns + k] : 1.0F;
      inverse[e] = __fdiv_rn(1.0F, diagonal[e]);
      const int group = isColumn ? pointer<const int>(tile.group)[k] : 0;
#pragma unroll
      for (int r = 0; r < kRowsAThread; ++r) {
        const int64_t at = int64_t(place.row[r]) * tile.groups + group;
        scale[r][e] = pointer<const float>(tile.scales)[at];
        zero[r][e] = pointer<const float>(tile.zeros)[at];
      }
    }
  }

  /// x, in units of the scale, as a code less the zero point. Limited before it
  /// is rounded: the limits are integers.
  __device__ float steps(int r, int e, float x) const {
    return rintf(fmaxf(fminf(x, tile.maxCode - zero[r][e]), -zero[r][e]));
  }

  template <class T>
  __device__ void storeChunk(const Matrix &to, int chunk,
                             const T (&from)[kRowsAThread][kColumnsALane]) {
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r)
#pragma unroll
      for (int e = 0; e < kColumnsALane; ++e) {
        const int k = place.column(chunk, e);
        if (place.isInside[r] && k < tile.width)
          element<T>(to, place.row[r], k) = from[r][e];
      }
  }
};

/// GPTQ's step: the weight with what earlier columns lost, rounded.
struct QuantizeStep : ChunkOfTile {
  const QuantizeArguments &a;
  float original[kRowsAThread][kColumnsALane];
  float error[kRowsAThread][kColumnsALane];
  float residual[kRowsAThread][kColumnsALane];
  uint8_t code[kRowsAThread][kColumnsALane];

  __device__ QuantizeStep(const QuantizeArguments &a, const TilePlace &place,
                          const float *corner)
      : ChunkOfTile(a.tile, place, corner), a(a) {}

  __device__ void load(int chunk) {
    ChunkOfTile::load(chunk);
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r)
#pragma unroll
      for (int e = 0; e < kColumnsALane; ++e) {
        const int k = place.column(chunk, e);
        original[r][e] =
            k < tile.width ? element<float>(tile.weight, place.row[r], k) : 0;
      }
  }
  // No products may be contracted: the CPU's are not, and codes shall agree.
  __device__ float take(int r, int e, float spread) {
    const float w = __fadd_rn(original[r][e], __fmul_rn(spread, inverse[e]));
    const float found = steps(r, e, __fdiv_rn(w, scale[r][e]));
    const float value = __fmul_rn(found, scale[r][e]);
    code[r][e] = uint8_t(int(found + zero[r][e]));
    error[r][e] = __fsub_rn(original[r][e], value);
    residual[r][e] = __fmul_rn(__fsub_rn(w, value), diagonal[e]);
    return error[r][e];
  }
  __device__ void store(int chunk) {
    storeChunk(tile.codes, chunk, code);
    storeChunk(a.error, chunk, error);
    storeChunk(a.residual, chunk, residual);
  }
};

/// A step of coordinate descent: the best code for all others as they are.
struct RefineStep : ChunkOfTile {
  const RefineArguments &a;
  float change[kRowsAThread][kColumnsALane];
  uint8_t code[kRowsAThread][kColumnsALane];

  __device__ RefineStep(const RefineArguments &a, const TilePlace &place,
                        const float *corner)
      : ChunkOfTile(a.tile, place, corner), a(a) {}

  __device__ void load(int chunk) {
    ChunkOfTile::load(chunk);
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r)
#pragma unroll
      for (int e = 0; e < kColumnsALane; ++e) {
        const int k = place.column(chunk, e);
        code[r][e] =
            k < tile.width ? element<uint8_t>(tile.codes, place.row[r], k) : 0;
      }
  }
  __device__ float take(int r, int e, float gradient) {
    const float value = __fmul_rn(float(code[r][e]) - zero[r][e], scale[r][e]);
    const float best = __fadd_rn(value, __fmul_rn(gradient, inverse[e]));
    const float found = steps(r, e, __fdiv_rn(best, scale[r][e]));
    code[r][e] = uint8_t(int(found + zero[r][e]));
    change[r][e] = __fsub_rn(__fmul_rn(found, scale[r][e]), value);
    return -change[r][e];
  }
  __device__ void store(int chunk) {
    storeChunk(tile.codes, chunk, code);
    storeChunk(a.change, chunk, change);
  }
};

/// A step of x = y R^-1.
struct SolveStep {
  const SolveArguments &a;
  const TilePlace &place;
  const float *corner;
  float inverse[kColumnsALane];
  float solution[kRowsAThread][kColumnsALane];

  __device__ void load(int chunk) {
#pragma unroll
    for (int e = 0; e < kColumnsALane; ++e) {
      const int k = place.column(chunk, e);
      inverse[e] =
          k < a.width ? __fdiv_rn(1.0F, corner[k * kTileColumns + k]) : 0;
    }
  }
  __device__ float take(int r, int e, float y) {
    solution[r][e] = y * inverse[e];
    return -solution[r][e];
  }
  __device__ void store(int chunk) {
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r)
#pragma unroll
      for (int e = 0; e < kColumnsALane; ++e) {
        const int k = place.column(chunk, e);
        if (place.isInside[r] && k < a.width)
          element<float>(a.to, place.row[r], k) = solution[r][e];
      }
  }
};

/// The corner of the tile, which its kernels keep in shared memory.
extern __shared__ float4 tileShared[];

QCC_DEVICE void quantizeTile(const QuantizeArguments &a) {
  float *corner = reinterpret_cast<float *>(tileShared);
  loadCorner(corner, a.r, a.tile.width);
  const TilePlace place(a.tile.rows);
  float y[kRowsAThread][kChunks][kColumnsALane];
  loadColumns(y, place, a.spread, a.tile.width);
  QuantizeStep step(a, place, corner);
  forward(step, place, a.tile.width, corner, y);
}

QCC_DEVICE void refineTile(const RefineArguments &a) {
  float *corner = reinterpret_cast<float *>(tileShared);
  loadCorner(corner, a.hessian, a.tile.width);
  const TilePlace place(a.tile.rows);
  float y[kRowsAThread][kChunks][kColumnsALane];
  loadColumns(y, place, a.gradient, a.tile.width);
  RefineStep step(a, place, corner);
  forward(step, place, a.tile.width, corner, y);
}

QCC_DEVICE void solveTile(const SolveArguments &a) {
  float *corner = reinterpret_cast<float *>(tileShared);
  loadCorner(corner, a.r, a.width);
  const TilePlace place(a.rows);
  float y[kRowsAThread][kChunks][kColumnsALane];
  loadColumns(y, place, a.from, a.width);
  if (a.addsOld) {
    float old[kRowsAThread][kChunks][kColumnsALane];
    loadColumns(old, place, a.to, a.width);
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r)
#pragma unroll
      for (int c = 0; c < kChunks; ++c)
#pragma unroll
        for (int e = 0; e < kColumnsALane; ++e)
          y[r][c][e] += old[r][c][e];
  }
  SolveStep step{a, place, corner};
  forward(step, place, a.width, corner, y);
}

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_TILE_CUH
