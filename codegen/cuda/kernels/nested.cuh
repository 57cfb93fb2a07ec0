//===- nested.cuh - Scales that are codes themselves ------------*- C++ -*-===//
//
// Double quantization: a scale is dynamic map [code] * nested scale + offset
// (docs/formats.md). The plane of nested scales begins with {u32 origin, f32
// offset} of every tile; scale g of row r of a tile has nested scale (origin +
// r * groups + g) / nested.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_NESTED_CUH
#define QCC_CODEGEN_CUDA_KERNELS_NESTED_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

/// The dynamic map's value of a code, computed: its 2^d values of decade d are
/// the midpoints of equal parts of [0.1, 1] times 10^(d - 6). Within a few ulp
/// of the table, whose loads would come late.
QCC_DEVICE float dynamicValue(uint32_t code) {
  const int signedRank = int(code) - 127;
  const uint32_t rank = signedRank < 0 ? -signedRank : signedRank;
  if (rank == 0)
    return 0.0F;
  const int decade = 31 - __clz(rank);
  const float part = float(rank) + 0.5F; // 2^decade .. 2^(decade + 1)
  const float inverse = __uint_as_float(uint32_t(127 - decade) << 23);
  float value = fmaf(0.9F, part * inverse - 1.0F, 0.1F);
  const int exponent = 6 - decade;
  value *= exponent & 1 ? 1e-1F : 1.0F;
  value *= exponent & 2 ? 1e-2F : 1.0F;
  value *= exponent & 4 ? 1e-4F : 1.0F;
  value = rank == 128 ? 1.0F : value;
  return signedRank < 0 ? -value : value;
}

/// A tile's part of the plane.
struct NestedTile {
  uint32_t origin;
  float offset;
};

template <class K>
QCC_DEVICE NestedTile nestedTile(const char *plane, int tile) {
  const uint2 raw = *reinterpret_cast<const uint2 *>(plane + tile * 8);
  return {raw.x, __uint_as_float(raw.y)};
}

/// The nested scale of scale `group` of row `row` (of 16) of a tile; rows of
/// padding have that of the last row.
template <class K>
QCC_DEVICE float nestedScale(const char *plane, const NestedTile &own, int tile,
                             int row, int group) {
  const int last = smaller(row, int(K::rows) - 1 - tile * 16);
  const uint32_t place = own.origin + uint32_t(last * int(K::groups) + group);
  constexpr uint32_t nested = K::nested > 0 ? K::nested : 1;
  return reinterpret_cast<const float *>(plane +
                                         int64_t(K::tiles) * 8)[place / nested];
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_NESTED_CUH
