//===- panel.cuh - What surrounds the products of a library -----*- C++ -*-===//
//
// A library multiplies matrices of 16-bit floats. Panel writes some tiles of a
// weight as rows of them, with the numbers that wide_gemm.cuh makes in
// registers, in the order of the staged activations (stage.cuh, K::isRowMajor);
// Finish does to the sums what the epilogue of wide_gemm.cuh does.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PANEL_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PANEL_CUH

#include "codegen/cuda/kernels/sums.cuh"
#include "codegen/cuda/kernels/wgmma.cuh"

namespace qcc::cuda {

/// Operands: codes, scales, zeros, panel, first tile, tiles.
///
/// A lane turns whole pieces, so many lines of one row, into 16 bytes or more.
/// A warp has pieces next to each other of a tile's rows, so that it reads
/// whole lines and writes whole sectors.
template <class K>
struct Panel {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code);
  static constexpr int lines = isFloat        ? 4
                               : code == Int8 ? 2
                               : code == Int3 ? 3
                                              : 1;
  static constexpr int elements = code == Int3 ? 32 : code == Int2 ? 16 : 8;
  /// Staged units may be longer than those of the weight.
  static constexpr int unitPieces = K::unitStride / elements;
  static constexpr int rowPieces = K::unitsPerRow * unitPieces;
  /// A warp's rows, and pieces of each: what is read and written is alike in
  /// length, or longer where it is written.
  static constexpr int rowsAtOnce = isFloat ? 16 : 8;
  static constexpr int columns = 32 / rowsAtOnce;
  /// Pieces of a lane, which are asked for at once, and those of a warp.
  static constexpr int own = code == Int3 ? 2 : 4;
  static constexpr int warpPieces = columns * own;
  static constexpr int runs = (rowPieces + warpPieces - 1) / warpPieces;
  static constexpr int sharedBytes = isTableCode(code) ? kPairTableBytes : 0;

  static __device__ __forceinline__ void write(const Args &a, uint32_t table) {
    const char *codes = pointer<const char>(a.v[0]);
    char *panel = pointer<char>(a.v[3]);
    const int firstTile = int(a.v[4]), parts = int(a.v[5]) * (16 / rowsAtOnce);
    const int column = threadIdx.x % 32 / rowsAtOnce;
    const int warps = blockDim.x / 32;
    for (int i = blockIdx.x * warps + threadIdx.x / 32; i < parts * runs;
         i += gridDim.x * warps) {
      const int at = i / runs * rowsAtOnce + threadIdx.x % rowsAtOnce;
      const int tile = firstTile + at / 16, row = at % 16,
                first = i % runs * warpPieces + column;
      if (tile * 16 + row >= K::rows)
        continue;
      uint32_t line[own][lines], scale[own], zero[own];
#pragma unroll
      for (int p = 0; p < own; ++p)
        ask(a, codes, tile, row, first + columns * p, line[p], scale[p],
            zero[p]);
      char *to = panel + int64_t(at) * (K::panelStride * 2);
#pragma unroll
      for (int p = 0; p < own; ++p)
        if (const int piece = first + columns * p; piece < rowPieces)
          put(line[p], rowFactorOf<K>(scale[p], zero[p]), table,
              reinterpret_cast<uint4 *>(to + piece * (elements * 2)));
    }
  }

  static __device__ __forceinline__ void run(const Step *, const Args &a,
                                             char *shared = nullptr) {
    startNext();
    uint32_t table = 0;
    if constexpr (isTableCode(code)) {
      fillPairTable<code>(shared, threadIdx.x, blockDim.x);
      table = sharedAddress(shared) + threadIdx.x % 32 * 4;
      __syncthreads();
    }
    waitForEarlier(); // they may read the last panel
    write(a, table);
  }

private:
  /// Asks for a piece: what is not there is zeros.
  static __device__ __forceinline__ void ask(const Args &a, const char *codes,
                                             int tile, int row, int piece,
                                             uint32_t (&line)[lines],
                                             uint32_t &scale, uint32_t &zero) {
    const int unit = piece / unitPieces, at = piece % unitPieces * lines;
    const int count =
        unit + 1 == K::unitsPerRow ? int(K::lastLines) : int(K::unitLines);
#pragma unroll
    for (int l = 0; l < lines; ++l)
      line[l] = piece < rowPieces && at + l < count
                    ? *reinterpret_cast<const uint32_t *>(
                          codes + int64_t(tile) * K::tileBytes +
                          (unit * K::unitLines + at + l) * 64 + row * 4)
                    : 0;
    if (isFloat)
      return;
    const int group = smaller(unit / int(K::unitsPerGroup), int(K::groups) - 1);
    const int64_t i = (int64_t(tile) * K::groups + group) * 16 + row;
    if (K::scaleType == ElementF32)
      scale = pointer<const uint32_t>(a.v[1])[i];
    else
      scale = pointer<const uint16_t>(a.v[1])[i];
    if (K::hasZero)
      zero = pointer<const uint8_t>(a.v[2])[i];
  }

  static __device__ __forceinline__ void put(const uint32_t (&line)[lines],
                                             const RowFactor &factor,
                                             uint32_t table, uint4 *to) {
    uint32_t words[elements / 2];
    if constexpr (isFloat) {
#pragma unroll
      for (int l = 0; l < lines; ++l)
        words[l] = line[l];
    } else {
      convert<0>(line, factor, table, words);
    }
#pragma unroll
    for (int w = 0; w < elements / 8; ++w)
      to[w] = {words[4 * w], words[4 * w + 1], words[4 * w + 2],
               words[4 * w + 3]};
  }

  /// Half M % 2 of block M / 2, from the order of wideOrder into its own.
  template <int M>
  static __device__ __forceinline__ void
  convert(const uint32_t (&line)[lines], const RowFactor &factor,
          uint32_t table, uint32_t (&words)[elements / 2]) {
    if constexpr (M < elements / 4) {
      uint32_t first, second;
      halvesOf<code, M, /*IsScaled=*/true>(line, factor, table, first, second);
      const uint32_t low = permute(first, second, 0x5410),
                     high = permute(first, second, 0x7632);
      constexpr int block = M / 2 * 4;
      words[block + (isTableCode(code) ? M % 2 : M % 2 * 2)] = low;
      words[block + (isTableCode(code) ? 2 + M % 2 : M % 2 * 2 + 1)] = high;
      convert<M + 1>(line, factor, table, words);
    }
  }
};

/// Operands: sums, factors of the staged rows, bias, residual, output, rows of
/// the weight. The sums may be the output.
template <class K>
struct Finish {
  static __device__ __forceinline__ void run(const Step *step, const Args &a) {
    startNext();
    waitForEarlier();
    const int token = blockIdx.x;
    if (token >= int(step->tokens))
      return;
    const int columns = int(a.v[5]) / (K::glu ? 2 : 1);
    const SumRow<K> sums(a.v[0], a.v[1], a.v[2], token);
    const float *residual =
        pointer<const float>(a.v[3]) + int64_t(token) * K::residualStride;
    float *output = pointer<float>(a.v[4]) + int64_t(token) * K::outputStride;
    const int stride = int(gridDim.y * blockDim.x) * 4;
#pragma unroll 2
    for (int c = int(blockIdx.y * blockDim.x + threadIdx.x) * 4; c < columns;
         c += stride) {
      float v[4], more[4] = {};
      if (K::canVector && c + 4 <= columns) {
        sums.template take<true>(v, c, 4);
        if (K::hasResidual)
          sums.load4(more, residual + c);
#pragma unroll
        for (int i = 0; i < 4; ++i)
          v[i] += more[i];
        *reinterpret_cast<float4 *>(output + c) = {v[0], v[1], v[2], v[3]};
        continue;
      }
      const int count = smaller(4, columns - c);
      sums.template take<false>(v, c, count);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (i < count)
          output[c + i] = v[i] + (K::hasResidual ? residual[c + i] : 0.0F);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PANEL_CUH
