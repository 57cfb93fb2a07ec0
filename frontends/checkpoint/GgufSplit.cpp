//===- GgufSplit.cpp - GGUF models in several files -----------------------===//

#include "frontends/checkpoint/GgufSplit.h"

#include <cstdio>
#include <string_view>

namespace qcc {

/// The number that five digits of `text` from `at` on are; -1: they are none.
static int fiveDigits(std::string_view text, size_t at) {
  int value = 0;
  for (char c : text.substr(at, 5)) {
    if (c < '0' || c > '9')
      return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::vector<std::string> ggufParts(const std::string &path) {
  constexpr std::string_view pattern = "-00001-of-00001.gguf";
  if (path.size() < pattern.size())
    return {path};
  const std::string_view name =
      std::string_view(path).substr(path.size() - pattern.size());
  const int number = fiveDigits(name, 1), count = fiveDigits(name, 10);
  if (name[0] != '-' || name.substr(6, 4) != "-of-" ||
      name.substr(15) != ".gguf" || number < 1 || number > count)
    return {path};
  std::vector<std::string> parts;
  for (int i = 1; i <= count; ++i) {
    char text[32];
    std::snprintf(text, sizeof(text), "-%05d-of-%05d.gguf", i, count);
    parts.push_back(path.substr(0, path.size() - pattern.size()) + text);
  }
  return parts;
}

} // namespace qcc
