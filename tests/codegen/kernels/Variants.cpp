//===- Variants.cpp - The kernels of every CPU variant --------------------===//

#include "Variants.h"

#include "runtime/support/Cpu.h"

#include <cstdio>
#include <cstdlib>

#define QCC_TEST_INT_CODES(X, v) X(v, int8) X(v, int4) X(v, int3) X(v, int2)
#define QCC_TEST_CODES(X, v)                                                   \
  X(v, f32) X(v, f16) X(v, bf16) QCC_TEST_INT_CODES(X, v) X(v, nf4) X(v, fp4)

#define QCC_TEST_DECLARE_F32(v, code)                                          \
  decltype(krn_gemv_##code##_f32) v##_krn_gemv_##code##_f32;                   \
  decltype(krn_gemm_##code##_f32) v##_krn_gemm_##code##_f32;
#define QCC_TEST_DECLARE_I16(v, code)                                          \
  decltype(krn_gemv_##code##_i16) v##_krn_gemv_##code##_i16;                   \
  decltype(krn_gemm_##code##_i16) v##_krn_gemm_##code##_i16;
#define QCC_TEST_DECLARE_V3(kernel) decltype(krn_##kernel) v3_krn_##kernel;
#define QCC_TEST_DECLARE_V4(kernel) decltype(krn_##kernel) v4_krn_##kernel;
#define QCC_TEST_DECLARE_AMX(kernel) decltype(krn_##kernel) amx_krn_##kernel;
#define QCC_TEST_DECLARE(v)                                                    \
  QCC_TEST_CODES(QCC_TEST_DECLARE_F32, v)                                      \
  QCC_TEST_INT_CODES(QCC_TEST_DECLARE_I16, v)                                  \
  decltype(krn_gemv_int8_split8) v##_krn_gemv_int8_split8;                     \
  decltype(krn_gemm_int8_split8) v##_krn_gemm_int8_split8;

extern "C" {
QCC_TEST_KERNELS(QCC_TEST_DECLARE_V3)
QCC_TEST_KERNELS(QCC_TEST_DECLARE_V4)
QCC_TEST_KERNELS(QCC_TEST_DECLARE_AMX)
QCC_TEST_DECLARE(v3)
QCC_TEST_DECLARE(v4)
QCC_TEST_DECLARE(amx)
}

// In the order of qrt::Code.
#define QCC_TEST_TABLE_I16(v, kernel)                                          \
  {nullptr,                                                                    \
   nullptr,                                                                    \
   nullptr,                                                                    \
   v##_krn_##kernel##_int8_i16,                                                \
   v##_krn_##kernel##_int4_i16,                                                \
   v##_krn_##kernel##_int3_i16,                                                \
   v##_krn_##kernel##_int2_i16,                                                \
   nullptr,                                                                    \
   nullptr}
#define QCC_TEST_TABLE_F32(v, kernel)                                          \
  {v##_krn_##kernel##_f32_f32,  v##_krn_##kernel##_f16_f32,                    \
   v##_krn_##kernel##_bf16_f32, v##_krn_##kernel##_int8_f32,                   \
   v##_krn_##kernel##_int4_f32, v##_krn_##kernel##_int3_f32,                   \
   v##_krn_##kernel##_int2_f32, v##_krn_##kernel##_nf4_f32,                    \
   v##_krn_##kernel##_fp4_f32}
#define QCC_TEST_TABLES(v)                                                     \
  QCC_TEST_TABLE_F32(v, gemv), QCC_TEST_TABLE_F32(v, gemm),                    \
      QCC_TEST_TABLE_I16(v, gemv), QCC_TEST_TABLE_I16(v, gemm),                \
      v##_krn_gemv_int8_split8, v##_krn_gemm_int8_split8
#define QCC_TEST_NAME_V3(kernel) v3_krn_##kernel,
#define QCC_TEST_NAME_V4(kernel) v4_krn_##kernel,
#define QCC_TEST_NAME_AMX(kernel) amx_krn_##kernel,

namespace qcc::test {

const std::vector<Variant> &variants() {
  static const std::vector<Variant> all = [] {
    const Variant known[] = {
        {QRT_CPU_X86_64_V3, "v3",
         QCC_TEST_KERNELS(QCC_TEST_NAME_V3) QCC_TEST_TABLES(v3)},
        {QRT_CPU_X86_64_V4, "v4",
         QCC_TEST_KERNELS(QCC_TEST_NAME_V4) QCC_TEST_TABLES(v4)},
        {QRT_CPU_X86_64_AMX, "amx",
         QCC_TEST_KERNELS(QCC_TEST_NAME_AMX) QCC_TEST_TABLES(amx)},
    };
    uint32_t level = qrt::cpuLevel();
    bool isForced = std::getenv("QRT_CPU") != nullptr;
    std::vector<Variant> usable;
    for (const Variant &variant : known)
      if (isForced ? variant.level == level : variant.level <= level)
        usable.push_back(variant);
    if (usable.empty()) {
      std::fprintf(stderr, "no variant of the kernels runs on this CPU\n");
      std::exit(0);
    }
    return usable;
  }();
  return all;
}

} // namespace qcc::test
