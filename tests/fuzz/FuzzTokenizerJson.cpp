//===- FuzzTokenizerJson.cpp - Fuzzes the reader of tokenizer.json -------===//

#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    qrt::Tokenizer tokenizer(qrt::deserialize(qrt::serialize(
        importTokenizerJson(fuzz::asText(data, size), {}, "fuzz"))));
    tokenizer.decode(tokenizer.encode(fuzz::kText));
    tokenizer.decode(tokenizer.encode(fuzz::kText, true, false), true);
  });
}
