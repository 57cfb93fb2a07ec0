//===- AtomicFile.cpp - A file that appears when complete -----------------===//

#include "runtime/support/AtomicFile.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace qrt {

AtomicFile::AtomicFile(const std::string &path)
    : path(path), temporary(path + ".partial-XXXXXX") {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    throw Error("cannot write the file: is a folder", path);
  fd = ::mkostemp(temporary.data(), 0);
  if (fd < 0)
    throw Error(std::string("cannot write the file: ") + std::strerror(errno),
                path);
}

AtomicFile::~AtomicFile() {
  if (fd < 0)
    return;
  ::close(fd);
  ::unlink(temporary.c_str());
}

void AtomicFile::writeAt(uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), off_t(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      throw Error("cannot write " + std::to_string(bytes.size()) +
                      " bytes at " + std::to_string(offset) + ": " +
                      std::strerror(written < 0 ? errno : ENOSPC),
                  path);
    offset += uint64_t(written);
    bytes = bytes.subspan(size_t(written));
  }
}

void AtomicFile::commit() {
  // mkostemp makes files private; give what the user's umask allows.
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd, 0666 & ~mask);
  if (::fsync(fd) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)
    throw Error(std::string("cannot finish the file: ") + std::strerror(errno),
                path);
  ::close(fd);
  fd = -1;
}

} // namespace qrt
