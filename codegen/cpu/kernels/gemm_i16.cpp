//===- gemm_i16.cpp - Int codes times 16-bit fixed-point activations ------===//
//
// y = scale(x) * sum over pieces of scale(group) * sum of v * (code - zero),
// where x = scale(x) * v (staged.h). The sum of a piece is an exact int32: all
// kernels and variants give the same results, bit for bit.
//
//===----------------------------------------------------------------------===//

#ifdef __AMX_INT8__
#include "codegen/cpu/kernels/gemm_amx.h"
#else
#include "codegen/cpu/kernels/gemm.h"
#endif

using namespace qcc::krn;

namespace {

//===----------------------------------------------------------------------===//
// gemv
//===----------------------------------------------------------------------===//

/// Sums of T tiles and M tokens over one piece, from words.
template <int T, int M>
struct WordSums {
  static constexpr bool kFromPlanes = false;
  I32x16 sums[T][M];

  template <typename Code>
  KRN_METHOD void add(const char *unit, int t, const StagedI16 &x, int64_t m,
                      int64_t k) {
    Code::eachPair(unit, [&](int e, U32x16 pair) KRN_LAMBDA {
      KRN_UNROLL
      for (int i = 0; i < M; ++i)
        sums[t][i] =
            dotPairs(sums[t][i], pair, splatLoad(x.words(m + i) + k + e));
    });
  }
  KRN_METHOD void start(int t, int i, I32x16 v) { sums[t][i] = v; }
  KRN_METHOD I32x16 result(int t, int i) const { return sums[t][i]; }
};

#ifdef __AVX512VNNI__
/// The same from planes: sums of the high and the low halves.
template <int T, int M>
struct PlaneSums {
  static constexpr bool kFromPlanes = true;
  I32x16 high[T][M], low[T][M];

  template <typename Code>
  KRN_METHOD void add(const char *unit, int t, const StagedI16 &x, int64_t m,
                      int64_t k) {
    Code::eachQuad(unit, [&](int e, U32x16 quad) KRN_LAMBDA {
      KRN_UNROLL
      for (int i = 0; i < M; ++i) {
        high[t][i] =
            dotQuads(high[t][i], quad, splatLoad(x.high(m + i) + k + e));
        low[t][i] = dotQuads(low[t][i], quad, splatLoad(x.low(m + i) + k + e));
      }
    });
  }
  KRN_METHOD void start(int t, int i, I32x16 v) {
    high[t][i] = I32x16{};
    low[t][i] = v;
  }
  KRN_METHOD I32x16 result(int t, int i) const {
    return (high[t][i] << 8) + low[t][i];
  }
};
#endif

template <typename Code, template <int, int> typename Sums>
struct Gemv : OperandsI16<Code> {
  static constexpr int kTiles = 2;
  static constexpr int kBlockTiles = kHas32Registers ? 2 : 1;
  static constexpr int kTokens = 4;

  template <int T, int M>
  KRN_METHOD void dot(int64_t tile, int64_t m, F32x16 (*totals)[M]) const {
    const GemmConfig *config = this->config;
    const TileShape<Code> &shape = this->shape;
    const char *codes[T];
    KRN_UNROLL
    for (int t = 0; t < T; ++t) {
      codes[t] = this->planes.codes + (tile + t) * shape.bytes;
      KRN_UNROLL
      for (int i = 0; i < M; ++i)
        totals[t][i] = F32x16{};
    }
    int64_t k = 0;
    for (int64_t piece = 0; piece < shape.pieces; ++piece) {
      Sums<T, M> sums;
      KRN_UNROLL
      for (int t = 0; t < T; ++t) {
        I32x16 zero = this->planes.zero(config, this->groupOf(tile + t, piece));
        KRN_UNROLL
        for (int i = 0; i < M; ++i)
          sums.start(t, i, this->start(m + i, piece, zero));
      }
      for (int64_t end = shape.end(piece); k < end; k += Code::kElements) {
        KRN_UNROLL
        for (int t = 0; t < T; ++t) {
          __builtin_prefetch(codes[t] + 2048);
          sums.template add<Code>(codes[t], t, this->x, m, k);
          codes[t] += Code::kBytes;
        }
      }
      KRN_UNROLL
      for (int t = 0; t < T; ++t) {
        F32x16 scale =
            this->planes.scale(config, this->groupOf(tile + t, piece));
        KRN_UNROLL
        for (int i = 0; i < M; ++i)
          totals[t][i] = fma(toFloat(sums.result(t, i)), scale, totals[t][i]);
      }
    }
    KRN_UNROLL
    for (int i = 0; i < M; ++i) {
      F32x16 scale = splat(*this->x.scale(m + i));
      KRN_UNROLL
      for (int t = 0; t < T; ++t)
        totals[t][i] *= scale;
    }
  }
};

//===----------------------------------------------------------------------===//
// gemm
//===----------------------------------------------------------------------===//

#ifndef __AMX_INT8__
/// From words (gemm_amx.h: from planes): the panel holds code - zero in 16
/// bits.
template <typename Code>
struct GemmWords : OperandsI16<Code> {
  static constexpr bool kTakesAnyCount = false;
  static constexpr int kTiles = kHas32Registers ? 2 : 1;
  static constexpr int kTokens = kHas32Registers ? 6 : 4;
  /// 512 elements x 32 rows x 2 bytes are 32 KiB.
  static constexpr int64_t kPanelElements = 512;

  char *panel;   ///< [pair][kTiles][64 bytes]
  float *scales; ///< [piece of the panel][kTiles][16]

  KRN_METHOD float tokenScale(int64_t m) const { return *this->x.scale(m); }
  KRN_METHOD int64_t panelEnd(int64_t piece) const {
    return this->shape.panelEnd(piece, kPanelElements);
  }

  KRN_METHOD void unpack(int64_t tile, int t, int64_t first,
                         int64_t end) const {
    const GemmConfig *config = this->config;
    const TileShape<Code> &shape = this->shape;
    const char *codes = this->planes.codes + tile * shape.bytes +
                        shape.begin(first) / Code::kElements * Code::kBytes;
    char *to = panel + t * 64;
    for (int64_t piece = first; piece < end; ++piece) {
      int64_t group = this->groupOf(tile, piece);
      U32x16 zero = (U32x16)this->planes.zero(config, group);
      zero |= zero << 16;
      store(scales + ((piece - first) * kTiles + t) * 16,
            this->planes.scale(config, group));
      int64_t elements = shape.end(piece) - shape.begin(piece);
      for (int64_t k = 0; k < elements; k += Code::kElements) {
        Code::eachPair(codes, [&](int e, U32x16 pair) KRN_LAMBDA {
          storeBits(to + e / 2 * kTiles * 64, subtractHalves(pair, zero));
        });
        codes += Code::kBytes;
        to += Code::kElements / 2 * kTiles * 64;
      }
    }
  }

  template <int M>
  KRN_METHOD void multiply(int64_t first, int64_t end, int64_t m, float *out,
                           bool isFirst) const {
    const TileShape<Code> &shape = this->shape;
    const int16_t *at = this->x.words(m) + shape.begin(first);
    const char *w = panel;
    F32x16 totals[M][kTiles];
    KRN_UNROLL
    for (int i = 0; i < M; ++i)
      KRN_UNROLL
    for (int t = 0; t < kTiles; ++t)
      totals[i][t] = isFirst ? F32x16{} : load(out + i * 32 + t * 16);
    for (int64_t piece = first; piece < end; ++piece) {
      int64_t elements = shape.end(piece) - shape.begin(piece);
      I32x16 sums[M][kTiles] = {};
      for (int64_t k = 0; k < elements; k += 2) {
        U32x16 row[kTiles];
        KRN_UNROLL
        for (int t = 0; t < kTiles; ++t)
          row[t] = loadBits(w + t * 64);
        KRN_UNROLL
        for (int i = 0; i < M; ++i) {
          I32x16 v = splatLoad(at + i * this->x.wordStride);
          KRN_UNROLL
          for (int t = 0; t < kTiles; ++t)
            sums[i][t] = dotPairs(sums[i][t], row[t], v);
        }
        w += kTiles * 64;
        at += 2;
      }
      KRN_UNROLL
      for (int t = 0; t < kTiles; ++t) {
        F32x16 scale = load(scales + ((piece - first) * kTiles + t) * 16);
        KRN_UNROLL
        for (int i = 0; i < M; ++i)
          totals[i][t] = fma(toFloat(sums[i][t]), scale, totals[i][t]);
      }
    }
    KRN_UNROLL
    for (int i = 0; i < M; ++i) {
      KRN_UNROLL
      for (int t = 0; t < kTiles; ++t)
        store(out + i * 32 + t * 16, totals[i][t]);
    }
  }
};
#endif

/// LLM.int8: adds the outlier columns, in f32, to what an epilogue gets. Of a
/// tile and a column, the codes of 16 rows lie in one line.
struct SplitEpilogue : Epilogue {
  TileShape<CodeInt8> shape;
  Planes planes;
  StagedSplit x;

  template <int T>
  KRN_METHOD void run(int64_t m, int64_t first, const F32x16 *sums) const {
    F32x16 outliers[T] = {};
    const float *values = x.values(m);
    for (int32_t i = 0, count = *x.count(); i < count; ++i) {
      int64_t column = x.list()[i];
      F32x16 v = splat(values[i]);
      KRN_UNROLL
      for (int t = 0; t < T; ++t) {
        const char *line = planes.codes + (first + t) * shape.bytes +
                           column / CodeInt8::kElements * CodeInt8::kBytes;
        U32x16 code = loadBits(line) >> uint32_t(8 * (column % 4)) & 255u;
        outliers[t] = fma(toFloat(code) - splat(128.0f), v, outliers[t]);
      }
    }
    F32x16 all[T];
    KRN_UNROLL
    for (int t = 0; t < T; ++t)
      all[t] = fma(outliers[t], planes.scale(config, first + t), sums[t]);
    Epilogue::run<T>(m, first, all);
  }
};

template <typename Code>
KRN_INLINE OperandsI16<Code> operands(const GemmConfig *config,
                                      const void *staged, const void *codes,
                                      const void *scales, const void *zeros) {
  return {config,
          TileShape<Code>(config),
          {(const char *)codes, scales, (const uint8_t *)zeros},
          StagedI16(config, staged)};
}

/// The same with rows staged as split8.
KRN_INLINE OperandsI16<CodeInt8> splitOperands(const GemmConfig *config,
                                               const void *staged,
                                               const void *codes,
                                               const void *scales) {
  return {config,
          TileShape<CodeInt8>(config),
          {(const char *)codes, scales, nullptr},
          StagedSplit(config, staged)};
}

/// Up to kGemvTokens tokens, staged for a gemv or a gemm.
template <typename Code, typename Finish>
KRN_INLINE void runGemv(const OperandsI16<Code> &operands, bool stagedForGemv,
                        const Finish &epilogue, int64_t tokens, uint32_t part,
                        uint32_t parts) {
  (void)stagedForGemv;
#ifdef __AVX512VNNI__
  if (isInPlanes(stagedForGemv)) {
    gemv(Gemv<Code, PlaneSums>{operands}, epilogue, tokens, part, parts);
    return;
  }
#endif
  gemv(Gemv<Code, WordSums>{operands}, epilogue, tokens, part, parts);
}

/// Any number of tokens.
template <typename Code, typename Finish>
KRN_INLINE void runGemm(const OperandsI16<Code> &operands,
                        const Finish &epilogue, int64_t tokens, void *scratch,
                        uint32_t part, uint32_t parts) {
  if (operands.config->mayBeFew && tokens <= kGemvTokens) {
    runGemv(operands, /*stagedForGemv=*/false, epilogue, tokens, part, parts);
    return;
  }
#ifdef __AMX_INT8__
  gemm(GemmTiles<Code>(operands, scratch), operands.shape, epilogue, tokens,
       scratch, part, parts);
#else
  char *panel = (char *)scratch;
  GemmWords<Code> kernel{
      operands, panel,
      (float *)(panel + GemmWords<Code>::kPanelElements * 2 * 32)};
  gemm(kernel, operands.shape, epilogue, tokens, scratch, part, parts);
#endif
}

} // namespace

#define DEFINE(code, Code)                                                     \
  extern "C" QCC_KRN_GEMM(krn_gemv_##code##_i16) {                             \
    (void)scratch;                                                             \
    runGemv(operands<Code>(config, staged, codes, scales, zeros), true,        \
            Epilogue{config, bias, residual, output}, tokens, part, parts);    \
  }                                                                            \
  extern "C" QCC_KRN_GEMM(krn_gemm_##code##_i16) {                             \
    runGemm(operands<Code>(config, staged, codes, scales, zeros),              \
            Epilogue{config, bias, residual, output}, tokens, scratch, part,   \
            parts);                                                            \
  }

DEFINE(int8, CodeInt8)
DEFINE(int4, Code4)
DEFINE(int3, CodeInt3)
DEFINE(int2, CodeInt2)

extern "C" QCC_KRN_GEMM(krn_gemv_int8_split8) {
  (void)scratch, (void)zeros;
  OperandsI16<CodeInt8> all = splitOperands(config, staged, codes, scales);
  runGemv(all, true,
          SplitEpilogue{{config, bias, residual, output},
                        all.shape,
                        all.planes,
                        StagedSplit(config, staged)},
          tokens, part, parts);
}
extern "C" QCC_KRN_GEMM(krn_gemm_int8_split8) {
  (void)zeros;
  OperandsI16<CodeInt8> all = splitOperands(config, staged, codes, scales);
  runGemm(all,
          SplitEpilogue{{config, bias, residual, output},
                        all.shape,
                        all.planes,
                        StagedSplit(config, staged)},
          tokens, scratch, part, parts);
}
