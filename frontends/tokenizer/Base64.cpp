//===- Base64.cpp - RFC 4648 ----------------------------------------------===//

#include "frontends/tokenizer/Base64.h"

#include <cstdint>

namespace qcc {

bool fromBase64(std::string_view text, std::string &bytes) {
  while (text.ends_with('='))
    text.remove_suffix(1);
  bytes.clear();
  uint32_t bits = 0;
  unsigned count = 0;
  for (char c : text) {
    int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
    if (digit < 0)
      return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  return count < 6;
}

} // namespace qcc
