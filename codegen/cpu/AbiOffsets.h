//===- AbiOffsets.h - Where the fields of the kernel ABI lie ----*- C++ -*-===//
//
// Generated code reads a qrt_step by byte offsets; this is the one place that
// takes them from the struct itself.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_ABIOFFSETS_H
#define QCC_CODEGEN_CPU_ABIOFFSETS_H

#include "runtime/abi/kernel_abi.h"

#include <cstddef>
#include <cstdint>

namespace qcc::cpu {

/// Byte offsets of the fields of a qrt_step that generated code reads itself.
struct StepOffsets {
  static constexpr int64_t threads = offsetof(qrt_step, threads);        // u32
  static constexpr int64_t tokens = offsetof(qrt_step, tokens);          // u32
  static constexpr int64_t logitCount = offsetof(qrt_step, logit_count); // u32
  static constexpr int64_t logitRows = offsetof(qrt_step, logit_rows);   // ptr
  static constexpr int64_t logits = offsetof(qrt_step, logits);          // ptr
  static constexpr int64_t weights = offsetof(qrt_step, weights);        // ptr
  static constexpr int64_t arena = offsetof(qrt_step, arena);            // ptr
  static constexpr int64_t barrier = offsetof(qrt_step, barrier);        // ptr
  static constexpr int64_t barrierContext =
      offsetof(qrt_step, barrier_context); // ptr
  static constexpr int64_t outlierStatistics =
      offsetof(qrt_step, outlier_statistics); // ptr
};

static_assert(sizeof(void *) == 8, "generated code is 64-bit");

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_ABIOFFSETS_H
