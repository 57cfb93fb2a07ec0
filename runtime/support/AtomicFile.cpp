//===- AtomicFile.cpp - A file that appears when complete -----------------===//

#include "runtime/support/AtomicFile.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qrt {

/// Temporary files are called <target>.partial-<random>.
static constexpr const char *kPartial = ".partial-";
static constexpr size_t kRandom = 6; // mkostemp's

/// What `path` names in the end: a link is written through, not replaced.
static std::string linkedPath(const std::string &path) {
  std::unique_ptr<char, decltype(&::free)> real(
      ::realpath(path.c_str(), nullptr), &::free);
  return real ? real.get() : path;
}

/// Removes temporary files of `target` that a killed process left: those that
/// nobody holds locked. Locks end with their process, however it ends.
static void removeAbandoned(const std::string &target) {
  size_t slash = target.rfind('/');
  std::string folder =
      slash == std::string::npos ? "." : target.substr(0, slash + 1);
  std::string prefix = target.substr(slash + 1) + kPartial;
  auto close = [](DIR *entries) { ::closedir(entries); };
  std::unique_ptr<DIR, decltype(close)> entries(::opendir(folder.c_str()));
  while (const dirent *entry = entries ? ::readdir(entries.get()) : nullptr) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(prefix) || name.size() != prefix.size() + kRandom)
      continue;
    int other = ::openat(::dirfd(entries.get()), entry->d_name,
                         O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (other < 0)
      continue;
    if (::flock(other, LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(::dirfd(entries.get()), entry->d_name, 0);
    ::close(other);
  }
}

/// A locked temporary file beside `target`, whose name it returns in `name`;
/// -1 with errno if it cannot be made.
static int makeTemporary(const std::string &target, std::string &name) {
  for (;;) {
    name = target + kPartial + std::string(kRandom, 'X');
    int fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd < 0)
      return fd;
    // Without locks (some network file systems) nothing is ever abandoned.
    struct stat info;
    if (::flock(fd, LOCK_EX) != 0 || ::fstat(fd, &info) != 0 ||
        info.st_nlink > 0)
      return fd;
    ::close(fd); // taken for abandoned before it was locked
  }
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
    removeAbandoned(target);
    fd = makeTemporary(target, temporary);
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
    // A pipe takes what comes in order.
    if (written < 0 && errno == ESPIPE && offset == end)
      written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      throw Error("cannot write " + std::to_string(bytes.size()) +
                      " bytes at " + std::to_string(offset) + ": " +
                      std::strerror(written < 0 ? errno : ENOSPC),
                  path);
    offset += uint64_t(written);
    end = std::max(end, offset);
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
