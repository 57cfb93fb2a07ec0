//===- batch_ring.cuh - What BatchGemm's warps share (sm_90a) ---*- C++ -*-===//
//
// A weight is a stream of chunks (64 elements of k of 256 rows), block of rows
// by block of rows; every block of threads takes an equal run of it. Copiers
// fill a ring of slots in shared memory: the tokens' elements of some chunks in
// a row, the weight's codes, scales and zero points, and the tokens' sums of
// each chunk. Chunk c lies at place placeOf(c) of its slot.
//
// Several runs may share a block of rows. The one that begins it finishes it;
// the others, which are of blocks of threads with lower numbers and come to it
// first thing, leave it their sums in words that are 0 until then. So it waits
// only for blocks that have begun, and results do not depend on timing.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_BATCH_RING_CUH
#define QCC_CODEGEN_CUDA_KERNELS_BATCH_RING_CUH

#include "codegen/cuda/kernels/wide_gemm.cuh"

namespace qcc::cuda {

constexpr int kBatchGroups = 4; ///< warpgroups that multiply
constexpr int kBatchConsumers = kBatchGroups * 128;
constexpr int kBatchThreads = kBatchConsumers + 128;
constexpr int kBatchTiles = kBatchGroups * 4;
/// Threads that copy codes; the warp behind them copies tokens.
constexpr int kBatchCopiers = 96;

/// The ring for up to N tokens, and which chunks a block has. Operands: those
/// of BatchGemm.
template <class K, int N>
struct BatchRing {
  using Chunks = WideChunks<K>;
  static constexpr int code = K::code;
  /// Chunks of a slot, so that copies are of two kilobytes where they can be.
  static constexpr int slotChunks =
      larger(1, smaller(4 * 64 / Chunks::chunkK, 2048 / Chunks::tileBytes));
  static constexpr int slices = Chunks::chunkK / 64;
  static constexpr int tileStride = slotChunks * Chunks::tileBytes;
  using Rows = WideRows<K, tileStride>;
  /// Sums of a group are multiplied with its scale, not the weights, where a
  /// group is no shorter than a chunk and registers hold both sums. Codes are
  /// multiplied as they are then: their zero points' part of a sum is that of
  /// the tokens' elements.
  static constexpr bool scalesSums =
      !Rows::isFloat && !Rows::hasManyGroups && N <= kMostRawTokens;
  static constexpr bool needsTokenSums = scalesSums && !isTableCode(code);
  static_assert(N > kMostRawTokens || needsTokenSums == K::isRaw);

  // A slot: tokens, codes, scales and zero points, sums of tokens.
  static constexpr int xBytes = slotChunks * slices * N * 128;
  static constexpr int codesBytes = kBatchTiles * tileStride;
  static constexpr int slotGroups = Rows::groupsIn(slotChunks);
  static constexpr int scalesBytes =
      kBatchTiles * slotGroups * (Rows::scaleLine + Rows::zeroLine);
  static constexpr int scalesAt = xBytes + codesBytes,
                       sumsAt = scalesAt + scalesBytes;
  static constexpr int slotBytes =
      (sumsAt + (needsTokenSums ? slotChunks * N * 4 : 0) + 1023) / 1024 * 1024;
  static constexpr int tableBytes = isTableCode(code) ? kPairTableBytes : 0;
  static constexpr int bytes = kMostShared - 2048 - tableBytes;
  /// Behind the ring warps of BatchFew hand each other sums.
  static constexpr int handedBytes = N <= 16 ? kBatchTiles * (N / 2) * 128 : 0;
  static constexpr int slots = smaller(8, (bytes - handedBytes) / slotBytes);
  static_assert(slots >= 2);

  static constexpr int rowBlocks = (K::tiles + kBatchTiles - 1) / kBatchTiles;
  static constexpr int units = rowBlocks * Chunks::chunks;

  struct Run {
    int number, begin, end;
  };
  static __device__ __forceinline__ int runs() {
    return smaller(int(gridDim.x), int(K::mostBlocks));
  }
  /// The run of this block: later ones are for blocks that begin earlier.
  static __device__ __forceinline__ Run ownRun() {
    const int run = runs() - 1 - int(blockIdx.x);
    if (run < 0)
      return {0, 0, 0};
    const int each = units / runs(), longer = units - each * runs();
    const int begin = run * each + smaller(run, longer);
    return {run, begin, begin + each + (run < longer)};
  }
  static __device__ __forceinline__ int runAt(int unit) {
    const int each = units / runs(), longer = units - each * runs();
    const int inLonger = longer * (each + 1);
    return unit < inLonger ? unit / (each + 1)
                           : longer + (unit - inLonger) / each;
  }

  /// Where a chunk of a row lies in its slot.
  static __device__ __forceinline__ int placeOf(int chunk) {
    return int(uint32_t(chunk) % slotChunks);
  }
  /// Chunks of the slot that begins with chunk `chunk` of a row, of which
  /// those up to `end` are wanted.
  static __device__ __forceinline__ int countAt(int chunk, int end) {
    return smaller(slotChunks - placeOf(chunk), end - chunk);
  }

  /// A ring's place in shared memory, its barriers (full ones, then empty
  /// ones), and the slot that is next. Every role walks a run in the same
  /// steps.
  struct Cursor {
    uint32_t base, barriers, index = 0, phase = 0;

    __device__ __forceinline__ uint32_t slot() const {
      return base + index * slotBytes;
    }
    __device__ __forceinline__ uint32_t full() const {
      return barriers + 8 * index;
    }
    __device__ __forceinline__ uint32_t empty() const {
      return barriers + 8 * (slots + index);
    }
    __device__ __forceinline__ void waitForRoom() const {
      waitBarrier(empty(), phase ^ 1);
    }
    __device__ __forceinline__ void waitForCopies() const {
      waitBarrier(full(), phase);
    }
    __device__ __forceinline__ void next() {
      if (++index < slots)
        return;
      index = 0;
      phase ^= 1;
    }
    /// A warp has read the slot.
    __device__ __forceinline__ void release() {
      __syncwarp();
      if (threadIdx.x % 32 == 0)
        arrive(empty());
      next();
    }
  };
  static __device__ __forceinline__ void initBarriers(uint32_t barriers) {
    for (int i = 0; i < slots; ++i) {
      initBarrier(barriers + 8 * i, kBatchCopiers + 1);
      initBarrier(barriers + 8 * (slots + i), kBatchGroups * 4);
    }
    fenceBarrierInit();
  }

  /// Calls `use(rowBlock, chunk, count)` for the slots of a run.
  template <class Use>
  static __device__ __forceinline__ void eachSlot(Run mine, Use use) {
    for (int unit = mine.begin; unit < mine.end;) {
      const int rowBlock = unit / Chunks::chunks, chunk = unit % Chunks::chunks;
      const int count =
          countAt(chunk, smaller(int(Chunks::chunks), chunk + mine.end - unit));
      use(rowBlock, chunk, count);
      unit += count;
    }
  }

  /// Copies codes and scales of a run; `thread` of kBatchCopiers.
  static __device__ __forceinline__ void copyCodes(const Args &a, Cursor ring,
                                                   Run mine, int thread) {
    const char *codes = pointer<const char>(a.v[0]);
    eachSlot(mine, [&](int rowBlock, int chunk, int count) {
      const int firstTile = rowBlock * kBatchTiles, place = placeOf(chunk);
      const uint32_t to = ring.slot() + xBytes, barrier = ring.full();
      ring.waitForRoom();
      // A tile's lines are consecutive, in a whole slot, too.
      const bool isWhole =
          Chunks::isDense && count == slotChunks &&
          (chunk + count) * Chunks::tileBytes <= int(K::tileBytes);
      if (isWhole) {
        // Rows behind the last one are multiplied, and not used.
        const int tile = firstTile + thread;
        if (thread < kBatchTiles && tile < K::tiles) {
          expectMore(barrier, tileStride);
          copyExpected(to + thread * tileStride,
                       codes + int64_t(tile) * K::tileBytes +
                           chunk * Chunks::tileBytes,
                       tileStride, barrier);
        }
      } else {
        for (int c = 0; c < count; ++c)
          Chunks::template copy<kBatchTiles, kBatchCopiers, tileStride>(
              to + (place + c) * Chunks::tileBytes, codes, firstTile, chunk + c,
              thread);
      }
      Rows::template copyScales<kBatchTiles, kBatchCopiers, slotGroups>(
          a, ring.slot() + scalesAt, firstTile, chunk, count, thread,
          Rows::firstGroupOf(chunk - place));
      arriveAfterCopies(barrier);
      ring.next();
    });
  }

  /// Copies the tokens' elements that go with them, and their sums; a warp.
  static __device__ __forceinline__ void copyTokens(const Args &a, Cursor ring,
                                                    Run mine, int lane) {
    const char *x = pointer<const char>(a.v[6]);
    eachSlot(mine, [&](int, int chunk, int count) {
      const uint32_t barrier = ring.full();
      const int place = placeOf(chunk);
      ring.waitForRoom();
      if (lane == 0)
        expectBytes(barrier,
                    count * (slices * N * 128 + (needsTokenSums ? N * 4 : 0)));
      __syncwarp();
      if (lane < count * slices)
        copyExpected(ring.slot() + (place * slices + lane) * N * 128,
                     x + int64_t(chunk * slices + lane) * K::xSliceStride,
                     N * 128, barrier);
      else if (needsTokenSums && lane >= 16 && lane < 16 + count)
        copyExpected(ring.slot() + sumsAt + (place + lane - 16) * N * 4,
                     x + K::tokenSumsAt +
                         int64_t(chunk + lane - 16) * K::tokenSumsStride,
                     N * 4, barrier);
      ring.next();
    });
  }
  static_assert(slotChunks * slices <= 16);

  /// Sums of groups' sums times scales become what they are.
  template <int Count>
  static __device__ __forceinline__ void finishScaled(float (&sums)[Count]) {
#pragma unroll
    for (int n = 0; n < Count; ++n)
      sums[n] *= rawFactor(code);
  }

  /// What happens to a warp's sums of chunks `begin` .. `end` of a block of
  /// rows: true if they are those of all chunks now, which it is to finish.
  template <int Count>
  static __device__ __forceinline__ bool
  join(const Args &a, float (&sums)[Count], const Run &mine, int rowBlock,
       int begin, int end) {
    if (begin > 0) {
      float4 *to = wordsOf<Count>(a, mine.number);
#pragma unroll
      for (int q = 0; q < Count / 4; ++q)
        storeWords(to + q * 32, sums + 4 * q);
      return false;
    }
    if (end == Chunks::chunks)
      return true;
    const int last = runAt((rowBlock + 1) * Chunks::chunks - 1);
    float4 *from = wordsOf<Count>(a, mine.number + 1);
    // Several are asked for at once: each is a way through the L2 cache.
    constexpr int atOnce = larger(1, 32 / Count);
#pragma unroll 1
    for (int left = last - mine.number; left > 0; left -= atOnce) {
      float4 more[atOnce][Count / 4];
      bool isThere;
      do {
        isThere = true;
#pragma unroll
        for (int i = 0; i < atOnce; ++i)
#pragma unroll
          for (int q = 0; q < Count / 4; ++q) {
            more[i][q] = loadNow4(reinterpret_cast<const float *>(
                from + (i < left ? i * wordStride<Count> : 0) + q * 32));
            isThere &= areThere(more[i][q]);
          }
      } while (!isThere);
#pragma unroll
      for (int i = 0; i < atOnce; ++i) {
        if (i < left)
#pragma unroll
          for (int q = 0; q < Count / 4; ++q) {
            from[q * 32] = {0, 0, 0, 0};
            sums[4 * q] += more[i][q].x;
            sums[4 * q + 1] += more[i][q].y;
            sums[4 * q + 2] += more[i][q].z;
            sums[4 * q + 3] += more[i][q].w;
          }
        from += wordStride<Count>;
      }
    }
    return true;
  }

private:
  /// Of all of a run's warps.
  template <int Count>
  static constexpr int wordStride = kBatchConsumers * Count / 4;
  /// Where this warp of run `run` leaves its sums.
  template <int Count>
  static __device__ __forceinline__ float4 *wordsOf(const Args &a, int run) {
    const int thread = ownThread();
    const uint32_t at = uint32_t(run) * wordStride<Count> +
                        uint32_t(thread / 32 * (Count / 4 * 32) + thread % 32);
    return pointer<float4>(a.v[7]) + at;
  }
  /// A zero is written as -0, since 0 says that nothing is there yet.
  static __device__ __forceinline__ void storeWords(float4 *to,
                                                    const float *v) {
    float w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      w[i] = v[i] == 0.0F ? -0.0F : v[i];
    asm volatile(
        "st.relaxed.gpu.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to),
        "f"(w[0]), "f"(w[1]), "f"(w[2]), "f"(w[3])
        : "memory");
  }
  static __device__ __forceinline__ bool areThere(const float4 &v) {
    return __float_as_uint(v.x) != 0 && __float_as_uint(v.y) != 0 &&
           __float_as_uint(v.z) != 0 && __float_as_uint(v.w) != 0;
  }
};

/// A group's sums of products of codes as they are, Count values of two rows.
template <int Code, int Count>
struct GroupSums {
  float v[Count];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int n = 0; n < Count; ++n)
      v[n] = 0;
  }
  /// Subtracts what the zero points add: theirs times the tokens' sums.
  __device__ __forceinline__ void subtractZeros(const float (&zero)[2],
                                                uint32_t tokenSums) {
    if constexpr (isTableCode(Code))
      return;
#pragma unroll
    for (int n = 0; n < Count; n += 4) {
      const uint2 x = loadShared8(tokenSums + n * 8);
      const float token[2] = {__uint_as_float(x.x), __uint_as_float(x.y)};
#pragma unroll
      for (int i = 0; i < 4; ++i)
        v[n + i] = fmaf(-zero[i / 2], token[i % 2], v[n + i]);
    }
  }
  /// Adds them to `sums`, which are so many times too small: rawFactor.
  __device__ __forceinline__ void addTo(float (&sums)[Count],
                                        const float (&scale)[2]) const {
#pragma unroll
    for (int n = 0; n < Count; ++n)
      sums[n] = fmaf(scale[n / 2 % 2], v[n], sums[n]);
  }
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_BATCH_RING_CUH
