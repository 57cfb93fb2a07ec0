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
/// it runs, and then waits for that one's token.
class CudaExecutor::Steps final : public TokenSteps {
public:
  Steps(CudaExecutor &executor, KvCache &cache, const SamplingState &sampling,
        int32_t first, uint32_t most)
      : executor(executor), cache(cache), start(cache.length()), first(first),
        most(most) {
    std::lock_guard<std::mutex> guard(executor.running);
    executor.device.use();
    if (executor.idleChoices.empty()) {
      choices.emplace(executor.device, executor.words);
    } else {
      choices = std::move(executor.idleChoices.back());
      executor.idleChoices.pop_back();
    }
    choices->begin(sampling);
  }
  ~Steps() override {
    std::lock_guard<std::mutex> guard(executor.running);
    executor.idleChoices.push_back(std::move(*choices));
  }

  int32_t next() override {
    if (taken == most)
      throw UsageError("no more steps were asked for");
    while (issued < std::min(taken + 2, most))
      issue();
    const int32_t token = choices->wait(tickets[taken++ % 2]);
    if (token < 0)
      throw Error("the model gave no finite logits");
    extend(cache, 1);
    return token;
  }

private:
  void issue() {
    const int32_t id = issued == 0 ? first : 0;
    const Part part = {&cache, {&id, 1},           start + issued,
                       1,      start + issued + 1, nullptr};
    std::lock_guard<std::mutex> guard(executor.running);
    tickets[issued % 2] = executor.putSampledStep(
        part, issued == 0 ? 0 : choices->token(), issued % 2, *choices);
    ++issued;
  }

  CudaExecutor &executor;
  KvCache &cache;
  std::optional<Choices> choices;
  const uint32_t start;
  const int32_t first;
  const uint32_t most;
  uint32_t issued = 0, taken = 0;
  uint32_t tickets[2] = {};
};

std::unique_ptr<TokenSteps>
CudaExecutor::tokenSteps(KvCache &cache, const SamplingState &sampling,
                         int32_t first, uint32_t most) {
  if (!sampler)
    return nullptr;
  return std::make_unique<Steps>(*this, cache, sampling, first, most);
}

uint32_t CudaExecutor::putSampledStep(const Part &part, DevicePointer token,
                                      uint32_t image, Choices &choices) {
  device.use();
  const Entry &entry = entries.front();
  if (entry.maxTokens > kMostGraphTokens)
    reservePromptArena();
  if (entry.isPersistent) {
    setInlineStep({&part, 1}, 1, 1);
    inlineStep.step.token_ids = token;
  } else {
    sendStep({&part, 1}, 1, 1, sampledImages[image], token);
  }
  launchStep(entry, 1, 1);
  return sampler->choose(logitRows.address(), choices);
}

} // namespace qrt
