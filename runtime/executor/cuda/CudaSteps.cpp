//===- CudaSteps.cpp - The steps of a model on an NVIDIA GPU --------------===//

#include "runtime/abi/cuda_abi.h"
#include "runtime/executor/cuda/Architecture.h"
#include "runtime/executor/cuda/CudaExecutor.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace qrt {

using namespace cuda;

namespace {

/// Logits of up to so many rows lie in pinned memory.
constexpr uint32_t kPinnedRows = 8;

class CudaKvCache : public KvCache {
public:
  CudaKvCache(const Device &device, uint32_t capacity, uint32_t stored,
              uint64_t bytes, const std::string &hint)
      : KvCache(capacity), stored(stored),
        memory(device, bytes, "keys and values", hint), device(device) {}
  /// A step that nobody waited for may still write here.
  ~CudaKvCache() override {
    device.tryUse();
    device.driver().synchronize(device.stream());
  }

  const uint32_t stored; ///< positions, a multiple of QRT_CUDA_KV_MULTIPLE
  const Buffer memory;

private:
  const Device &device;
};

} // namespace

uint32_t CudaExecutor::maxTokens() const { return entries.back().maxTokens; }

OutlierStatistics CudaExecutor::outlierStatistics() const {
  uint64_t counts[2] = {};
  device.use();
  driver.check(driver.copyToHost(counts, memory.address() + statisticsAt,
                                 sizeof(counts), device.stream()),
               "cannot fetch statistics");
  driver.check(driver.synchronize(device.stream()), "a step failed");
  return {counts[0], counts[1]};
}

std::unique_ptr<KvCache> CudaExecutor::createCache(uint32_t capacity) {
  constexpr uint32_t limit = uint32_t(1) << 30;
  if (capacity == 0 || capacity > limit)
    throw UsageError("a context of " + std::to_string(capacity) +
                     " tokens is not from 1 to " + std::to_string(limit));
  device.use();
  constexpr uint32_t multiple = QRT_CUDA_KV_MULTIPLE;
  uint32_t stored = (capacity + multiple - 1) / multiple * multiple;
  uint64_t bytes = std::max<uint64_t>(uint64_t(stored) * kvBytes, kAlignment);
  uint64_t fitting = kvBytes ? device.freeBytes() / kvBytes : 0;
  auto cache = std::make_unique<CudaKvCache>(
      device, capacity, stored, bytes,
      "a context of " + std::to_string(fitting / multiple * multiple) +
          " tokens would fit");
  // Masked positions are read, and must not be infinite.
  driver.check(driver.fill(cache->memory.address(), 0, bytes, device.stream()),
               "cannot clear a cache");
  return cache;
}

LogitMemory CudaExecutor::allocateLogits(size_t count) {
  if (count > size_t(kPinnedRows) * words)
    return Executor::allocateLogits(count);
  device.use();
  auto memory = std::make_shared<PinnedBuffer>(device, count * sizeof(float));
  return {reinterpret_cast<float *>(memory->data()),
          [this, memory](float *) { device.tryUse(); }};
}

void CudaExecutor::enqueue(const Entry &entry, uint32_t tokens,
                           uint32_t logitRows) const {
  // Kernels for sm_90 and newer wait for earlier ones themselves.
  bool overlaps = architectureOf(targetName) >= 90;
  const uint64_t step = memory.address() + stepAt;
  bool isFirst = true;
  for (const Launch &launch : entry.launches) {
    const fb::Launch &description = *launch.description;
    if (!isTaken(description, tokens, library != nullptr, libraryFrom))
      continue;
    if (const fb::Product *product = description.product()) {
      panels->beforeProduct(description.place());
      library->multiply(*product, {launch.args, 5}, tokens);
      panels->afterProduct(description.place());
      isFirst = false;
      continue;
    }
    const void *parameter = &step;
    if (description.ahead()) {
      cuda::enqueue(device, launch, tokens, logitRows, parameter,
                    /*overlaps=*/false, panels->forPanel(description.place()));
      panels->wroteTo(description.place());
      continue;
    }
    if (entry.isPersistent)
      parameter = &inlineStep;
    cuda::enqueue(device, launch, tokens, logitRows, parameter,
                  overlaps && !isFirst);
    isFirst = false;
  }
}

cuda::GraphExec CudaExecutor::capture(const Entry &entry,
                                      uint32_t tokens) const {
  driver.check(driver.beginCapture(device.stream(), kCaptureThreadLocal),
               "cannot capture a graph");
  Graph graph = nullptr;
  try {
    enqueue(entry, tokens, tokens);
  } catch (...) {
    driver.endCapture(device.stream(), &graph);
    throw;
  }
  driver.check(driver.endCapture(device.stream(), &graph),
               "cannot capture a graph");
  GraphExec executable = nullptr;
  Result result = driver.instantiate(&executable, graph, 0);
  driver.destroyGraph(graph);
  driver.check(result, "cannot make a graph");
  return executable;
}

void CudaExecutor::captureAll(Entry &entry) const {
  for (uint32_t tokens = kLeastGraphTokens; tokens < entry.maxTokens;
       tokens *= 2)
    entry.graphs.push_back({tokens, capture(entry, tokens)});
  entry.graphs.push_back({entry.maxTokens, capture(entry, entry.maxTokens)});
}

void CudaExecutor::destroyGraphs(Entry &entry) const {
  for (const CapturedGraph &captured : entry.graphs)
    driver.destroyGraphExec(captured.graph);
  entry.graphs.clear();
}

struct CudaExecutor::StepTables {
  qrt_cuda_sequence *sequences;
  int32_t *ids, *positions;
  uint32_t *owners;
  int32_t *rows;
};

void CudaExecutor::fillTables(std::span<const Part> parts,
                              const StepTables &to) {
  uint32_t token = 0, row = 0;
  for (size_t s = 0; s < parts.size(); ++s) {
    const Part &part = parts[s];
    auto &cache = static_cast<CudaKvCache &>(*part.cache);
    auto count = uint32_t(part.tokens.size());
    to.sequences[s] = {
        token,       count, part.past, cache.stored, cache.memory.address(),
        part.length, 0};
    for (uint32_t i = 0; i < count; ++i, ++token) {
      to.ids[token] = part.tokens[i];
      to.positions[token] = int32_t(part.past + i);
      to.owners[token] = uint32_t(s);
      if (i >= count - part.logitRows)
        to.rows[row++] = int32_t(token);
    }
  }
}

qrt_cuda_step CudaExecutor::describe(std::span<const Part> parts,
                                     uint32_t tokens, uint32_t rows) const {
  qrt_cuda_step step = {};
  step.tokens = tokens;
  step.sequence_count = uint32_t(parts.size());
  step.logit_count = rows;
  step.logits = logitRows.address();
  step.outlier_statistics = memory.address() + statisticsAt;
  return step;
}

void CudaExecutor::sendStep(std::span<const Part> parts, uint32_t tokens,
                            uint32_t rows, const PinnedBuffer &buffer,
                            DevicePointer ids) {
  char *image = buffer.data();
  const uint64_t base = memory.address() + stepAt;
  uint64_t at = aligned(sizeof(qrt_cuda_step));
  qrt_cuda_step step = describe(parts, tokens, rows);
  auto table = [&](auto *&here, uint64_t count) {
    uint64_t from = at;
    at += count * sizeof(*here);
    here =
        reinterpret_cast<std::remove_reference_t<decltype(here)>>(image + from);
    return base + from;
  };
  StepTables tables;
  step.sequences = table(tables.sequences, parts.size());
  step.token_ids = table(tables.ids, tokens);
  step.positions = table(tables.positions, tokens);
  step.token_sequence = table(tables.owners, tokens);
  step.logit_rows = table(tables.rows, rows);
  fillTables(parts, tables);
  if (ids)
    step.token_ids = ids;
  std::memcpy(image, &step, sizeof(step));
  driver.check(driver.copyToDevice(base, image, at, device.stream()),
               "cannot send a step");
}

bool CudaExecutor::setInlineStep(std::span<const Part> parts, uint32_t tokens,
                                 uint32_t rows) {
  inlineStep.step = describe(parts, tokens, rows);
  fillTables(parts,
             {inlineStep.sequences, inlineStep.token_ids, inlineStep.positions,
              inlineStep.token_sequence, inlineStep.logit_rows});
  DevicePointer logits = 0;
  if (parts.size() != 1 || rows == 0 || !parts[0].logits ||
      driver.hostAddress(&logits, parts[0].logits, 0))
    return false;
  inlineStep.step.logits = logits;
  return true;
}

void CudaExecutor::launchStep(const Entry &entry, uint32_t tokens,
                              uint32_t logitRows) const {
  const auto captured =
      std::find_if(entry.graphs.begin(), entry.graphs.end(),
                   [&](const CapturedGraph &g) { return g.tokens >= tokens; });
  if (captured != entry.graphs.end())
    driver.check(driver.launchGraph(captured->graph, device.stream()),
                 "a graph does not start");
  else
    enqueue(entry, tokens, logitRows);
}

const CudaExecutor::Entry &CudaExecutor::entryFor(uint32_t tokens,
                                                  uint32_t logitRows) {
  reserveLogits(logitRows);
  const Entry *entry = entries.data();
  while (entry->maxTokens < tokens)
    ++entry;
  if (entry->maxTokens > kMostGraphTokens)
    reservePromptArena();
  if (libraryBytes && tokens >= leastLibraryTokens)
    takeLibrary(tokens);
  return *entry;
}

void CudaExecutor::runParts(std::span<const Part> parts) {
  device.use();
  uint32_t tokens = 0, rows = 0;
  for (const Part &part : parts) {
    tokens += uint32_t(part.tokens.size());
    rows += part.logitRows;
  }
  const Entry &entry = entryFor(tokens, rows);
  bool isThere = false; // the logits, where they are wanted
  if (entry.isPersistent)
    isThere = setInlineStep(parts, tokens, rows);
  else
    sendStep(parts, tokens, rows, stepImage);
  launchStep(entry, tokens, rows);
  // One copy a sequence: memory of two may be neighbours, but a copy must not
  // reach from one allocation into the next.
  uint64_t from = logitRows.address();
  for (const Part &part : parts) {
    if (isThere || part.logitRows == 0)
      continue;
    uint64_t bytes = uint64_t(part.logitRows) * words * sizeof(float);
    driver.check(driver.copyToHost(part.logits, from, bytes, device.stream()),
                 "cannot fetch logits");
    from += bytes;
  }
  driver.check(driver.synchronize(device.stream()), "a step failed");
}

} // namespace qrt
