//===- Upload.cpp - Copies weights to a GPU -------------------------------===//

#include "runtime/executor/cuda/Upload.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>
#include <vector>

namespace qrt::cuda {

namespace {

constexpr uint64_t kChunkBytes = uint64_t(4) << 20;
constexpr unsigned kMostThreads = 8;

/// A pinned buffer and the event at which its last copy is over.
class Stage {
public:
  explicit Stage(const Device &device)
      : driver(device.driver()), buffer(device, kChunkBytes) {
    driver.check(driver.createEvent(&event, kNoTiming), "no event");
  }
  ~Stage() {
    if (isUsed)
      driver.waitEvent(event);
    driver.destroyEvent(event);
  }
  Stage(const Stage &) = delete;
  Stage &operator=(const Stage &) = delete;

  void copy(const UploadPiece &piece, Stream stream, double &reading,
            double &waiting) {
    wait(waiting);
    isUsed = true;
    {
      TimedPart timed(reading);
      std::memcpy(buffer.data(), piece.from.data(), piece.from.size());
    }
    driver.check(
        driver.copyToDevice(piece.to, buffer.data(), piece.from.size(), stream),
        "cannot copy weights");
    driver.check(driver.recordEvent(event, stream), "cannot copy weights");
  }
  /// Until the last copy is over.
  void wait(double &waiting) {
    TimedPart timed(waiting);
    if (isUsed)
      driver.check(driver.waitEvent(event), "cannot copy weights");
  }

private:
  const Driver &driver;
  PinnedBuffer buffer;
  Event event = nullptr;
  bool isUsed = false;
};

} // namespace

void upload(const Device &device, std::span<const UploadPiece> pieces,
            LoadTimes &times) {
  TimedPart timed(times.weights);
  std::vector<UploadPiece> chunks;
  for (const UploadPiece &piece : pieces) {
    times.weightBytes += piece.from.size();
    for (uint64_t done = 0; done < piece.from.size(); done += kChunkBytes)
      chunks.push_back(
          {piece.from.subspan(done,
                              std::min(kChunkBytes, piece.from.size() - done)),
           piece.to + done});
  }
  const unsigned threads =
      std::clamp(std::thread::hardware_concurrency(), 1U,
                 std::min(kMostThreads, std::max(1U, unsigned(chunks.size()))));
  std::atomic<size_t> next = 0;
  std::vector<std::exception_ptr> failures(threads);
  std::vector<double> reading(threads), waiting(threads);
  auto work = [&](unsigned thread) {
    try {
      device.use();
      Stage stages[2] = {Stage(device), Stage(device)};
      unsigned turn = 0;
      for (size_t i = next++; i < chunks.size(); i = next++)
        stages[turn++ % 2].copy(chunks[i], device.stream(), reading[thread],
                                waiting[thread]);
      for (Stage &stage : stages)
        stage.wait(waiting[thread]);
    } catch (...) {
      failures[thread] = std::current_exception();
      next = chunks.size();
    }
  };
  {
    std::vector<std::jthread> team;
    for (unsigned thread = 1; thread < threads; ++thread)
      team.emplace_back(work, thread);
    work(0);
  }
  for (const std::exception_ptr &failure : failures)
    if (failure)
      std::rethrow_exception(failure);
  for (unsigned thread = 0; thread < threads; ++thread) {
    times.reading += reading[thread] / threads;
    times.waiting += waiting[thread] / threads;
  }
}

} // namespace qrt::cuda
