//===- PanelStream.cpp - Panels that are written ahead --------------------===//

#include "runtime/executor/cuda/PanelStream.h"

namespace qrt::cuda {

PanelStream::PanelStream(const Device &device) : device(device) {
  const Driver &driver = device.driver();
  try {
    driver.check(driver.createStream(&side, kNonBlocking, kLeastPriority),
                 "no stream");
    for (uint32_t i = 0; i < kPlaces; ++i)
      for (Event *event : {&written[i], &read[i]})
        driver.check(driver.createEvent(event, kNoTiming), "no event");
  } catch (...) {
    release();
    throw;
  }
}

PanelStream::~PanelStream() { release(); }

void PanelStream::release() {
  const Driver &driver = device.driver();
  device.tryUse();
  if (side) {
    driver.synchronize(side);
    driver.destroyStream(side);
  }
  for (uint32_t i = 0; i < kPlaces; ++i)
    for (Event event : {written[i], read[i]})
      if (event)
        driver.destroyEvent(event);
}

Stream PanelStream::forPanel(uint32_t place) {
  device.driver().check(device.driver().waitInStream(side, read[place], 0),
                        "a panel cannot wait");
  return side;
}

void PanelStream::wroteTo(uint32_t place) {
  device.driver().check(device.driver().recordEvent(written[place], side),
                        "a panel cannot be marked");
}

void PanelStream::beforeProduct(uint32_t place) {
  device.driver().check(
      device.driver().waitInStream(device.stream(), written[place], 0),
      "a product cannot wait");
}

void PanelStream::afterProduct(uint32_t place) {
  device.driver().check(
      device.driver().recordEvent(read[place], device.stream()),
      "a product cannot be marked");
}

} // namespace qrt::cuda
