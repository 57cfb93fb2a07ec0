//===- stage.cpp - Activations, normalized, in the form of a GEMM ---------===//

#include "codegen/cpu/kernels/math.h"
#include "codegen/cpu/kernels/staged.h"

using namespace qcc::krn;

namespace {

/// y = norm(x) for one row of `columns` elements; y may be x.
KRN_INLINE void normalizeRow(const StageConfig *config, const float *x,
                             const float *weight, const float *bias, float *y) {
  int64_t columns = config->columns, whole = columns / 16 * 16;
  int64_t tail = columns - whole;
  float mean = 0;
  if (config->norm == NormLayer) {
    F32x16 total = {};
    for (int64_t k = 0; k < whole; k += 16)
      total += load(x + k);
    total += loadPart(x + whole, tail);
    mean = sum(total) / float(columns);
  }
  F32x16 squares = {};
  for (int64_t k = 0; k < whole; k += 16) {
    F32x16 v = load(x + k) - mean;
    squares += v * v;
  }
  for (int64_t k = whole; k < columns; ++k)
    squares[k - whole] += (x[k] - mean) * (x[k] - mean);
  float variance = sum(squares) / float(columns);
  float inverse = 1.0f / sqrt(splat(variance + config->epsilon))[0];
  for (int64_t k = 0; k < whole; k += 16) {
    F32x16 v = (load(x + k) - mean) * inverse *
               (load(weight + k) + config->normOffset);
    if (config->hasNormBias)
      v += load(bias + k);
    store(y + k, v);
  }
  for (int64_t k = whole; k < columns; ++k) {
    float v = (x[k] - mean) * inverse * (weight[k] + config->normOffset);
    y[k] = config->hasNormBias ? v + bias[k] : v;
  }
}

/// Elements that the group at `k` takes in the staged row.
KRN_INLINE int64_t stagedGroup(const StageConfig *config, int64_t k) {
  return k + config->group <= config->columns
             ? config->paddedGroup
             : stagedColumns(config->columns - k, config->group,
                             config->paddedGroup);
}

KRN_INLINE int64_t stagedRow(const StageConfig *config) {
  return stagedColumns(config->columns, config->group, config->paddedGroup);
}

/// Sixteen values in 16-bit fixed point to `at` of row m.
KRN_INLINE void storeFixed(const StagedI16 &layout, int64_t m, int64_t at,
                           [[maybe_unused]] I32x16 q,
                           [[maybe_unused]] I32x16 high,
                           [[maybe_unused]] I32x16 low, int64_t room) {
#ifdef __AVX512VNNI__
  Bits h{.i = high}, l{.i = low};
  auto mask = __mmask16((1u << room) - 1);
  _mm512_mask_cvtepi32_storeu_epi8(layout.high(m) + at, mask, h.zmm);
  _mm512_mask_cvtepi32_storeu_epi8(layout.low(m) + at, mask, l.zmm);
#else
  // Quadruples 0, 2, 1, 3: see StagedI16.
  int16_t *words = layout.words(m) + at;
  for (int64_t j = 0; j < room; j += 4) {
    words[j] = int16_t(q[j]);
    words[j + 1] = int16_t(q[j + 2]);
    words[j + 2] = int16_t(q[j + 1]);
    words[j + 3] = int16_t(q[j + 3]);
  }
#endif
}

KRN_INLINE int32_t sumLanes(I32x16 v) {
  int32_t total = 0;
  for (int i = 0; i < 16; ++i)
    total += v[i];
  return total;
}

} // namespace

extern "C" {

void krn_stage_f32(const StageConfig *config, int64_t rows, int64_t maxRows,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias, void *staged,
                   uint32_t part, uint32_t parts) {
  (void)maxRows;
  StagedF32 layout(staged, stagedRow(config));
  int64_t columns = config->columns, group = config->group;
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    const float *x = input + (rowIndex ? rowIndex[m] : m) * config->inputStride;
    float *y = (float *)layout.row(m);
    bool contiguous = config->paddedGroup == group || columns <= group;
    // A row without holes is normalized in place of a copy.
    if (config->norm != NormNone && contiguous) {
      normalizeRow(config, x, normWeight, normBias, y);
      x = y;
    } else if (config->norm != NormNone) {
      // The row's end has room for itself: groups are spread from the back.
      float *end = y + layout.stride - columns;
      normalizeRow(config, x, normWeight, normBias, end);
      x = end;
    }
    int64_t to = 0;
    for (int64_t k = 0; k < columns; k += group) {
      int64_t size = columns - k < group ? columns - k : group;
      int64_t padded = stagedGroup(config, k);
      if (x + k != y + to)
        for (int64_t i = 0; i < size; ++i)
          y[to + i] = x[k + i];
      for (int64_t i = size; i < padded && to + i < layout.stride; ++i)
        y[to + i] = 0;
      to += padded;
    }
  }
}

void krn_stage_i16(const StageConfig *config, int64_t rows, int64_t maxRows,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias, void *staged,
                   uint32_t part, uint32_t parts) {
  int64_t columns = config->columns, group = config->group;
  StagedI16 layout(staged, maxRows, stagedRow(config),
                   groupCount(columns, group));
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m) {
    const float *x = input + (rowIndex ? rowIndex[m] : m) * config->inputStride;
    int64_t whole = columns / 16 * 16;
    float mean = 0, inverse = 1;
    bool normed = config->norm != NormNone;
    if (config->norm == NormLayer) {
      F32x16 total = {};
      for (int64_t k = 0; k < whole; k += 16)
        total += load(x + k);
      total += loadPart(x + whole, columns - whole);
      mean = sum(total) / float(columns);
    }
    if (normed) {
      F32x16 squares = {};
      for (int64_t k = 0; k < whole; k += 16) {
        F32x16 v = load(x + k) - mean;
        squares += v * v;
      }
      for (int64_t k = whole; k < columns; ++k)
        squares[k - whole] += (x[k] - mean) * (x[k] - mean);
      float variance = sum(squares) / float(columns);
      inverse = 1.0f / sqrt(splat(variance + config->epsilon))[0];
    }
    auto value = [&](int64_t k, int64_t count) {
      F32x16 v = count == 16 ? load(x + k) : loadPart(x + k, count);
      if (normed) {
        F32x16 w = count == 16 ? load(normWeight + k)
                               : loadPart(normWeight + k, count);
        v = (v - mean) * inverse * (w + config->normOffset);
        if (config->hasNormBias)
          v += count == 16 ? load(normBias + k) : loadPart(normBias + k, count);
      }
      return v;
    };
    F32x16 largest = {};
    for (int64_t k = 0; k < whole; k += 16)
      largest = max(largest, abs(value(k, 16)));
    if (whole < columns) {
      F32x16 v = abs(value(whole, columns - whole));
      for (int64_t i = 0; i < columns - whole; ++i)
        largest[i] = largest[i] > v[i] ? largest[i] : v[i];
    }
    float absmax = maximum(largest);
    // 32512 = 127 * 256: the high half of the largest value is 127.
    float scale = absmax / 32512.0f;
    float toFixed = absmax > 0 ? 32512.0f / absmax : 0.0f;
    layout.scales()[m] = scale;

    int64_t to = 0, g = 0;
    for (int64_t k = 0; k < columns; k += group, ++g) {
      int64_t size = columns - k < group ? columns - k : group;
      int64_t padded = stagedGroup(config, k);
      I32x16 sumHigh = {}, sumLow = {};
      for (int64_t i = 0; i < padded; i += 16) {
        int64_t count = size - i < 16 ? (size - i < 0 ? 0 : size - i) : 16;
        F32x16 v = count > 0 ? value(k + i, count) * toFixed : F32x16{};
        // Adding 1.5 * 2^23 rounds to the nearest integer, in the low bits.
        I32x16 q = (I32x16)(asBits(v + 12582912.0f) - 0x4b400000u);
        I32x16 high = (q + 128) >> 8;
        I32x16 low = q - (high << 8);
        storeFixed(layout, m, to + i, q, high, low,
                   padded - i < 16 ? padded - i : 16);
        sumHigh += high;
        sumLow += low;
      }
      layout.sumHigh(m)[g] = sumLanes(sumHigh);
      layout.sumLow(m)[g] = sumLanes(sumLow);
      to += padded;
    }
  }
}

void krn_norm(const StageConfig *config, int64_t rows, const float *input,
              const float *weight, const float *bias, float *output,
              int64_t outputStride, uint32_t part, uint32_t parts) {
  Share share = shareOf(rows, part, parts);
  for (int64_t m = share.begin; m < share.end; ++m)
    for (int64_t h = 0; h < config->heads; ++h)
      normalizeRow(
          config, input + m * config->inputStride + h * config->columns, weight,
          bias, output + m * outputStride + h * config->columns);
}

} // extern "C"
