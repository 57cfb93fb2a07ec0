//===- batch_ring.cuh - What BatchGemm's warps share (sm_90a) ---*- C++ -*-===//
//
// A weight is a stream of slots (some chunks of 64 elements of k of 256 rows),
// block of rows by block of rows; every block of threads takes a run of it.
// Copiers fill a ring in shared memory: a slot has the tokens' elements, the
// weight's codes, scales and zero points, and the tokens' sums of each chunk.
//
// Several runs may share a block of rows. They leave their sums in words that
// are 0 until then, for somebody with a higher number of a block of threads: so
// nobody waits for blocks that have not begun. Few runs leave them to the one
// that begins the block of rows. Many have a block of rows to themselves, and
// kFinishers blocks of threads finish a part of it each. Sums are added in the
// order of runs, so that results do not depend on timing.
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
/// Blocks that finish a block of rows together.
constexpr int kFinishers = 4;
/// The most runs of a block of rows that is shared so: what they leave is added
/// up one after the other.
constexpr int kMostSharers = 16;

/// A ring's place in shared memory, its barriers (full ones, then empty ones),
/// and the slot that is next. Every role walks a run in the same steps.
template <int SlotBytes, int Slots>
struct RingCursor {
  uint32_t base, barriers, index = 0, phase = 0;

  __device__ __forceinline__ uint32_t slot() const {
    return base + index * SlotBytes;
  }
  __device__ __forceinline__ uint32_t full() const {
    return barriers + 8 * index;
  }
  __device__ __forceinline__ uint32_t empty() const {
    return barriers + 8 * (Slots + index);
  }
  __device__ __forceinline__ void waitForRoom() const {
    waitBarrier(empty(), phase ^ 1);
  }
  __device__ __forceinline__ void waitForCopies() const {
    waitBarrier(full(), phase);
  }
  __device__ __forceinline__ void next() {
    if (++index < Slots)
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

/// Slots of a stream.
struct BatchRun {
  int begin, end;
};
/// Part `i` of `count` of so many slots, which are as equal as they can be.
QCC_DEVICE BatchRun partOf(int slots, int count, int i) {
  const int each = slots / count, longer = slots - each * count;
  const int begin = i * each + smaller(i, longer);
  return {begin, begin + each + (i < longer)};
}
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

  /// The weight's blocks of rows, and where they are in the stream: that of
  /// a pair of weights has the first one's, then the second one's.
  static constexpr int rowBlocks = (K::tiles + kBatchTiles - 1) / kBatchTiles,
                       firstRowBlock = K::firstRowBlock,
                       allRowBlocks = K::allRowBlocks;
  /// Slots of a block of rows, the last of which may have fewer chunks.
  static constexpr int rowSlots =
      (Chunks::chunks + slotChunks - 1) / slotChunks;
  static constexpr int allSlots = allRowBlocks * rowSlots;

  static __device__ __forceinline__ int blocks() {
    return smaller(allBlocks(), int(K::mostBlocks));
  }
  /// Runs of a block of rows where they have it to themselves, else 0. Each of
  /// the last kFinishers of them finishes a part of the next block of rows, so
  /// they are no fewer. Not with glu (K::canShare): of the four sums that are
  /// taken together then (batch_part.cuh), a gate's may be without up's.
  static __device__ __forceinline__ int sharers() {
    if (!K::canShare)
      return 0;
    const int count = smaller((blocks() - kFinishers) / allRowBlocks,
                              smaller(kMostSharers, rowSlots));
    return count < kFinishers ? 0 : count;
  }
  static __device__ __forceinline__ int runs() {
    const int count = sharers();
    return count ? count * allRowBlocks : blocks();
  }
  /// The number of this block's run: later ones are for blocks that begin
  /// earlier. Negative ones have no slots and only finish what others leave.
  static __device__ __forceinline__ int ownNumber() {
    return runs() - 1 - ownBlock();
  }
  static __device__ __forceinline__ BatchRun ownRun() {
    const int run = ownNumber(), count = sharers();
    if (run < 0)
      return {0, 0};
    if (count == 0)
      return partOf(allSlots, runs(), run);
    const BatchRun part = partOf(rowSlots, count, run % count);
    const int first = run / count * rowSlots;
    return {first + part.begin, first + part.end};
  }
  /// Those slots of a run that are the weight's.
  static __device__ __forceinline__ BatchRun ownPart(BatchRun run) {
    return {larger(run.begin, firstRowBlock * rowSlots),
            smaller(run.end, (firstRowBlock + rowBlocks) * rowSlots)};
  }
  /// The run that has a slot, where they may have parts of blocks of rows.
  static __device__ __forceinline__ int runAt(int slot) {
    const int each = allSlots / runs(), longer = allSlots - each * runs();
    const int inLonger = longer * (each + 1);
    return slot < inLonger ? slot / (each + 1)
                           : longer + (slot - inLonger) / each;
  }
  /// Chunks of the slot that begins with chunk `chunk` of a row.
  static __device__ __forceinline__ int countAt(int chunk) {
    return smaller(slotChunks, Chunks::chunks - chunk);
  }

  using Cursor = RingCursor<slotBytes, slots>;
  static __device__ __forceinline__ void initBarriers(uint32_t barriers) {
    for (int i = 0; i < slots; ++i) {
      initBarrier(barriers + 8 * i, kBatchCopiers + 1);
      initBarrier(barriers + 8 * (slots + i), kBatchGroups * 4);
    }
    fenceBarrierInit();
  }

  /// Calls `use(rowBlock, chunk, count)` for the slots of a run.
  template <class Use>
  static __device__ __forceinline__ void eachSlot(BatchRun mine, Use use) {
    for (int slot = mine.begin; slot < mine.end; ++slot) {
      const int chunk = slot % rowSlots * slotChunks;
      use(slot / rowSlots, chunk, countAt(chunk));
    }
  }

  /// Copies codes and scales of the weight's part of a run; `thread` of
  /// kBatchCopiers.
  static __device__ __forceinline__ void copyCodes(const Args &a, Cursor &ring,
                                                   BatchRun mine, int thread) {
    const char *codes = pointer<const char>(a.v[0]);
    eachSlot(ownPart(mine), [&](int rowBlock, int chunk, int count) {
      const int firstTile = (rowBlock - firstRowBlock) * kBatchTiles;
      const uint32_t to = ring.slot() + xBytes, barrier = ring.full();
      ring.waitForRoom();
      // A tile's lines are consecutive.
      const int bytes = count * Chunks::tileBytes;
      const bool isWhole =
          Chunks::isDense &&
          chunk * Chunks::tileBytes + bytes <= int(K::tileBytes);
      if (isWhole) {
        // Rows behind the last one are multiplied, and not used.
        const int tile = firstTile + thread;
        if (thread < kBatchTiles && tile < K::tiles) {
          expectMore(barrier, bytes);
          copyExpected(to + thread * tileStride,
                       codes + int64_t(tile) * K::tileBytes +
                           chunk * Chunks::tileBytes,
                       bytes, barrier);
        }
      } else {
        for (int c = 0; c < count; ++c)
          Chunks::template copy<kBatchTiles, kBatchCopiers, tileStride>(
              to + c * Chunks::tileBytes, codes, firstTile, chunk + c, thread);
      }
      Rows::template copyScales<kBatchTiles, kBatchCopiers, slotGroups>(
          a, ring.slot() + scalesAt, firstTile, chunk, count, thread,
          Rows::firstGroupOf(chunk));
      arriveAfterCopies(barrier);
      ring.next();
    });
  }

  /// Copies the tokens' elements that go with them, and their sums; a warp.
  static __device__ __forceinline__ void copyTokens(const Args &a, Cursor ring,
                                                    BatchRun mine, int lane) {
    const char *x = pointer<const char>(a.v[6]);
    eachSlot(mine, [&](int, int chunk, int count) {
      const uint32_t barrier = ring.full();
      ring.waitForRoom();
      if (lane == 0)
        expectBytes(barrier,
                    count * (slices * N * 128 + (needsTokenSums ? N * 4 : 0)));
      __syncwarp();
      if (lane < count * slices)
        copyExpected(ring.slot() + lane * N * 128,
                     x + int64_t(chunk * slices + lane) * K::xSliceStride,
                     N * 128, barrier);
      else if (needsTokenSums && lane >= 16 && lane < 16 + count)
        copyExpected(ring.slot() + sumsAt + (lane - 16) * N * 4,
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

  /// What happens to a warp's sums of slots `begin` .. `end` of a block of
  /// rows of the stream: true if they are those of all chunks now, which it is
  /// to finish.
  template <int Count>
  static __device__ __forceinline__ bool
  join(const Args &a, float (&sums)[Count], int rowBlock, int begin, int end) {
    if (begin > 0 || sharers()) {
      float4 *to = wordsOf<Count>(a, ownNumber());
#pragma unroll
      for (int q = 0; q < Count / 4; ++q)
        storeWords(to + q * 32, sums + 4 * q);
      return false;
    }
    if (end < rowSlots) {
      const int own = ownNumber();
      addParts(a, sums, own + 1, runAt((rowBlock + 1) * rowSlots - 1) - own);
    }
    return true;
  }

  /// The part of a block of rows of the weight that this block finishes for the
  /// runs that share it, kFinishers times the block of rows and which; or -1.
  static __device__ __forceinline__ int leftToBlock() {
    const int count = sharers(), at = ownNumber() + kFinishers;
    if (count == 0 || at < 0 || at >= runs() || at % count >= kFinishers)
      return -1;
    const int rowBlock = at / count - firstRowBlock;
    return rowBlock >= 0 && rowBlock < rowBlocks
               ? rowBlock * kFinishers + at % count
               : -1;
  }
  /// Adds what all runs of such a block of rows have left at place `at`, in
  /// words of four sums.
  static __device__ __forceinline__ void addAll(const Args &a, float (&sums)[4],
                                                int rowBlock, int at) {
    const int count = sharers();
    float4 *from =
        pointer<float4>(a.v[7]) +
        uint32_t((firstRowBlock + rowBlock) * count) * wordStride<N / 2> + at;
    addWords<4, 8>(sums, from, wordStride<N / 2>, count);
  }

private:
  /// Adds what `count` runs from `run` on have left for this warp.
  template <int Count>
  static __device__ __forceinline__ void
  addParts(const Args &a, float (&sums)[Count], int run, int count) {
    addWords<Count, larger(1, 32 / Count)>(sums, wordsOf<Count>(a, run),
                                           wordStride<Count>, count);
  }
  /// Adds words of `count` runs, `stride` apart, AtOnce of which are asked for
  /// at once: each is a way through the L2 cache.
  template <int Count, int AtOnce>
  static __device__ __forceinline__ void
  addWords(float (&sums)[Count], float4 *from, int stride, int count) {
#pragma unroll 1
    for (int left = count; left > 0; left -= AtOnce) {
      float4 more[AtOnce][Count / 4];
      bool isThere;
      do {
        isThere = true;
#pragma unroll
        for (int i = 0; i < AtOnce; ++i)
#pragma unroll
          for (int q = 0; q < Count / 4; ++q) {
            more[i][q] = loadNow4(reinterpret_cast<const float *>(
                from + (i < left ? i * stride : 0) + q * 32));
            isThere &= areThere(more[i][q]);
          }
      } while (!isThere);
#pragma unroll
      for (int i = 0; i < AtOnce; ++i) {
        if (i < left)
#pragma unroll
          for (int q = 0; q < Count / 4; ++q) {
            from[q * 32] = {0, 0, 0, 0};
            sums[4 * q] += more[i][q].x;
            sums[4 * q + 1] += more[i][q].y;
            sums[4 * q + 2] += more[i][q].z;
            sums[4 * q + 3] += more[i][q].w;
          }
        from += stride;
      }
    }
  }
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
