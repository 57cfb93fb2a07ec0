//===- CpuExecutor.cpp - Runs a model on the CPU --------------------------===//

#include "runtime/executor/CpuExecutor.h"

#include "runtime/executor/Threads.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt {

namespace {
class CpuKvCache : public KvCache {
public:
  /// `stored`: `capacity` rounded up to what the kernels ask for.
  CpuKvCache(uint32_t capacity, uint32_t stored, uint64_t bytesPerToken)
      : KvCache(capacity), stored(stored),
        memory(std::max<uint64_t>(stored * bytesPerToken, 64), "the KV cache",
               /*dense=*/false) {}

  const uint32_t stored;
  const Memory memory;
};
} // namespace

static uint32_t checkedThreads(uint32_t threads) {
  if (threads > kMaxThreads)
    throw UsageError(std::to_string(threads) + " threads are too many",
                     "at most " + std::to_string(kMaxThreads));
  return threads ? threads : defaultThreads();
}

/// The arena that the largest of the entries needs. Checks their sizes: they
/// come out of a file.
static uint64_t arenaBytes(const qrt_variant &variant, uint32_t threads,
                           const std::string &path) {
  constexpr uint64_t limit = uint64_t(1) << 42;
  uint64_t largest = 64;
  uint32_t tokens = 0;
  for (uint32_t i = 0; i < variant.entry_count; ++i) {
    const qrt_entry &entry = variant.entries[i];
    if (!entry.run || entry.max_tokens <= tokens ||
        entry.arena_bytes % 64 != 0 || entry.scratch_bytes % 64 != 0 ||
        entry.arena_bytes > limit || entry.scratch_bytes > limit / kMaxThreads)
      throw Error("damaged artifact: kernel entry " + std::to_string(i) +
                      " has no sound sizes",
                  path);
    tokens = entry.max_tokens;
    largest =
        std::max(largest, entry.arena_bytes + threads * entry.scratch_bytes);
  }
  return largest;
}

CpuExecutor::CpuExecutor(const Artifact &artifact, uint32_t threads)
    : kernels(artifact), variant(kernels.variant(cpuLevel())),
      team(checkedThreads(threads)),
      arena(arenaBytes(variant, team.size(), artifact.path()),
            "the kernels' working memory", /*dense=*/true) {
  uint32_t count = artifact.manifest().tensors()->size();
  weights.reserve(count);
  for (uint32_t i = 0; i < count; ++i)
    weights.push_back(artifact.tensor(i).data());
  ids.reserve(maxTokens());
  positions.reserve(maxTokens());
  rows.reserve(maxTokens());
  sequences.reserve(maxTokens());
}

CpuExecutor::~CpuExecutor() = default;

uint32_t CpuExecutor::maxTokens() const {
  return variant.entries[variant.entry_count - 1].max_tokens;
}

std::unique_ptr<KvCache> CpuExecutor::createCache(uint32_t capacity) {
  constexpr uint32_t limit = uint32_t(1) << 30, multiple = 16;
  if (capacity == 0 || capacity > limit)
    throw UsageError("a context of " + std::to_string(capacity) +
                     " tokens is not possible");
  uint32_t stored = (capacity + multiple - 1) / multiple * multiple;
  return std::make_unique<CpuKvCache>(capacity, stored, kvBytesPerToken());
}

void CpuExecutor::runParts(std::span<const Part> parts) {
  ids.clear();
  positions.clear();
  rows.clear();
  sequences.clear();
  // The kernels write all rows to one place.
  float *logits = nullptr, *next = nullptr;
  bool isOnePlace = true;
  for (const Part &part : parts) {
    if (part.logitRows) {
      logits = logits ? logits : part.logits;
      isOnePlace &= !next || next == part.logits;
      next = part.logits + size_t(part.logitRows) * vocabulary();
    }
    auto &cache = static_cast<CpuKvCache &>(*part.cache);
    auto first = uint32_t(ids.size()), count = uint32_t(part.tokens.size());
    sequences.push_back(
        {first, count, part.past, cache.stored, cache.memory.data(),
         part.length, 0});
    ids.insert(ids.end(), part.tokens.begin(), part.tokens.end());
    for (uint32_t i = 0; i < count; ++i)
      positions.push_back(int32_t(part.past + i));
    for (uint32_t i = count - part.logitRows; i < count; ++i)
      rows.push_back(int32_t(first + i));
  }
  if (!isOnePlace) {
    together.resize(rows.size() * vocabulary());
    logits = together.data();
  }
  const qrt_entry *entry = variant.entries;
  while (entry->max_tokens < ids.size())
    ++entry;

  qrt_step step = {};
  step.struct_size = sizeof(step);
  step.threads = team.size();
  step.tokens = uint32_t(ids.size());
  step.sequence_count = uint32_t(sequences.size());
  step.logit_count = uint32_t(rows.size());
  step.token_ids = ids.data();
  step.positions = positions.data();
  step.sequences = sequences.data();
  step.logit_rows = rows.data();
  step.logits = logits;
  step.weights = weights.data();
  step.arena = arena.data();
  step.barrier = [](void *barrier, uint32_t) {
    static_cast<SpinBarrier *>(barrier)->wait();
  };
  step.barrier_context = &team.barrier();
  step.outlier_statistics = outliers;
  team.run([&](uint32_t thread) { entry->run(&step, thread); });
  if (isOnePlace)
    return;
  for (const Part &part : parts) {
    size_t count = size_t(part.logitRows) * vocabulary();
    std::copy_n(logits, count, part.logits);
    logits += count;
  }
}

} // namespace qrt
