//===- nested.cuh - Scales that are codes themselves ------------*- C++ -*-===//
//
// Double quantization: a scale is dynamic map [code] * nested scale + offset
// (docs/formats.md). A tile's part of the plane of nested scales is {u32 phase,
// f32 offset, f32 nested scales}; scale g of row r has nested scale (phase + r
// * groups + g) / nested.
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

/// How a tile's part of the plane begins.
struct NestedTile {
  uint32_t phase;
  float offset;
};

template <class K>
QCC_DEVICE NestedTile nestedTile(const char *plane, int tile) {
  const uint2 raw = *reinterpret_cast<const uint2 *>(
      plane + int64_t(tile) * K::nestedTileBytes);
  return {raw.x, __uint_as_float(raw.y)};
}

/// The nested scale of scale `group` of row `row` (of 16) of a tile; rows of
/// padding have that of the last row.
template <class K>
QCC_DEVICE float nestedScale(const char *plane, const NestedTile &own, int tile,
                             int row, int group) {
  const int last = smaller(row, int(K::rows) - 1 - tile * 16);
  const uint32_t place = own.phase + uint32_t(last * int(K::groups) + group);
  constexpr uint32_t nested = K::nested > 0 ? K::nested : 1;
  return reinterpret_cast<const float *>(
      plane + int64_t(tile) * K::nestedTileBytes + 8)[place / nested];
}

/// Scale `group` of row `row` (of 16) of a tile.
template <class K>
QCC_DEVICE float unnestedScale(const uint8_t *codes, const char *plane,
                               const NestedTile &own, int tile, int row,
                               int group) {
  const int64_t at = (int64_t(tile) * int(K::groups) + group) * 16 + row;
  return __fadd_rn(__fmul_rn(dynamicValue(codes[at]),
                             nestedScale<K>(plane, own, tile, row, group)),
                   own.offset);
}

/// Writes the scales of a weight as f32, for the products of many tokens.
/// Operands: codes of scales, nested scales, output [tiles][groups][16].
///
/// The next kernel may read scales before it waits for this one; it does not
/// begin before this one's blocks have ended, since they do not say that it
/// may.
template <class K>
struct Unnest {
  static __device__ __forceinline__ void run(const Step *, const Args &a) {
    waitForEarlier();
    const auto *codes = pointer<const uint8_t>(a.v[0]);
    const char *plane = pointer<const char>(a.v[1]);
    constexpr int quads = K::tiles * K::groups * 4;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < quads;
         i += gridDim.x * blockDim.x) {
      const int tile = i / (K::groups * 4), group = i / 4 % K::groups,
                row = i % 4 * 4;
      const NestedTile own = nestedTile<K>(plane, tile);
      float v[4];
      for (int r = 0; r < 4; ++r)
        v[r] = unnestedScale<K>(codes, plane, own, tile, row + r, group);
      pointer<float4>(a.v[2])[i] = {v[0], v[1], v[2], v[3]};
    }
    __threadfence();
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_NESTED_CUH
