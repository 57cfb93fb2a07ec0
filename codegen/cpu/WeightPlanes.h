//===- WeightPlanes.h - Where the parts of a packed weight lie --*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_WEIGHTPLANES_H
#define QCC_CODEGEN_CPU_WEIGHTPLANES_H

#include "dialects/KRN/KRN.h"

#include <cstdint>
#include <optional>

namespace qcc::cpu {

/// Planes of a weight in the layout "t16" (codegen/cpu/kernels/kernels.h), in
/// bytes from the tensor's start. The codes are at 0.
struct WeightPlanes {
  std::optional<int64_t> scales; ///< [tile][group][16 rows], none if unscaled
  std::optional<int64_t> zeros;  ///< [tile][group][16 rows] u8, if stored, or
                                 ///< what belongs to nested scales
};

/// Elements of the weight's group along a row: what a GEMM's config calls
/// `group`. The whole row for unscaled formats, and where a group is longer.
int64_t groupOf(qnt::PackedType weight);
/// The same of the weight that staged activations are for.
int64_t groupOf(krn::StagedType staged);

/// The planes of `weight`, whose format must not be flattened and whose
/// extents must not exceed 2^28.
WeightPlanes weightPlanes(qnt::PackedType weight);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_WEIGHTPLANES_H
