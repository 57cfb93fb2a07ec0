//===- CudaSampling.cpp - Steps whose tokens the GPU chooses --------------===//

#include "runtime/executor/cuda/CudaExecutor.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <utility>

namespace qrt {

using namespace cuda;

void CudaExecutor::loadSampler(const fb::Kernels &kernels) {
  const fb::Launch *launch = kernels.sampling();
  if (!launch || isSwitchedOff("QRT_CUDA_SAMPLING"))
    return;
  Function function = images.function(launch->image());
  if (TokenSampler::fits(device, function, launch->multiple(),
                         launch->threads()))
    sampler.emplace(device, function, launch->multiple(), launch->threads(),
                    words);
}

/// The host is one step ahead: it puts a step on the stream when the one before
/// it runs, and then waits for that one's tokens.
class CudaExecutor::Steps final : public TokenSteps {
public:
  Steps(CudaExecutor &executor, std::span<const SampledSequence> sequences,
        uint32_t most)
      : executor(executor), most(most) {
    std::vector<SamplingState> samplings;
    for (const SampledSequence &sequence : sequences) {
      texts.push_back(
          {sequence.cache, sequence.cache->length(), sequence.first});
      samplings.push_back(sequence.sampling);
    }
    std::lock_guard<std::mutex> guard(executor.running);
    executor.device.use();
    executor.sampler->reserve(uint32_t(texts.size()));
    ahead.emplace(executor.takeAhead(uint32_t(texts.size())));
    ahead->choices.begin(samplings);
  }
  ~Steps() override {
    std::lock_guard<std::mutex> guard(executor.running);
    executor.idle.push_back(std::move(*ahead));
  }

  void next(std::span<int32_t> tokens) override {
    if (taken == most)
      throw UsageError("no more steps were asked for");
    while (issued < std::min(taken + 2, most))
      issue();
    take(tokens);
  }

  bool finish(std::span<int32_t> tokens) override {
    if (taken == issued)
      return false;
    take(tokens);
    return true;
  }

  void leave(size_t sequence) override { texts[sequence].cache = nullptr; }

private:
  struct Text {
    KvCache *cache; ///< null once it has left
    uint32_t start; ///< positions before the first step
    int32_t first;
  };

  void issue() {
    std::vector<Part> parts;
    for (const Text &text : texts)
      parts.push_back({text.cache,
                       {&text.first, 1},
                       text.start + issued,
                       1,
                       text.start + issued + 1,
                       nullptr});
    std::lock_guard<std::mutex> guard(executor.running);
    tickets[issued % 2] = executor.putSampledStep(
        parts, issued == 0 ? 0 : ahead->choices.tokens(),
        ahead->images[issued % 2], *ahead);
    ++issued;
  }

  void take(std::span<int32_t> tokens) {
    const uint32_t ticket = tickets[taken % 2];
    for (size_t i = 0; i < texts.size(); ++i) {
      tokens[i] = ahead->choices.wait(ticket, uint32_t(i));
      if (tokens[i] < 0 && texts[i].cache)
        throw NoFiniteLogits();
    }
    ++taken;
    for (const Text &text : texts)
      if (text.cache)
        extend(*text.cache, 1);
  }

  CudaExecutor &executor;
  std::vector<Text> texts;
  std::optional<Ahead> ahead;
  const uint32_t most;
  uint32_t issued = 0, taken = 0;
  uint32_t tickets[2] = {};
};

std::unique_ptr<TokenSteps>
CudaExecutor::tokenSteps(std::span<const SampledSequence> sequences,
                         uint32_t most) {
  if (!sampler || sequences.size() > maxTokens())
    return nullptr;
  return std::make_unique<Steps>(*this, sequences, most);
}

CudaExecutor::Ahead CudaExecutor::takeAhead(uint32_t texts) {
  if (!idle.empty()) {
    Ahead ahead = std::move(idle.back());
    idle.pop_back();
    if (ahead.choices.room() >= texts) {
      // A step that was dropped may be under way.
      ahead.choices.waitForAll();
      return ahead;
    }
    // And it may still write to what is freed now.
    driver.check(driver.synchronize(device.stream()), "a step failed");
  }
  const uint64_t bytes = stepBytes(texts);
  return {Choices(device, words, texts),
          {PinnedBuffer(device, bytes), PinnedBuffer(device, bytes)}};
}

uint32_t CudaExecutor::putSampledStep(std::span<const Part> parts,
                                      DevicePointer tokens,
                                      const PinnedBuffer &image, Ahead &ahead) {
  device.use();
  const auto count = uint32_t(parts.size());
  const Entry &entry = entryFor(count, count);
  if (entry.isPersistent) {
    setInlineStep(parts, count, count);
    inlineStep.step.token_ids = tokens;
  } else {
    sendStep(parts, count, count, image, tokens);
  }
  launchStep(entry, count, count);
  return sampler->choose(logitRows.address(), ahead.choices);
}

} // namespace qrt
