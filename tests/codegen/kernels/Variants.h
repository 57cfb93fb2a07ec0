//===- Variants.h - The kernels of every CPU variant ------------*- C++ -*-===//
//
// The kernels are compiled natively once a variant, with prefixed names. Tests
// run those that this CPU has; QRT_CPU (x86-64-v3, x86-64-v4, amx) picks one.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_CODEGEN_KERNELS_VARIANTS_H
#define QCC_TESTS_CODEGEN_KERNELS_VARIANTS_H

#include "codegen/cpu/kernels/kernels.h"
#include "runtime/formats/Format.h"

#include <string>
#include <vector>

namespace qcc::test {

using GemmFunction = decltype(&krn_gemv_f32_f32);

/// One variant's kernels, by the names of kernels.h without `krn_`.
struct Variant {
  qrt_cpu_level level;
  std::string name; ///< "v3", "v4" or "amx"
#define QCC_TEST_KERNELS(X)                                                    \
  X(stage_f32)                                                                 \
  X(stage_i16)                                                                 \
  X(stage_split8)                                                              \
  X(find_outliers)                                                             \
  X(embed)                                                                     \
  X(rope_table)                                                                \
  X(rope_append)                                                               \
  X(attention)                                                                 \
  X(rope)                                                                      \
  X(norm)                                                                      \
  X(activation)                                                                \
  X(mul)                                                                       \
  X(add)
#define QCC_TEST_FIELD(kernel) decltype(&krn_##kernel) kernel;
  QCC_TEST_KERNELS(QCC_TEST_FIELD)
#undef QCC_TEST_FIELD
  /// By qrt::Code; null where there is no kernel.
  GemmFunction gemvF32[9], gemmF32[9], gemvI16[9], gemmI16[9];
  /// LLM.int8.
  GemmFunction gemvSplit8, gemmSplit8;
};

/// The variants that this CPU (or QRT_CPU) allows to run; at least one, or the
/// process ends with a message.
const std::vector<Variant> &variants();

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_KERNELS_VARIANTS_H
