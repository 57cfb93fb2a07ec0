//===- TokenSampler.cpp - Chooses tokens on a GPU -------------------------===//

#include "runtime/executor/cuda/TokenSampler.h"

#include "runtime/abi/cuda_abi.h"
#include "runtime/support/Error.h"

#include <cstring>
#include <thread>

namespace qrt::cuda {

static uint64_t seenBytes(uint32_t vocabulary) {
  return uint64_t(vocabulary + 31) / 32 * 4;
}

Choices::Choices(const Device &device, uint32_t vocabulary)
    : owner(&device),
      memory(device, kSeenAt + seenBytes(vocabulary), "chosen tokens"),
      pinned(device, kSeenAt + seenBytes(vocabulary)) {
  std::memset(pinned.data(), 0, kSeenAt);
  const Driver &driver = device.driver();
  driver.check(driver.hostAddress(&results, pinned.data(), 0),
               "no host memory");
}

void Choices::begin(const SamplingState &sampling) {
  state = sampling;
  state.seen = {};
  if (sampling.repetitionPenalty == 1)
    return;
  const Driver &driver = owner->driver();
  // The last text's copy may be under way.
  driver.check(driver.synchronize(owner->stream()), "a step failed");
  std::memcpy(pinned.data() + kSeenAt, sampling.seen.data(),
              sampling.seen.size_bytes());
  driver.check(driver.copyToDevice(memory.address() + kSeenAt,
                                   pinned.data() + kSeenAt,
                                   sampling.seen.size_bytes(), owner->stream()),
               "cannot send a text's tokens");
}

int32_t Choices::wait(uint32_t ticket) const {
  const Driver &driver = owner->driver();
  std::atomic_ref<uint64_t> result(
      reinterpret_cast<uint64_t *>(pinned.data())[ticket % kResults]);
  auto isThere = [&](uint64_t value) { return value >> 32 == ticket; };
  owner->use();
  for (uint32_t turns = 1;; ++turns) {
    uint64_t value = result.load(std::memory_order_acquire);
    if (isThere(value))
      return int32_t(uint32_t(value));
    std::this_thread::yield();
    // A device that fails writes nothing.
    if (turns % 256)
      continue;
    Result outcome = driver.queryStream(owner->stream());
    if (outcome == kNotReady)
      continue;
    driver.check(outcome, "a step failed");
    value = result.load(std::memory_order_acquire);
    if (!isThere(value))
      throw Error("cuda: a step chose no token");
  }
}

bool TokenSampler::fits(const Device &device, Function function,
                        uint32_t blocks, uint32_t threads) {
  int most = 0;
  device.driver().check(
      device.driver().blocksPerMultiprocessor(&most, function, int(threads), 0),
      "the sampler does not fit");
  return device.attribute(CooperativeLaunch) &&
         uint64_t(most) * uint64_t(device.multiprocessors()) >= blocks;
}

TokenSampler::TokenSampler(const Device &device, Function function,
                           uint32_t blocks, uint32_t threads,
                           uint32_t vocabulary)
    : device(device), function(function), blocks(blocks), threads(threads),
      state(device,
            sizeof(qrt_cuda_sampling_state) +
                2 * sizeof(uint64_t) * uint64_t(vocabulary),
            "sampling") {
  device.driver().check(
      device.driver().fill(state.address(), 0, state.size(), device.stream()),
      "cannot clear memory");
}

uint32_t TokenSampler::choose(DevicePointer logits, Choices &choices) {
  const Driver &driver = device.driver();
  const uint32_t ticket = ++choices.tickets;
  SamplingState &text = choices.state;
  qrt_cuda_sampling sampling = {};
  sampling.logits = logits;
  sampling.seen = choices.memory.address() + Choices::kSeenAt;
  sampling.state = state.address();
  sampling.token = choices.token();
  sampling.result =
      choices.results + ticket % Choices::kResults * uint64_t(sizeof(uint64_t));
  sampling.seed = text.seed;
  sampling.draw = text.draws;
  sampling.ticket = ticket;
  sampling.turn = turn;
  sampling.top_k = text.topK;
  sampling.temperature = text.temperature;
  sampling.top_p = text.topP;
  sampling.least_scaled = text.leastScaled;
  sampling.penalty = text.repetitionPenalty;
  LaunchAttribute attribute = {};
  attribute.id = kCooperative;
  attribute.value = 1;
  LaunchConfig config = {};
  config.gridX = blocks;
  config.gridY = config.gridZ = 1;
  config.blockX = threads;
  config.blockY = config.blockZ = 1;
  config.stream = device.stream();
  config.attributes = &attribute;
  // Blocks of the greedy choice do not wait for each other.
  config.attributeCount = text.temperature != 0;
  void *parameters[] = {&sampling};
  driver.check(driver.launch(&config, function, parameters, nullptr),
               "the sampler does not start");
  turn ^= 1;
  text.draws += text.temperature != 0;
  return ticket;
}

} // namespace qrt::cuda
