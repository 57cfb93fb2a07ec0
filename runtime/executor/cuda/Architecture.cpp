//===- Architecture.cpp - Which code runs on which GPU --------------------===//

#include "runtime/executor/cuda/Architecture.h"

#include <cstddef>

namespace qrt::cuda {

int architectureOf(std::string_view target) {
  size_t at = target.find('_');
  if (at == std::string_view::npos || target.size() - at > 5)
    return 0;
  int number = 0;
  for (char c : target.substr(at + 1)) {
    if (c < '0' || c > '9')
      return 0;
    number = number * 10 + c - '0';
  }
  return target.starts_with("sm_") || target.starts_with("compute_") ? number
                                                                     : 0;
}

int suitability(std::string_view target, int gpu) {
  int number = architectureOf(target);
  bool isPtx = target.starts_with("compute_");
  if (number == 0 || number > gpu || (!isPtx && number / 10 != gpu / 10))
    return 0;
  return number + (isPtx ? 0 : 1000);
}

} // namespace qrt::cuda
