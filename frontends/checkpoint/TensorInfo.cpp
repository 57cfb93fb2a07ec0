//===- TensorInfo.cpp - Where a tensor lies in a file ---------------------===//

#include "frontends/checkpoint/TensorInfo.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <tuple>

using qrt::Error;

namespace qcc {

int64_t elementCount(const std::vector<int64_t> &shape) {
  constexpr int64_t limit = int64_t(1) << 58;
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && count > limit / size))
      return -1;
    count *= size;
  }
  return count;
}

int64_t byteCount(TensorType type, const std::vector<int64_t> &shape) {
  const TypeTraits &t = traits(type);
  int64_t elements = elementCount(shape);
  int64_t row = shape.empty() ? 1 : shape.back();
  if (elements < 0 || row % t.elements != 0)
    return -1;
  return elements / t.elements * t.bytes;
}

int64_t TensorInfo::elements() const { return elementCount(shape); }

std::vector<const TensorInfo *>
sortByPlace(const std::vector<TensorInfo> &infos, uint64_t fileBytes,
            const std::string &file) {
  std::vector<const TensorInfo *> sorted;
  sorted.reserve(infos.size());
  for (const TensorInfo &info : infos) {
    if (info.offset > fileBytes || info.bytes > fileBytes - info.offset)
      throw Error("tensor " + quoteText(info.name) + " ends at byte " +
                      std::to_string(info.offset + info.bytes) +
                      ", past the end of the file (" +
                      std::to_string(fileBytes) + " bytes)",
                  file, "the file may be truncated");
    sorted.push_back(&info);
  }
  // An empty tensor comes before the one that begins where it lies.
  std::ranges::sort(sorted, {}, [](const TensorInfo *info) {
    return std::tuple(info->offset, info->bytes);
  });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorInfo &one = *sorted[i - 1], &two = *sorted[i];
    if (two.offset < one.offset + one.bytes)
      throw Error("tensors " + quoteText(one.name) + " and " +
                      quoteText(two.name) + " overlap at byte " +
                      std::to_string(two.offset),
                  file);
  }
  return sorted;
}

std::string quoteText(std::string_view text) {
  constexpr size_t limit = 80;
  std::string out = "'";
  for (char c : text.substr(0, limit)) {
    if (c >= 0x20 && c <= 0x7e) {
      out += c;
      continue;
    }
    static const char digits[] = "0123456789abcdef";
    out += "\\x";
    out += digits[uint8_t(c) >> 4];
    out += digits[uint8_t(c) & 15];
  }
  return out + (text.size() > limit ? "...'" : "'");
}

} // namespace qcc
