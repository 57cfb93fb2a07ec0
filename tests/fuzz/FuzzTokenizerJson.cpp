//===- FuzzTokenizerJson.cpp - Fuzzes the reader of tokenizer.json -------===//
//
// What follows a zero byte is the tokenizer_config.json beside it.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/Fuzz.h"

using namespace qcc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    std::string_view text = fuzz::asText(data, size), config;
    if (size_t end = text.find('\0'); end != text.npos) {
      config = text.substr(end + 1);
      text = text.substr(0, end);
    }
    qrt::Tokenizer tokenizer(qrt::deserialize(qrt::serialize(
        importTokenizerJson(text, config, "fuzz", /*vocabulary=*/1000))));
    tokenizer.decode(tokenizer.encode(fuzz::kText));
    tokenizer.decode(tokenizer.encode(fuzz::kText, true, false), true);
  });
}
