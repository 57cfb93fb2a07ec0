//===- ZipDirectory.h - The files inside a zip archive ----------*- C++ -*-===//
//
// The format: PKWARE's APPNOTE.TXT, with zip64. PyTorch stores its archives'
// files without compression, so that they can be used where they lie in a
// mapped file; what is compressed or encrypted is refused.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_ZIPDIRECTORY_H
#define QCC_FRONTENDS_CHECKPOINT_ZIPDIRECTORY_H

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace qcc {

/// Where a file of an archive lies, in bytes from the archive's start.
struct ZipEntry {
  uint64_t offset = 0, bytes = 0;
};

/// True if `bytes` begin as zip archives do.
bool isZip(std::span<const uint8_t> bytes);

/// The files of the archive with the content `bytes`, by name. Every entry lies
/// inside the archive. Throws qrt::Error, naming `file`, for whatever does not
/// follow the format.
std::map<std::string, ZipEntry> readZipDirectory(std::span<const uint8_t> bytes,
                                                 const std::string &file);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_ZIPDIRECTORY_H
