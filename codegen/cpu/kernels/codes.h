//===- codes.h - Lines of packed codes as vectors ---------------*- C++ -*-===//
//
// A code describes how elements lie in the lines of a t16 tile (kernels.h). A
// "unit" is the smallest run of whole lines: kElements elements of each of the
// 16 rows in kBytes bytes.
//
// For f32 activations, each() gives the elements as f32, one call an element.
// What it gives times kFold (a power of two) is the value, before zero point
// and scale. For i16 activations, the int codes give bytes (eachQuad) or 16-bit
// halves (eachPair).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_CODES_H
#define QCC_CODEGEN_CPU_KERNELS_CODES_H

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cpu/kernels/dynamic_map.h"
#include "codegen/cpu/kernels/kernels.h"
#include "codegen/cpu/kernels/simd.h"

namespace qcc::krn {

/// The values of nf4 and fp4 that bitsandbytes uses (docs/formats.md).
alignas(64) inline constexpr float kNf4Values[16] = {-1.0f,
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
alignas(64) inline constexpr float kFp4Values[16] = {
    0.0f,         0.005208333333f, 0.66666667f,  1.0f,  0.33333333f,
    0.5f,         0.16666667f,     0.25f,        0.0f,  -0.005208333333f,
    -0.66666667f, -1.0f,           -0.33333333f, -0.5f, -0.16666667f,
    -0.25f};

/// The table of an int code: code - zero, repeated for codes of fewer bits.
KRN_INLINE F32x16 intTable(int bits, int32_t zero) {
  return toFloat((laneNumbers() & ((1 << bits) - 1)) - zero);
}

/// Codes that are values. A group is the whole row.
struct UnscaledCode {
  static constexpr bool kScaled = false;
  static constexpr float kFold = 1.0f;
  KRN_INLINE F32x16 table(const GemmConfig *) { return {}; }
};

struct CodeF32 : UnscaledCode {
  static constexpr int kElements = 1, kBytes = 64;
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, bool, Use use) {
    use(0, asFloat(loadBits(unit)));
  }
};

struct CodeBF16 : UnscaledCode {
  static constexpr int kElements = 2, kBytes = 64;
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, bool, Use use) {
    U32x16 v = loadBits(unit);
    use(0, asFloat(v << 16));
    use(1, asFloat(v & 0xffff0000u));
  }
};

struct CodeF16 : UnscaledCode {
  static constexpr int kElements = 2, kBytes = 64;
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, bool, Use use) {
    // Rows 0 to 7 and 8 to 15, both elements side by side.
    F32x16 a = loadF16(unit), b = loadF16(unit + 32);
    use(0, __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                   22, 24, 26, 28, 30));
    use(1, __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,
                                   23, 25, 27, 29, 31));
  }
};

/// Codes with a scale a group.
struct ScaledCode {
  static constexpr bool kScaled = true;
  static constexpr float kFold = 1.0f;
};

/// What int codes have in common, for i16 activations.
template <typename Derived>
struct IntCode : ScaledCode {
  /// use(k, pair): the u16 halves of `pair` are the two elements that lie at
  /// k and k + 1 in the order of staged words (staged.h).
  template <typename Use>
  KRN_INLINE void eachPair(const char *unit, Use use) {
    Derived::eachQuad(unit, [&](int k, U32x16 quad) KRN_LAMBDA {
      use(k, quad & 0x00ff00ffu);
      use(k + 2, quad >> 8 & 0x00ff00ffu);
    });
  }
};

struct CodeInt8 : IntCode<CodeInt8> {
  static constexpr int kElements = 4, kBytes = 64;
  /// Symmetric codes stay in the upper byte of a lane.
  static constexpr float kFold = 1.0f / 16777216.0f;
  KRN_INLINE F32x16 table(const GemmConfig *) { return {}; }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16, bool hasZero, Use use) {
    U32x16 v = loadBits(unit);
    if (hasZero) {
      KRN_UNROLL
      for (uint32_t j = 0; j < 4; ++j)
        use(int(j), toFloat(v >> (8 * j) & 255u) * (1.0f / kFold));
      return;
    }
    v ^= 0x80808080u;
    KRN_UNROLL
    for (uint32_t j = 0; j < 4; ++j)
      use(int(j), toFloat(v << (24 - 8 * j) & 0xff000000u));
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    use(0, loadBits(unit));
  }
};

/// Any 4-bit code: int4, nf4, fp4 differ in the table.
struct Code4 : IntCode<Code4> {
  static constexpr int kElements = 8, kBytes = 64;
  KRN_INLINE F32x16 table(const GemmConfig *config) {
    return intTable(4, config->hasZero ? 0 : config->defaultZero);
  }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, bool, Use use) {
    // A lookup reads the low four bits of a lane: no masking is needed.
    U32x16 v = loadBits(unit);
    KRN_UNROLL
    for (uint32_t e = 0; e < 8; ++e)
      use(int(e), lookup(table, v >> (8 * (e % 4) + 4 * (e / 4))));
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    use(0, v & 0x0f0f0f0fu);
    use(4, v >> 4 & 0x0f0f0f0fu);
  }
  template <typename Use>
  KRN_INLINE void eachPair(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    use(0, v & 0x000f000fu);
    use(2, v >> 8 & 0x000f000fu);
    use(4, v >> 4 & 0x000f000fu);
    use(6, v >> 12 & 0x000f000fu);
  }
};
struct CodeNF4 : Code4 {
  KRN_INLINE F32x16 table(const GemmConfig *) { return load(kNf4Values); }
};
struct CodeFP4 : Code4 {
  KRN_INLINE F32x16 table(const GemmConfig *) { return load(kFp4Values); }
};

struct CodeInt2 : IntCode<CodeInt2> {
  static constexpr int kElements = 16, kBytes = 64;
  KRN_INLINE F32x16 table(const GemmConfig *config) {
    return intTable(2, config->hasZero ? 0 : config->defaultZero);
  }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, bool, Use use) {
    U32x16 v = loadBits(unit);
    // The table repeats every four entries.
    KRN_UNROLL
    for (uint32_t e = 0; e < 16; ++e)
      use(int(e), lookup(table, v >> (8 * (e % 4) + 2 * (e / 4))));
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    KRN_UNROLL
    for (uint32_t i = 0; i < 4; ++i)
      use(int(4 * i), v >> (2 * i) & 0x03030303u);
  }
  template <typename Use>
  KRN_INLINE void eachPair(const char *unit, Use use) {
    U32x16 v = loadBits(unit);
    KRN_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      use(int(4 * i), v >> (2 * i) & 0x00030003u);
      use(int(4 * i + 2), v >> (2 * i + 8) & 0x00030003u);
    }
  }
};

struct CodeInt3 : IntCode<CodeInt3> {
  static constexpr int kElements = 32, kBytes = 192;
  KRN_INLINE F32x16 table(const GemmConfig *config) {
    return intTable(3, config->hasZero ? 0 : config->defaultZero);
  }
  template <typename Use>
  KRN_INLINE void each(const char *unit, F32x16 table, bool, Use use) {
    // The table repeats every eight entries: bits above a code's three must be
    // zero or repeat nothing, which the masks of a quad see to.
    eachQuad(unit, [&](int k, U32x16 quad) KRN_LAMBDA {
      KRN_UNROLL
      for (uint32_t j = 0; j < 4; ++j)
        use(k + int(j), lookup(table, quad >> (8 * j)));
    });
  }
  template <typename Use>
  KRN_INLINE void eachQuad(const char *unit, Use use) {
    U32x16 low0 = loadBits(unit), low1 = loadBits(unit + 64);
    U32x16 high = loadBits(unit + 128);
    KRN_UNROLL
    for (uint32_t i = 0; i < 8; ++i) {
      U32x16 low = (i < 4 ? low0 : low1) >> (2 * (i % 4));
      U32x16 bit = i < 2 ? high << (2 - i) : high >> (i - 2);
      use(int(4 * i), (low & 0x03030303u) | (bit & 0x04040404u));
    }
  }
};

/// The pieces (Layout.h) of a tile's rows and the bytes of its codes.
template <typename Code>
struct TileShape {
  int64_t paddedGroup, fullGroups, lastElements, groups, perGroup, pieces;
  int64_t rowElements, bytes;

  explicit TileShape(const GemmConfig *config)
      : paddedGroup(config->paddedGroup),
        fullGroups(config->columns / config->group),
        lastElements(roundUp(config->columns % config->group, Code::kElements)),
        groups(fullGroups + (lastElements != 0)),
        perGroup(groupPieces(paddedGroup)),
        pieces(fullGroups * perGroup + groupPieces(lastElements)),
        rowElements(fullGroups * paddedGroup + lastElements),
        bytes(rowElements / Code::kElements * Code::kBytes) {}

  int64_t group(int64_t piece) const { return piece / perGroup; }
  /// Where a piece begins in the staged row.
  int64_t begin(int64_t piece) const {
    return group(piece) * paddedGroup + piece % perGroup * kPieceElements;
  }
  int64_t end(int64_t piece) const {
    return piece + 1 < pieces ? begin(piece + 1) : rowElements;
  }
  /// The end of a run of pieces from `piece` on, of up to `elements` elements
  /// (but one piece at least): runs of a row are about equally long.
  int64_t panelEnd(int64_t piece, int64_t elements) const {
    int64_t runs = (rowElements + elements - 1) / elements;
    int64_t perRun = (pieces + runs - 1) / runs;
    if (perRun > elements / longestPiece())
      perRun = elements / longestPiece();
    return smaller(piece + perRun, pieces);
  }
  int64_t longestPiece() const { return smaller(paddedGroup, kPieceElements); }
};

/// The planes of a packed weight (kernels.h), and how wide the second is.
struct Planes {
  const char *codes;
  const void *scales;
  const uint8_t *zeros;

  KRN_METHOD F32x16 scale(const GemmConfig *config, int64_t index) const {
    return loadElements(config->scaleType, scales, index * kTileRows);
  }
  /// The scales of group `group` of `groups` that the codes of nested scales
  /// stand for. Rows of padding get those of the last row.
  KRN_METHOD F32x16 nestedScale(const GemmConfig *config, int64_t tile,
                                int64_t groups, int64_t group) const {
    const char *own =
        (const char *)zeros + tile * nestedTileBytes(groups, config->nested);
    uint32_t phase;
    float offset;
    __builtin_memcpy(&phase, own, 4);
    __builtin_memcpy(&offset, own + 4, 4);
    auto *nested = (const float *)(own + 8);
    U32x16 last = (U32x16)splat(int32_t(config->rows - tile * kTileRows - 1));
    U32x16 row = (U32x16)laneNumbers();
    row = row < last ? row : last;
    U32x16 place = row * uint32_t(groups) + (phase + uint32_t(group));
    U32x16 code = loadBytes((const uint8_t *)scales +
                            (tile * groups + group) * kTileRows);
    F32x16 scale = gather(kDynamicMap, code) *
                   gather(nested, place / uint32_t(config->nested));
    return scale + splat(offset);
  }
  /// Zero points, those stored or the format's.
  KRN_METHOD I32x16 zero(const GemmConfig *config, int64_t index) const {
    return config->hasZero ? (I32x16)loadBytes(zeros + index * kTileRows)
                           : splat(config->defaultZero);
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_CODES_H
