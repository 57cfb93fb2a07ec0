//===- sampling.cuh - Chooses the next token --------------------*- C++ -*-===//
//
// runtime/api/Sampler.cpp on a GPU: the same token from the same logits, by the
// arithmetic of runtime/abi/sampling.h. Sampler sorts; here no order of all
// tokens is ever made. Weights are counted and added up by bins of scaled
// logits, so what a filter keeps is known but for the tokens of one bin, which
// are gathered and looked at one by one: a bin for each filter, and one for the
// choice itself. Sums of weights are exact, so no result hangs on which thread
// comes first.
//
// A launch has blocks for each of several rows. The greedy choice is one pass.
// Otherwise blocks of a row meet at barriers, so all of them must run at once.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_SAMPLING_CUH
#define QCC_CODEGEN_CUDA_KERNELS_SAMPLING_CUH

#include "codegen/cuda/kernels/common.cuh"
#include "runtime/abi/sampling.h"

namespace qcc::cuda {

typedef qrt_cuda_sampling Sampling;
typedef qrt_cuda_samplings Samplings;
typedef qrt_cuda_sampling_state SamplingState;

QCC_DEVICE float lowest() { return __uint_as_float(0xFF800000U); } // -infinity

/// A token's place: smaller is earlier, that is likelier. No two are equal.
QCC_DEVICE uint64_t placeOf(float logit, int id) {
  const uint32_t bits = __float_as_uint(logit + 0.0F); // -0 is 0
  const uint32_t rising = bits >> 31 ? ~bits : bits | 0x80000000U;
  return uint64_t(~rising) << 32 | uint32_t(id);
}
QCC_DEVICE float logitAt(uint64_t place) {
  const uint32_t rising = ~uint32_t(place >> 32);
  return __uint_as_float(rising >> 31 ? rising & 0x7FFFFFFFU : ~rising);
}

/// K: vocabulary, blocks, threads.
template <class K>
struct Sample {
  static constexpr int stride = K::blocks * K::threads,
                       perThread = (K::vocabulary + stride - 1) / stride,
                       bins = QRT_CUDA_SAMPLING_BINS,
                       binsPerThread = bins / K::threads;
  static_assert(bins % K::threads == 0 && K::threads % 32 == 0);

  /// Counts and weights of bins, or of all bins up to each.
  struct Bins {
    uint64_t weights[bins];
    uint32_t counts[bins];
  };
  struct Shared {
    Bins all, fine;
    uint64_t places[K::threads], weights[K::threads]; ///< of single tokens
    uint64_t room[3 * 32];
    uint64_t found[3];
    uint32_t at, count;
  };
  /// The tokens up to one, which is the last of them.
  struct Part {
    uint64_t weight;
    int id;
  };

  static __device__ __forceinline__ void run(const Samplings &s, char *memory) {
    Sample sample(s.rows[blockIdx.y], *reinterpret_cast<Shared *>(memory));
    sample.choose();
  }

private:
  __device__ __forceinline__ Sample(const Sampling &s, Shared &shared)
      : s(s), shared(shared), state(*pointer<SamplingState>(s.state)),
        tid(threadIdx.x) {}

  __device__ __forceinline__ int idOf(int i) const {
    return i * stride + int(blockIdx.x) * K::threads + tid;
  }
  __device__ __forceinline__ float scaled(float logit) const {
    return qrt::sampling::scaled(logit, highest, s.temperature);
  }
  /// Rises with falling `x`; no bin has both what min-p keeps and what not.
  __device__ __forceinline__ int binOf(float x) const {
    return floorBin(x) + (x < s.least_scaled);
  }
  static __device__ __forceinline__ int floorBin(float x) {
    return x > -29.0F ? int(__fmul_rn(-x, 35.0F)) : bins - 2;
  }

  __device__ __forceinline__ void choose() {
    const bool isGreedy = s.temperature == 0;
    if (tid == 0 && !isGreedy) {
      // Nobody has passed the first barrier before this block arrives there.
      arrived = loadAcquire(&state.arrivals);
      arrived -= arrived % K::blocks;
    }
    load();
    if (isGreedy) {
      if (tid == 0 && isLast())
        finish(atomicMax(&state.best[s.turn], uint64_t(0)));
      return;
    }
    meet();
    const uint64_t best = __ldcg(&state.best[s.turn]);
    if (blockIdx.x == 0 && tid < 4) {
      // For the next launch.
      state.listed[s.turn ^ 1][tid] = 0;
      state.best[s.turn ^ 1] = 0;
    }
    if (best == 0) {
      if (blockIdx.x == 0 && tid == 0)
        publish(-1);
      return;
    }
    highest = logitAt(~best);
    countAll();
    uint64_t total = shared.all.weights[bins - 1];
    Part part = {total, -1};
    // Top-k, top-p, and after min-p the choice. One place of the code finds all
    // three.
#pragma unroll 1
    for (int filter = 0; filter < 3; ++filter) {
      uint64_t want = s.top_k;
      if (filter == 0 && (!s.top_k || s.top_k >= shared.all.counts[bins - 1]))
        continue;
      if (filter == 1) {
        if (s.top_p >= 1.0F)
          continue;
        want = qrt::sampling::reach(s.top_p, total);
      }
      if (filter == 2) {
        total = smaller(total, shared.all.weights[floorBin(s.least_scaled)]);
        want =
            qrt::sampling::target(qrt::sampling::random(s.seed, s.draw), total);
      }
      part = find(filter == 0, want);
      total = part.weight;
    }
    // Everybody has read these since the last barrier.
    for (int i = blockIdx.x * K::threads + tid; i < bins; i += stride) {
      state.counts[i] = 0;
      state.weights[i] = 0;
    }
    if (blockIdx.x == 0 && tid == 0)
      publish(part.id);
  }

  static __device__ __forceinline__ uint64_t warpBest(uint64_t best) {
    for (int o = 16; o; o >>= 1)
      best = larger(best, __shfl_xor_sync(~0U, best, o));
    return best;
  }

  /// Loads this thread's logits, and finds the best of all.
  __device__ __forceinline__ void load() {
    const bool hasPenalty = s.penalty != 1.0F;
    uint64_t best = 0;
#pragma unroll
    for (int i = 0; i < perThread; ++i)
      logits[i] = idOf(i) < K::vocabulary
                      ? __ldcg(pointer<const float>(s.logits) + idOf(i))
                      : lowest();
#pragma unroll
    for (int i = 0; i < perThread; ++i) {
      const int id = idOf(i);
      if (hasPenalty && id < K::vocabulary &&
          __ldcg(pointer<const uint32_t>(s.seen) + id / 32) >> id % 32 & 1)
        logits[i] = qrt::sampling::penalized(logits[i], s.penalty);
      if (logits[i] > lowest()) // and no NaN
        best = larger(best, ~placeOf(logits[i], id));
    }
    best = warpBest(best);
    if (tid % 32 == 0)
      shared.room[tid / 32] = best;
    __syncthreads();
    if (tid >= 32)
      return;
    best = warpBest(tid < K::threads / 32 ? shared.room[tid] : 0);
    if (tid == 0 && best)
      atomicMax(&state.best[s.turn], best);
  }

  /// What a thread knows of element i: its place in the bins and its weight, 0
  /// for what has no chance.
  __device__ __forceinline__ uint64_t weigh(int i, int &bin) const {
    const float x = scaled(logits[i]);
    bin = binOf(x);
    return logits[i] > lowest() ? qrt::sampling::weight(x) : 0;
  }

  /// Leaves in shared.all how many tokens there are in all blocks up to every
  /// bin, and their weights.
  __device__ __forceinline__ void countAll() {
    clear(shared.all);
#pragma unroll
    for (int i = 0; i < perThread; ++i) {
      int bin;
      if (const uint64_t weight = weigh(i, bin)) {
        atomicAdd(&shared.all.counts[bin], 1U);
        atomicAdd(&shared.all.weights[bin], weight);
      }
    }
    __syncthreads();
    for (int i = tid; i < bins; i += K::threads)
      if (const uint32_t count = shared.all.counts[i]) {
        atomicAdd(&state.counts[i], count);
        atomicAdd(&state.weights[i], shared.all.weights[i]);
      }
    meet();
    for (int i = tid; i < bins; i += K::threads) {
      shared.all.counts[i] = __ldcg(&state.counts[i]);
      shared.all.weights[i] = __ldcg(&state.weights[i]);
    }
    __syncthreads();
    addUp(shared.all);
  }

  __device__ __forceinline__ void clear(Bins &b) {
    for (int i = tid; i < bins; i += K::threads) {
      b.counts[i] = 0;
      b.weights[i] = 0;
    }
    __syncthreads();
  }

  /// Turns what is in every bin into what is in all bins up to it.
  __device__ __forceinline__ void addUp(Bins &b) {
    const int first = tid * binsPerThread, lane = tid % 32;
    uint64_t weight = 0;
    uint32_t count = 0;
    for (int i = first; i < first + binsPerThread; ++i) {
      weight += b.weights[i];
      count += b.counts[i];
    }
    const uint64_t ownWeight = weight;
    const uint32_t ownCount = count;
    for (int o = 1; o < 32; o <<= 1) {
      const uint64_t w = __shfl_up_sync(~0U, weight, o);
      const uint32_t c = __shfl_up_sync(~0U, count, o);
      weight += lane >= o ? w : 0;
      count += lane >= o ? c : 0;
    }
    if (lane == 31) {
      shared.room[tid / 32] = weight;
      shared.room[32 + tid / 32] = count;
    }
    __syncthreads();
    for (int i = 0; i < tid / 32; ++i) {
      weight += shared.room[i];
      count += uint32_t(shared.room[32 + i]);
    }
    weight -= ownWeight;
    count -= ownCount;
    for (int i = first; i < first + binsPerThread; ++i) {
      b.weights[i] = weight += b.weights[i];
      b.counts[i] = count += b.counts[i];
    }
    __syncthreads();
  }

  /// The bin at which the count, or the weight, so far reaches `want`.
  __device__ __forceinline__ int reaching(const Bins &b, bool byCount,
                                          uint64_t want) {
    for (int i = tid; i < bins; i += K::threads) {
      const uint64_t upTo = byCount ? b.counts[i] : b.weights[i];
      const uint64_t before = i == 0    ? 0
                              : byCount ? b.counts[i - 1]
                                        : b.weights[i - 1];
      if (before < want && want <= upTo)
        shared.at = uint32_t(i);
    }
    __syncthreads();
    const int bin = int(shared.at);
    __syncthreads();
    return bin;
  }

  /// The fewest tokens whose count, or weight, reaches `want`. All blocks
  /// work it out.
  __device__ __forceinline__ Part find(bool byCount, uint64_t want) {
    const int n = finds++; // the last list may still be read
    const int bin = reaching(shared.all, byCount, want);
    uint64_t *list =
        pointer<uint64_t>(s.lists) + int64_t(n & 1) * K::vocabulary;
    gather(bin, list, &state.listed[s.turn][n]);
    meet();
    const int count = int(__ldcg(&state.listed[s.turn][n]));
    const uint64_t weight = bin ? shared.all.weights[bin - 1] : 0,
                   before = bin ? shared.all.counts[bin - 1] : 0;
    return findIn(list, count, byCount, want, weight, before);
  }

  /// Appends the places of this block's tokens of a bin.
  __device__ __forceinline__ void gather(int wanted, uint64_t *list,
                                         uint32_t *listed) {
    if (tid == 0)
      shared.count = 0;
    __syncthreads();
    uint32_t own = 0, at = 0;
#pragma unroll
    for (int i = 0; i < perThread; ++i) {
      int bin;
      own += weigh(i, bin) != 0 && bin == wanted;
    }
    if (own)
      at = atomicAdd(&shared.count, own);
    __syncthreads();
    if (tid == 0 && shared.count)
      shared.at = atomicAdd(listed, shared.count);
    __syncthreads();
    if (!own)
      return;
    at += shared.at;
#pragma unroll
    for (int i = 0; i < perThread; ++i) {
      int bin;
      if (weigh(i, bin) != 0 && bin == wanted)
        list[at++] = placeOf(logits[i], idOf(i));
    }
  }

  /// find() among `count` tokens that stand behind tokens of `weight`.
  __device__ __forceinline__ Part findIn(const uint64_t *list, int count,
                                         bool byCount, uint64_t want,
                                         uint64_t weight, uint64_t before) {
    const int listed = count;
    uint64_t least = 0, most = ~uint64_t(0);
    // Bins of the places themselves, until few are left.
#pragma unroll 1
    while (count > K::threads) {
      narrow(list, listed, least, most);
      const int bits = 64 - __clzll(int64_t(most - least));
      const int shift = bits > 10 ? bits - 10 : 0;
      clear(shared.fine);
      for (int i = tid; i < listed; i += K::threads) {
        const uint64_t place = __ldcg(list + i);
        if (place < least || place > most)
          continue;
        const int bin = int((place - least) >> shift);
        atomicAdd(&shared.fine.counts[bin], 1U);
        atomicAdd(&shared.fine.weights[bin],
                  qrt::sampling::weight(scaled(logitAt(place))));
      }
      __syncthreads();
      addUp(shared.fine);
      const int bin =
          reaching(shared.fine, byCount, want - (byCount ? before : weight));
      const Bins &fine = shared.fine;
      count = int(fine.counts[bin] - (bin ? fine.counts[bin - 1] : 0));
      weight += bin ? fine.weights[bin - 1] : 0;
      before += bin ? fine.counts[bin - 1] : 0;
      least += uint64_t(bin) << shift;
      most = least + (uint64_t(1) << shift) - 1;
      __syncthreads();
    }
    if (tid == 0)
      shared.count = 0;
    __syncthreads();
    for (int i = tid; i < listed; i += K::threads) {
      const uint64_t place = __ldcg(list + i);
      if (place < least || place > most)
        continue;
      const uint32_t at = atomicAdd(&shared.count, 1U);
      shared.places[at] = place;
      shared.weights[at] = qrt::sampling::weight(scaled(logitAt(place)));
    }
    __syncthreads();
    if (tid < count) {
      const uint64_t place = shared.places[tid], own = shared.weights[tid];
#pragma unroll 4
      for (int i = 0; i < count; ++i) {
        const bool isBefore = shared.places[i] < place;
        weight += isBefore ? shared.weights[i] : 0;
        before += isBefore;
      }
      const uint64_t so = byCount ? before : weight;
      if (so < want && want <= so + (byCount ? 1 : own)) {
        shared.found[0] = weight + own;
        shared.found[1] = place;
      }
    }
    __syncthreads();
    const Part part = {shared.found[0], int(uint32_t(shared.found[1]))};
    __syncthreads();
    return part;
  }

  /// Bounds of those of the list that lie between bounds.
  __device__ __forceinline__ void narrow(const uint64_t *list, int listed,
                                         uint64_t &least, uint64_t &most) {
    uint64_t low = ~uint64_t(0), high = 0;
    for (int i = tid; i < listed; i += K::threads) {
      const uint64_t place = __ldcg(list + i);
      if (place < least || place > most)
        continue;
      low = smaller(low, place);
      high = larger(high, place);
    }
    for (int o = 16; o; o >>= 1) {
      low = smaller(low, __shfl_xor_sync(~0U, low, o));
      high = larger(high, __shfl_xor_sync(~0U, high, o));
    }
    if (tid % 32 == 0) {
      shared.room[tid / 32] = low;
      shared.room[32 + tid / 32] = high;
    }
    __syncthreads();
    for (int i = 0; i < K::threads / 32; ++i) {
      low = smaller(low, shared.room[i]);
      high = larger(high, shared.room[32 + i]);
    }
    __syncthreads();
    least = low;
    most = high;
  }

  /// True in the block that comes last; for its first thread.
  __device__ __forceinline__ bool isLast() {
    __threadfence();
    const bool last =
        (atomicAdd(&state.arrivals, uint64_t(1)) + 1) % K::blocks == 0;
    __threadfence();
    return last;
  }
  /// The greedy choice.
  __device__ __forceinline__ void finish(uint64_t best) {
    state.best[s.turn ^ 1] = 0;
    for (int i = 0; i < 4; ++i)
      state.listed[s.turn ^ 1][i] = 0;
    publish(best ? int(uint32_t(~best)) : -1);
  }

  /// A barrier of the row's blocks.
  __device__ __forceinline__ void meet() {
    __syncthreads();
    if (tid == 0) {
      arrived += K::blocks;
      __threadfence();
      atomicAdd(&state.arrivals, uint64_t(1));
      while (loadAcquire(&state.arrivals) < arrived) {
      }
      __threadfence();
    }
    __syncthreads();
  }

  __device__ __forceinline__ void publish(int id) {
    *pointer<int>(s.token) = id < 0 ? 0 : id;
    if (id >= 0 && s.penalty != 1.0F)
      pointer<uint32_t>(s.seen)[id / 32] |= 1U << id % 32;
    storeForHost(pointer<uint64_t>(s.result),
                 uint64_t(s.ticket) << 32 | uint32_t(id));
  }

  const Sampling &s;
  Shared &shared;
  SamplingState &state;
  const int tid;
  float logits[perThread];
  float highest = 0;
  uint64_t arrived = 0;
  int finds = 0;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_SAMPLING_CUH
