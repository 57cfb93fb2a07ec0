//===- gemm.cuh - Many tokens times a packed weight -------------*- C++ -*-===//
//
// Blocks of 128 rows by up to 64 tokens: codes and staged activations come
// through a ring of cp.async copies, products are those of gemv.cuh. Lines in
// shared memory have their 16-byte pieces swapped in pairs so that the lanes of
// a warp read different banks.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_GEMM_CUH
#define QCC_CODEGEN_CUDA_KERNELS_GEMM_CUH

#include "codegen/cuda/kernels/codes.cuh"
#include "codegen/cuda/kernels/epilogue.cuh"
#include "codegen/cuda/kernels/nested.cuh"

namespace qcc::cuda {

constexpr int kGemmThreads = 256;
constexpr int kGemmTiles = 8;

/// `K` and operands as for Gemv (no counters and partial sums). A block is
/// (tokens, rows) = (blockIdx.x, blockIdx.y).
template <class K>
struct Gemm {
  static constexpr int code = K::code;
  static constexpr bool isFloat = isFloatCode(code),
                        isTable = isTableCode(code);
  /// Columns a token: the upper and the lower half, or only the upper one.
  static constexpr int planes = K::planes;
  static constexpr int blockTokens = isTable ? 32 : 64;
  static constexpr int warpTokens = blockTokens / 2;
  /// Sets of 8 columns of a warp, and tokens in each.
  static constexpr int setTokens = 8 / planes, sets = warpTokens / setTokens;
  static constexpr int chunkUnits =
      larger(1, 16 * laneLines(code) / larger(1, int(K::unitLines)));
  static constexpr int chunkLines = chunkUnits * K::unitLines;
  static constexpr int chunkBlocks = chunkUnits * K::unitBlocks;
  static constexpr int chunks = (K::unitsPerRow + chunkUnits - 1) / chunkUnits;
  static constexpr int steps =
      (K::unitLines + stepLines(code) - 1) / stepLines(code);
  static constexpr bool isRagged = K::unitLines % stepLines(code) != 0 ||
                                   K::lastLines % stepLines(code) != 0;
  /// Rows of activations are half the banks apart.
  static constexpr int xStride = (chunkBlocks * 16 + 127) / 128 * 128 + 64;
  static constexpr int tileRoom = chunkLines * 64;
  static constexpr int stageBytes =
      kGemmTiles * tileRoom + blockTokens * xStride;
  static constexpr int stages = stageBytes > 48 * 1024 ? 2 : 3;
  static constexpr int sharedBytes = stages * stageBytes;

  static __device__ __forceinline__ void run(const Step *step, const Args &a,
                                             char *shared) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int g = lane / 4, t = lane % 4;
    const int warpTile = warp % 4 * 2, warpToken = warp / 4 * warpTokens;
    const int firstTile = blockIdx.y * kGemmTiles;
    const int firstToken = blockIdx.x * blockTokens;
    const uint32_t base = sharedAddress(shared);
    startNext();
    waitForEarlier();
    const int tokens = K::gather ? step->logit_count : step->tokens;
    if (firstToken >= tokens)
      return;
    const char *codes = pointer<const char>(a.v[0]);
    const char *x = pointer<const char>(a.v[6]);

    auto fill = [&](int chunk) {
      if (chunk < chunks) {
        const uint32_t to = base + chunk % stages * stageBytes;
        const int lines =
            smaller(chunkLines, int(K::tileBytes / 64) - chunk * chunkLines);
        for (int i = threadIdx.x; i < kGemmTiles * chunkLines * 4;
             i += kGemmThreads) {
          const int tile = i / (chunkLines * 4), line = i / 4 % chunkLines,
                    piece = i % 4;
          const bool inside = line < lines && firstTile + tile < K::tiles;
          copyAsync16(
              to + tile * tileRoom + line * 64 + (piece ^ (line & 2)) * 16,
              inside ? codes + (firstTile + tile) * int64_t(K::tileBytes) +
                           (chunk * chunkLines + line) * 64 + piece * 16
                     : codes,
              inside);
        }
        for (int i = threadIdx.x; i < blockTokens * chunkBlocks;
             i += kGemmThreads) {
          const int token = i / chunkBlocks, block = i % chunkBlocks;
          const bool inside = firstToken + token < tokens &&
                              chunk * chunkBlocks + block < K::rowBlocks;
          copyAsync16(to + kGemmTiles * tileRoom + token * xStride + block * 16,
                      inside ? x + (int64_t(firstToken + token) * K::rowBlocks +
                                    chunk * chunkBlocks + block) *
                                       16
                             : x,
                      inside);
        }
      }
      commitAsync();
    };
    for (int i = 0; i < stages - 1; ++i)
      fill(i);

    // Sums of rows 2 g + r of both tiles and the lane's tokens of each set:
    // token t of it with two planes, 2 t and 2 t + 1 with one.
    constexpr int perSet = planes == 2 ? 1 : 2;
    float sums[2][sets][2][perSet] = {};
    for (int chunk = 0; chunk < chunks; ++chunk) {
      waitAsync<stages - 2>();
      __syncthreads();
      fill(chunk + stages - 1);
      const uint32_t at = base + chunk % stages * stageBytes;
      const uint32_t xAt = at + kGemmTiles * tileRoom +
                           (warpToken + (planes == 2 ? g / 2 : g)) * xStride +
                           (planes == 2 ? g % 2 * 8 : 0);
#pragma unroll 1
      for (int i = 0; i < chunkUnits; ++i) {
        const int u = chunk * chunkUnits + i;
        if (u < K::unitsPerRow)
          addUnit(a, x, at + warpTile * tileRoom, i * K::unitLines,
                  xAt + i * K::unitBlocks * 16, firstTile + warpTile, u,
                  firstToken + warpToken, tokens, g, t, sums);
      }
    }

    const Epilogue<K> epilogue(a, tokens);
    const float *xScales = reinterpret_cast<const float *>(x + K::scalesAt);
#pragma unroll
    for (int set = 0; set < sets; ++set)
#pragma unroll
      for (int p = 0; p < perSet; ++p) {
        const int token = firstToken + warpToken + set * setTokens +
                          (planes == 2 ? t : 2 * t + p);
        if (token >= tokens)
          continue;
        const float xScale = code == BF16 ? 1.0F : xScales[token];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const int row = (firstTile + warpTile) * 16 + 2 * g + r;
          const float first = sums[0][set][r][p] * xScale,
                      second = sums[1][set][r][p] * xScale;
          epilogue.storeOne(row, token, first, second);
          if (!K::glu)
            epilogue.storeOne(row + 16, token, second, 0);
        }
      }
  }

private:
  template <int PerSet>
  static __device__ __forceinline__ void
  addUnit(const Args &a, const char *x, uint32_t codesAt, int firstLine,
          uint32_t xAt, int tile, int u, int firstToken, int tokens, int g,
          int t, float (&sums)[2][sets][2][PerSet]) {
    const int lines =
        u + 1 == K::unitsPerRow ? int(K::lastLines) : int(K::unitLines);
    constexpr float inverse = 1.0F / codeFactor(code);
    float scale[2][2] = {{1, 1}, {1, 1}}, zero[2][2] = {};
    if (!isFloat)
      for (int i = 0; i < 2; ++i)
        for (int r = 0; r < 2; ++r) {
          const int own = smaller(tile + i, K::tiles - 1),
                    group = u / K::unitsPerGroup;
          const int64_t at =
              (int64_t(own) * K::groups + group) * 16 + 2 * g + r;
          if constexpr (K::nested != 0) {
            const char *plane = pointer<const char>(a.v[2]);
            const NestedTile header = nestedTile<K>(plane, own);
            scale[i][r] =
                unnestedScale<K>(pointer<const uint8_t>(a.v[1]), plane, header,
                                 own, 2 * g + r, group);
            continue;
          }
          scale[i][r] =
              loadElement<K::scaleType>(pointer<const void>(a.v[1]), at);
          if (K::hasZero)
            zero[i][r] = pointer<const uint8_t>(a.v[2])[at];
        }
    int upper[2][isFloat ? 1 : sets][4] = {};
    int lower[2][isTable ? sets : 1][4] = {};
    float products[2][isFloat ? sets : 1][4];
    if (isFloat)
      for (int i = 0; i < 2; ++i)
        for (int set = 0; set < sets; ++set)
          for (int j = 0; j < 4; ++j)
            products[i][isFloat ? set : 0][j] = 0;
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      if (s * stepLines(code) >= lines)
        break;
      LaneCodes<code> codes[2];
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int l = 0; l < laneLines(code); ++l) {
          const int line = s * stepLines(code) + laneLine(code, t, l);
          const int at = firstLine + line;
          codes[i].line[l] = loadShared8(codesAt + i * tileRoom + at * 64 +
                                         ((g * 8) ^ ((at & 2) * 16)));
          if (isRagged && line >= lines)
            codes[i].line[l] = {0, 0};
        }
      stepProducts<0>(codes, xAt + (s * 4 + t) * laneBlocks(code) * 16, upper,
                      lower, products);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int set = 0; set < sets; ++set)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          if constexpr (isFloat) {
            if constexpr (planes == 2)
              sums[i][set][r][0] +=
                  products[i][set][2 * r] + products[i][set][2 * r + 1];
            else
              for (int p = 0; p < 2; ++p)
                sums[i][set][r][PerSet == 2 ? p : 0] +=
                    products[i][set][2 * r + p];
          } else {
            const int total =
                256 * upper[i][set][2 * r] + upper[i][set][2 * r + 1];
            if constexpr (!isTable && !K::hasZero) {
              sums[i][set][r][0] += scale[i][r] * inverse * float(total);
            } else {
              const int token = firstToken + set * setTokens + t;
              const int xSum =
                  token < tokens
                      ? reinterpret_cast<const int *>(
                            x + K::sumsAt)[int64_t(token) * K::unitsPerRow + u]
                      : 0;
              if constexpr (isTable)
                sums[i][set][r][0] += scale[i][r] *
                                      (float(total - 64 * xSum) * 128.0F +
                                       float(256 * lower[i][set][2 * r] +
                                             lower[i][set][2 * r + 1])) *
                                      (1.0F / 8191.0F);
              else
                sums[i][set][r][0] +=
                    scale[i][r] *
                    (inverse * float(total) -
                     (zero[i][r] - float(K::defaultZero)) * float(xSum));
            }
          }
        }
  }

  template <int J>
  static __device__ __forceinline__ void
  stepProducts(const LaneCodes<code> (&codes)[2], uint32_t xAt,
               int (&upper)[2][isFloat ? 1 : sets][4],
               int (&lower)[2][isTable ? sets : 1][4],
               float (&products)[2][isFloat ? sets : 1][4]) {
    if constexpr (J < laneBlocks(code)) {
      Operand w[2], low[2];
      for (int i = 0; i < 2; ++i)
        if constexpr (isTable) {
          w[i] = planeOf<code, 7>(codes[i]);
          low[i] = planeOf<code, 0>(codes[i]);
        } else {
          w[i] = operandOf<code, J>(codes[i]);
        }
#pragma unroll
      for (int set = 0; set < sets; ++set) {
        uint2 b = loadShared8(xAt + set * setTokens * xStride + J * 16);
        if constexpr (isTable)
          b = tableOrder(b);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          // Codes have `sets` sums, floats one that is not used, and the other
          // way round.
          multiplyOperand<code>(w[i], b, upper[i][isFloat ? 0 : set],
                                products[i][isFloat ? set : 0]);
          if constexpr (isTable)
            multiplyOperand<code>(low[i], b, lower[i][set], products[i][0]);
        }
      }
      stepProducts<J + 1>(codes, xAt, upper, lower, products);
    }
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_GEMM_CUH
