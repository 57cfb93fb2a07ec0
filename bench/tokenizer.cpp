//===- tokenizer.cpp - How fast a tokenizer encodes and decodes -*- C++ -*-===//
//
// Usage: bench_tokenizer TOKENIZER TEXT [--lines]
//
// Reads a tokenizer (a folder or a file) and a text, then commands from
// standard input, one a line: "encode" and "decode" do so once, with one
// thread, and print the seconds of CPU time that it took; "ids" prints the number of ids.
// --lines: every line of the text by itself. bench/compare_tokenizers.py compares.
//
//===----------------------------------------------------------------------===//

#include "runtime/tokenizer/Tokenizer.h"
#include "frontends/tokenizer/TokenizerImport.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::vector<std::string_view> split(std::string_view text, bool byLines) {
  std::vector<std::string_view> parts;
  while (byLines && !text.empty()) {
    size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!byLines)
    parts.push_back(text);
  return parts;
}

template <typename Work>
double seconds(Work work) {
  std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

int run(int argc, char **argv) {
  if (argc < 3) {
    std::fputs("usage: bench_tokenizer TOKENIZER TEXT [--lines]\n", stderr);
    return 2;
  }
  auto model = qcc::importTokenizerFolder(argv[1]);
  if (!model) {
    std::fprintf(stderr, "bench_tokenizer: no tokenizer in %s\n", argv[1]);
    return 1;
  }
  qrt::Tokenizer tokenizer(std::move(*model));
  std::ifstream stream(argv[2], std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  std::vector<std::string_view> parts =
      split(text, argc > 3 && std::string_view(argv[3]) == "--lines");
  std::vector<std::vector<int32_t>> ids(parts.size());

  auto encode = [&] {
    for (size_t i = 0; i < parts.size(); ++i)
      ids[i] = tokenizer.encode(parts[i], /*addSpecialTokens=*/false);
  };
  encode();
  for (std::string command; std::getline(std::cin, command);) {
    if (command == "encode") {
      std::printf("%.9f\n", seconds(encode));
    } else if (command == "decode") {
      size_t bytes = 0;
      double took = seconds([&] {
        for (const auto &part : ids)
          bytes += tokenizer.decode(part).size();
      });
      std::printf("%.9f\n", bytes > 0 || text.empty() ? took : -1);
    } else if (command == "ids") {
      size_t count = 0;
      for (const auto &part : ids)
        count += part.size();
      std::printf("%zu\n", count);
    }
    std::fflush(stdout);
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "bench_tokenizer: %s\n", error.what());
    return 1;
  }
}
