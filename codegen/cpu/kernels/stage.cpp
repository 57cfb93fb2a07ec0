//===- stage.cpp - Activations, normalized, in the form of a GEMM ---------===//

#include "codegen/cpu/kernels/staged.h"

using namespace qcc::krn;

namespace {

/// A row of activations whose elements are read normalized.
struct NormedRow {
  const StageConfig *config;
  const float *x, *weight, *bias;
  /// Element k is feature order[k], if not null.
  const float *order;
  F32x16 mean, inverse;

  KRN_METHOD NormedRow(const StageConfig *config, const float *x,
                       const float *weight, const float *bias,
                       const float *order)
      : config(config), x(x), weight(weight), bias(bias), order(order), mean(),
        inverse() {
    if (config->norm == NormNone)
      return;
    float columns = float(config->columns);
    if (config->norm == NormLayer)
      mean = splat(total([](F32x16 v) KRN_LAMBDA { return v; }) / columns);
    F32x16 centre = mean;
    float squares = total([&](F32x16 v) KRN_LAMBDA {
      v -= centre;
      return v * v;
    });
    inverse = splat(1.0f / sqrt(squares / columns + config->epsilon));
  }

  /// The sum of f over the row, in four chains.
  template <typename F>
  KRN_METHOD float total(F f) const {
    F32x16 sums[4] = {};
    int64_t columns = config->columns, k = 0;
    for (; k + 64 <= columns; k += 64) {
      KRN_UNROLL
      for (int i = 0; i < 4; ++i)
        sums[i] += f(load(x + k + 16 * i));
    }
    for (; k + 16 <= columns; k += 16)
      sums[0] += f(load(x + k));
    if (k < columns)
      sums[1] += keep(f(loadPart(x + k, columns - k)), columns - k);
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }

  /// `v` in the first `count` lanes, 0 in the others.
  KRN_INLINE F32x16 keep(F32x16 v, int64_t count) {
    return laneNumbers() < splat(int32_t(count)) ? v : F32x16{};
  }

  /// Elements [k, k + count) of a vector of features, in order.
  KRN_METHOD F32x16 features(const float *from, int64_t k,
                             int64_t count) const {
    if (!order)
      return loadUpTo(from + k, count);
    F32x16 v = {};
    for (int64_t i = 0; i < smaller(int64_t(16), count); ++i)
      v[i] = from[int64_t(order[k + i])];
    return v;
  }

  /// Elements [k, k + count) for 0 < count; up to 16 of them, then zeros.
  KRN_METHOD F32x16 at(int64_t k, int64_t count) const {
    F32x16 v = features(x, k, count);
    if (config->norm == NormNone)
      return v;
    if (config->norm == NormLayer)
      v -= mean;
    v = v * inverse * (features(weight, k, count) + splat(config->normOffset));
    if (config->hasNormBias)
      v += features(bias, k, count);
    return count >= 16 ? v : keep(v, count);
  }
};

/// Calls use(piece, k, size, to, padded) for each piece (Layout.h) of a row:
/// elements [k, k + size) go to [to, to + size) of the staged row, and the rest
/// up to to + padded is 0.
template <typename Use>
KRN_INLINE void eachPiece(const StageConfig *config, Use use) {
  int64_t columns = config->columns, group = config->group;
  int64_t piece = 0, to = 0;
  for (int64_t k = 0; k < columns; k += group) {
    int64_t size = smaller(group, columns - k);
    int64_t room = size == group
                       ? config->paddedGroup
                       : smaller(roundUp(size, 32), config->paddedGroup);
    for (int64_t i = 0; i < size; i += kPieceElements) {
      // What pads the group belongs to its last piece.
      bool isLast = i + kPieceElements >= size;
      use(piece++, k + i, isLast ? size - i : kPieceElements, to + i,
          isLast ? room - i : kPieceElements);
    }
    to += room;
  }
}

/// Stores 16 values, of which those from `room` on are not needed, but may be
/// written where the row has room.
KRN_INLINE void storeWords(const StagedI16 &layout, int64_t m, int64_t at,
                           I32x16 v, int64_t room) {
  typedef int16_t I16x16 __attribute__((vector_size(32)));
  typedef int16_t I16x16u __attribute__((vector_size(32), aligned(2)));
  // Quadruples 0, 2, 1, 3 (StagedI16).
  v = __builtin_shufflevector(v, v, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12,
                              14, 13, 15);
  I16x16 words = __builtin_convertvector(v, I16x16);
  int16_t *to = layout.words(m) + at;
  if (at + 16 <= layout.planeBytes) {
    *(I16x16u *)to = words;
    return;
  }
  for (int64_t i = 0; i < room; ++i)
    to[i] = words[i];
}

KRN_INLINE void storeBytes(int8_t *row, int64_t bytes, int64_t at, I32x16 v,
                           int64_t room) {
  typedef int8_t I8x16 __attribute__((vector_size(16)));
  typedef int8_t I8x16u __attribute__((vector_size(16), aligned(1)));
  I8x16 values = __builtin_convertvector(v, I8x16);
  if (at + 16 <= bytes) {
    *(I8x16u *)(row + at) = values;
    return;
  }
  for (int64_t i = 0; i < room; ++i)
    row[at + i] = values[i];
}

KRN_INLINE const float *inputRow(const StageConfig *config, const float *input,
                                 const int32_t *rowIndex, int64_t m) {
  return input + (rowIndex ? rowIndex[m] : m) * config->inputStride;
}

//===----------------------------------------------------------------------===//
// LLM.int8
//===----------------------------------------------------------------------===//

/// To the nearest f16; what is larger than all of them becomes the largest.
KRN_INLINE F32x16 roundToF16(F32x16 v) {
  v = min(max(v, splat(-65504.0f)), splat(65504.0f));
  uint16_t halves[16];
  storeF16(halves, v);
  return loadF16(halves);
}

/// A bit for each lane.
KRN_INLINE uint16_t bitsOf(I32x16 lanes) {
  Bits b{.i = lanes};
  return uint16_t(_mm256_movemask_ps(b.ps[0]) | _mm256_movemask_ps(b.ps[1])
                                                    << 8);
}

/// Sets the bits of the columns in which rows [begin, end) have outliers.
KRN_INLINE void findOutliers(const StageConfig *config, const float *input,
                             const int32_t *rowIndex, const float *normWeight,
                             const float *normBias, int64_t begin, int64_t end,
                             uint16_t *mask) {
  int64_t words = (config->columns + 15) / 16;
  for (int64_t i = 0; i < words; ++i)
    mask[i] = 0;
  for (int64_t m = begin; m < end; ++m) {
    NormedRow row(config, inputRow(config, input, rowIndex, m), normWeight,
                  normBias, /*order=*/nullptr);
    for (int64_t i = 0; i < words; ++i) {
      F32x16 v = abs(roundToF16(row.at(16 * i, config->columns - 16 * i)));
      mask[i] |= bitsOf(v >= splat(config->outlierThreshold));
    }
  }
}

/// The outlier columns among 16, of all slots.
KRN_INLINE uint16_t outliersAt(const StagedSplit &layout, int64_t slots,
                               int64_t word) {
  uint16_t bits = 0;
  for (int64_t slot = 0; slot < slots; ++slot)
    bits |= layout.mask(slot)[word];
  return bits;
}

} // namespace

extern "C" {

void krn_find_outliers(const StageConfig *config, int64_t rows,
                       const float *input, const int32_t *rowIndex,
                       const float *normWeight, const float *normBias,
                       void *staged, uint32_t part, uint32_t parts) {
  StagedSplit layout(config, staged);
  Share share = shareOf(kOutlierSlots, part, parts);
  for (int64_t slot = share.begin; slot < share.end; ++slot) {
    Share own = shareOf(rows, uint32_t(slot), uint32_t(kOutlierSlots));
    findOutliers(config, input, rowIndex, normWeight, normBias, own.begin,
                 own.end, layout.mask(slot));
  }
}

void krn_stage_split8(const StageConfig *config, int64_t rows, int64_t forGemv,
                      const float *input, const int32_t *rowIndex,
                      const float *normWeight, const float *normBias,
                      void *staged, uint64_t *statistics, uint32_t part,
                      uint32_t parts) {
  StagedSplit layout(config, staged);
  bool planes = isInPlanes(forGemv != 0);
  int64_t slots = config->outlierThreshold == 0 ? 0
                  : config->findsOutliers       ? 1
                                                : kOutlierSlots;
  if (slots == 1)
    findOutliers(config, input, rowIndex, normWeight, normBias, 0, rows,
                 layout.mask(0));
  F32x16 threshold = splat(slots ? config->outlierThreshold : __builtin_inff());
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    NormedRow row(config, inputRow(config, input, rowIndex, m), normWeight,
                  normBias, /*order=*/nullptr);
    F32x16 largest = {};
    for (int64_t k = 0; k < config->columns; k += 16) {
      F32x16 v = abs(roundToF16(row.at(k, config->columns - k)));
      largest = max(largest, v < threshold ? v : F32x16{});
    }
    float absmax = maximum(largest);
    *layout.scale(m) = absmax / 127.0f;
    // As torch divides a number by a tensor.
    F32x16 toCode = splat(absmax > 0 ? 1.0f / absmax * 127.0f : 0.0f);
    int32_t *negatedSums = layout.negatedSums(m);
    float *values = layout.values(m);
    int32_t outliers = 0;

    eachPiece(config, [&](int64_t piece, int64_t k, int64_t size, int64_t to,
                          int64_t padded) KRN_LAMBDA {
      I32x16 sums = {};
      for (int64_t i = 0; i < padded; i += 16) {
        I32x16 code = {};
        if (i < size) {
          F32x16 v = roundToF16(row.at(k + i, size - i));
          // Adding 1.5 * 2^23 rounds to an integer, in the low bits.
          code = (I32x16)asBits(v * toCode + splat(12582912.0f)) - 0x4b400000;
          // The last piece's elements beyond the row are 0.
          uint32_t bits = outliersAt(layout, slots, (k + i) / 16);
          if (bits) {
            I32x16 kept = (splat(int32_t(bits)) >> laneNumbers() & 1) - 1;
            code &= kept;
          }
          for (; bits; bits &= bits - 1) {
            int lane = __builtin_ctz(bits);
            values[outliers] = v[lane];
            if (m == 0)
              layout.list()[outliers] = int32_t(k + i + lane);
            ++outliers;
          }
        }
        sums += code;
        if (planes) {
          storeBytes(layout.high(m), layout.planeBytes, to + i, I32x16{},
                     padded - i);
          storeBytes(layout.low(m), layout.planeBytes, to + i, code,
                     padded - i);
        } else {
          storeWords(layout, m, to + i, code, padded - i);
        }
      }
      negatedSums[piece] = -sum(sums);
    });
    if (m == 0) {
      *layout.count() = outliers;
      if (statistics) {
        statistics[0] += uint64_t(config->linears);
        statistics[1] += uint64_t(config->linears) * uint64_t(outliers);
      }
    }
  }
}

void krn_stage_f32(const StageConfig *config, int64_t rows, int64_t forGemv,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias,
                   const float *order, void *staged, uint32_t part,
                   uint32_t parts) {
  (void)forGemv;
  StagedF32 layout(config, staged);
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    NormedRow row(config, inputRow(config, input, rowIndex, m), normWeight,
                  normBias, order);
    float *out = (float *)layout.row(m);
    eachPiece(config, [&](int64_t, int64_t k, int64_t size, int64_t to,
                          int64_t padded) KRN_LAMBDA {
      int64_t i = 0;
      for (; i < size; i += 16)
        storeUpTo(out + to + i, row.at(k + i, size - i), padded - i);
      for (; i < padded; i += 16)
        storeUpTo(out + to + i, F32x16{}, padded - i);
    });
  }
}

void krn_stage_i16(const StageConfig *config, int64_t rows, int64_t forGemv,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias,
                   const float *order, void *staged, uint32_t part,
                   uint32_t parts) {
  StagedI16 layout(config, staged);
  bool planes = isInPlanes(forGemv != 0);
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    NormedRow row(config, inputRow(config, input, rowIndex, m), normWeight,
                  normBias, order);
    F32x16 largest = {};
    for (int64_t k = 0; k < config->columns; k += 16)
      largest = max(largest, abs(row.at(k, config->columns - k)));
    float absmax = maximum(largest);
    // 32512 = 127 * 256: the largest value has 127 as its high half. Rows that
    // have no finite factor are zeros.
    *layout.scale(m) = absmax * (1.0f / 32512.0f);
    F32x16 toFixed = splat(absmax > 1e-30f ? 32512.0f / absmax : 0.0f);
    int32_t *negatedSums = layout.negatedSums(m);

    eachPiece(config, [&](int64_t piece, int64_t k, int64_t size, int64_t to,
                          int64_t padded) KRN_LAMBDA {
      I32x16 sums = {};
      for (int64_t i = 0; i < padded; i += 16) {
        I32x16 v = {};
        // Adding 1.5 * 2^23 rounds to an integer, in the low bits.
        if (i < size)
          v = (I32x16)asBits(row.at(k + i, size - i) * toFixed +
                             splat(12582912.0f)) -
              0x4b400000;
        sums += v;
        if (planes) {
          I32x16 high = (v + 128) >> 8;
          storeBytes(layout.high(m), layout.planeBytes, to + i, high,
                     padded - i);
          storeBytes(layout.low(m), layout.planeBytes, to + i, v - (high << 8),
                     padded - i);
        } else {
          storeWords(layout, m, to + i, v, padded - i);
        }
      }
      negatedSums[piece] = -sum(sums);
    });
  }
}

void krn_norm(const StageConfig *config, int64_t rows, const float *input,
              const float *weight, const float *bias, float *output,
              int64_t outputStride, uint32_t part, uint32_t parts) {
  int64_t columns = config->columns;
  Share share = shareOf(rows * config->heads, part, parts);
  for (int64_t i = share.begin; i < share.end; ++i) {
    int64_t m = i / config->heads, at = i % config->heads * columns;
    int64_t own = config->weightPerHead ? at : 0;
    NormedRow row(config, input + m * config->inputStride + at, weight + own,
                  config->hasNormBias ? bias + own : bias, /*order=*/nullptr);
    float *out = output + m * outputStride + at;
    for (int64_t k = 0; k < columns; k += 16)
      storeUpTo(out + k, row.at(k, columns - k), columns - k);
  }
}

} // extern "C"
