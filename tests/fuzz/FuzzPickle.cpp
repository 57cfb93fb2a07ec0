//===- FuzzPickle.cpp - Fuzzes the reader of PyTorch files ---------------===//

#include "frontends/checkpoint/Pickle.h"
#include "frontends/checkpoint/PyTorch.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    // Nearly all inputs are bare pickles: checksums and magic numbers would
    // keep the fuzzer from the machine.
    std::span bytes(data, size);
    if (size > 0 && data[0] == 0x80)
      readPickle(bytes, 0, "fuzz");
    uint64_t sum = 0;
    for (const TensorInfo &info : parsePyTorch(bytes, "fuzz"))
      for (uint8_t byte : bytes.subspan(info.offset, info.bytes))
        sum += byte;
    volatile uint64_t keep = sum;
    (void)keep;
  });
}
