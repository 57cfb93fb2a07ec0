//===- gemm_f32.cpp - Packed weights times f32 activations ----------------===//
//
// The sum of a piece of a row (Layout.h) has two chains, of the elements at
// even and odd places. It is scaled when it is complete: codes are decoded to
// small numbers or table values, not to weights. Gemv and gemm add in the same
// order: the results for a token do not depend on the tokens beside it.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/gemm.h"

using namespace qcc::krn;

namespace {

/// Scale of a tile's group, or 1, with what a code leaves to it.
template <typename Code>
KRN_INLINE F32x16 groupScale(const GemmConfig *config, const Planes &planes,
                             int64_t tile, int64_t groups, int64_t group) {
  if constexpr (!Code::kScaled)
    return splat(1.0f);
  if (config->nested)
    return planes.nestedScale(config, tile, groups, group);
  return planes.scale(config, tile * groups + group) * splat(Code::kFold);
}

/// Zero points of a group as each() would give them.
template <typename Code>
KRN_INLINE F32x16 groupZero(const GemmConfig *config, const Planes &planes,
                            int64_t index) {
  if (!Code::kScaled || !config->hasZero)
    return F32x16{};
  return toFloat(planes.zero(config, index)) * splat(1.0f / Code::kFold);
}

/// The elements of a unit, minus the zero point where one is stored.
template <typename Code, typename Use>
KRN_INLINE void eachValue(const GemmConfig *config, const char *unit,
                          F32x16 table, F32x16 zero, Use use) {
  bool hasZero = Code::kScaled && config->hasZero;
  Code::each(unit, table, hasZero, [&](int k, F32x16 w) KRN_LAMBDA {
    use(k, hasZero ? w - zero : w);
  });
}

template <typename Code>
struct Gemv {
  static constexpr int kTiles =
      (kHas32Registers ? 4 : 2) / (Code::kElements > 16 ? 2 : 1);
  static constexpr int kBlockTiles =
      (kHas32Registers ? 2 : 1) /
      (Code::kElements > 16 && kHas32Registers ? 2 : 1);
  static constexpr int kTokens = kHas32Registers ? 4 : 2;
  static constexpr int kUnits = Code::kElements >= 8 ? 1 : 8 / Code::kElements;

  const GemmConfig *config;
  TileShape<Code> shape;
  Planes planes;
  StagedF32 x;

  template <int T, int M>
  KRN_METHOD void dot(int64_t tile, int64_t m, F32x16 (*sums)[M]) const {
    const F32x16 table = Code::table(config);
    const float *at = x.row(m);
    const char *codes[T];
    KRN_UNROLL
    for (int t = 0; t < T; ++t) {
      codes[t] = planes.codes + (tile + t) * shape.bytes;
      KRN_UNROLL
      for (int i = 0; i < M; ++i)
        sums[t][i] = F32x16{};
    }
    for (int64_t piece = 0; piece < shape.pieces; ++piece) {
      int64_t elements = shape.end(piece) - shape.begin(piece);
      F32x16 zero[T], chains[2][M][T] = {};
      int64_t group[T];
      KRN_UNROLL
      for (int t = 0; t < T; ++t) {
        group[t] = (tile + t) * shape.groups + shape.group(piece);
        zero[t] = groupZero<Code>(config, planes, group[t]);
      }
      auto step = [&]<int U>() KRN_LAMBDA {
        KRN_UNROLL
        for (int t = 0; t < T; ++t) {
          __builtin_prefetch(codes[t] + 2048);
          KRN_UNROLL
          for (int u = 0; u < U; ++u) {
            eachValue<Code>(config, codes[t], table, zero[t],
                            [&](int e, F32x16 w) KRN_LAMBDA {
                              int place = u * Code::kElements + e;
                              KRN_UNROLL
                              for (int i = 0; i < M; ++i) {
                                F32x16 &chain = chains[place % 2][i][t];
                                chain = fma(w, at[i * x.stride + place], chain);
                              }
                            });
            codes[t] += Code::kBytes;
          }
        }
        at += U * Code::kElements;
        elements -= U * Code::kElements;
      };
      while (elements >= kUnits * Code::kElements)
        step.template operator()<kUnits>();
      // Two units keep even places even.
      if constexpr (kUnits > 2)
        while (elements >= 2 * Code::kElements)
          step.template operator()<2>();
      if constexpr (kUnits > 1)
        if (elements > 0)
          step.template operator()<1>();
      KRN_UNROLL
      for (int t = 0; t < T; ++t) {
        F32x16 scale = groupScale<Code>(config, planes, tile + t, shape.groups,
                                        shape.group(piece));
        KRN_UNROLL
        for (int i = 0; i < M; ++i)
          sums[t][i] =
              fma(chains[0][i][t] + chains[1][i][t], scale, sums[t][i]);
      }
    }
  }
};

template <typename Code>
struct Gemm {
  static constexpr bool kTakesAnyCount = false;
  static constexpr int kTiles = kHas32Registers ? 2 : 1;
  static constexpr int kTokens = kHas32Registers ? 6 : 3;
  /// 2 tiles x 256 x 4 bytes x 16 rows are 32 KiB.
  static constexpr int64_t kPanelElements = kPieceElements;
  static constexpr int64_t kMaxPieces = kPanelElements;

  const GemmConfig *config;
  TileShape<Code> shape;
  Planes planes;
  StagedF32 x;
  float *panel;  ///< [element][kTiles][16]
  float *scales; ///< [piece of the panel][kTiles][16]

  KRN_METHOD float tokenScale(int64_t) const { return 1.0f; }

  KRN_METHOD int64_t panelEnd(int64_t piece) const {
    return shape.panelEnd(piece, kPanelElements);
  }

  KRN_METHOD void unpack(int64_t tile, int t, int64_t first,
                         int64_t end) const {
    const F32x16 table = Code::table(config);
    const char *codes = planes.codes + tile * shape.bytes +
                        shape.begin(first) / Code::kElements * Code::kBytes;
    float *to = panel + t * 16;
    for (int64_t piece = first; piece < end; ++piece) {
      int64_t group = tile * shape.groups + shape.group(piece);
      F32x16 zero = groupZero<Code>(config, planes, group);
      store(scales + ((piece - first) * kTiles + t) * 16,
            groupScale<Code>(config, planes, tile, shape.groups,
                             shape.group(piece)));
      int64_t elements = shape.end(piece) - shape.begin(piece);
      for (int64_t k = 0; k < elements; k += Code::kElements) {
        eachValue<Code>(config, codes, table, zero,
                        [&](int e, F32x16 w)
                            KRN_LAMBDA { store(to + e * kTiles * 16, w); });
        codes += Code::kBytes;
        to += Code::kElements * kTiles * 16;
      }
    }
  }

  template <int M>
  KRN_METHOD void multiply(int64_t first, int64_t end, int64_t m, float *out,
                           bool isFirst) const {
    const float *at = x.row(m) + shape.begin(first);
    const float *w = panel;
    for (int64_t piece = first; piece < end; ++piece) {
      int64_t elements = shape.end(piece) - shape.begin(piece);
      F32x16 chains[2][M][kTiles] = {};
      auto step = [&]<int C>() KRN_LAMBDA {
        KRN_UNROLL
        for (int place = 0; place < C; ++place) {
          F32x16 row[kTiles];
          KRN_UNROLL
          for (int t = 0; t < kTiles; ++t)
            row[t] = load(w + (place * kTiles + t) * 16);
          KRN_UNROLL
          for (int i = 0; i < M; ++i) {
            F32x16 v = splat(at[i * x.stride + place]);
            KRN_UNROLL
            for (int t = 0; t < kTiles; ++t)
              chains[place][i][t] = fma(row[t], v, chains[place][i][t]);
          }
        }
        w += C * kTiles * 16;
        at += C;
      };
      for (int64_t k = 0; k + 2 <= elements; k += 2)
        step.template operator()<2>();
      if (Code::kElements == 1 && elements % 2 != 0)
        step.template operator()<1>();
      KRN_UNROLL
      for (int t = 0; t < kTiles; ++t) {
        F32x16 scale = load(scales + ((piece - first) * kTiles + t) * 16);
        KRN_UNROLL
        for (int i = 0; i < M; ++i) {
          float *to = out + i * 32 + t * 16;
          F32x16 before = isFirst ? F32x16{} : load(to);
          store(to, fma(chains[0][i][t] + chains[1][i][t], scale, before));
        }
      }
      isFirst = false;
    }
  }
};

} // namespace

#define DEFINE(code, Code)                                                     \
  extern "C" QCC_KRN_GEMM(krn_gemv_##code##_f32) {                             \
    (void)scratch;                                                             \
    Gemv<Code> kernel{config,                                                  \
                      TileShape<Code>(config),                                 \
                      {(const char *)codes, scales, (const uint8_t *)zeros},   \
                      StagedF32(config, staged)};                              \
    gemv(kernel, {config, bias, residual, output}, tokens, part, parts);       \
  }                                                                            \
  extern "C" QCC_KRN_GEMM(krn_gemm_##code##_f32) {                             \
    auto *panel = (float *)scratch;                                            \
    Gemm<Code> kernel{config,                                                  \
                      TileShape<Code>(config),                                 \
                      {(const char *)codes, scales, (const uint8_t *)zeros},   \
                      StagedF32(config, staged),                               \
                      panel,                                                   \
                      panel + Gemm<Code>::kPanelElements * 32};                \
    gemm(kernel, kernel.shape, {config, bias, residual, output}, tokens,       \
         scratch, part, parts);                                                \
  }

DEFINE(f32, CodeF32)
DEFINE(bf16, CodeBF16)
DEFINE(f16, CodeF16)
DEFINE(int8, CodeInt8)
DEFINE(int4, Code4)
DEFINE(int3, CodeInt3)
DEFINE(int2, CodeInt2)
DEFINE(nf4, CodeNF4)
DEFINE(fp4, CodeFP4)
