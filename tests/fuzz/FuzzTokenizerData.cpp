//===- FuzzTokenizerData.cpp - Fuzzes the tokenizer in an artifact -------===//

#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    qrt::Tokenizer tokenizer(qrt::deserialize({data, size}));
    tokenizer.decode(tokenizer.encode(fuzz::kText));
    tokenizer.decode(tokenizer.encode(fuzz::kText, true, false), true);
  });
}
