//===- FuzzSafetensors.cpp - Fuzzes the safetensors reader ---------------===//

#include "frontends/checkpoint/Safetensors.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    std::span bytes(data, size);
    uint64_t sum = 0;
    for (const TensorInfo &info : parseSafetensors(bytes, "fuzz"))
      for (uint8_t byte : bytes.subspan(info.offset, info.bytes))
        sum += byte;
    volatile uint64_t keep = sum;
    (void)keep;
  });
}
