//===- gemm_i16.cpp - Int codes times 16-bit fixed-point activations ------===//
//
// x = scale * (256 * high + low) with both halves s8; codes are u8. Products
// are exact: sums of each half are int32 (VNNI's vpdpbusd), start at
// -zero * sum(half), and meet in f32 once a group:
//   y += s_group * (256 * sumHigh + sumLow), and at the end y *= scale of x.
// Without VNNI (x86-64-v3) the same integers come from vpmaddwd on 16 bits.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/kernels/codes.h"
#include "codegen/cpu/kernels/epilogue.h"
#include "codegen/cpu/kernels/staged.h"

using namespace qcc::krn;

namespace {

/// The two integer sums of a token and a tile.
struct Sums {
  I32x16 high, low;
};

/// Four elements of each row times four of x: `quad` holds u8, x is at element
/// k of token m.
KRN_INLINE void multiplyQuad(Sums &sums, U32x16 quad, const StagedI16 &x,
                             int64_t m, int64_t k) {
#ifdef __AVX512VNNI__
  int32_t high, low;
  __builtin_memcpy(&high, x.high(m) + k, 4);
  __builtin_memcpy(&low, x.low(m) + k, 4);
  Bits q{.u = quad}, h{.i = sums.high}, l{.i = sums.low};
  h.zmm = _mm512_dpbusd_epi32(h.zmm, q.zmm, _mm512_set1_epi32(high));
  l.zmm = _mm512_dpbusd_epi32(l.zmm, q.zmm, _mm512_set1_epi32(low));
  sums.high = h.i;
  sums.low = l.i;
#else
  // Even bytes meet elements 0 and 2, odd ones 1 and 3 (StagedI16); the whole
  // 16-bit value of x is in `low`.
  Bits even{.u = quad & 0x00ff00ffu}, odd{.u = quad >> 8 & 0x00ff00ffu};
  Bits l{.i = sums.low};
  int32_t first, second;
  __builtin_memcpy(&first, x.words(m) + k, 4);
  __builtin_memcpy(&second, x.words(m) + k + 2, 4);
  for (int i = 0; i < 2; ++i) {
    __m256i a = _mm256_madd_epi16(even.ymm[i], _mm256_set1_epi32(first));
    __m256i b = _mm256_madd_epi16(odd.ymm[i], _mm256_set1_epi32(second));
    l.ymm[i] = _mm256_add_epi32(l.ymm[i], _mm256_add_epi32(a, b));
  }
  sums.low = l.i;
#endif
}

/// What the sums of a run of elements are worth. On v3 products of whole 16-bit
/// values must not overflow int32, so that runs are short (kRun).
KRN_INLINE F32x16 combine(const Sums &sums) {
#ifdef __AVX512VNNI__
  return toFloat(sums.high) * 256.0f + toFloat(sums.low);
#else
  return toFloat(sums.low);
#endif
}

/// Elements that may be summed in integers before they meet in f32:
/// 255 * 32512 * 128 < 2^31 for 8 bits in whole values; halves have room for
/// 65,536.
#ifdef __AVX512VNNI__
constexpr int64_t kRun = 4096;
#else
constexpr int64_t kRun = 128;
#endif

#ifndef __AVX512VNNI__
/// -zero * sum(x) of a group, as f32: the correction for the offset of codes.
KRN_INLINE F32x16 correction(F32x16 zero, const StagedI16 &x, int64_t m,
                             int64_t g) {
  return zero * -(float(x.sumHigh(m)[g]) * 256.0f + float(x.sumLow(m)[g]));
}
#endif

/// Starts sums at the correction where integers can hold it exactly.
KRN_INLINE Sums startSums([[maybe_unused]] const GemmConfig *config,
                          [[maybe_unused]] I32x16 zero,
                          [[maybe_unused]] const StagedI16 &x,
                          [[maybe_unused]] int64_t m,
                          [[maybe_unused]] int64_t g) {
#ifdef __AVX512VNNI__
  if (config->hasZero)
    return {zero * -x.sumHigh(m)[g], zero * -x.sumLow(m)[g]};
  return {I32x16{} - config->defaultZero * x.sumHigh(m)[g],
          I32x16{} - config->defaultZero * x.sumLow(m)[g]};
#else
  return {};
#endif
}

KRN_INLINE I32x16 zerosOf(const GemmConfig *config, const uint8_t *zeros,
                          int64_t index) {
  return config->hasZero ? (I32x16)loadBytes(zeros + index * 16)
                         : I32x16{} + config->defaultZero;
}

/// T tiles times M tokens.
template <typename Code, int T, int M>
KRN_INLINE void dotTiles(const GemmConfig *config, const TileShape<Code> &shape,
                         const char *codes, const void *scales,
                         const uint8_t *zeros, int64_t tile, const StagedI16 &x,
                         int64_t firstToken, F32x16 (*total)[M]) {
  const char *at[T];
  for (int t = 0; t < T; ++t) {
    at[t] = codes + (tile + t) * shape.tileBytes;
    for (int m = 0; m < M; ++m)
      total[t][m] = F32x16{};
  }
  int64_t k = 0;
  for (int64_t g = 0; g < shape.groups; ++g) {
    int64_t end = k + shape.elements(config, g);
    I32x16 zero[T];
    Sums sums[T][M];
    F32x16 inGroup[T][M];
    for (int t = 0; t < T; ++t) {
      zero[t] = zerosOf(config, zeros, (tile + t) * shape.groups + g);
      for (int m = 0; m < M; ++m) {
        sums[t][m] = startSums(config, zero[t], x, firstToken + m, g);
        inGroup[t][m] = F32x16{};
      }
    }
    while (k < end) {
      int64_t stop = end - k < kRun ? end : k + kRun;
      for (; k < stop; k += Code::kElements)
        for (int t = 0; t < T; ++t) {
          __builtin_prefetch(at[t] + 1024);
          Code::eachQuad(at[t], [&](int e, U32x16 quad) {
            for (int m = 0; m < M; ++m)
              multiplyQuad(sums[t][m], quad, x, firstToken + m, k + e);
          });
          at[t] += Code::kBytes;
        }
      for (int t = 0; t < T; ++t)
        for (int m = 0; m < M; ++m) {
          inGroup[t][m] += combine(sums[t][m]);
          sums[t][m] = Sums{};
        }
    }
    for (int t = 0; t < T; ++t) {
      F32x16 scale =
          loadScales(config->scaleType, scales, (tile + t) * shape.groups + g);
      for (int m = 0; m < M; ++m) {
#ifndef __AVX512VNNI__
        inGroup[t][m] += correction(toFloat(zero[t]), x, firstToken + m, g);
#endif
        total[t][m] += inGroup[t][m] * scale;
      }
    }
  }
  for (int t = 0; t < T; ++t)
    for (int m = 0; m < M; ++m)
      total[t][m] *= x.scales()[firstToken + m];
}

template <typename Code, int M>
KRN_INLINE void gemvTokens(const GemmConfig *config, const StagedI16 &x,
                           int64_t firstToken, const void *codes,
                           const void *scales, const void *zeros,
                           const float *bias, const float *residual,
                           float *output, uint32_t part, uint32_t parts) {
  TileShape<Code> shape(config);
  int64_t tiles = (config->rows + 15) / 16;
  // Two tiles at a time: enough chains of additions to hide their latency.
  Share share = shareOf((tiles + 1) / 2, part, parts);
  for (int64_t pair = share.begin; pair < share.end; ++pair) {
    int64_t tile = pair * 2;
    F32x16 sums[2][M];
    bool both = tile + 1 < tiles;
    if (both)
      dotTiles<Code, 2, M>(config, shape, (const char *)codes, scales,
                           (const uint8_t *)zeros, tile, x, firstToken, sums);
    else
      dotTiles<Code, 1, M>(config, shape, (const char *)codes, scales,
                           (const uint8_t *)zeros, tile, x, firstToken, sums);
    for (int m = 0; m < M; ++m) {
      F32x16 two[2] = {sums[0][m], both ? sums[1][m] : F32x16{}};
      epilogues(config, firstToken + m, tile, both ? 2 : 1, two, bias, residual,
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
  StagedI16 x(
      staged, config->maxTokens,
      stagedColumns(config->columns, config->group, config->paddedGroup),
      groupCount(config->columns, config->group));
  int64_t m = 0;
  for (; m + 4 <= tokens; m += 4)
    gemvTokens<Code, 4>(config, x, m, codes, scales, zeros, bias, residual,
                        output, part, parts);
  for (; m + 2 <= tokens; m += 2)
    gemvTokens<Code, 2>(config, x, m, codes, scales, zeros, bias, residual,
                        output, part, parts);
  for (; m < tokens; ++m)
    gemvTokens<Code, 1>(config, x, m, codes, scales, zeros, bias, residual,
                        output, part, parts);
}

/// Tokens of a register block: 6 x 2 tiles x 2 halves are 24 registers.
#ifdef __AVX512VNNI__
constexpr int kBlock = 6;
#else
constexpr int kBlock = 2;
#endif
/// Elements of K in a panel: 1024 x 32 bytes of u8 codes are 32 KiB.
constexpr int64_t kPanel = 1024;
constexpr int64_t kScratchTokens = 2048;
static_assert(kPanel * 32 + kScratchTokens * 32 * 4 <= gemmScratchBytes());

/// A panel of decoded codes times M tokens: elements [begin, end) of the staged
/// order. `panel` holds, for each four elements, a line of each of two tiles.
template <int M>
KRN_INLINE void multiplyPanel(const GemmConfig *config, const char *panel,
                              int64_t begin, int64_t end, int64_t depth,
                              const void *scales, const uint8_t *zeros,
                              int64_t groups, int64_t tile, int64_t width,
                              const StagedI16 &x, int64_t token, float *out) {
  for (int64_t k = begin; k < end;) {
    int64_t g = k / config->paddedGroup;
    int64_t groupBegin = g * config->paddedGroup;
    int64_t groupEnd = groupBegin + config->paddedGroup;
    groupEnd = groupEnd < depth ? groupEnd : depth;
    int64_t stop = groupEnd < end ? groupEnd : end;
    stop = stop - k < kRun ? stop : k + kRun;
    // The correction belongs to the group's first run.
    bool starts = k == groupBegin;
    I32x16 zero[2];
    F32x16 scale[2] = {};
    Sums sums[M][2];
    for (int t = 0; t < 2; ++t) {
      int64_t index = (tile + (t < width ? t : 0)) * groups + g;
      zero[t] = zerosOf(config, zeros, index);
      scale[t] = loadScales(config->scaleType, scales, index);
      for (int m = 0; m < M; ++m)
        sums[m][t] =
            starts ? startSums(config, zero[t], x, token + m, g) : Sums{};
    }
    const char *line = panel + (k - begin) / 4 * 128;
    for (int64_t e = k; e < stop; e += 4, line += 128) {
      U32x16 w0 = loadBits(line), w1 = loadBits(line + 64);
      for (int m = 0; m < M; ++m) {
        multiplyQuad(sums[m][0], w0, x, token + m, e);
        multiplyQuad(sums[m][1], w1, x, token + m, e);
      }
    }
    for (int m = 0; m < M; ++m)
      for (int t = 0; t < 2; ++t) {
        F32x16 value = combine(sums[m][t]);
#ifndef __AVX512VNNI__
        if (starts)
          value += correction(toFloat(zero[t]), x, token + m, g);
#endif
        float *at = out + (m * 2 + t) * 16;
        store(at, load(at) + value * scale[t]);
      }
    k = stop;
  }
}

template <typename Code>
KRN_INLINE void gemm(const GemmConfig *config, int64_t tokens,
                     const void *staged, const void *codes, const void *scales,
                     const void *zeros, const float *bias,
                     const float *residual, float *output, void *scratch,
                     uint32_t part, uint32_t parts) {
  TileShape<Code> shape(config);
  StagedI16 x(
      staged, config->maxTokens,
      stagedColumns(config->columns, config->group, config->paddedGroup),
      shape.groups);
  char *panel = (char *)scratch;
  float *sums = (float *)(panel + kPanel * 32);
  int64_t depth = shape.fullGroups * config->paddedGroup + shape.lastElements;
  int64_t tiles = (config->rows + 15) / 16;
  Share share = shareOf((tiles + 1) / 2, part, parts);
  for (int64_t base = 0; base < tokens; base += kScratchTokens) {
    int64_t count =
        tokens - base < kScratchTokens ? tokens - base : kScratchTokens;
    for (int64_t pair = share.begin; pair < share.end; ++pair) {
      int64_t tile = pair * 2, width = tiles - tile < 2 ? 1 : 2;
      for (int64_t m = 0; m < count * 2; ++m)
        store(sums + m * 16, F32x16{});
      for (int64_t k = 0; k < depth; k += kPanel) {
        int64_t end = k + kPanel < depth ? k + kPanel : depth;
        for (int64_t t = 0; t < 2; ++t) {
          const char *from = (const char *)codes +
                             (tile + (t < width ? t : 0)) * shape.tileBytes +
                             k / Code::kElements * Code::kBytes;
          for (int64_t e = k; e < end;
               e += Code::kElements, from += Code::kBytes)
            Code::eachQuad(from, [&](int j, U32x16 quad) {
              *(U32x16u *)(panel + (e - k + j) / 4 * 128 + t * 64) = quad;
            });
        }
        int64_t m = 0;
        for (; m + kBlock <= count; m += kBlock)
          multiplyPanel<kBlock>(config, panel, k, end, depth, scales,
                                (const uint8_t *)zeros, shape.groups, tile,
                                width, x, base + m, sums + m * 32);
        for (; m < count; ++m)
          multiplyPanel<1>(config, panel, k, end, depth, scales,
                           (const uint8_t *)zeros, shape.groups, tile, width, x,
                           base + m, sums + m * 32);
      }
      for (int64_t m = 0; m < count; ++m) {
        float scale = x.scales()[base + m];
        F32x16 both[2] = {load(sums + m * 32) * scale,
                          load(sums + m * 32 + 16) * scale};
        epilogues(config, base + m, tile, width, both, bias, residual, output);
      }
    }
  }
}

} // namespace

#define DEFINE(code, Code)                                                     \
  extern "C" QCC_KRN_GEMM(krn_gemv_##code##_i16) {                             \
    (void)scratch;                                                             \
    gemv<Code>(config, tokens, staged, codes, scales, zeros, bias, residual,   \
               output, part, parts);                                           \
  }                                                                            \
  extern "C" QCC_KRN_GEMM(krn_gemm_##code##_i16) {                             \
    gemm<Code>(config, tokens, staged, codes, scales, zeros, bias, residual,   \
               output, scratch, part, parts);                                  \
  }

DEFINE(int8, CodeInt8)
DEFINE(int4, Code4)
DEFINE(int3, CodeInt3)
DEFINE(int2, CodeInt2)
