//===- MappedFile.cpp - A file mapped for reading -------------------------===//

#include "runtime/support/MappedFile.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qrt {

MappedFile::MappedFile(const std::string &path) : name(path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    throw Error(std::string("cannot open the file: ") + std::strerror(errno),
                path);
  struct stat info;
  bool isFile = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (isFile && info.st_size > 0) {
    size = size_t(info.st_size);
    void *mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
      int error = errno;
      ::close(fd);
      throw Error(std::string("cannot map the file: ") + std::strerror(error),
                  path);
    }
    data = static_cast<const uint8_t *>(mapping);
  }
  ::close(fd);
  if (!isFile)
    throw Error("not a regular file", path);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : name(std::move(other.name)), data(std::exchange(other.data, nullptr)),
      size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(data, other.data);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<uint8_t *>(data), size);
}

void MappedFile::release(uint64_t offset, uint64_t length) const {
  // Whole pages inside the range only: neighbours may still be in use.
  constexpr uint64_t page = 4096;
  uint64_t first = (offset + page - 1) / page * page;
  uint64_t last = (offset + length) / page * page;
  if (data && first < last && last <= size)
    ::madvise(const_cast<uint8_t *>(data) + first, last - first, MADV_DONTNEED);
}

void MappedFile::willNeed() const {
  if (data)
    ::madvise(const_cast<uint8_t *>(data), size, MADV_WILLNEED);
}

} // namespace qrt
