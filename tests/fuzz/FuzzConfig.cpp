//===- FuzzConfig.cpp - Fuzzes the readers of config.json ----------------===//

#include "frontends/architectures/Architectures.h"
#include "frontends/checkpoint/Checkpoint.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    fuzz::MemoryFile file(data, size);
    readModelSpec(readJsonFile(file.path()));
  });
}
