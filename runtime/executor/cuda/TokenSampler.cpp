//===- TokenSampler.cpp - Chooses tokens on a GPU -------------------------===//

#include "runtime/executor/cuda/TokenSampler.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

namespace qrt::cuda {

Choices::Choices(const Device &device, uint32_t vocabulary, uint32_t room)
    : owner(&device), most(room),
      headBytes((uint64_t(room) * kResults * sizeof(uint64_t) + 255) / 256 *
                256),
      seenBytes(uint64_t(vocabulary + 31) / 32 * 4),
      memory(device, seenAt(room), "chosen tokens"),
      pinned(device, seenAt(room)) {
  std::memset(pinned.data(), 0, headBytes);
  const Driver &driver = device.driver();
  driver.check(driver.hostAddress(&results, pinned.data(), 0),
               "no host memory");
}

void Choices::begin(std::span<const SamplingState> sampling) {
  texts.assign(sampling.begin(), sampling.end());
  const Driver &driver = owner->driver();
  bool isIdle = false;
  for (size_t i = 0; i < texts.size(); ++i) {
    texts[i].seen = {};
    if (texts[i].repetitionPenalty == 1)
      continue;
    // The last text's copy may be under way.
    if (!std::exchange(isIdle, true))
      driver.check(driver.synchronize(owner->stream()), "a step failed");
    const std::span<const uint32_t> seen = sampling[i].seen;
    char *from = pinned.data() + seenAt(i);
    std::memcpy(from, seen.data(), seen.size_bytes());
    driver.check(driver.copyToDevice(memory.address() + seenAt(i), from,
                                     seen.size_bytes(), owner->stream()),
                 "cannot send a text's tokens");
  }
}

int32_t Choices::wait(uint32_t ticket, uint32_t text) const {
  const Driver &driver = owner->driver();
  std::atomic_ref<uint64_t> result(
      reinterpret_cast<uint64_t *>(pinned.data())[resultAt(ticket, text)]);
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

void Choices::waitForAll() const {
  for (uint32_t i = 0; tickets && i < texts.size(); ++i)
    wait(tickets, i);
}

uint32_t TokenSampler::rowsAtOnce(const Device &device, Function function,
                                  uint32_t blocks, uint32_t threads) {
  int most = 0;
  device.driver().check(
      device.driver().blocksPerMultiprocessor(&most, function, int(threads), 0),
      "the sampler does not fit");
  const uint64_t all = uint64_t(most) * uint64_t(device.multiprocessors());
  return uint32_t(std::min<uint64_t>(all / blocks, QRT_CUDA_SAMPLING_ROWS));
}

bool TokenSampler::fits(const Device &device, Function function,
                        uint32_t blocks, uint32_t threads) {
  return device.attribute(CooperativeLaunch) &&
         rowsAtOnce(device, function, blocks, threads) > 0;
}

TokenSampler::TokenSampler(const Device &device, Function function,
                           uint32_t blocks, uint32_t threads,
                           uint32_t vocabulary)
    : device(device), function(function), blocks(blocks), threads(threads),
      vocabulary(vocabulary),
      mostRows(rowsAtOnce(device, function, blocks, threads)),
      states(device, QRT_CUDA_SAMPLING_ROWS * sizeof(qrt_cuda_sampling_state),
             "sampling") {
  device.driver().check(
      device.driver().fill(states.address(), 0, states.size(), device.stream()),
      "cannot clear memory");
  reserve(1);
}

void TokenSampler::reserve(uint32_t texts) {
  const uint64_t bytes =
      std::min(texts, mostRows) * 2 * sizeof(uint64_t) * uint64_t(vocabulary);
  if (bytes <= lists.size())
    return;
  device.driver().check(device.driver().synchronize(device.stream()),
                        "a step failed");
  lists = Buffer(); // the old room first
  lists = Buffer(device, bytes, "sampling");
}

uint32_t TokenSampler::choose(DevicePointer logits, Choices &choices) {
  const uint32_t ticket = ++choices.tickets;
  const auto count = uint32_t(choices.texts.size());
  const bool isGreedy =
      std::ranges::all_of(choices.texts, [](const SamplingState &text) {
        return text.temperature == 0;
      });
  // Blocks of the greedy choice do not wait for each other.
  const uint32_t most = isGreedy ? QRT_CUDA_SAMPLING_ROWS : mostRows;
  for (uint32_t first = 0; first < count; first += most) {
    const uint32_t rows = std::min(count - first, most);
    qrt_cuda_samplings samplings = {};
    for (uint32_t row = 0; row < rows; ++row) {
      const uint32_t i = first + row;
      SamplingState &text = choices.texts[i];
      samplings.rows[row] = {
          .logits = logits + uint64_t(i) * vocabulary * sizeof(float),
          .seen = choices.memory.address() + choices.seenAt(i),
          .state = states.address() + row * sizeof(qrt_cuda_sampling_state),
          .lists = lists.address() +
                   row * 2 * sizeof(uint64_t) * uint64_t(vocabulary),
          .token = choices.tokens() + i * sizeof(int32_t),
          .result =
              choices.results + choices.resultAt(ticket, i) * sizeof(uint64_t),
          .seed = text.seed,
          .draw = text.draws,
          .ticket = ticket,
          .turn = turns[row],
          .top_k = text.topK,
          .temperature = text.temperature,
          .top_p = text.topP,
          .least_scaled = text.leastScaled,
          .penalty = text.repetitionPenalty,
          .reserved = 0};
      turns[row] ^= 1;
      text.draws += text.temperature != 0;
    }
    launch(samplings, rows, !isGreedy);
  }
  return ticket;
}

void TokenSampler::launch(const qrt_cuda_samplings &samplings, uint32_t rows,
                          bool isCooperative) {
  LaunchAttribute attribute = {};
  attribute.id = kCooperative;
  attribute.value = 1;
  LaunchConfig config = {};
  config.gridX = blocks;
  config.gridY = rows;
  config.gridZ = 1;
  config.blockX = threads;
  config.blockY = config.blockZ = 1;
  config.stream = device.stream();
  config.attributes = &attribute;
  config.attributeCount = isCooperative;
  const void *parameters[] = {&samplings};
  device.driver().check(device.driver().launch(&config, function,
                                               const_cast<void **>(parameters),
                                               nullptr),
                        "the sampler does not start");
}

} // namespace qrt::cuda
