//===- SeedTokenizers.cpp - Seeds of fuzz-tokenizer-data ------------------===//
//
// Usage: seed-tokenizers FOLDER FILE...
//
// Writes the tokenizer in each FILE (tokenizer.json or tokenizer.model) to
// FOLDER as an artifact carries it.
//
//===----------------------------------------------------------------------===//

#include "frontends/tokenizer/TokenizerImport.h"

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>

int main(int argc, char **argv) {
  try {
    for (int i = 2; i < argc; ++i) {
      std::string path = std::string(argv[1]) + "/" + std::to_string(i);
      auto bytes = qrt::serialize(qcc::importTokenizerFolder(argv[i]).value());
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char *>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "seed-tokenizers: %s\n", error.what());
    return 1;
  }
}
