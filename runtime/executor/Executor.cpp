//===- Executor.cpp - Runs a model's steps on one device ------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <string>
#include <vector>

namespace qrt {

static void checkStep(std::span<const StepSequence> sequences,
                      size_t logitCount, uint32_t vocabulary) {
  std::vector<const KvCache *> caches;
  uint64_t rows = 0;
  for (const StepSequence &sequence : sequences) {
    if (!sequence.cache || sequence.tokens.empty())
      throw UsageError("a sequence of the step has no cache or no tokens");
    caches.push_back(sequence.cache);
    uint32_t room = sequence.cache->capacity() - sequence.cache->length();
    if (sequence.tokens.size() > room)
      throw UsageError(std::to_string(sequence.tokens.size()) +
                           " tokens do not fit: the context has room for " +
                           std::to_string(sequence.cache->capacity()) +
                           " and holds " +
                           std::to_string(sequence.cache->length()),
                       "use a larger --context");
    for (int32_t token : sequence.tokens)
      if (token < 0 || uint32_t(token) >= vocabulary)
        throw UsageError("token id " + std::to_string(token) +
                         " is outside the vocabulary of " +
                         std::to_string(vocabulary));
    if (!sequence.logits)
      rows += sequence.rowCount();
  }
  std::ranges::sort(caches);
  if (std::ranges::adjacent_find(caches) != caches.end())
    throw UsageError("a sequence stands twice in the step");
  if (logitCount / vocabulary < rows)
    throw UsageError("the step makes " + std::to_string(rows) +
                     " rows of logits, the buffer holds " +
                     std::to_string(logitCount / vocabulary));
}

void Executor::step(std::span<const StepSequence> sequences,
                    std::span<float> logits) {
  checkStep(sequences, logits.size(), vocabulary());
  std::lock_guard<std::mutex> guard(running);
  std::vector<Part> parts;
  parts.reserve(sequences.size());
  float *row = logits.data();
  uint32_t tokens = 0;
  auto flush = [&] {
    if (parts.empty())
      return;
    if (std::ranges::any_of(sequences, [](const StepSequence &sequence) {
          return sequence.cancelled &&
                 sequence.cancelled->load(std::memory_order_relaxed);
        }))
      throw Error("interrupted", "", "", ErrorKind::Cancelled);
    runParts(parts);
    parts.clear();
    tokens = 0;
  };
  for (const StepSequence &sequence : sequences) {
    size_t done = 0, count = sequence.tokens.size();
    float *to = sequence.logits ? sequence.logits : row;
    while (done < count) {
      if (tokens == maxTokens())
        flush();
      size_t here = std::min<size_t>(count - done, maxTokens() - tokens);
      bool isLast = done + here == count;
      uint32_t wanted = sequence.rows == LogitRows::All ? uint32_t(here)
                        : sequence.rows == LogitRows::Last && isLast ? 1
                                                                     : 0;
      parts.push_back({sequence.cache, sequence.tokens.subspan(done, here),
                       sequence.cache->length() + uint32_t(done), wanted,
                       sequence.cache->length() + uint32_t(count), to});
      tokens += uint32_t(here);
      to += size_t(wanted) * vocabulary();
      done += here;
    }
    if (!sequence.logits)
      row = to;
  }
  flush();
  for (const StepSequence &sequence : sequences)
    sequence.cache->used += uint32_t(sequence.tokens.size());
}

LogitMemory Executor::allocateLogits(size_t count) {
  return {new float[count], [](float *memory) { delete[] memory; }};
}

void Executor::parallel(const std::function<void(uint32_t)> &work) {
  std::lock_guard<std::mutex> guard(running);
  runTeam(work);
}

} // namespace qrt
