//===- CudaRows.h - Rows of a weight while they are quantized ---*- C++ -*-===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_CUDAROWS_H
#define QCC_COMPILER_QUANTIZE_CUDA_CUDAROWS_H

#include "compiler/quantize/cuda/CudaGptq.h"
#include "compiler/quantize/cuda/kernels/Arguments.h"

namespace qcc::cuda {

/// Rows of a weight in the workspace, their columns in the order of
/// quantization. f32 unless it says otherwise.
struct CudaRows {
  int64_t rows, n, groups;
  float maxCode;
  qrt::ScaleType scaleType;

  qrt::cuda::DevicePointer weight = 0;   ///< [rows][n]
  qrt::cuda::DevicePointer error = 0;    ///< [rows][n], W - Q; free afterwards
  qrt::cuda::DevicePointer residual = 0; ///< [rows][n], (W - Q) R
  qrt::cuda::DevicePointer codes = 0;    ///< u8 [rows][n]
  qrt::cuda::DevicePointer scales = 0, zeros = 0; ///< [rows][groups]
  qrt::cuda::DevicePointer group = 0;             ///< i32 [n]
  /// [rows][panelColumns] each, for whoever needs them.
  qrt::cuda::DevicePointer panels[3] = {};
  int64_t panelColumns = 0;

  static uint64_t plus(uint64_t address, int64_t elements) {
    return address + uint64_t(elements) * sizeof(float);
  }
  /// A matrix [rows][n], from column `first` on.
  Operand whole(uint64_t matrix, int64_t first = 0) const {
    return {plus(matrix, first), n};
  }
  /// A panel, from its column `first` on.
  Operand panel(int i, int64_t first = 0) const {
    return {plus(panels[i], first), panelColumns};
  }
  TileArguments tile(int64_t first, int64_t width) const {
    return {whole(weight, first),
            {codes + uint64_t(first), n},
            scales,
            zeros,
            group + uint64_t(first) * sizeof(int32_t),
            int32_t(rows),
            int32_t(width),
            int32_t(groups),
            maxCode};
  }
  int64_t tileBlocks() const { return (rows + kTileRows - 1) / kTileRows; }
};

/// R or the block of a span of the Hessian, from an element on.
inline Operand elementOf(uint64_t matrix, int64_t ld, int64_t row,
                         int64_t column) {
  return {CudaRows::plus(matrix, row * ld + column), ld};
}

/// options.refineSweeps sweeps over the codes and, where each group is a run of
/// the order, the scales (compiler/quantize/GptqRefine.h). The residual is that
/// of the codes before, and becomes that of the codes after.
void refine(CudaGptq &gptq, const CudaRows &rows, const CudaGptqFactor &factor,
            const GptqOptions &options);

} // namespace qcc::cuda

#endif // QCC_COMPILER_QUANTIZE_CUDA_CUDAROWS_H
