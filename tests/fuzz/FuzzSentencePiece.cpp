//===- FuzzSentencePiece.cpp - Fuzzes the readers of tokenizer.model -----===//

#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    std::string_view bytes = fuzz::asText(data, size);
    qrt::Tokenizer tokenizer(isTiktoken(bytes)
                                 ? importTiktoken(bytes, {}, "fuzz")
                                 : importSentencePiece(bytes, "fuzz"));
    tokenizer.decode(tokenizer.encode(fuzz::kText));
  });
}
