//===- gemm_amx.h - Int codes times i16 activations in AMX tiles -*- C++
//-*-===//
//
// A quad (codes.h) of sixteen rows is one row of an AMX tile of weights, and
// the planes of staged activations (staged.h) are tiles of tokens as they lie.
// Per piece and pair of weight tiles, four tiles of int32 hold the products
// with the high and the low halves; they pass through the L1 cache to be
// scaled. Intel SDM, vol. 1, ch. 18.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_GEMM_AMX_H
#define QCC_CODEGEN_CPU_KERNELS_GEMM_AMX_H

#include "codegen/cpu/kernels/gemm.h"

namespace qcc::krn {

/// LDTILECFG's operand.
struct alignas(64) TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// Tiles 0 to 3: sums of weight tiles 0 and 1 with the high, then with the low
/// halves; 4 and 5: high and low halves of the tokens; 6 and 7: weights.
template <typename Code>
struct GemmTiles : OperandsI16<Code> {
  static constexpr bool kTakesAnyCount = true;
  static constexpr int kTiles = 2;
  static constexpr int kTokens = 16;
  static constexpr int64_t kPanelElements = 512;
  /// Codes of fewer than 8 bits become signed with their zero point taken off;
  /// 8-bit ones are signed by taking off 128, and a stored zero point is left
  /// to the sums of the activations.
  static constexpr bool kIsByte = Code::kElements == 4;
  /// Where pieces are no multiple of a step, they are padded to one.
  static constexpr int64_t kHalfPanelBytes = 2 * kPanelElements * 16;
  static constexpr int64_t kScaleBytes = kPanelElements / 4 * 2 * 64;

  /// [tile][step of 4 elements][64 bytes], then [piece][tile][16] scales, the
  /// same of zeros, then room for the four tiles of sums.
  char *panel;

  KRN_METHOD GemmTiles(const OperandsI16<Code> &operands, void *scratch)
      : OperandsI16<Code>(operands), panel((char *)scratch) {
    static_assert(2 * kHalfPanelBytes + 2 * kScaleBytes + 4096 <= kPanelBytes);
  }

  KRN_METHOD float *scales() const {
    return (float *)(panel + 2 * kHalfPanelBytes);
  }
  KRN_METHOD int32_t *zeros() const {
    return (int32_t *)(panel + 2 * kHalfPanelBytes + kScaleBytes);
  }
  KRN_METHOD int32_t *sums() const {
    return (int32_t *)(panel + 2 * kHalfPanelBytes + 2 * kScaleBytes);
  }
  KRN_METHOD float tokenScale(int64_t m) const { return *this->x.scale(m); }
  KRN_METHOD int64_t panelEnd(int64_t piece) const {
    return this->shape.panelEnd(piece, kPanelElements);
  }
  /// Elements that one tile takes of a row.
  KRN_METHOD int64_t step() const {
    return smaller(this->shape.paddedGroup, 64);
  }
  KRN_METHOD int64_t steps(int64_t piece) const {
    int64_t elements = this->shape.end(piece) - this->shape.begin(piece);
    return (elements + step() - 1) / step();
  }

  KRN_METHOD void unpack(int64_t tile, int t, int64_t first,
                         int64_t end) const {
    const GemmConfig *config = this->config;
    const TileShape<Code> &shape = this->shape;
    const char *codes = this->planes.codes + tile * shape.bytes +
                        shape.begin(first) / Code::kElements * Code::kBytes;
    char *to = panel + t * kHalfPanelBytes;
    for (int64_t piece = first; piece < end; ++piece) {
      int64_t group = this->groupOf(tile, piece);
      int64_t at = (piece - first) * kTiles + t;
      store(scales() + at * 16, this->planes.scale(config, group));
      U32x16 zero = (U32x16)this->planes.zero(config, group);
      if (kIsByte) {
        storeBits(zeros() + at * 16, zero - 128u);
        zero = (U32x16)splat(128);
      }
      zero *= 0x01010101u;
      char *pieceEnd = to + steps(piece) * step() * 16;
      int64_t elements = shape.end(piece) - shape.begin(piece);
      for (int64_t k = 0; k < elements; k += Code::kElements) {
        Code::eachQuad(codes, [&](int e, U32x16 quad) KRN_LAMBDA {
          storeBits(to + e * 16, subtractBytes(quad, zero));
        });
        codes += Code::kBytes;
        to += Code::kElements * 16;
      }
      for (; to < pieceEnd; to += 64)
        storeBits(to, U32x16{});
    }
  }

  /// Adds up pieces [first, end) for tokens [m, m + count).
  KRN_METHOD void multiply(int64_t first, int64_t end, int64_t m, int64_t count,
                           float *out, bool isFirst) const {
    if (count >= kTokens)
      configure(kTokens);
    int64_t i = 0;
    for (; i + kTokens <= count; i += kTokens)
      multiplyBlock(first, end, m + i, kTokens, out + i * 32, isFirst);
    if (i < count) {
      configure(count - i);
      multiplyBlock(first, end, m + i, count - i, out + i * 32, isFirst);
    }
    _tile_release();
  }

private:
  KRN_METHOD void configure(int64_t tokens) const {
    TileConfig config;
    for (int i = 0; i < 6; ++i) {
      config.rows[i] = uint8_t(tokens);
      config.rowBytes[i] = i < 4 ? 64 : uint16_t(step());
    }
    for (int i = 6; i < 8; ++i) {
      config.rows[i] = uint8_t(step() / 4);
      config.rowBytes[i] = 64;
    }
    _tile_loadconfig(&config);
  }

  KRN_METHOD void multiplyBlock(int64_t first, int64_t end, int64_t m,
                                int64_t tokens, float *out,
                                bool isFirst) const {
    const TileShape<Code> &shape = this->shape;
    const StagedI16 &x = this->x;
    const char *weights = panel;
    int32_t *sums = this->sums();
    for (int64_t piece = first; piece < end; ++piece) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      // The last tile of a short piece reads on into what follows; the weights
      // are zero there.
      int64_t k = shape.begin(piece);
      for (int64_t count = steps(piece); count > 0; --count) {
        _tile_loadd(4, x.high(m) + k, x.stride);
        _tile_loadd(5, x.low(m) + k, x.stride);
        _tile_loadd(6, weights, 64);
        _tile_loadd(7, weights + kHalfPanelBytes, 64);
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(3, 5, 7);
        k += step();
        weights += step() * 16;
      }
      _tile_stored(0, sums, 128);
      _tile_stored(1, sums + 16, 128);
      _tile_stored(2, sums + 512, 128);
      _tile_stored(3, sums + 528, 128);
      scale(piece, piece - first, m, tokens, out, isFirst && piece == first);
    }
  }

  /// out += scale * sums, of the piece that is number `at` of the panel.
  KRN_METHOD void scale(int64_t piece, int64_t at, int64_t m, int64_t tokens,
                        float *out, bool isFirst) const {
    const int32_t *sums = this->sums();
    for (int64_t i = 0; i < tokens; ++i) {
      KRN_UNROLL
      for (int t = 0; t < kTiles; ++t) {
        U32x16 sum = (loadBits(sums + i * 32 + t * 16) << 8) +
                     loadBits(sums + 512 + i * 32 + t * 16);
        if (kIsByte && this->config->hasZero)
          sum += (U32x16)this->start(
              m + i, piece, (I32x16)loadBits(zeros() + (at * 2 + t) * 16));
        float *to = out + i * 32 + t * 16;
        store(to, fma(toFloat(sum), load(scales() + (at * 2 + t) * 16),
                      isFirst ? F32x16{} : load(to)));
      }
    }
  }
};

} // namespace qcc::krn

#endif // QCC_CODEGEN_CPU_KERNELS_GEMM_AMX_H
