//===- gemm_f32.cpp - Packed weights times f32 activations ----------------===//
//
// gemv: every weight is decoded to f32 and used for up to 8 tokens at once.
// gemm: a pair of tiles is decoded, panel by panel, to f32 in the scratch, and
// a register block of 12 tokens x 2 tiles runs over it.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/codes.h"
#include "codegen/cpu/kernels/epilogue.h"
#include "codegen/cpu/kernels/staged.h"

using namespace qcc::krn;

namespace {

/// One tile times `M` tokens.
template <typename Code, int M>
KRN_INLINE void dotTile(const GemmConfig *config, const TileShape<Code> &shape,
                        const char *codes, const void *scales,
                        const uint8_t *zeros, int64_t tile, const float *x,
                        int64_t xStride, F32x16 *sums) {
  // With one token, four chains of additions hide their latency.
  constexpr int kChains = M == 1 ? 4 : M == 2 ? 2 : 1;
  codes += tile * shape.tileBytes;
  const F32x16 table = Code::table(config->hasZero ? 0 : config->defaultZero);
  F32x16 total[M] = {};
  F32x16 part[kChains * M] = {};
  for (int64_t g = 0; g < shape.groups; ++g) {
    F32x16 zero = {};
    if (config->hasZero)
      zero = toFloat(loadBytes(zeros + (tile * shape.groups + g) * 16));
    int64_t units = shape.elements(config, g) / Code::kElements;
    for (int64_t u = 0; u < units; ++u, codes += Code::kBytes) {
      __builtin_prefetch(codes + 1024);
      int chain = Code::kElements == 1 ? int(u & (kChains - 1)) : 0;
      Code::each(codes, table, [&](int k, F32x16 w) {
        if (config->hasZero)
          w -= zero;
        for (int m = 0; m < M; ++m)
          part[((chain + k) % kChains) * M + m] += w * x[m * xStride + k];
      });
      x += Code::kElements;
    }
    if (Code::kScaled) {
      F32x16 scale =
          loadScales(config->scaleType, scales, tile * shape.groups + g);
      for (int m = 0; m < M; ++m) {
        F32x16 group = part[m];
        part[m] = F32x16{};
        for (int c = 1; c < kChains; ++c) {
          group += part[c * M + m];
          part[c * M + m] = F32x16{};
        }
        total[m] += group * scale;
      }
    }
    // Only the last group is short, so that x is where the next group begins.
  }
  for (int m = 0; m < M; ++m) {
    sums[m] = total[m];
    if (!Code::kScaled) {
      sums[m] = part[m];
      for (int c = 1; c < kChains; ++c)
        sums[m] += part[c * M + m];
    }
  }
}

template <typename Code, int M>
KRN_INLINE void gemvTokens(const GemmConfig *config, int64_t firstToken,
                           const void *staged, const void *codes,
                           const void *scales, const void *zeros,
                           const float *bias, const float *residual,
                           float *output, uint32_t part, uint32_t parts) {
  TileShape<Code> shape(config);
  StagedF32 x(staged, stagedColumns(config->columns, config->group,
                                    config->paddedGroup));
  int64_t tiles = (config->rows + 15) / 16;
  int64_t step = config->glu ? 2 : 1;
  Share share = shareOf(tiles / step, part, parts);
  for (int64_t i = share.begin; i < share.end; ++i) {
    F32x16 sums[2][M];
    for (int64_t t = 0; t < step; ++t)
      dotTile<Code, M>(config, shape, (const char *)codes, scales,
                       (const uint8_t *)zeros, i * step + t, x.row(firstToken),
                       x.stride, sums[t]);
    for (int m = 0; m < M; ++m) {
      F32x16 pair[2] = {sums[0][m], sums[step - 1][m]};
      epilogues(config, firstToken + m, i * step, 1, pair, bias, residual,
                output);
    }
  }
}

template <typename Code>
KRN_INLINE void gemv(const GemmConfig *config, int64_t tokens,
                     const void *staged, const void *codes, const void *scales,
                     const void *zeros, const float *bias,
                     const float *residual, float *output, uint32_t part,
                     uint32_t parts) {
  // The results for a token do not depend on the tokens beside it: all sizes
  // of blocks add up in the same order, except that chains merge differently,
  // which is why a block of 1 is used only for single tokens.
  int64_t m = 0;
  if (tokens == 1) {
    gemvTokens<Code, 1>(config, 0, staged, codes, scales, zeros, bias, residual,
                        output, part, parts);
    return;
  }
  for (; m + 4 <= tokens; m += 4)
    gemvTokens<Code, 4>(config, m, staged, codes, scales, zeros, bias, residual,
                        output, part, parts);
  for (; m + 2 <= tokens; m += 2)
    gemvTokens<Code, 2>(config, m, staged, codes, scales, zeros, bias, residual,
                        output, part, parts);
  for (; m < tokens; ++m)
    gemvTokens<Code, 1>(config, m, staged, codes, scales, zeros, bias, residual,
                        output, part, parts);
}

/// f32 registers of a block: 12 x 2 sums, two weights, one x.
constexpr int kBlock = 12;
/// Elements of K in a panel: 256 x 32 f32 are 32 KiB, most of an L1 cache.
constexpr int64_t kPanel = 256;
/// Tokens whose sums the scratch has room for beside a panel.
constexpr int64_t kScratchTokens = 2048;
static_assert((kPanel * 32 + kScratchTokens * 32) * 4 <= gemmScratchBytes());

template <int M>
KRN_INLINE void multiplyPanel(const float *panel, int64_t depth, const float *x,
                              int64_t xStride, float *sums, bool first) {
  F32x16 s[M][2];
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < 2; ++t)
      s[m][t] = first ? F32x16{} : load(sums + (m * 2 + t) * 16);
  for (int64_t k = 0; k < depth; ++k) {
    F32x16 w0 = load(panel + k * 32), w1 = load(panel + k * 32 + 16);
    for (int m = 0; m < M; ++m) {
      F32x16 v = splat(x[m * xStride + k]);
      s[m][0] += w0 * v;
      s[m][1] += w1 * v;
    }
  }
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < 2; ++t)
      store(sums + (m * 2 + t) * 16, s[m][t]);
}

/// Decodes elements [begin, end) of the staged order of one tile.
template <typename Code>
KRN_INLINE void
unpackPanel(const GemmConfig *config, const TileShape<Code> &shape,
            const char *codes, const void *scales, const uint8_t *zeros,
            int64_t tile, int64_t begin, int64_t end, float *out) {
  const F32x16 table = Code::table(config->hasZero ? 0 : config->defaultZero);
  codes += tile * shape.tileBytes + begin / Code::kElements * Code::kBytes;
  for (int64_t k = begin; k < end;) {
    int64_t g = k / config->paddedGroup;
    int64_t groupEnd = g * config->paddedGroup + shape.elements(config, g);
    int64_t stop = groupEnd < end ? groupEnd : end;
    F32x16 scale = splat(1.0f), zero = {};
    if (Code::kScaled)
      scale = loadScales(config->scaleType, scales, tile * shape.groups + g);
    if (config->hasZero)
      zero = toFloat(loadBytes(zeros + (tile * shape.groups + g) * 16));
    for (; k < stop; k += Code::kElements, codes += Code::kBytes)
      Code::each(codes, table, [&](int e, F32x16 w) {
        if (config->hasZero)
          w -= zero;
        if (Code::kScaled)
          w *= scale;
        store(out + (k - begin + e) * 32, w);
      });
  }
}

template <typename Code>
KRN_INLINE void gemm(const GemmConfig *config, int64_t tokens,
                     const void *staged, const void *codes, const void *scales,
                     const void *zeros, const float *bias,
                     const float *residual, float *output, void *scratch,
                     uint32_t part, uint32_t parts) {
  TileShape<Code> shape(config);
  StagedF32 x(staged, stagedColumns(config->columns, config->group,
                                    config->paddedGroup));
  float *panel = (float *)scratch, *sums = panel + kPanel * 32;
  int64_t depth = shape.fullGroups * config->paddedGroup + shape.lastElements;
  int64_t tiles = (config->rows + 15) / 16, pairs = (tiles + 1) / 2;
  Share share = shareOf(pairs, part, parts);
  for (int64_t base = 0; base < tokens; base += kScratchTokens) {
    int64_t count =
        tokens - base < kScratchTokens ? tokens - base : kScratchTokens;
    for (int64_t pair = share.begin; pair < share.end; ++pair) {
      int64_t width = tiles - pair * 2 < 2 ? 1 : 2;
      for (int64_t k = 0; k < depth; k += kPanel) {
        int64_t end = k + kPanel < depth ? k + kPanel : depth;
        for (int64_t t = 0; t < width; ++t)
          unpackPanel<Code>(config, shape, (const char *)codes, scales,
                            (const uint8_t *)zeros, pair * 2 + t, k, end,
                            panel + t * 16);
        if (width == 1)
          for (int64_t i = 0; i < end - k; ++i)
            store(panel + i * 32 + 16, F32x16{});
        int64_t m = 0;
        for (; m + kBlock <= count; m += kBlock)
          multiplyPanel<kBlock>(panel, end - k, x.row(base + m) + k, x.stride,
                                sums + m * 32, k == 0);
        for (; m + 4 <= count; m += 4)
          multiplyPanel<4>(panel, end - k, x.row(base + m) + k, x.stride,
                           sums + m * 32, k == 0);
        for (; m < count; ++m)
          multiplyPanel<1>(panel, end - k, x.row(base + m) + k, x.stride,
                           sums + m * 32, k == 0);
      }
      for (int64_t m = 0; m < count; ++m) {
        F32x16 both[2] = {load(sums + m * 32), load(sums + m * 32 + 16)};
        epilogues(config, base + m, pair * 2, width, both, bias, residual,
                  output);
      }
    }
  }
}

} // namespace

#define DEFINE(code, Code)                                                     \
  extern "C" QCC_KRN_GEMM(krn_gemv_##code##_f32) {                             \
    (void)scratch;                                                             \
    gemv<Code>(config, tokens, staged, codes, scales, zeros, bias, residual,   \
               output, part, parts);                                           \
  }                                                                            \
  extern "C" QCC_KRN_GEMM(krn_gemm_##code##_f32) {                             \
    gemm<Code>(config, tokens, staged, codes, scales, zeros, bias, residual,   \
               output, scratch, part, parts);                                  \
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
