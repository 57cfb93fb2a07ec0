//===- persistent.cuh - A step of one launch --------------------*- C++ -*-===//
//
// One block a multiprocessor runs all phases of a step, in an order that was
// fixed when the model was compiled; the units of a weight that a block works
// on are a table made for the number of blocks (runtime/executor/cuda/Cuts.h).
//
// The last warp of a block, the producer, streams the block's part of all
// weights through a ring of slots in shared memory, from phase to phase without
// regard to what they wait for. The others, the consumers, do the phases.
// Phases that hand over data are separated by a barrier of the grid; while a
// block waits at one its ring fills up. Bytes that are on their way from memory
// delay what goes between blocks, so while the next phase's activations are not
// there yet, only few are asked for.
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

constexpr int kConsumerWarps = 11;
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
/// A barrier of the consumers of a block.
QCC_DEVICE void syncConsumers() {
  asm volatile("bar.sync 1, %0;" ::"n"(kConsumers) : "memory");
}

/// Where a block keeps what, in bytes of its shared memory. `P` (generated)
/// holds the numbers.
template <class P>
struct Places {
  static constexpr int fullAt = 0, emptyAt = 8 * P::slots,
                       startedAt = 16 * P::slots, roomAt = startedAt + 16,
                       cutsAt = roomAt + 2 * 4 * 32,
                       tableAt = (cutsAt + 8 * P::streams + 15) / 16 * 16,
                       xAt = (tableAt + 8 * P::words + 127) / 128 * 128,
                       sumsAt = xAt + P::xBytes,
                       ringAt = (sumsAt + P::sumsBytes + 127) / 128 * 128,
                       bytes = ringAt + P::slots * P::slotBytes;
  static_assert(bytes == P::sharedBytes);
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
  /// The layer's operands begin at entry `i`.
  __device__ __forceinline__ void setLayer(int i) { layerAt = i; }

protected:
  __device__ __forceinline__ Actor(const Step *step, char *shared)
      : step(step), shared(shared), base(sharedAddress(shared)) {}

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
  template <class K>
  __device__ __forceinline__ bool isSkipped() const {
    return K::gather && step->logit_count == 0;
  }

  const Step *step;
  char *shared;
  uint32_t base;
  int layerAt = 0;
  /// The next slot of the ring, how often it has been gone round, modulo 2, and
  /// the gemvs so far.
  int slot = 0;
  uint32_t parity = 0, gemvs = 0;
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
  __device__ __forceinline__ void gemv(uint64_t codes, uint64_t scales,
                                       uint64_t zeros, uint64_t, uint64_t,
                                       uint64_t, uint64_t, uint64_t) {
    if (this->template isSkipped<K>())
      return;
    ++this->gemvs;
    constexpr int units = K::unitsPerRow, slotUnits = K::slotUnits;
    const int lane = threadIdx.x % 32;
    const int end = this->cut(K::stream, 1);
    int unit = this->cut(K::stream, 0);
    int tile = unit / units, k = unit % units;
    while (unit < end) {
      // The units of the slot are `count` from (tile, k) up to (tile2, k2).
      const int count = smaller(slotUnits, end - unit);
      int tile2 = tile, k2 = k + count;
      while (k2 >= units) {
        k2 -= units;
        ++tile2;
      }
      const uint32_t bytes = (tile2 - tile) * K::tileBytes +
                             (k2 - k) * K::unitBytes;
      const int group = tile * K::groups + k / K::unitsPerGroup;
      uint32_t lines = 0;
      if (K::scaleLine) {
        const int lastK = k2 ? k2 - 1 : units - 1, lastTile = tile2 - (k2 == 0);
        lines = lastTile * K::groups + lastK / K::unitsPerGroup - group + 1;
      }
      const uint32_t full = this->base + Places<P>::fullAt + 8 * this->slot,
                     at = this->base + Places<P>::ringAt +
                          this->slot * P::slotBytes;
      waitBarrier(this->base + Places<P>::emptyAt + 8 * this->slot,
                  this->parity ^ 1);
      throttle();
      if (lane == 0) {
        expectBytes(full, bytes + lines * (K::scaleLine + K::zeroLine));
        copyExpected(at,
                     pointer<const char>(codes) + int64_t(tile) * K::tileBytes +
                         k * K::unitBytes,
                     bytes, full);
      }
      __syncwarp();
      if (K::scaleLine && lane == 1)
        copyExpected(at + K::scalesAt,
                     pointer<const char>(scales) + int64_t(group) * K::scaleLine,
                     lines * K::scaleLine, full);
      if (K::zeroLine && lane == 2)
        copyExpected(at + K::zerosAt,
                     pointer<const char>(zeros) + int64_t(group) * K::zeroLine,
                     lines * K::zeroLine, full);
      unit += count;
      tile = tile2;
      k = k2;
      this->nextSlot();
    }
  }

  template <class K, class... Operands>
  __device__ __forceinline__ void phase(Operands...) {}
  /// Norms' weights are brought into the L2 cache, a line by each block.
  template <class K>
  __device__ __forceinline__ void stage(uint64_t, uint64_t, uint64_t weight,
                                        uint64_t bias) {
    constexpr int line = 128, lines = (K::columns * 4 + line - 1) / line;
    const int lane = threadIdx.x % 32;
    if (K::norm == NormNone || lane > int(K::hasNormBias))
      return;
    for (int i = blockIdx.x; i < lines; i += gridDim.x)
      asm volatile("prefetch.global.L2 [%0];" ::"l"(
          pointer<const char>(lane ? bias : weight) + i * line));
  }
  template <class K, class... Operands>
  __device__ __forceinline__ void attention(Operands...) {}
  __device__ __forceinline__ void barrier() {}

private:
  /// Waits until so few slots are on their way that another may be asked for.
  __device__ __forceinline__ void throttle() {
    const volatile uint32_t *started = reinterpret_cast<volatile uint32_t *>(
        this->shared + Places<P>::startedAt);
    while (true) {
      const int most = *started >= this->gemvs ? P::flying : P::flyingAhead;
      while (flying > 0 && testBarrier(this->base + Places<P>::fullAt +
                                           8 * landing,
                                       landingParity)) {
        --flying;
        if (++landing == P::slots) {
          landing = 0;
          landingParity ^= 1;
        }
      }
      if (flying < most)
        break;
    }
    ++flying;
  }

  int flying = 0, landing = 0;
  uint32_t landingParity = 0;
};

//===----------------------------------------------------------------------===//
// Reductions over the consumers
//===----------------------------------------------------------------------===//

/// Over all consumers, who all get the result. Calls take turns with two rooms,
/// so that one barrier each is enough.
template <bool IsMax>
QCC_DEVICE float consumerReduce(float x, float *rooms, uint32_t &turn) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float *room = rooms + 32 * (turn++ & 1);
  x = IsMax ? warpMax(x) : warpSum(x);
  if (lane == 0)
    room[warp] = x;
  syncConsumers();
  const float y = lane < kConsumerWarps ? room[lane] : (IsMax ? -3.4e38F : 0.0F);
  return IsMax ? warpMax(y) : warpSum(y);
}

/// The sum of one number and the largest of another.
QCC_DEVICE void consumerReduceBoth(float &sum, float &largest, float *rooms,
                                   uint32_t &turn) {
  static_assert(kConsumerWarps <= 16);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float *room = rooms + 32 * (turn++ & 1);
  sum = warpSum(sum);
  largest = warpMax(largest);
  if (lane == 0) {
    room[warp] = sum;
    room[16 + warp] = largest;
  }
  syncConsumers();
  const bool exists = lane < kConsumerWarps;
  sum = warpSum(exists ? room[lane] : 0.0F);
  largest = warpMax(exists ? room[16 + lane] : 0.0F);
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
