//===- TensorType.cpp - Elements of checkpoints to f32 --------------------===//

#include "frontends/checkpoint/TensorType.h"

#include "frontends/checkpoint/BlockTypes.h"
#include "runtime/formats/HalfFloat.h"

#include <cstring>
#include <iterator>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qcc {

const TypeTraits &traits(TensorType type) {
  static constexpr TypeTraits table[] = {
      {"F64", 1, 8, true},        {"F32", 1, 4, true},
      {"F16", 1, 2, true},        {"BF16", 1, 2, true},
      {"I64", 1, 8, false},       {"I32", 1, 4, false},
      {"I16", 1, 2, false},       {"I8", 1, 1, false},
      {"U64", 1, 8, false},       {"U32", 1, 4, false},
      {"U16", 1, 2, false},       {"U8", 1, 1, false},
      {"BOOL", 1, 1, false},      {"Q4_0", 32, 18, true},
      {"Q4_1", 32, 20, true},     {"Q5_0", 32, 22, true},
      {"Q5_1", 32, 24, true},     {"Q8_0", 32, 34, true},
      {"Q2_K", 256, 84, true},    {"Q3_K", 256, 110, true},
      {"Q4_K", 256, 144, true},   {"Q5_K", 256, 176, true},
      {"Q6_K", 256, 210, true},   {"IQ4_NL", 32, 18, true},
      {"IQ4_XS", 256, 136, true}, {"MXFP4", 32, 17, true},
  };
  static_assert(std::size(table) == kNumTensorTypes);
  return table[int(type)];
}

/// Loads elements of type T, which need not be aligned, and converts each.
/// memcpy of a constant size is one load, so that the loop is vectorized.
template <typename T, typename Convert>
static void convertEach(const uint8_t *bytes, int64_t count, float *out,
                        Convert convert) {
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * int64_t(sizeof(T)), sizeof(T));
    out[i] = convert(value);
  }
}

template <typename T>
static void convertNumbers(const uint8_t *bytes, int64_t count, float *out) {
  convertEach<T>(bytes, count, out, [](T value) { return float(value); });
}

#if defined(__x86_64__)
/// Eight halves at a time; returns how many were converted.
__attribute__((target("avx,f16c"))) static int64_t
convertHalvesF16C(const uint8_t *bytes, int64_t count, float *out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    auto halves =
        _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
  }
  return i;
}

static bool hasF16C() {
  static const bool has =
      __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
  return has;
}
#endif

static void convertHalves(const uint8_t *bytes, int64_t count, float *out) {
  int64_t done = 0;
#if defined(__x86_64__)
  if (hasF16C())
    done = convertHalvesF16C(bytes, count, out);
#endif
  convertEach<uint16_t>(bytes + 2 * done, count - done, out + done,
                        qrt::halfToFloat);
}

void convertToF32(TensorType type, const uint8_t *bytes, int64_t count,
                  float *out) {
  switch (type) {
  case TensorType::F64:
    return convertNumbers<double>(bytes, count, out);
  case TensorType::F32:
    if (count > 0)
      std::memcpy(out, bytes, size_t(count) * sizeof(float));
    return;
  case TensorType::F16:
    return convertHalves(bytes, count, out);
  case TensorType::BF16:
    return convertEach<uint16_t>(bytes, count, out, qrt::bfloatToFloat);
  case TensorType::I64:
    return convertNumbers<int64_t>(bytes, count, out);
  case TensorType::I32:
    return convertNumbers<int32_t>(bytes, count, out);
  case TensorType::I16:
    return convertNumbers<int16_t>(bytes, count, out);
  case TensorType::I8:
    return convertNumbers<int8_t>(bytes, count, out);
  case TensorType::U64:
    return convertNumbers<uint64_t>(bytes, count, out);
  case TensorType::U32:
    return convertNumbers<uint32_t>(bytes, count, out);
  case TensorType::U16:
    return convertNumbers<uint16_t>(bytes, count, out);
  case TensorType::U8:
    return convertNumbers<uint8_t>(bytes, count, out);
  case TensorType::Bool:
    return convertEach<uint8_t>(
        bytes, count, out, [](uint8_t value) { return value ? 1.0f : 0.0f; });
  case TensorType::Q4_0:
  case TensorType::Q4_1:
  case TensorType::Q5_0:
  case TensorType::Q5_1:
  case TensorType::Q8_0:
  case TensorType::Q2_K:
  case TensorType::Q3_K:
  case TensorType::Q4_K:
  case TensorType::Q5_K:
  case TensorType::Q6_K:
  case TensorType::IQ4_NL:
  case TensorType::IQ4_XS:
  case TensorType::MXFP4:
    return dequantizeBlocks(type, bytes, count / traits(type).elements, out);
  }
}

} // namespace qcc
