//===- AtomicFile.cpp - A file that appears when complete -----------------===//

#include "runtime/support/AtomicFile.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qrt {

/// What `path` names in the end: a link is written through, not replaced.
static std::string linkedPath(const std::string &path) {
  std::unique_ptr<char, decltype(&::free)> real(
      ::realpath(path.c_str(), nullptr), &::free);
  return real ? real.get() : path;
}

AtomicFile::AtomicFile(const std::string &path)
    : path(path), target(linkedPath(path)) {
  struct stat info;
  bool exists = ::stat(target.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode))
    throw Error("cannot write the file: is a folder", path);
  if (exists && !S_ISREG(info.st_mode)) {
    fd = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    temporary = target + ".partial-XXXXXX";
    fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  }
  if (fd < 0)
    throw Error(std::string("cannot write the file: ") + std::strerror(errno),
                path);
}

AtomicFile::~AtomicFile() {
  if (fd < 0)
    return;
  ::close(fd);
  if (!temporary.empty())
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
  if (temporary.empty()) {
    if (::close(std::exchange(fd, -1)) != 0)
      throw Error(
          std::string("cannot finish the file: ") + std::strerror(errno), path);
    return;
  }
  // mkostemp makes files private; give what the user's umask allows.
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd, 0666 & ~mask);
  if (::fsync(fd) != 0 || ::rename(temporary.c_str(), target.c_str()) != 0)
    throw Error(std::string("cannot finish the file: ") + std::strerror(errno),
                path);
  ::close(fd);
  fd = -1;
}

} // namespace qrt
