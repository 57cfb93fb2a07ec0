//===- codes.h - Lines of packed codes as vectors ---------------*- C++ -*-===//
//
// A code describes how elements lie in the lines of a t16 tile (kernels.h). A
// "unit" is the smallest run of whole lines: kElements elements of each of the
// 16 rows in kBytes bytes.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_CODES_H
#define QCC_CODEGEN_CPU_KERNELS_CODES_H

#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"
#include "codegen/cpu/kernels/staged.h"

namespace qcc::krn {

/// bitsandbytes' values (runtime/formats/Reference.cpp).
inline constexpr float kNf4Values[16] = {-1.0f,
                                         -0.6961928009986877f,
                                         -0.5250730514526367f,
                                         -0.39491748809814453f,
                                         -0.28444138169288635f,
                                         -0.18477343022823334f,
                                         -0.09105003625154495f,
                                         0.0f,
                                         0.07958029955625534f,
                                         0.16093020141124725f,
                                         0.24611230194568634f,
                                         0.33791524171829224f,
                                         0.44070982933044434f,
                                         0.5626170039176941f,
                                         0.7229568362236023f,
                                         1.0f};
inline constexpr float kFp4Values[16] = {
    0.0f,         0.005208333333f, 0.66666667f,  1.0f,  0.33333333f,
    0.5f,         0.16666667f,     0.25f,        0.0f,  -0.005208333333f,
    -0.66666667f, -1.0f,           -0.33333333f, -0.5f, -0.16666667f,
    -0.25f};

/// The table of an int code: code - zero, repeated for codes of fewer bits.
KRN_INLINE F32x16 intTable(int bits, int32_t zero) {
  F32x16 table = {};
  for (int i = 0; i < 16; ++i)
    table[i] = float((i & ((1 << bits) - 1)) - zero);
  return table;
}

struct CodeF32 {
  static constexpr int kElements = 1, kBytes = 64;
  static constexpr bool kScaled = false;
  static F32x16 table(int32_t) { return {}; }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, Use use) {
    use(0, asFloat(loadBits(unit)));
  }
};

struct CodeBF16 {
  static constexpr int kElements = 2, kBytes = 64;
  static constexpr bool kScaled = false;
  static F32x16 table(int32_t) { return {}; }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, Use use) {
    U32x16 v = loadBits(unit);
    use(0, asFloat(v << 16));
    use(1, asFloat(v & 0xffff0000u));
  }
};

struct CodeF16 {
  static constexpr int kElements = 2, kBytes = 64;
  static constexpr bool kScaled = false;
  static F32x16 table(int32_t) { return {}; }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, Use use) {
    U32x16 v = loadBits(unit);
    use(0, halfToFloat(v));
    use(1, halfToFloat(v >> 16));
  }
};

struct CodeInt8 {
  static constexpr int kElements = 4, kBytes = 64, kBits = 8;
  static constexpr bool kScaled = true;
  /// Lane 0 is the zero point; there is no table of 256.
  static F32x16 table(int32_t zero) { return splat(float(zero)); }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 zero, Use use) {
    U32x16 v = loadBits(unit);
    use(0, toFloat(v & 255u) - zero);
    use(1, toFloat(v >> 8 & 255u) - zero);
    use(2, toFloat(v >> 16 & 255u) - zero);
    use(3, toFloat(v >> 24) - zero);
  }
  /// Each quadruple of elements as the bytes of dwords.
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    use(0, loadBits(unit));
  }
};

/// Any 4-bit code: int4, nf4, fp4 differ in the table.
struct Code4 {
  static constexpr int kElements = 8, kBytes = 64, kBits = 4;
  static constexpr bool kScaled = true;
  static F32x16 table(int32_t zero) { return intTable(4, zero); }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, Use use) {
    // A lookup reads the low four bits of a lane: no masking is needed.
    U32x16 v = loadBits(unit);
    use(0, lookup(table, v));
    use(4, lookup(table, v >> 4));
    use(1, lookup(table, v >> 8));
    use(5, lookup(table, v >> 12));
    use(2, lookup(table, v >> 16));
    use(6, lookup(table, v >> 20));
    use(3, lookup(table, v >> 24));
    use(7, lookup(table, v >> 28));
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    use(0, v & 0x0f0f0f0fu);
    use(4, v >> 4 & 0x0f0f0f0fu);
  }
};
struct CodeNF4 : Code4 {
  static F32x16 table(int32_t) { return load(kNf4Values); }
};
struct CodeFP4 : Code4 {
  static F32x16 table(int32_t) { return load(kFp4Values); }
};

struct CodeInt2 {
  static constexpr int kElements = 16, kBytes = 64, kBits = 2;
  static constexpr bool kScaled = true;
  static F32x16 table(int32_t zero) { return intTable(2, zero); }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, Use use) {
    U32x16 v = loadBits(unit);
    // The table repeats every four entries.
    for (int e = 0; e < 16; ++e)
      use(e, lookup(table, v >> uint32_t(8 * (e % 4) + 2 * (e / 4))));
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    for (int i = 0; i < 4; ++i)
      use(4 * i, v >> uint32_t(2 * i) & 0x03030303u);
  }
};

struct CodeInt3 {
  static constexpr int kElements = 32, kBytes = 192, kBits = 3;
  static constexpr bool kScaled = true;
  static F32x16 table(int32_t zero) { return intTable(3, zero); }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, Use use) {
    eachQuad(unit, [&](int k, U32x16 quad) {
      for (int j = 0; j < 4; ++j)
        use(k + j, lookup(table, quad >> uint32_t(8 * j)));
    });
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 low0 = loadBits(unit), low1 = loadBits(unit + 64);
    U32x16 high = loadBits(unit + 128);
    for (int i = 0; i < 8; ++i) {
      U32x16 low = (i < 4 ? low0 : low1) >> uint32_t(2 * (i % 4));
      U32x16 bit = i < 2 ? high << uint32_t(2 - i) : high >> uint32_t(i - 2);
      use(4 * i, (low & 0x03030303u) | (bit & 0x04040404u));
    }
  }
};

/// Sixteen scales of a group.
KRN_INLINE F32x16 loadScales(int32_t type, const void *scales, int64_t index) {
  return loadElements(type, scales, index * 16);
}

/// The groups of a tile and the bytes of its codes.
template <typename Code>
struct TileShape {
  int64_t groups, fullGroups, groupBytes, lastElements, tileBytes;

  explicit TileShape(const GemmConfig *config)
      : groups(groupCount(config->columns, config->group)),
        fullGroups(config->columns / config->group),
        groupBytes(config->paddedGroup / Code::kElements * Code::kBytes),
        lastElements(roundUp(config->columns % config->group, Code::kElements)),
        tileBytes(fullGroups * groupBytes +
                  lastElements / Code::kElements * Code::kBytes) {}
  int64_t elements(const GemmConfig *config, int64_t g) const {
    return g < fullGroups ? config->paddedGroup : lastElements;
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_CODES_H
