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

/// True if four neighbours from column 0 on can be had with one access of
/// 4 sizeof(T) bytes.
template <class T>
QCC_DEVICE bool hasQuads(const Matrix &m, int width) {
  return m.at % (4 * sizeof(T)) == 0 && m.ld % 4 == 0 && width % 4 == 0;
}

/// Four neighbours, zeros past `width`.
QCC_DEVICE float4 loadFour(const Matrix &m, int row, int column, int width,
                           bool asQuad) {
  float4 v = make_float4(0, 0, 0, 0);
  if (column >= width)
    return v;
  const float *from = &element<float>(m, row, column);
  if (asQuad)
    return *reinterpret_cast<const float4 *>(from);
  v.x = from[0];
  if (column + 1 < width)
    v.y = from[1];
  if (column + 2 < width)
    v.z = from[2];
  if (column + 3 < width)
    v.w = from[3];
  return v;
}

/// The corner of a matrix in shared memory; zeros past `width`.
QCC_DEVICE void loadCorner(float4 *corner, const Matrix &from, int width) {
  constexpr int kQuads = kTileColumns / 4;
  const bool asQuads = hasQuads<float>(from, width);
  const int column = threadIdx.x % kQuads;
#pragma unroll 8
  for (int row = threadIdx.x / kQuads; row < kTileColumns;
       row += kTileThreads / kQuads)
    corner[row * kQuads + column] =
        row < width ? loadFour(from, row, 4 * column, width, asQuads)
                    : make_float4(0, 0, 0, 0);
  __syncthreads();
}

/// Calls, for every column in order, step.take(r, e, y, isOwner), and adds what
/// that returns in the thread that has the column times the column's row of
/// `corner` to the columns behind. The other threads call it for a column of
/// theirs, without effect: a branch would keep the rows of a thread from being
/// worked on at once. Columns that are done take up nothing of use.
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
        for (int r = 0; r < kRowsAThread; ++r)
          taken[r] = step.take(r, e, y[r][chunk][e], place.lane == owner);
#pragma unroll
        for (int r = 0; r < kRowsAThread; ++r)
          taken[r] = __shfl_sync(~0U, taken[r], owner, kLanesARow);
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
  const bool asQuads = hasQuads<float>(from, width);
#pragma unroll
  for (int c = 0; c < kChunks; ++c)
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r) {
      const float4 v =
          loadFour(from, place.row[r], place.column(c, 0), width, asQuads);
      y[r][c][0] = v.x;
      y[r][c][1] = v.y;
      y[r][c][2] = v.z;
      y[r][c][3] = v.w;
    }
}

/// A thread's columns of a chunk.
template <class T>
QCC_DEVICE void storeFour(const Matrix &to, const TilePlace &place, int chunk,
                          int width,
                          const T (&from)[kRowsAThread][kColumnsALane]) {
  const int column = place.column(chunk, 0);
  const bool asQuads = hasQuads<T>(to, width);
#pragma unroll
  for (int r = 0; r < kRowsAThread; ++r) {
    if (!place.isInside[r] || column >= width)
      continue;
    T *at = &element<T>(to, place.row[r], column);
    if (asQuads) {
      struct alignas(4 * sizeof(T)) Quad {
        T v[4];
      };
      *reinterpret_cast<Quad *>(at) =
          Quad{from[r][0], from[r][1], from[r][2], from[r][3]};
      continue;
    }
#pragma unroll
    for (int e = 0; e < kColumnsALane; ++e)
      if (column + e < width)
        at[e] = from[r][e];
  }
}

/// What quantizing and refining have in common: the columns of a chunk.
struct ChunkOfTile {
  const TileArguments &tile;
  const TilePlace &place;
  const float *corner;
  float scale[kRowsAThread][kColumnsALane], zero[kRowsAThread][kColumnsALane];
  float inverseScale[kRowsAThread][kColumnsALane];
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
        inverseScale[r][e] = __frcp_rn(scale[r][e]);
      }
    }
  }

  /// x as a code less the zero point. Limited before it is rounded: the limits
  /// are integers. The quotient is x / scale correctly rounded (Markstein 1990:
  /// one step with the exact remainder), without what division does for numbers
  /// at the ends of the range.
  __device__ float steps(int r, int e, float x) const {
    const float q = __fmul_rn(x, inverseScale[r][e]);
    const float exact = fmaf(fmaf(-q, scale[r][e], x), inverseScale[r][e], q);
    return rintf(fmaxf(fminf(exact, tile.maxCode - zero[r][e]), -zero[r][e]));
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
    const bool asQuads = hasQuads<float>(tile.weight, tile.width);
#pragma unroll
    for (int r = 0; r < kRowsAThread; ++r) {
      const float4 w = loadFour(tile.weight, place.row[r],
                                place.column(chunk, 0), tile.width, asQuads);
      original[r][0] = w.x;
      original[r][1] = w.y;
      original[r][2] = w.z;
      original[r][3] = w.w;
    }
    ChunkOfTile::load(chunk);
  }
  // No products may be contracted: the CPU's are not, and codes shall agree.
  __device__ float take(int r, int e, float spread, bool isOwner) {
    const float w = __fadd_rn(original[r][e], __fmul_rn(spread, inverse[e]));
    const float found = steps(r, e, w);
    const float value = __fmul_rn(found, scale[r][e]);
    const float left = __fsub_rn(original[r][e], value);
    if (isOwner) {
      code[r][e] = uint8_t(int(found + zero[r][e]));
      error[r][e] = left;
      residual[r][e] = __fmul_rn(__fsub_rn(w, value), diagonal[e]);
    }
    return left;
  }
  __device__ void store(int chunk) {
    storeFour(tile.codes, place, chunk, tile.width, code);
    storeFour(a.error, place, chunk, tile.width, error);
    storeFour(a.residual, place, chunk, tile.width, residual);
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
  __device__ float take(int r, int e, float gradient, bool isOwner) {
    const float value = __fmul_rn(float(code[r][e]) - zero[r][e], scale[r][e]);
    const float best = __fadd_rn(value, __fmul_rn(gradient, inverse[e]));
    const float found = steps(r, e, best);
    const float here = __fsub_rn(__fmul_rn(found, scale[r][e]), value);
    if (isOwner) {
      code[r][e] = uint8_t(int(found + zero[r][e]));
      change[r][e] = here;
    }
    return -here;
  }
  __device__ void store(int chunk) {
    storeFour(tile.codes, place, chunk, tile.width, code);
    storeFour(a.change, place, chunk, tile.width, change);
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
  __device__ float take(int r, int e, float y, bool isOwner) {
    const float x = y * inverse[e];
    if (isOwner)
      solution[r][e] = x;
    return -x;
  }
  __device__ void store(int chunk) {
    storeFour(a.to, place, chunk, a.width, solution);
  }
};

/// The corner of the tile, which its kernels keep in shared memory.
extern __shared__ float4 tileShared[];

QCC_DEVICE void quantizeTile(const QuantizeArguments &a) {
  const TilePlace place(a.tile.rows);
  float y[kRowsAThread][kChunks][kColumnsALane];
  loadColumns(y, place, a.spread, a.tile.width);
  loadCorner(tileShared, a.r, a.tile.width);
  const float *corner = reinterpret_cast<const float *>(tileShared);
  QuantizeStep step(a, place, corner);
  forward(step, place, a.tile.width, corner, y);
}

QCC_DEVICE void refineTile(const RefineArguments &a) {
  const TilePlace place(a.tile.rows);
  float y[kRowsAThread][kChunks][kColumnsALane];
  loadColumns(y, place, a.gradient, a.tile.width);
  loadCorner(tileShared, a.hessian, a.tile.width);
  const float *corner = reinterpret_cast<const float *>(tileShared);
  RefineStep step(a, place, corner);
  forward(step, place, a.tile.width, corner, y);
}

QCC_DEVICE void solveTile(const SolveArguments &a) {
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
  loadCorner(tileShared, a.r, a.width);
  const float *corner = reinterpret_cast<const float *>(tileShared);
  SolveStep step{a, place, corner};
  forward(step, place, a.width, corner, y);
}

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_TILE_CUH
