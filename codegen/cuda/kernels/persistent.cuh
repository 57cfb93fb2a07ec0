//===- persistent.cuh - A step of one launch --------------------*- C++ -*-===//
//
// One block a multiprocessor runs all phases of a step, in an order that was
// fixed when the model was compiled; the units of a weight that a block works
// on are a table made for the number of blocks (runtime/executor/cuda/Cuts.h).
//
// The last warp of a block, the producer, streams the block's part of all
// weights through a ring of slots in shared memory, from phase to phase without
// regard to what they wait for; scales and zero points of several slots come as
// one chunk, since small copies cost as much as large ones. The others, the
// consumers, do the phases. Phases that hand over rows are separated by a
// barrier of the grid, or the rows are tagged (below); while a block waits, its
// ring fills up. Bytes that are on their way from memory delay what goes
// between blocks, so while the next phase's activations are not there yet, only
// few are asked for.
//
// A generated program (codegen/cuda/PersistentUnit.cpp) is run by both kinds of
// warps: each phase is a member of Producer (which ignores all but gemv) and of
// Consumer.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_CUH
#define QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_CUH

#include "codegen/cuda/kernels/codes.cuh"

namespace qcc::cuda {

constexpr int kConsumerWarps = QCC_CONSUMER_WARPS; // by the generated unit
constexpr int kConsumers = kConsumerWarps * 32;
constexpr int kPersistentThreads = kConsumers + 32;

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

QCC_DEVICE void arriveBarrier(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier)
               : "memory");
}
/// Arrives and expects `bytes` of bulk copies.
QCC_DEVICE void expectBytes(uint32_t barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
}
QCC_DEVICE bool testBarrier(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile("{\n .reg .pred p;\n"
               " mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
               " selp.u32 %0, 1, 0, p;\n}"
               : "=r"(done)
               : "r"(barrier), "r"(parity)
               : "memory");
  return done != 0;
}
/// A bulk copy whose bytes `barrier` expects already.
QCC_DEVICE void copyExpected(uint32_t shared, const char *global,
                             uint32_t bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
               "bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}
QCC_DEVICE void prefetchL2(const void *p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}
/// A barrier of the consumers of a block.
QCC_DEVICE void syncConsumers() { syncFirst<kConsumers>(); }

//===----------------------------------------------------------------------===//
// Tagged rows
//===----------------------------------------------------------------------===//
//
// Where a program is tagged (PersistentTags.cpp), rows that a phase hands over
// need no barrier: the lowest bit of every element, which is worth less than
// the rounding of a sum, changes each time that the element is written. Readers
// ask for elements until they have the bit that the next writing gives them.
// Rows and their tags come in one access, so a hand-over takes one way through
// the L2 cache instead of four. What is read is used without the bit: results
// do not depend on how often a row has been written before.

QCC_DEVICE float withTag(float v, uint32_t tag) {
  return __uint_as_float((__float_as_uint(v) & ~1U) | tag);
}
QCC_DEVICE bool hasTag(float v, uint32_t tag) {
  return (__float_as_uint(v) & 1U) == tag;
}
QCC_DEVICE float withoutTag(float v) { return withTag(v, 0); }
QCC_DEVICE void storeTagged(float *p, float v, uint32_t tag) {
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(p),
               "f"(withTag(v, tag))
               : "memory");
}
/// A step of the last unit of a slot may reach so far behind it.
constexpr int kBehindRing = 1024;

/// Spread pair tables: entries are 256 bytes apart, so that a code is a byte of
/// an address. Between those of one are another's, or sums of tiles.
constexpr int kSpreadTableBytes = 256 * 256;

/// Where a block's shared memory begins, behind what the system has, or -1 on
/// chips that are not known yet. (ptxas takes it for a constant, too, but adds
/// the number of the block in its cluster.)
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_FEAT_SM100_ALL)
constexpr int kSharedStart = 1024;
#else
constexpr int kSharedStart = -1;
#endif

template <class P, class K>
struct PersistentAttention; // persistent_attention.cuh

/// Where a block keeps what, in bytes of its shared memory. `P` (generated)
/// holds the numbers.
template <class P>
struct Places {
  static constexpr int fullAt = 0, emptyAt = 8 * P::slots,
                       startedAt = 16 * P::slots, roomAt = startedAt + 16,
                       cutsAt = roomAt + 2 * 4 * 32,
                       stepAt = (cutsAt + 8 * P::streams + 15) / 16 * 16,
                       tableAt = stepAt + int(sizeof(InlineStep)),
                       xAt = (tableAt + 8 * P::words + 127) / 128 * 128,
                       sumsAt = xAt + P::xBytes,
                       mapAt = (sumsAt + P::sumsBytes + 127) / 128 * 128,
                       pairsAt = mapAt + P::mapBytes,
                       tables = P::hasNF4 + P::hasFP4,
                       chunksAt =
                           pairsAt + (P::isSpread ? kSpreadTableBytes
                                                  : tables * kPairTableBytes),
                       ringAt = chunksAt + P::chunks * P::chunkBytes,
                       bytes = ringAt + P::slots * P::slotBytes + kBehindRing;
  static_assert(bytes == P::sharedBytes);
  /// The pair table of a code, behind pairsAt.
  template <int Code>
  static constexpr int pairsOf() {
    return Code != FP4 || !P::hasNF4 ? 0 : P::isSpread ? 128 : kPairTableBytes;
  }
};

/// What producer and consumers have in common.
template <class P>
class Actor {
public:
  /// Entry `i` of the table of operands, and of the layer's part of it.
  __device__ __forceinline__ uint64_t word(int i) const {
    return reinterpret_cast<const uint64_t *>(shared + Places<P>::tableAt)[i];
  }
  __device__ __forceinline__ uint64_t layerWord(int i) const {
    return word(layerAt + i);
  }
  /// Where the step's logits go.
  __device__ __forceinline__ uint64_t logits() const { return step->logits; }
  /// The tag that elements get when they are written for the `n`th time in a
  /// step, from 0 on, of `writes` times.
  __device__ __forceinline__ uint32_t tag(uint32_t writes, uint32_t n) const {
    return (launch * writes + n + 1) & 1;
  }
  /// Waits for the slot of the ring in turn, where it lies in shared memory,
  /// and what a consumer warp that has read it does with it.
  __device__ __forceinline__ void waitForSlot() const {
    waitBarrier(base + Places<P>::fullAt + 8 * slot, parity);
  }
  __device__ __forceinline__ uint32_t slotAt() const {
    return base + Places<P>::ringAt + slot * P::slotBytes;
  }
  __device__ __forceinline__ void releaseSlot(int lane) {
    __syncwarp();
    if (lane == 0)
      arriveBarrier(base + Places<P>::emptyAt + 8 * slot);
    nextSlot();
  }
  /// The layer's operands begin at entry `i`.
  __device__ __forceinline__ void setLayer(int i) { layerAt = i; }

protected:
  __device__ __forceinline__ Actor(const Step *step, char *shared)
      : step(step), shared(shared), base(sharedAddress(shared)),
        launch(*reinterpret_cast<const uint32_t *>(shared +
                                                   Places<P>::startedAt + 4)) {}

  __device__ __forceinline__ int cut(int stream, int end) const {
    return reinterpret_cast<const int *>(shared +
                                         Places<P>::cutsAt)[2 * stream + end];
  }
  __device__ __forceinline__ void nextSlot() {
    if (++slot == P::slots) {
      slot = 0;
      parity ^= 1;
    }
  }
  /// Where the chunk of scales in turn lies.
  __device__ __forceinline__ uint32_t nextChunk() {
    if (++chunk >= P::chunks)
      chunk = 0;
    return base + Places<P>::chunksAt + uint32_t(chunk) * P::chunkBytes;
  }
  template <class K>
  __device__ __forceinline__ bool isSkipped() const {
    return K::gather && step->logit_count == 0;
  }

  const Step *step;
  char *shared;
  uint32_t base;
  uint32_t launch; ///< steps before this one
  int layerAt = 0;
  /// The next slot of the ring, how often it has been gone round, modulo 2, and
  /// the gemvs and attentions so far.
  int slot = 0;
  uint32_t parity = 0, gemvs = 0;
  int chunk = -1;
};

//===----------------------------------------------------------------------===//
// The producer
//===----------------------------------------------------------------------===//

template <class P>
class Producer : public Actor<P> {
public:
  __device__ __forceinline__ Producer(const Step *step, char *shared)
      : Actor<P>(step, shared) {}

  template <class K>
  __device__ __forceinline__ void
  gemv(uint64_t codes, uint64_t scales, uint64_t zeros, uint64_t, uint64_t,
       uint64_t, uint64_t, uint64_t, uint32_t, uint32_t) {
    if (this->template isSkipped<K>())
      return;
    ++this->gemvs;
    isAhead = true;
    constexpr int units = K::unitsPerRow, slotUnits = K::slotUnits;
    // A row's last unit may be shorter than the others.
    constexpr int missing = units * K::unitBytes - K::tileBytes;
    const int lane = threadIdx.x % 32;
    const int end = this->cut(K::stream, 1);
    int unit = this->cut(K::stream, 0), k = unit % units;
    const char *from = pointer<const char>(codes) +
                       int64_t(unit / units) * K::tileBytes + k * K::unitBytes;
    int left = 0; // slots of the chunk
    while (unit < end) {
      const int count = smaller(slotUnits, end - unit);
      k += count;
      uint32_t bytes = count * K::unitBytes - k / units * missing;
      k %= units;
      const uint32_t codeBytes = bytes;
      const uint32_t full = this->base + Places<P>::fullAt + 8 * this->slot,
                     at = this->base + Places<P>::ringAt +
                          this->slot * P::slotBytes;
      // Scales come with the first slot that needs some of them.
      const bool opens = K::scaleLine && left == 0;
      const int group = lineOf<K>(unit);
      uint32_t lines = 0, chunkAt = 0, nestedBytes = 0;
      int firstTile = 0;
      if (opens) {
        left = K::chunkSlots;
        lines = lineOf<K>(smaller(unit + K::chunkSlots * slotUnits, end) - 1) -
                group + 1;
        bytes += lines * (K::scaleLine + K::zeroLine);
        if constexpr (K::nested != 0) {
          firstTile = unit / units;
          nestedBytes =
              ((smaller(unit + K::chunkSlots * slotUnits, end) - 1) / units -
               firstTile + 1) *
              K::nestedTileBytes;
          bytes += nestedBytes;
        }
        chunkAt = this->nextChunk();
        waitForChunk();
      }
      --left;
      waitBarrier(this->base + Places<P>::emptyAt + 8 * this->slot,
                  this->parity ^ 1);
      throttle(P::flying, P::flyingAhead);
      if (lane == 0) {
        expectBytes(full, bytes);
        copyExpected(at, from, codeBytes, full);
      }
      if (opens)
        __syncwarp();
      if (opens && lane == 1)
        copyExpected(chunkAt,
                     pointer<const char>(scales) +
                         int64_t(group) * K::scaleLine,
                     lines * K::scaleLine, full);
      if (K::zeroLine && opens && lane == 2)
        copyExpected(chunkAt + K::zerosAt,
                     pointer<const char>(zeros) + int64_t(group) * K::zeroLine,
                     lines * K::zeroLine, full);
      if (K::nested && opens && lane == 2)
        copyExpected(chunkAt + K::zerosAt,
                     pointer<const char>(zeros) +
                         int64_t(firstTile) * K::nestedTileBytes,
                     nestedBytes, full);
      if (K::scaleLine && lane == this->chunk)
        chunkUser = asked;
      ++asked;
      unit += count;
      from += codeBytes;
      this->nextSlot();
    }
  }

  template <class K, class... Operands>
  __device__ __forceinline__ void phase(Operands...) {}
  /// Norms' weights and the row's order are brought into the L2 cache, a line
  /// by each block.
  template <class K>
  __device__ __forceinline__ void stage(uint64_t, uint64_t, uint64_t weight,
                                        uint64_t bias, uint64_t order,
                                        uint32_t) {
    constexpr int line = 128, lines = (K::columns * 4 + line - 1) / line;
    const int lane = threadIdx.x % 32;
    uint64_t from = 0;
    if (K::norm != NormNone && lane == 0)
      from = weight;
    if (K::norm != NormNone && K::hasNormBias && lane == 1)
      from = bias;
    if (K::hasOrder && lane == 2)
      from = order;
    if (from)
      for (int i = blockIdx.x; i < lines; i += gridDim.x)
        prefetchL2(pointer<const char>(from) + i * line);
  }
  template <class K>
  __device__ __forceinline__ void attention(uint64_t, uint64_t, uint64_t,
                                            uint64_t, int64_t kvOffset,
                                            uint32_t, uint32_t) {
    using Attention = PersistentAttention<P, K>;
    ++this->gemvs;
    isAhead = true;
    Attention::each(this->step, [&](const auto &item) {
      constexpr int bytes = Attention::tileBytes;
      const int64_t begin = int64_t(item.from) * bytes;
      const char *keys = reinterpret_cast<const char *>(item.keys(kvOffset)) +
                         begin,
                 *values =
                     reinterpret_cast<const char *>(item.values(kvOffset)) +
                     begin;
      for (int left = item.to - item.from; left > 0;
           left -= Attention::slotTiles) {
        const uint32_t count = smaller(left, Attention::slotTiles) * bytes;
        // Short contexts are worked on by few blocks, whose bytes delay nobody.
        const int ahead = item.splits == 1 ? Attention::flying : P::flyingAhead;
        send(keys, count, Attention::flying, ahead);
        send(values, count, Attention::flying, ahead);
        keys += count;
        values += count;
      }
    });
  }
  __device__ __forceinline__ void barrier() {}

private:
  /// The line of scales of a unit.
  template <class K>
  static __device__ __forceinline__ int lineOf(int unit) {
    return K::unitsPerGroup == 1 ? unit
                                 : unit / K::unitsPerRow * K::groups +
                                       unit % K::unitsPerRow / K::unitsPerGroup;
  }
  /// Waits until the consumers are done with what the chunk in turn held.
  __device__ __forceinline__ void waitForChunk() {
    const int user = __shfl_sync(~0U, chunkUser, this->chunk);
    // Before a slot was asked for again, they were done with it.
    if (user >= 0 && asked - user < P::slots)
      waitBarrier(this->base + Places<P>::emptyAt + 8 * (user % P::slots),
                  user / P::slots & 1);
  }
  /// Asks for the next slot, all of which is one copy.
  __device__ __forceinline__ void send(const char *from, uint32_t bytes,
                                       int most, int mostAhead) {
    const uint32_t full = this->base + Places<P>::fullAt + 8 * this->slot;
    waitBarrier(this->base + Places<P>::emptyAt + 8 * this->slot,
                this->parity ^ 1);
    throttle(most, mostAhead);
    if (threadIdx.x % 32 == 0) {
      expectBytes(full, bytes);
      copyExpected(this->slotAt(), from, bytes, full);
    }
    __syncwarp();
    ++asked;
    this->nextSlot();
  }
  /// Waits until so few slots are on their way that another may be asked for:
  /// fewer than `most`, or than `mostAhead` while consumers have not begun.
  __device__ __forceinline__ void throttle(int most, int mostAhead) {
    const volatile uint32_t *started = reinterpret_cast<volatile uint32_t *>(
        this->shared + Places<P>::startedAt);
    while (true) {
      if (isAhead)
        isAhead = *started < this->gemvs;
      if (flying < (isAhead ? mostAhead : most))
        break;
      if (testBarrier(this->base + Places<P>::fullAt + 8 * landing,
                      landingParity)) {
        --flying;
        if (++landing == P::slots) {
          landing = 0;
          landingParity ^= 1;
        }
      }
    }
    ++flying;
  }

  /// The consumers have not begun with the gemv or attention.
  bool isAhead = true;
  int flying = 0, landing = 0;
  uint32_t landingParity = 0;
  /// Slots so far, and the last of them that needs the chunk whose number is
  /// that of this lane.
  int asked = 0, chunkUser = -1;
};

//===----------------------------------------------------------------------===//
// Reductions over the consumers
//===----------------------------------------------------------------------===//

QCC_DEVICE float warpLargest(float x) {
  return __uint_as_float(__reduce_max_sync(~0U, __float_as_uint(x)));
}
/// Over all consumers, who all get the result. Calls take turns with two rooms,
/// so that one barrier each is enough. The largest is one of numbers that are
/// not negative, whose order is that of their bits.
template <bool IsMax>
QCC_DEVICE float consumerReduce(float x, float *rooms, uint32_t &turn) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float *room = rooms + 32 * (turn++ & 1);
  x = IsMax ? warpLargest(x) : warpSum(x);
  if (lane == 0)
    room[warp] = x;
  syncConsumers();
  const float y = lane < kConsumerWarps ? room[lane] : 0.0F;
  return IsMax ? warpLargest(y) : warpSum(y);
}

/// The sum of one number and the largest of another.
QCC_DEVICE void consumerReduceBoth(float &sum, float &largest, float *rooms,
                                   uint32_t &turn) {
  static_assert(kConsumerWarps <= 16);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float *room = rooms + 32 * (turn++ & 1);
  sum = warpSum(sum);
  largest = warpLargest(largest);
  if (lane == 0) {
    room[warp] = sum;
    room[16 + warp] = largest;
  }
  syncConsumers();
  const bool exists = lane < kConsumerWarps;
  sum = warpSum(exists ? room[lane] : 0.0F);
  largest = warpLargest(exists ? room[16 + lane] : 0.0F);
}

/// `x`, of which the compiler knows nothing: what is computed from it stays in
/// its phase instead of in registers throughout the step.
QCC_DEVICE int opaque(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

/// f32 that other blocks wrote: past the L1 cache.
QCC_DEVICE float loadFar(const float *p) { return __ldcg(p); }

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_PERSISTENT_CUH
