//===- ZipDirectory.cpp - The files inside a zip archive ------------------===//

#include "frontends/checkpoint/ZipDirectory.h"

#include "frontends/checkpoint/TensorInfo.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <string_view>

using qrt::Error;

namespace qcc {
namespace {

// Signatures and sizes of the records (APPNOTE.TXT, 4.3).
constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50,
                   kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kEnd64Locator = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22,
                   kEnd64Bytes = 56, kLocatorBytes = 20;

class ZipReader {
public:
  ZipReader(std::span<const uint8_t> bytes, const std::string &file)
      : bytes(bytes), file(file) {}

  std::map<std::string, ZipEntry> read() {
    findDirectory();
    std::map<std::string, ZipEntry> entries;
    uint64_t at = directory;
    const uint64_t end = directory + directoryBytes;
    while (at < end) {
      auto [name, entry] = readEntry(at, end);
      if (!entries.emplace(name, entry).second)
        fail("file " + quoteText(name) + " is in the archive twice");
    }
    return entries;
  }

private:
  [[noreturn]] void fail(const std::string &what,
                         const std::string &hint = "") const {
    throw Error(what, file, hint);
  }

  template <typename T>
  T load(uint64_t at) const {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
  }

  /// `size` bytes from `at` on lie in the file.
  bool fits(uint64_t at, uint64_t size) const {
    return at <= bytes.size() && size <= bytes.size() - at;
  }

  void findDirectory() {
    // The last record is at most a comment of 65535 bytes from the end.
    uint64_t last = bytes.size();
    if (last < kEndBytes)
      fail("the file is too short for a zip archive");
    const uint64_t first = last - std::min<uint64_t>(last, kEndBytes + 0xffff);
    for (last -= kEndBytes; load<uint32_t>(last) != kEnd; --last)
      if (last == first)
        fail("the zip archive has no directory", "the file may be truncated");
    directoryBytes = load<uint32_t>(last + 12);
    directory = load<uint32_t>(last + 16);
    if (last >= kLocatorBytes &&
        load<uint32_t>(last - kLocatorBytes) == kEnd64Locator) {
      uint64_t end64 = load<uint64_t>(last - kLocatorBytes + 8);
      if (!fits(end64, kEnd64Bytes) || load<uint32_t>(end64) != kEnd64)
        fail("the zip archive's directory is damaged");
      directoryBytes = load<uint64_t>(end64 + 40);
      directory = load<uint64_t>(end64 + 48);
    }
    if (!fits(directory, directoryBytes))
      fail("the zip archive's directory lies past the end of the file",
           "the file may be truncated");
  }

  /// Reads the entry at `at` and moves `at` behind it.
  std::pair<std::string, ZipEntry> readEntry(uint64_t &at, uint64_t end) const {
    if (end - at < kCentralBytes || load<uint32_t>(at) != kCentralHeader)
      fail("the zip archive's directory is damaged at byte " +
           std::to_string(at));
    uint64_t nameBytes = load<uint16_t>(at + 28),
             extraBytes = load<uint16_t>(at + 30),
             commentBytes = load<uint16_t>(at + 32);
    if (nameBytes + extraBytes + commentBytes > end - at - kCentralBytes)
      fail("the zip archive's directory is damaged at byte " +
           std::to_string(at));
    std::string name(
        reinterpret_cast<const char *>(bytes.data() + at + kCentralBytes),
        nameBytes);
    auto flags = load<uint16_t>(at + 8), method = load<uint16_t>(at + 10);
    uint64_t stored = load<uint32_t>(at + 20), size = load<uint32_t>(at + 24),
             header = load<uint32_t>(at + 42);
    readExtra(at + kCentralBytes + nameBytes, extraBytes, size, stored, header);
    at += kCentralBytes + nameBytes + extraBytes + commentBytes;

    const std::string what = "file " + quoteText(name) + " of the archive ";
    if (flags & 1)
      fail(what + "is encrypted");
    if (method != 0)
      fail(what + "is compressed", "save it with torch.save, which does not");
    if (stored != size)
      fail(what + "has two sizes, " + std::to_string(stored) + " and " +
           std::to_string(size));
    if (!fits(header, kLocalBytes) || load<uint32_t>(header) != kLocalHeader)
      fail(what + "has no header at byte " + std::to_string(header));
    uint64_t data = header + kLocalBytes + load<uint16_t>(header + 26) +
                    load<uint16_t>(header + 28);
    if (!fits(data, size))
      fail(what + "ends past the end of the file", "it may be truncated");
    return {std::move(name), {data, size}};
  }

  /// Takes the values that do not fit into 32 bits from zip64's field.
  void readExtra(uint64_t at, uint64_t size, uint64_t &uncompressed,
                 uint64_t &compressed, uint64_t &header) const {
    const uint64_t end = at + size;
    while (end - at >= 4) {
      auto id = load<uint16_t>(at);
      uint64_t fieldEnd = at + 4 + load<uint16_t>(at + 2);
      at += 4;
      if (fieldEnd > end)
        return; // some writers leave padding that is no field
      if (id == 1)
        for (uint64_t *value : {&uncompressed, &compressed, &header})
          if (*value == UINT32_MAX && fieldEnd - at >= 8) {
            *value = load<uint64_t>(at);
            at += 8;
          }
      at = fieldEnd;
    }
  }

  std::span<const uint8_t> bytes;
  const std::string &file;
  uint64_t directory = 0, directoryBytes = 0;
};

} // namespace

bool isZip(std::span<const uint8_t> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\3\4", 4) == 0;
}

std::map<std::string, ZipEntry> readZipDirectory(std::span<const uint8_t> bytes,
                                                 const std::string &file) {
  return ZipReader(bytes, file).read();
}

} // namespace qcc
