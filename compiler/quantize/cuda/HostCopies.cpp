//===- HostCopies.cpp - Large copies to and from a GPU --------------------===//

#include "compiler/quantize/cuda/HostCopies.h"

#include "compiler/quantize/Parallel.h"

#include <algorithm>
#include <cstring>

namespace qcc::cuda {

constexpr uint64_t kPiece = uint64_t(32) << 20;
/// What a thread copies at a time, and threads that saturate the memory.
constexpr uint64_t kStripe = uint64_t(1) << 20;
constexpr unsigned kMostThreads = 8;

static void copyParallel(void *to, const void *from, uint64_t bytes,
                         unsigned threads) {
  parallelFor(std::min(threads, kMostThreads),
              int64_t((bytes + kStripe - 1) / kStripe), [&](int64_t i) {
                uint64_t at = uint64_t(i) * kStripe;
                std::memcpy(static_cast<char *>(to) + at,
                            static_cast<const char *>(from) + at,
                            std::min(kStripe, bytes - at));
              });
}

std::span<char> reserve(qrt::cuda::PinnedBuffer &buffer,
                        const qrt::cuda::Device &device, uint64_t bytes) {
  if (buffer.size() < bytes) {
    buffer = {}; // before the new one is asked for
    buffer = qrt::cuda::PinnedBuffer(device, bytes);
  }
  return {buffer.data(), size_t(bytes)};
}

HostCopies::HostCopies(const qrt::cuda::Device &device) : device(device) {
  device.use();
  for (Half &half : halves) {
    half.buffer = qrt::cuda::PinnedBuffer(device, kPiece);
    device.driver().check(
        device.driver().createEvent(&half.done, qrt::cuda::kNoTiming),
        "no event");
  }
}

HostCopies::~HostCopies() {
  device.tryUse();
  for (Half &half : halves)
    if (half.done)
      device.driver().destroyEvent(half.done);
}

void HostCopies::wait(const Half &half) const {
  // One that was never recorded has happened.
  device.driver().check(device.driver().waitEvent(half.done),
                        "copying to or from the GPU");
}

void HostCopies::toDevice(qrt::cuda::DevicePointer to, const void *from,
                          uint64_t bytes, unsigned threads) {
  const qrt::cuda::Driver &driver = device.driver();
  auto *begin = static_cast<const char *>(from);
  if (begin >= pinned.data() && begin < pinned.data() + pinned.size()) {
    driver.check(driver.copyToDevice(to, from, bytes, device.stream()),
                 "cannot copy to the GPU");
    return;
  }
  unsigned turn = 0;
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    Half &half = halves[turn++ % 2];
    uint64_t size = std::min(kPiece, bytes - at);
    wait(half);
    copyParallel(half.buffer.data(), begin + at, size, threads);
    driver.check(
        driver.copyToDevice(to + at, half.buffer.data(), size, device.stream()),
        "cannot copy to the GPU");
    driver.check(driver.recordEvent(half.done, device.stream()), "no event");
  }
}

void HostCopies::toHost(void *to, qrt::cuda::DevicePointer from, uint64_t bytes,
                        unsigned threads) {
  const qrt::cuda::Driver &driver = device.driver();
  auto request = [&](uint64_t at) {
    Half &half = halves[at / kPiece % 2];
    driver.check(driver.copyToHost(half.buffer.data(), from + at,
                                   std::min(kPiece, bytes - at),
                                   device.stream()),
                 "cannot copy from the GPU");
    driver.check(driver.recordEvent(half.done, device.stream()), "no event");
  };
  for (uint64_t at = 0; at < std::min(bytes, 2 * kPiece); at += kPiece)
    request(at);
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    Half &half = halves[at / kPiece % 2];
    wait(half);
    copyParallel(static_cast<char *>(to) + at, half.buffer.data(),
                 std::min(kPiece, bytes - at), threads);
    if (at + 2 * kPiece < bytes)
      request(at + 2 * kPiece);
  }
}

} // namespace qcc::cuda
