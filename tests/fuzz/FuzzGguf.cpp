//===- FuzzGguf.cpp - Fuzzes the GGUF reader and its tokenizers ----------===//

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufTokenizerFields.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/Fuzz.h"

#include <algorithm>

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    fuzz::MemoryFile file(data, size);
    GgufContents contents = parseGguf({data, size}, "fuzz");
    if (auto fields = readGgufTokenizerFields(contents.metadata))
      fuzz::run([&] {
        qrt::Tokenizer tokenizer(importGgufTokenizer(*fields, "fuzz"));
        tokenizer.decode(tokenizer.encode(fuzz::kText));
      });
    auto checkpoint = openGguf(file.path());
    for (const TensorInfo &info : checkpoint->tensors()) {
      float values[64];
      int64_t count = std::min<int64_t>(info.elements(), 64);
      checkpoint->readF32(info, info.elements() - count, count, values);
    }
  });
}
