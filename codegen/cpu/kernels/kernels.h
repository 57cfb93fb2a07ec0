//===- kernels.h - The CPU kernels that qcc specialises ---------*- C++ -*-===//
//
// The heavy loops of the CPU target. Each .cpp beside this file is compiled by
// clang to LLVM bitcode once per CPU variant when the project is built; qcc
// links what a program needs with its generated caller, in which every
// `*_config` is a constant global, so that shapes, group sizes and epilogues
// fold when LLVM inlines and unrolls. The same files compile natively for the
// tests and benchmarks.
//
// Rules: no libc and no libm call (own exp, tanh, erf, sincos in math.h), no
// global constructors, no exceptions, no allocation. Reductions are done by
// one thread in a fixed order: results do not depend on the number of threads
// or on how the tokens were cut into steps of the same bucket.
//
// A kernel is called by every thread with its `part` of `parts`; it does its
// share of the work and returns; the caller puts barriers between phases.
//
// Weight layout ("t16"): rows are padded to tiles of 16. A tile's codes are
// 64-byte lines; a line is 16 dwords, dword r belongs to row r of the tile and
// holds (in increasing bit order)
//   f32        1 element      bf16/f16   elements k, k+1
//   int8       k .. k+3, one a byte (stored as u8 = code + 128 for symmetric
//              two's-complement codes, so that all int codes are unsigned)
//   4 bit      byte j = k+j | (k+4+j) << 4                  (8 elements)
//   2 bit      byte j, bits 2i..2i+1 = k+4i+j               (16 elements)
//   3 bit      two lines of 2-bit low parts (elements k..k+15, k+16..k+31),
//              then one line of high bits: byte j, bit i = k+4i+j (32 elements)
// Within a tile, lines run along k, group after group; every group is padded
// to whole lines (for 3 bit: whole triples) with code 0 (padding of x is 0).
// Codes: [tile][group][line]; scales: [tile][group][16 rows], f32 or f16 or
// bf16 as the format says, or u8 codes of the dynamic map; zero points:
// [tile][group][16 rows] u8, or, for codes of scales, [tile] {u32 phase, f32
// offset, f32 nested scales} (nestedTileBytes in Layout.h): scale g of row r of
// a tile is map[code] * nested[(phase + r * groups + g) / config->nested] +
// offset.
// Padding rows have scale 0 (code 0). The three planes are consecutive in the
// tensor, each starting at a multiple of 64 bytes. Unscaled formats have no
// group: the whole row is one. Flattened blocks that do not divide the row are
// first cut to groups of gcd(block, columns) with repeated scales
// (compiler/weights).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELS_H
#define QCC_CODEGEN_CPU_KERNELS_H

#include "runtime/abi/kernel_abi.h"

#include <stdint.h>

namespace qcc::krn {

enum Norm : int32_t { NormNone = 0, NormRms = 1, NormLayer = 2 };
enum Activation : int32_t {
  ActNone = 0,
  ActSilu = 1,
  ActGeluErf = 2,
  ActGeluTanh = 3,
  ActRelu = 4,
  ActGeluQuick = 5,
  ActSigmoid = 6,
  ActTanh = 7,
  ActRelu2 = 8,
  ActRelu6 = 9,
  ActLeakyRelu = 10,
  ActHardSwish = 11,
  ActMish = 12,
  ActGelu10 = 13,
};
/// What krn_map does: x * value, value * tanh(x / value), x within +-value.
enum Map : int32_t { MapScale = 0, MapSoftCap = 1, MapClamp = 2 };
/// Biases of attention: none, slope * relative position, or the product of
/// slope and absolute position in bf16, times the scale of the scores.
enum Alibi : int32_t { AlibiNone = 0, AlibiExact = 1, AlibiBf16 = 2 };
/// What a scale or an unscaled element is stored as.
enum Element : int32_t { ElemF32 = 0, ElemF16 = 1, ElemBF16 = 2 };

/// Staging: rows of f32 activations, optionally normalized, become what a
/// GEMM reads. Rows are [rows][columns] f32, `inputStride` elements apart.
struct StageConfig {
  int64_t columns; ///< K
  int64_t inputStride;
  int64_t group;       ///< elements a group, `columns` if there is one
  int64_t paddedGroup; ///< elements a group in whole lines of the weight
  int32_t norm;        ///< a Norm
  float epsilon;
  float normOffset; ///< added to the norm's weight (Gemma: 1)
  int32_t hasNormBias;
  int32_t heads;          ///< krn_norm: equal slices of a row (of `columns` =
                          ///< one slice's elements), each normalized alone; 1
  int32_t weightPerHead;  ///< krn_norm: each slice has its own weight and bias
  float outlierThreshold; ///< split8: 0 for none
  int32_t findsOutliers;  ///< split8: krn_stage_split8 finds them by itself
  int32_t linears;        ///< split8: how many the rows are counted for
};

/// out[m][n] = epilogue(sum_k x[m][k] * w[n][k]).
///
/// With `glu`, tiles of 16 rows alternate gate, up, gate, ...; the output has
/// rows / 2 columns: activation(gate) * up. Order of the epilogue:
/// + bias, activation (and glu), * multiplier, soft cap, + residual.
struct GemmConfig {
  int64_t rows;    ///< N, before padding
  int64_t columns; ///< K
  int64_t group;   ///< as in StageConfig
  int64_t paddedGroup;
  int64_t outputStride; ///< elements between rows of the output
  int64_t residualStride;
  int32_t scaleType; ///< an Element
  int32_t hasZero;
  int32_t defaultZero; ///< zero point where none is stored: 8 for int4, 128
                       ///< for int8, 4, 2; 0 for table codes
  int32_t hasBias;
  int32_t activation; ///< an Activation
  int32_t glu;
  int32_t hasResidual; ///< may alias the output
  int32_t mayBeFew;    ///< gemm: often up to 8 tokens (those that want logits),
                       ///< for which it has a gemv as well
  float multiplier;    ///< 1 if there is none
  float softCap;       ///< 0 if there is none
  int64_t nested;      ///< scales that share a nested scale; 0: scales are
                       ///< no codes
};

struct EmbedConfig {
  int64_t vocabulary;
  int64_t hidden;
  int32_t element; ///< an Element
  int32_t tiled;   ///< 1: table in the t16 layout (shared with the head), 0:
                   ///< row-major
  float multiplier;
  int32_t positions;      ///< 1: rows by position instead of token id
  int64_t positionOffset; ///< added to the position
};

/// cos and sin of every token's position: out [tokens][half][2] f32.
///
/// With `original` there are two sets of frequencies, the second for sequences
/// of more positions than that (LongRoPE); with `factor` it is scaled by their
/// number as well (dynamic NTK scaling).
struct RopeTableConfig {
  int64_t half; ///< rotary dimensions / 2; inverse frequencies: f32 [half]
  int64_t original;
  float factor;
  float attentionFactor;
};

/// Rotates q in place, rotates and appends k, appends v. Rows of q, k, v lie
/// in one f32 buffer or several, each with its own stride.
struct RopeAppendConfig {
  int64_t heads, kvHeads, headDim;
  int64_t rotary;      ///< leading dimensions that rotate; 0: none
  int32_t interleaved; ///< 1: pairs (2i, 2i+1), 0: pairs (i, i + rotary/2)
  int64_t qStride, kStride, vStride;
  int32_t kvElement; ///< an Element
  int32_t normQk;    ///< 1: RMS norm of each head of q and k first
  float epsilon;
  float normOffset;
};

/// Causal attention over the paged cache. One layer's cache is K then V:
/// K [kvHead][capacity / 16][headDim][16 positions], V [kvHead][capacity]
/// [headDim]. out [tokens][heads * headDim] f32.
struct AttentionConfig {
  int64_t heads, kvHeads, headDim;
  int64_t qStride, outputStride;
  int64_t window; ///< attends to the last `window` positions; 0: all
  int32_t kvElement;
  float scale;   ///< of the scores
  float softCap; ///< 0: none
  int32_t alibi; ///< an Alibi; with one slopes, f32 [heads], are given
};

struct ElementwiseConfig {
  int64_t columns;
  int64_t aStride, bStride, outputStride;
  int32_t activation; ///< of krn_activation; of krn_map a Map
  float value;        ///< krn_map's
};

} // namespace qcc::krn

extern "C" {
using namespace qcc::krn;

// Bytes of a staged buffer for `rows` rows: krn_staged_bytes in Layout.h.
// `rowIndex` (may be null) picks the input row of each staged row; `order` (may
// be null) says which feature each staged element is, as f32 indices; `forGemv`
// says which kernels read the rows.
void krn_stage_f32(const StageConfig *config, int64_t rows, int64_t forGemv,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias,
                   const float *order, void *staged, uint32_t part,
                   uint32_t parts);
void krn_stage_i16(const StageConfig *config, int64_t rows, int64_t forGemv,
                   const float *input, const int32_t *rowIndex,
                   const float *normWeight, const float *normBias,
                   const float *order, void *staged, uint32_t part,
                   uint32_t parts);

// LLM.int8 (arXiv 2208.07339). Values are rounded to f16. A column with a
// magnitude of `outlierThreshold` or more in any row is an outlier column: its
// codes are 0 and its values are kept. The others become round(v * 127 /
// absmax), half to even, absmax being the largest magnitude of the row below
// the threshold. krn_find_outliers comes first, unless `findsOutliers`; all
// parts of it must have ended. `statistics` (may be null): linears and outlier
// columns counted so far, which the part that stages the first row adds to.
void krn_find_outliers(const StageConfig *config, int64_t rows,
                       const float *input, const int32_t *rowIndex,
                       const float *normWeight, const float *normBias,
                       void *staged, uint32_t part, uint32_t parts);
void krn_stage_split8(const StageConfig *config, int64_t rows, int64_t forGemv,
                      const float *input, const int32_t *rowIndex,
                      const float *normWeight, const float *normBias,
                      void *staged, uint64_t *statistics, uint32_t part,
                      uint32_t parts);

// krn_{gemv,gemm}_<code>_<activations>: gemv for up to 8 tokens, gemm for
// more. code: f32 bf16 f16 int8 int4 int3 int2 nf4 fp4; activations: f32, and
// i16 (16-bit fixed point in two int8 halves with one scale a token) for the
// int codes. `scratch` is the thread's own, krn_gemm_scratch_bytes long.
#define QCC_KRN_GEMM(name)                                                     \
  void name(const GemmConfig *config, int64_t tokens, const void *staged,      \
            const void *codes, const void *scales, const void *zeros,          \
            const float *bias, const float *residual, float *output,           \
            void *scratch, uint32_t part, uint32_t parts)
#define QCC_KRN_GEMM_F32(code)                                                 \
  QCC_KRN_GEMM(krn_gemv_##code##_f32);                                         \
  QCC_KRN_GEMM(krn_gemm_##code##_f32)
#define QCC_KRN_GEMM_I16(code)                                                 \
  QCC_KRN_GEMM(krn_gemv_##code##_i16);                                         \
  QCC_KRN_GEMM(krn_gemm_##code##_i16)
QCC_KRN_GEMM_F32(f32);
QCC_KRN_GEMM_F32(bf16);
QCC_KRN_GEMM_F32(f16);
QCC_KRN_GEMM_F32(int8);
QCC_KRN_GEMM_F32(int4);
QCC_KRN_GEMM_F32(int3);
QCC_KRN_GEMM_F32(int2);
QCC_KRN_GEMM_F32(nf4);
QCC_KRN_GEMM_F32(fp4);
QCC_KRN_GEMM_I16(int8);
QCC_KRN_GEMM_I16(int4);
QCC_KRN_GEMM_I16(int3);
QCC_KRN_GEMM_I16(int2);
// Codes times rows of int8, plus outlier columns in f32.
QCC_KRN_GEMM(krn_gemv_int8_split8);
QCC_KRN_GEMM(krn_gemm_int8_split8);

void krn_embed(const EmbedConfig *config, const qrt_step *step,
               const void *table, float *output, uint32_t part, uint32_t parts);
void krn_rope_table(const RopeTableConfig *config, const qrt_step *step,
                    const float *inverseFrequencies, float *output,
                    uint32_t part, uint32_t parts);
// `kvLayerOffset`: bytes a token of the layers before this one; the layer's
// cache starts capacity * kvLayerOffset bytes into a sequence's kv.
void krn_rope_append(const RopeAppendConfig *config, const qrt_step *step,
                     int64_t kvLayerOffset, float *q, const float *k,
                     const float *v, const float *ropeTable, const float *qNorm,
                     const float *kNorm, uint32_t part, uint32_t parts);
void krn_attention(const AttentionConfig *config, const qrt_step *step,
                   int64_t kvLayerOffset, const float *q,
                   const float *alibiSlopes, float *output, void *scratch,
                   uint32_t part, uint32_t parts);
// Unfused forms, for programs compiled without the fusion passes. krn_rope
// rotates `heads` heads of one buffer; of the config it reads heads, headDim,
// rotary, interleaved and qStride (of input and output).
void krn_rope(const RopeAppendConfig *config, const qrt_step *step,
              const float *input, const float *ropeTable, float *output,
              uint32_t part, uint32_t parts);
void krn_norm(const StageConfig *config, int64_t rows, const float *input,
              const float *weight, const float *bias, float *output,
              int64_t outputStride, uint32_t part, uint32_t parts);
void krn_activation(const ElementwiseConfig *config, int64_t rows,
                    const float *a, float *output, uint32_t part,
                    uint32_t parts);
void krn_map(const ElementwiseConfig *config, int64_t rows, const float *a,
             float *output, uint32_t part, uint32_t parts);
void krn_mul(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts);
void krn_add(const ElementwiseConfig *config, int64_t rows, const float *a,
             const float *b, float *output, uint32_t part, uint32_t parts);
} // extern "C"

#endif // QCC_CODEGEN_CPU_KERNELS_H
