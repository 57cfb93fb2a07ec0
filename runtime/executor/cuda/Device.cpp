//===- Device.cpp - One GPU and its memory --------------------------------===//

#include "runtime/executor/cuda/Device.h"

#include "runtime/support/Error.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace qrt::cuda {

static std::string gibibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f GiB",
                double(bytes) / (uint64_t(1) << 30));
  return text;
}

std::optional<int> gpuNumber(std::string device) {
  if (device == "cuda")
    return 0;
  if (device.starts_with("cuda:"))
    device.erase(0, 5);
  if (device.empty() || device.size() > 4 ||
      device.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoi(device);
}

bool isSwitchedOff(const char *variable) {
  const char *value = std::getenv(variable);
  return value && std::string_view(value) == "0";
}

Device::Device(int ordinal, const std::string &hint) {
  std::string why;
  api = Driver::get(why);
  if (!api)
    throw Error(why, "", hint);
  if (ordinal >= api->deviceCount_)
    throw Error("there is no GPU " + std::to_string(ordinal) +
                ": the machine has " + std::to_string(api->deviceCount_));
  api->check(api->deviceGet(&id, ordinal), "no device");
  char text[128] = "";
  api->deviceName(text, sizeof(text), id);
  label = text;
  api->check(api->retainContext(&context, id), "no context");
  try {
    use();
    api->check(api->createStream(&queue, kNonBlocking, kHigherPriority),
               "no stream");
  } catch (...) {
    api->releaseContext(id);
    throw;
  }
}

Device::~Device() {
  api->setContext(context);
  api->destroyStream(queue);
  api->releaseContext(id);
}

int Device::attribute(int which) const {
  int value = 0;
  api->check(api->deviceAttribute(&value, which, id), "no attribute");
  return value;
}

double Device::nominalBandwidth() const {
  // Two transfers a clock.
  return 2.0 * attribute(MemoryClockKilohertz) * 1000.0 *
         attribute(MemoryBusBits) / 8;
}

void Device::use() const {
  api->check(api->setContext(context), "the context is lost");
}

uint64_t Device::freeBytes() const {
  size_t free = 0, total = 0;
  api->check(api->memoryInfo(&free, &total), "no memory information");
  return free;
}

Buffer::Buffer(const Device &device, uint64_t bytes, const std::string &what,
               const std::string &hint)
    : owner(&device), length(bytes) {
  uint64_t free = device.freeBytes();
  if (bytes > free || device.driver().allocate(&start, bytes))
    throw Error("not enough GPU memory: " + what + " need " + gibibytes(bytes) +
                    ", " + gibibytes(free) + " of " + device.name() +
                    " are free",
                "", hint);
}

Buffer::~Buffer() {
  if (!start)
    return;
  const Driver &driver = owner->driver();
  owner->tryUse();
  driver.free(start);
}

PinnedBuffer::PinnedBuffer(const Device &device, uint64_t bytes)
    : owner(&device), length(bytes) {
  device.driver().check(device.driver().allocateHost(&start, bytes, 0),
                        "no host memory");
}

PinnedBuffer::~PinnedBuffer() {
  if (start)
    owner->driver().freeHost(start);
}

} // namespace qrt::cuda
